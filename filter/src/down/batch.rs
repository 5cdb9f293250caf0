//! Batches: who asked what, and what is still open.
//!
//! ```text
//! items -> groups (the same channel can serve all of a group) -> parts (what one provider takes at once) -> replies -> items ...
//! ```
//!
//! Duty: keep the items in the client's order, form groups, number upstream ids, put the client's ids back, say what goes where next.
//! Invariants: every request with an id gets exactly one reply, a notification none; an item that may be sent once is sent once; an item whose answer is a
//! provider's fault goes to another channel, at most [`MOST_ROUNDS`] in all.
//! Bounds: the catalog's `max_batch` items; [`MOST_IN_FLIGHT`] parts at once; [`MOST_ANSWER_BYTES`] an answer.
//! Leaves to others: host calls (`down/parts.rs`), the table (`lasso_routing::outcome`).

use std::rc::Rc;

use lasso_jsonrpc::block::Blocks;
use lasso_jsonrpc::method::{FilterOp, Method, MethodClass};
use lasso_routing::Catalog;
use lasso_routing::catalog::ChannelIdx;
use lasso_routing::ledger::{Begun, End};
use lasso_routing::outcome::Verdict;
use lasso_routing::plan::{Candidate, Plan};
use lasso_routing::target::Target;

use crate::host::Moment;
use crate::reply;
use crate::worker::Worker;

/// Channels that one item is sent to, at most.
pub const MOST_ROUNDS: u32 = 3;
/// Parts of a batch that are under way at once.
pub const MOST_IN_FLIGHT: usize = 4;
/// Items in a part when a provider declares nothing: what ethers sends by default.
pub const PART_ITEMS: usize = 100;
/// A part is halved this often for one channel; then it is that channel's failure.
pub const MOST_HALVINGS: u32 = 4;
/// A longer answer fails its part.
pub const MOST_ANSWER_BYTES: usize = 8 * 1024 * 1024;

/// One request of a batch.
#[derive(Debug)]
pub struct Item {
    /// Raw JSON of its id; `None` for a notification.
    pub id: Option<String>,
    /// What the client gets, once it is known.
    pub reply: Option<Vec<u8>>,
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
    /// Evidence class.
    pub class: MethodClass,
    /// Blocks it is about.
    pub blocks: Blocks,
    /// It makes or uses a filter.
    pub filter: Option<FilterOp>,
    /// The only channel that can answer.
    pub sticky: Option<ChannelIdx>,
    /// May be asked again.
    pub replayable: bool,
    /// Channels that were asked.
    pub asked: Vec<ChannelIdx>,
    /// A channel said `null` and another is to confirm it.
    pub null_seen: bool,
    /// The last provider error, in case nobody does better.
    pub last_error: Option<String>,
}

/// Items on their way to one channel.
#[derive(Debug, Clone)]
pub struct Part {
    /// Where they go.
    pub candidate: Candidate,
    /// The plan that put it there.
    pub plan: Rc<Plan>,
    /// Which items, by their place in the batch.
    pub items: Vec<usize>,
    /// How often it was halved for that channel.
    pub halvings: u32,
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
}

/// A batch between its request and its reply.
#[derive(Debug)]
pub struct Batch {
    /// The catalog it is served with.
    pub catalog: Rc<Catalog>,
    /// What the client named.
    pub target: Target,
    /// In the client's order.
    pub items: Vec<Item>,
    /// Parts to send.
    pub waiting: Vec<Part>,
    /// Parts under way.
    pub flights: Vec<Flight>,
    /// Milliseconds for each part.
    pub per_try_ms: u32,
    /// When it came.
    pub started: Moment,
    /// The longest deadline of its items, in milliseconds.
    pub deadline_ms: u64,
}

impl Batch {
    /// Items that no channel has answered and that are in no part.
    #[must_use]
    pub fn unplaced(&self) -> Vec<usize> {
        let placed = |index: &usize| {
            self.waiting.iter().any(|part| part.items.contains(index))
                || self.flights.iter().any(|flight| flight.part.items.contains(index))
        };
        let open = |item: &Item| item.open.is_some() && item.reply.is_none();
        (0..self.items.len())
            .filter(|index| self.items.get(*index).is_some_and(open))
            .filter(|index| !placed(index))
            .collect()
    }

    /// The body for a part: upstream ids are places in the part.
    #[must_use]
    pub fn body(&self, part: &Part) -> Vec<u8> {
        let mut body = vec![b'['];
        for (place, index) in part.items.iter().enumerate() {
            let Some(open) = self.items.get(*index).and_then(|item| item.open.as_ref()) else { continue };
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
    pub fn open_mut(&mut self, index: usize) -> Option<&mut OpenItem> {
        self.items.get_mut(index).and_then(|item| item.open.as_mut())
    }

    /// Answers an item with a raw result.
    pub fn answer(&mut self, index: usize, raw: &str) {
        if let Some(item) = self.items.get_mut(index) {
            item.reply = Some(item.id.as_deref().map_or_else(Vec::new, |id| reply::result(id, raw)));
        }
    }

    /// Answers an item with an error object, as raw JSON.
    pub fn answer_error(&mut self, index: usize, raw: &str) {
        if let Some(item) = self.items.get_mut(index) {
            item.reply = Some(item.id.as_deref().map_or_else(Vec::new, |id| reply::error_object(id, raw)));
        }
    }

    /// Answers an item with an error of ours.
    pub fn refuse(&mut self, index: usize, error: &lasso_jsonrpc::RpcError) {
        if let Some(item) = self.items.get_mut(index) {
            item.reply = Some(item.id.as_deref().map_or_else(Vec::new, |id| reply::error(id, error)));
        }
    }

    /// The client's body: replies in the order of the requests, none for notifications. `None` when nothing is to be said.
    #[must_use]
    pub fn reply(&self) -> Option<Vec<u8>> {
        let replies = self.items.iter().filter(|item| item.id.is_some()).filter_map(|item| item.reply.as_deref());
        let mut body = Vec::with_capacity(2 + replies.clone().map(|reply| reply.len() + 1).sum::<usize>());
        for reply in replies {
            body.push(if body.is_empty() { b'[' } else { b',' });
            body.extend_from_slice(reply);
        }
        if body.is_empty() {
            return None;
        }
        body.push(b']');
        Some(body)
    }

    /// Ends the batch whose client went away.
    pub fn abandon(&mut self, worker: &mut Worker, verdict: &Verdict, now: Moment) {
        for flight in std::mem::take(&mut self.flights) {
            self.settle(worker, &flight, verdict, now);
        }
    }

    /// Settles a part with the ledger: its latency is the class `batch`'s.
    pub fn settle(&self, worker: &mut Worker, flight: &Flight, verdict: &Verdict, now: Moment) {
        let end = End {
            begun: flight.begun,
            method: &Method::of("batch"),
            blocks: &Blocks::None,
            latency: now.since(flight.sent),
            verdict,
            head: None,
            now: now.at,
        };
        worker.settle(&end);
    }
}
