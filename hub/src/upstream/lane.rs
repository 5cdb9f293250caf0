//! The calls on one socket.
//!
//! Duty: give calls a number and a place in the socket's queue, and bring each answer to its caller.
//! Invariant: a call is in `pending` from its submission until it is answered, its caller goes away, or the socket falls. A call that nobody waits for any
//! more is not sent. Bounds: [`MOST_PENDING`] calls, and [`MOST_BYTES`] of them not yet sent.
//! A lane outlives its sockets: numbers are never given again.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lasso_jsonrpc::Call;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::Lost;

/// Calls under way on one socket.
pub(super) const MOST_PENDING: usize = 1_024;
/// Of them in the queue.
const MOST_BYTES: usize = 64 * 1024 * 1024;

/// What a socket sends: requests by their numbers.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) number: u64,
    pub(super) text: Utf8Bytes,
}

/// A provider's answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) text: Utf8Bytes,
    /// Where our number stands in it.
    pub(super) place: Range<usize>,
}

/// One socket for calls, whether it is up or not.
#[derive(Debug)]
pub(super) struct Lane {
    number: AtomicU64,
    /// Held for a moment by callers and by the socket, never over an await.
    state: Mutex<State>,
    /// No call is under way any more.
    emptied: Notify,
}

#[derive(Debug, Default)]
struct State {
    queue: Option<mpsc::Sender<Job>>,
    queued: usize,
    pending: BTreeMap<u64, Pending>,
}

#[derive(Debug)]
struct Pending {
    sent: bool,
    answer: oneshot::Sender<Result<Answer, Lost>>,
}

/// A caller's place. Dropping it gives it up.
#[derive(Debug)]
pub(super) struct Ticket {
    lane: Arc<Lane>,
    number: u64,
    answer: oneshot::Receiver<Result<Answer, Lost>>,
}

/// While this lives, the lane's socket is up.
#[derive(Debug)]
pub(super) struct Up(Arc<Lane>);

impl Lane {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { number: AtomicU64::new(1), state: Mutex::default(), emptied: Notify::new() })
    }

    /// Calls under way; `None` while there is no socket.
    pub(super) fn load(&self) -> Option<usize> {
        let state = self.state();
        state.queue.is_some().then(|| state.pending.len())
    }

    /// Takes calls, all or none.
    pub(super) fn submit(self: &Arc<Self>, calls: &[&Call<'_>]) -> Option<Vec<Ticket>> {
        let jobs: Vec<_> = calls.iter().filter_map(|call| self.job(call)).collect();
        let bytes: usize = jobs.iter().map(|job| job.text.len()).sum();
        let mut state = self.state();
        let queue = state.queue.clone()?;
        // One that is larger than all together goes alone.
        let fits = state.queued == 0 || state.queued + bytes <= MOST_BYTES;
        if !fits || state.pending.len() + jobs.len() > MOST_PENDING {
            return None;
        }
        let room = queue.try_reserve_many(jobs.len()).ok()?;
        state.queued += bytes;
        let mut tickets = Vec::with_capacity(jobs.len());
        for (room, job) in room.zip(jobs) {
            let (sender, answer) = oneshot::channel();
            state.pending.insert(job.number, Pending { sent: false, answer: sender });
            tickets.push(Ticket { lane: Arc::clone(self), number: job.number, answer });
            room.send(job);
        }
        Some(tickets)
    }

    fn job(&self, call: &Call<'_>) -> Option<Job> {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let mut text = Vec::new();
        call.write(&number.to_string(), &mut text);
        // It was made of text.
        Utf8Bytes::try_from(text).ok().map(|text| Job { number, text })
    }

    /// Whether a job that left the queue is to be sent. It is taken as sent from then on: nobody knows how much of it arrives.
    pub(super) fn admit(&self, job: &Job) -> bool {
        let mut state = self.state();
        state.queued = state.queued.saturating_sub(job.text.len());
        state.pending.get_mut(&job.number).is_some_and(|pending| {
            pending.sent = true;
            true
        })
    }

    /// Brings an answer to whoever waits for it.
    pub(super) fn answered(&self, number: u64, answer: Answer) {
        if let Some(pending) = self.end(number) {
            // Who waited may have gone at this very moment.
            let _ = pending.answer.send(Ok(answer));
        }
    }

    /// The socket is up: calls go into its queue.
    pub(super) fn open(self: &Arc<Self>, queue: mpsc::Sender<Job>) -> Up {
        *self.state() = State { queue: Some(queue), ..State::default() };
        Up(Arc::clone(self))
    }

    /// Takes no more calls, and waits for those under way: as long as their callers do.
    pub(super) async fn retire(&self) {
        self.state().queue = None;
        loop {
            let emptied = self.emptied.notified();
            if self.state().pending.is_empty() {
                return;
            }
            emptied.await;
        }
    }

    fn end(&self, number: u64) -> Option<Pending> {
        let mut state = self.state();
        let ended = state.pending.remove(&number);
        if state.pending.is_empty() {
            self.emptied.notify_one();
        }
        ended
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let fallen = std::mem::take(&mut *self.0.state());
        self.0.emptied.notify_one();
        for pending in fallen.pending.into_values() {
            let lost = if pending.sent { Lost::Broken } else { Lost::Unsent };
            let _ = pending.answer.send(Err(lost));
        }
    }
}

impl Ticket {
    /// The answer. Can be asked again after it was not waited for.
    pub(super) async fn answer(&mut self) -> Result<Answer, Lost> {
        // The sender does not go without a word.
        (&mut self.answer).await.unwrap_or(Err(Lost::Broken))
    }

    /// Gives up: why there is no answer.
    pub(super) fn give_up(self) -> Lost {
        let sent = self.lane.end(self.number).is_none_or(|pending| pending.sent);
        if sent { Lost::Silent } else { Lost::Unsent }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.lane.end(self.number);
    }
}

#[cfg(test)]
mod tests;
