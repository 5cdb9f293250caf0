//! What a client hears: frames, written without a buffer of their own.
//!
//! Duty: write frames whole and in order; know when a client does not take them.
//! Invariant: [`Mouth::flush`] may be dropped at any time and goes on where it was. An idle mouth holds nothing.
//! Frames to clients are not masked, so that the framing is a header of at most ten bytes.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::time::{Instant, timeout_at};

use crate::calls::Kept;

/// A client that takes less than [`PACE`] in this is slow.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes.
const PACE: usize = 256 * 1_024;
/// Pieces of one write.
const MOST_SLICES: usize = 8;
/// Longest body that is copied behind its header rather than written beside it.
const SHORT: usize = 4 * 1_024;

const TEXT: u8 = 0x1;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;

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
    half: OwnedWriteHalf,
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
    pub(super) fn new(half: OwnedWriteHalf) -> Self {
        let (queue, kept) = (VecDeque::new(), Vec::new());
        Self { half, queue, midway: false, since: Instant::now(), taken: 0, kept }
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
        while self.busy() {
            let (slices, filled) = slices(&self.queue);
            let write = self.half.write_vectored(slices.get(..filled).unwrap_or_default());
            let written = timeout_at(self.since + PATIENCE, write).await.map_err(|_| Unwritten::Slow)??;
            self.written(written)?;
        }
        self.kept.clear();
        Ok(())
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

    /// Nothing more will be written.
    pub(super) async fn shut(&mut self) {
        // The client may be gone already.
        let _ = self.half.shutdown().await;
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

/// A whole frame in one piece.
fn frame(opcode: u8, parts: &[&[u8]]) -> Bytes {
    let len = parts.iter().map(|part| part.len()).sum();
    let mut frame = header(opcode, len, len);
    for part in parts {
        frame.put_slice(part);
    }
    frame.freeze()
}

fn header(opcode: u8, len: usize, room: usize) -> BytesMut {
    const FINAL: u8 = 0x80;
    let whole = |header: usize| BytesMut::with_capacity(header + room);
    let first = FINAL | opcode;
    match (u8::try_from(len), u16::try_from(len)) {
        (Ok(short), _) if short < 126 => {
            let mut header = whole(2);
            header.put_slice(&[first, short]);
            header
        }
        (_, Ok(medium)) => {
            let mut header = whole(4);
            header.put_slice(&[first, 126]);
            header.put_u16(medium);
            header
        }
        (_, Err(_)) => {
            let mut header = whole(10);
            header.put_slice(&[first, 127]);
            header.put_u64(len as u64);
            header
        }
    }
}
