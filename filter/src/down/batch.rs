//! Batches: who asked what, and what is still open.
//!
//! ```text
//! items -> plans (down/plans.rs) -> parts (what one provider takes at once) -> replies -> items ... -> the client's body
//! ```
//!
//! Duty: keep the items in the client's order, number upstream ids, put the client's ids back, know where an item may go next.
//! Invariants: every request with an id gets exactly one reply, a notification none; an item that may be sent once is sent once; no item is given to a channel
//! twice, but in a smaller part; what never left counts for nothing; a timeout is settled when the batch ends.
//! Bounds: the catalog's `max_batch` items; [`MOST_IN_FLIGHT`] parts at once; [`MOST_ANSWER_BYTES`] an answer; what is held is counted by the worker.
//! Leaves to others: host calls (`down/parts.rs`), the table (`lasso_routing::outcome`).

use std::rc::Rc;

use lasso_jsonrpc::block::Blocks;
use lasso_jsonrpc::error::RpcError;
use lasso_jsonrpc::method::{FilterOp, Method};
use lasso_routing::Catalog;
use lasso_routing::catalog::ChannelIdx;
use lasso_routing::ledger::{Begun, End, Ledger};
use lasso_routing::outcome::{Blame, Failure, Verdict};
use lasso_routing::plan::{Attempts, Candidate, Plan};
use lasso_routing::target::Target;
use lasso_routing::time::{Micros, Timestamp};

use super::replies::unreached;
use crate::exchange::count;
use crate::host::Moment;
use crate::reply;
use crate::worker::Worker;

/// Parts of a batch that are under way at once.
pub const MOST_IN_FLIGHT: usize = 4;
/// Items in a part when a provider declares nothing: what ethers sends by default.
pub const PART_ITEMS: usize = 100;
/// A part that breaks is halved this often for one channel; then it is that channel's failure. One that is refused is halved until it is a single call.
pub const MOST_HALVINGS: u32 = 4;
/// A longer answer fails its part.
pub const MOST_ANSWER_BYTES: usize = 8 * 1024 * 1024;

/// As much of an error is kept for the log.
const MOST_ERROR_BYTES: usize = 16 * 1024;

/// One request of a batch.
#[derive(Debug)]
pub struct Item {
    /// Raw JSON of its id; `None` for a notification.
    pub id: Option<String>,
    /// What the client gets, once it is known.
    pub reply: Option<Vec<u8>>,
    /// That is an error.
    pub failed: bool,
    /// What a provider is asked; `None` when it was answered here.
    pub open: Option<OpenItem>,
}

/// An item that a provider must answer.
#[derive(Debug)]
pub struct OpenItem {
    /// Method name.
    pub method: String,
    /// Raw params.
    pub params: Option<String>,
    /// Blocks it is about.
    pub blocks: Blocks,
    /// It makes or uses a filter.
    pub filter: Option<FilterOp>,
    /// The only channel that can answer.
    pub sticky: Option<ChannelIdx>,
    /// May be asked again.
    pub replayable: bool,
    /// How it goes.
    pub course: Course,
}

/// Where an item was and where it may go.
#[derive(Debug, Default)]
pub struct Course {
    /// Who may answer, in order.
    pub plan: Option<Rc<Plan>>,
    /// Channels that are not asked again: they were, could not be reached, or belong to a provider that lacks the method.
    pub passed: Vec<ChannelIdx>,
    /// Channels that it was meant for.
    pub tried: u32,
    /// Channels that may have got it.
    pub made: u32,
    /// One of them took its time.
    pub slow: bool,
    /// The last of them was silent.
    pub timed_out: bool,
    /// How many had got it when one said `null`, which another is to confirm.
    pub null_at: Option<u32>,
    /// The last provider error, in case nobody does better.
    pub last_error: Option<Rc<str>>,
    /// Who gave the answer.
    pub answered_by: Option<ChannelIdx>,
    /// What channels said about themselves: believed once another one answers.
    pub lessons: Vec<(Begun, Verdict)>,
    /// It is in a part.
    pub placed: bool,
}

impl OpenItem {
    /// Who is asked next, if anybody may be.
    #[must_use]
    pub fn next(&self, ledger: &Ledger, now: Timestamp) -> Option<Candidate> {
        let course = &self.course;
        let unconfirmed = course.null_at.is_none_or(|made| made == course.made);
        if !unconfirmed || !Attempts::of(&Method::of(&self.method)).may_continue(course.made, !course.slow) {
            return None;
        }
        let plan = course.plan.as_deref()?;
        let passed = |candidate: &&Candidate| !course.passed.contains(&candidate.channel);
        if course.null_at.is_none() {
            return plan.candidates.iter().find(passed).copied();
        }
        let left: Vec<Candidate> = plan.candidates.iter().filter(passed).copied().collect();
        left.get(ledger.highest_head_for(plan, &left, now)?).copied()
    }
}

impl Course {
    /// A channel is not asked again.
    pub fn pass(&mut self, channel: ChannelIdx) {
        if !self.passed.contains(&channel) {
            self.passed.push(channel);
        }
    }
}

/// Items on their way to one channel.
#[derive(Debug, Clone)]
pub struct Part {
    /// Where they go.
    pub candidate: Candidate,
    /// A plan that put it there.
    pub plan: Rc<Plan>,
    /// Which items, by their place in the batch.
    pub items: Vec<usize>,
    /// How often it was halved for that channel.
    pub halvings: u32,
    /// The size that the channel refused was halved to this.
    pub learning: Option<usize>,
}

/// A part that was sent.
#[derive(Debug)]
pub struct Flight {
    /// Envoy's token.
    pub token: u32,
    /// What was sent where.
    pub part: Part,
    /// The ledger's side of it.
    pub begun: Begun,
    /// When.
    pub sent: Moment,
    /// Envoy gives up after so long.
    pub timeout_ms: u64,
}

/// What a part's end shows besides its verdict.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a> {
    /// The method that showed the head.
    pub method: &'a Method<'a>,
    /// The blocks that the verdict is about.
    pub blocks: &'a Blocks,
    /// The newest block in it.
    pub head: Option<u64>,
}

/// For `include_meta`: the part that ended last.
#[derive(Debug)]
pub struct LastPart {
    /// Its plan.
    pub plan: Rc<Plan>,
    /// Whom it asked.
    pub channel: ChannelIdx,
    /// How long that took.
    pub latency: Micros,
    /// How it ended, by the name of its row.
    pub outcome: &'static str,
}

/// A batch between its request and its reply.
#[derive(Debug)]
pub struct Batch {
    /// The catalog it is served with.
    pub catalog: Rc<Catalog>,
    /// What the client named.
    pub target: Target,
    /// Names the request in answers and logs.
    pub request_id: u64,
    /// In the client's order.
    pub items: Vec<Item>,
    /// Parts to send.
    pub waiting: Vec<Part>,
    /// Parts under way.
    pub flights: Vec<Flight>,
    /// Parts that were not answered in time, and when that was known.
    pub silent: Vec<(Flight, Moment)>,
    /// When it came.
    pub started: Moment,
    /// The longest deadline of its items, in milliseconds.
    pub deadline_ms: u64,
    /// How long screening and planning took.
    pub selection: Micros,
    /// Parts that went to another channel than the first.
    pub retries: usize,
    /// The part that ended last.
    pub last: Option<LastPart>,
    /// Bytes that the worker counts as held by it.
    pub kept: usize,
    /// How it is told of when it is over.
    pub end: BatchEnd,
}

/// What is left of a batch that was answered.
#[derive(Debug, Default)]
pub struct BatchEnd {
    /// How many items it had.
    pub items: usize,
    /// How many of them got an error.
    pub failed: usize,
    /// The reply to the first of those, cut at [`MOST_ERROR_BYTES`].
    pub error: Option<Vec<u8>>,
    /// HTTP status; `None` while nothing was answered.
    pub status: Option<u32>,
}

impl Batch {
    /// Items that no channel has answered and that are in no part.
    #[must_use]
    pub fn unplaced(&self) -> Vec<usize> {
        let open = |item: &Item| item.reply.is_none() && item.open.as_ref().is_some_and(|open| !open.course.placed);
        self.items.iter().enumerate().filter(|(_, item)| open(item)).map(|(index, _)| index).collect()
    }

    /// Milliseconds until its deadline.
    #[must_use]
    pub fn left_ms(&self, now: Moment) -> u64 {
        self.deadline_ms.saturating_sub(now.since(self.started).0 / 1_000)
    }

    /// The body for a part: upstream ids are places in the part.
    #[must_use]
    pub fn body(&self, part: &Part) -> Vec<u8> {
        let mut body = vec![b'['];
        for (place, index) in part.items.iter().enumerate() {
            let Some(open) = self.open(*index) else { continue };
            if place > 0 {
                body.push(b',');
            }
            let call = lasso_jsonrpc::Call {
                id: None,
                method: open.method.as_str().into(),
                params: open.params.as_deref(),
                version: lasso_jsonrpc::Version::Two,
            };
            call.write(&place.to_string(), &mut body);
        }
        body.push(b']');
        body
    }

    /// The item's open question.
    #[must_use]
    pub fn open(&self, index: usize) -> Option<&OpenItem> {
        self.items.get(index).and_then(|item| item.open.as_ref())
    }

    /// The course of an open item.
    pub fn course_mut(&mut self, index: usize) -> Option<&mut Course> {
        self.items.get_mut(index).and_then(|item| item.open.as_mut()).map(|open| &mut open.course)
    }

    /// Holds bytes until the batch ends; `false` when the worker has no room for them.
    pub fn hold(&mut self, worker: &mut Worker, bytes: usize) -> bool {
        let held = worker.reserve(bytes);
        self.kept += if held { bytes } else { 0 };
        held
    }

    /// Answers an item with a raw result.
    pub fn answer(&mut self, worker: &mut Worker, index: usize, raw: &str) {
        self.put(worker, index, raw, reply::result);
    }

    /// Answers an item with an error object, as raw JSON.
    pub fn answer_error(&mut self, worker: &mut Worker, index: usize, raw: &str) {
        self.put(worker, index, raw, reply::error_object);
        self.fail(index);
    }

    fn put(&mut self, worker: &mut Worker, index: usize, raw: &str, write: fn(&str, &str) -> Vec<u8>) {
        // Twice: as it waits, and in the client's body.
        let held = self.hold(worker, raw.len().saturating_mul(2));
        // What happened to a write is told whatever it takes: "try again" would be a lie.
        if !held && self.open(index).is_none_or(|open| open.replayable) {
            return self.refuse(index, &RpcError::no_room());
        }
        if let Some(item) = self.items.get_mut(index) {
            item.reply = Some(item.id.as_deref().map_or_else(Vec::new, |id| write(id, raw)));
        }
    }

    /// Answers an item with an error of ours.
    pub fn refuse(&mut self, index: usize, error: &RpcError) {
        if let Some(item) = self.items.get_mut(index) {
            item.reply = Some(item.id.as_deref().map_or_else(Vec::new, |id| reply::error(id, error)));
        }
        self.fail(index);
    }

    fn fail(&mut self, index: usize) {
        if let Some(item) = self.items.get_mut(index) {
            item.failed = true;
        }
    }

    /// Lets the items go, once they are answered; what is told of them stays.
    pub fn end(&mut self, status: Option<u32>) {
        self.items = Vec::new();
        self.end.status = status;
    }

    /// The client's body: replies in the order of the requests, none for notifications. `None` when nothing is to be said.
    #[must_use]
    pub fn reply(&mut self) -> Option<Vec<u8>> {
        self.end.items = self.items.len();
        self.end.failed = self.items.iter().filter(|item| item.failed).count();
        let first = self.items.iter().find(|item| item.failed).and_then(|item| item.reply.as_deref());
        self.end.error = first.map(|reply| reply.get(..MOST_ERROR_BYTES).unwrap_or(reply).to_vec());
        let said = || self.items.iter().filter(|item| item.id.is_some()).filter_map(|item| item.reply.as_deref());
        let mut body = Vec::with_capacity(2 + said().map(|reply| reply.len() + 1).sum::<usize>());
        for item in self.items.iter_mut().filter(|item| item.id.is_some()) {
            // Each is let go as soon as it is copied.
            let Some(reply) = item.reply.take() else { continue };
            body.push(if body.is_empty() { b'[' } else { b',' });
            body.extend_from_slice(&reply);
        }
        if body.is_empty() {
            return None;
        }
        body.push(b']');
        Some(body)
    }

    /// Puts a part's items back among those that want a channel.
    pub fn put_back(&mut self, part: &Part) {
        for index in &part.items {
            if let Some(course) = self.course_mut(*index) {
                course.placed = false;
            }
        }
    }

    /// Settles a part with the ledger: its latency is the class `batch`'s.
    pub fn settle(&self, worker: &mut Worker, flight: &Flight, verdict: &Verdict, shown: &Shown<'_>, now: Moment) {
        worker.settle(&End {
            begun: flight.begun,
            method: shown.method,
            blocks: shown.blocks,
            latency: now.since(flight.sent),
            verdict,
            head: shown.head,
            now: now.at,
        });
    }

    /// Keeps how a part ended, if it is the last one.
    pub fn note(&mut self, flight: &Flight, verdict: &Verdict) {
        if let Some(last) = self.last.as_mut().filter(|last| last.channel == flight.part.candidate.channel) {
            last.outcome = verdict.row.name();
        }
    }

    /// Settles a part whose end shows nothing else, and counts it.
    pub fn settle_plain(&mut self, worker: &mut Worker, flight: &Flight, verdict: &Verdict, now: Moment) {
        count(worker.stats(), verdict);
        self.note(flight, verdict);
        self.settle_uncounted(worker, flight, verdict, now);
    }

    fn settle_uncounted(&self, worker: &mut Worker, flight: &Flight, verdict: &Verdict, now: Moment) {
        let shown = Shown { method: &Method::of("batch"), blocks: &Blocks::None, head: None };
        self.settle(worker, flight, verdict, &shown, now);
    }

    /// The batch is over: silence is blamed on those whose items another channel answered, and what was held is let go.
    pub fn conclude(&mut self, worker: &mut Worker) {
        let timed_out = unreached(Failure::Timeout);
        for (flight, ended) in std::mem::take(&mut self.silent) {
            let asked = flight.part.candidate.channel;
            let answered = |index: &usize| {
                self.open(*index).and_then(|open| open.course.answered_by).is_some_and(|channel| channel != asked)
            };
            let blamed = flight.part.items.iter().any(answered);
            let verdict = Verdict { blame: if blamed { timed_out.blame } else { Blame::None }, ..timed_out };
            self.settle_uncounted(worker, &flight, &verdict, ended);
        }
        worker.release(std::mem::take(&mut self.kept));
    }

    /// Ends the batch whose client went away.
    pub fn abandon(&mut self, worker: &mut Worker, verdict: &Verdict, now: Moment) {
        for flight in std::mem::take(&mut self.flights) {
            self.settle_uncounted(worker, &flight, verdict, now);
        }
        self.conclude(worker);
    }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test that indexes out of bounds has failed")]
mod tests;
