//! What a client hears: frames, written without a buffer of their own.
//!
//! Duty: write frames whole and in order; know when a client does not take them.
//! Invariant: [`Mouth::flush`] may be dropped at any time and goes on where it was. An idle mouth holds nothing.
//! Leaves to others: what a frame is ([`frame`](crate::frame)).

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout_at};

use crate::calls::Kept;
use crate::frame::{CLOSE, PING, PONG, TEXT, frame, header};
use crate::stream::Writing;

/// A client that takes less than [`PACE`] in this is slow.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes.
const PACE: usize = 256 * 1_024;
/// Pieces of one write.
const MOST_SLICES: usize = 8;
/// Longest body that is copied behind its header rather than written beside it.
const SHORT: usize = 4 * 1_024;

/// Why a write did not succeed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unwritten {
    #[error("the client does not read")]
    Slow,
    #[error("the socket broke")]
    Broken(#[from] io::Error),
}

#[derive(Debug)]
struct Piece {
    bytes: Bytes,
    /// Nothing of its frame comes after it.
    last: bool,
}

/// The writing half of a client's socket.
#[derive(Debug)]
pub(super) struct Mouth {
    /// Shared with those who tell events while we are idle. The last of us who drops it ends the writing.
    half: Arc<Writing>,
    queue: VecDeque<Piece>,
    /// Part of a frame was written, and the rest was not.
    midway: bool,
    /// When [`PACE`] bytes were last taken.
    since: Instant,
    taken: usize,
    /// What is given back once all is written.
    kept: Vec<Kept>,
}

impl Mouth {
    pub(super) fn new(half: Writing) -> Self {
        let (queue, kept) = (VecDeque::new(), Vec::new());
        Self { half: Arc::new(half), queue, midway: false, since: Instant::now(), taken: 0, kept }
    }

    /// The socket, for who writes while nothing is to be written here.
    pub(super) fn half(&self) -> &Arc<Writing> {
        &self.half
    }

    /// The rest of a frame that somebody else began while we were idle.
    pub(super) fn resume(&mut self, rest: Bytes) {
        self.push(rest, true);
        self.midway = true;
    }

    /// Whether something is still to be written.
    pub(super) fn busy(&self) -> bool {
        !self.queue.is_empty()
    }

    /// A message out of parts.
    pub(super) fn say(&mut self, parts: &[&[u8]]) {
        self.push(frame(TEXT, parts), true);
    }

    /// A message that may be long; `kept` is held until it is written.
    pub(super) fn say_long(&mut self, body: Bytes, kept: Kept) {
        self.kept.push(kept);
        if body.len() <= SHORT {
            return self.say(&[&body]);
        }
        self.push(header(TEXT, body.len(), 0).freeze(), false);
        self.push(body, true);
    }

    pub(super) fn ping(&mut self) {
        self.push(frame(PING, &[]), true);
    }

    pub(super) fn pong(&mut self, payload: &[u8]) {
        self.push(frame(PONG, &[payload]), true);
    }

    /// Leaves out what waits. What was begun stays, or what comes after it could not be understood.
    pub(super) fn cut(&mut self) {
        let begun = self.queue.iter().position(|piece| piece.last).filter(|_| self.midway);
        self.queue.truncate(begun.map_or(0, |last| last + 1));
    }

    /// The last frame.
    pub(super) fn close(&mut self, code: Option<u16>, reason: &str) {
        let code = code.map(u16::to_be_bytes);
        let code = code.as_ref().map_or(&[][..], |code| &code[..]);
        let reason = if code.is_empty() { "" } else { reason };
        self.push(frame(CLOSE, &[code, reason.as_bytes()]), true);
    }

    /// Writes what there is.
    pub(super) async fn flush(&mut self) -> Result<(), Unwritten> {
        loop {
            self.flush_now()?;
            if !self.busy() {
                return Ok(());
            }
            timeout_at(self.since + PATIENCE, self.half.writable()).await.map_err(|_| Unwritten::Slow)??;
        }
    }

    /// Writes what the socket takes at once: nearly always everything, and then there is nothing to wait for and no timer to set.
    pub(super) fn flush_now(&mut self) -> Result<(), Unwritten> {
        while self.busy() {
            let (slices, filled) = slices(&self.queue);
            match self.half.try_write_vectored(slices.get(..filled).unwrap_or_default()) {
                Ok(written) => self.written(written)?,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        self.kept.clear();
        Ok(())
    }

    fn written(&mut self, written: usize) -> Result<(), Unwritten> {
        if written == 0 {
            return Err(io::Error::from(io::ErrorKind::WriteZero).into());
        }
        self.advance(written);
        Ok(())
    }

    fn push(&mut self, bytes: Bytes, last: bool) {
        if self.queue.is_empty() {
            (self.since, self.taken) = (Instant::now(), 0);
        }
        self.queue.push_back(Piece { bytes, last });
    }

    fn advance(&mut self, written: usize) {
        self.taken += written;
        if self.taken >= PACE {
            (self.since, self.taken) = (Instant::now(), 0);
        }
        let mut left = written;
        while let Some(piece) = self.queue.front_mut() {
            if left < piece.bytes.len() {
                self.midway = self.midway || left > 0;
                drop(piece.bytes.split_to(left));
                return;
            }
            left -= piece.bytes.len();
            self.midway = !piece.last;
            self.queue.pop_front();
        }
    }
}

/// What is first in the queue, as one write takes it, and how much of that there is.
fn slices(queue: &VecDeque<Piece>) -> ([IoSlice<'_>; MOST_SLICES], usize) {
    let mut slices = [IoSlice::new(&[]); MOST_SLICES];
    let mut filled = 0;
    for (slice, piece) in slices.iter_mut().zip(queue) {
        *slice = IoSlice::new(&piece.bytes);
        filled += 1;
    }
    (slices, filled)
}
