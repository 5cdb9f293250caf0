//! What the feeds have for a client, on its way to it.
//!
//! Invariant: a subscription is told nothing before its confirmation is said, and nothing after it was left.

use std::sync::Arc;

use lasso_jsonrpc::RpcError;

use super::book::{Spot, Stage};
use super::gather::Gather;
use super::{End, Session, ours, say};
use crate::calls::Kept;
use crate::frame::event;
use crate::outlet::{MOST_WAITING, Outgoing};
use crate::tally::Close;

/// Messages that are written together.
const AT_ONCE: usize = 8;

impl Session {
    /// Passes on what the feeds have for the client.
    pub(super) fn pass(&mut self, outgoing: Outgoing) -> Option<End> {
        match outgoing {
            Outgoing::Subscribed { request, subscription } => self.confirm(&request, &subscription),
            Outgoing::Refused { request, error } => self.refuse(&request, &error),
            Outgoing::Event { ref subscription, ref payload } => match self.book.named(subscription)?.stage {
                Stage::Live => {
                    self.mouth.say(&event(subscription, payload));
                    self.shared.tally.say();
                    self.shared.tally.tell();
                }
                Stage::Held(batch) => {
                    let held = self.gathers.get_mut(&batch).map_or(0, |gather| gather.hold(outgoing));
                    return (held > MOST_WAITING).then(|| ours(Close::Slow));
                }
                // Out of order: the feeds confirm first.
                Stage::Asked(_) => {}
            },
            // What there is of it was taken when the door was shut.
            Outgoing::Begun => {}
            Outgoing::Ended { subscription, because } => {
                self.book.ended(&subscription)?;
                self.say(&say::ended(&subscription, &because));
                self.end_others();
                return Some(ours(Close::ContinuityLost));
            }
        }
        None
    }

    /// Passes on what is there already: several events in one write.
    pub(super) fn pass_more(&mut self) -> Option<End> {
        for _ in 1..AT_ONCE {
            let outgoing = self.waiting.ready()?;
            if let Some(end) = self.pass(outgoing) {
                return Some(end);
            }
        }
        None
    }

    /// The socket ends for one subscription: each of the others is told as well, those that lost continuity with it in their own words.
    fn end_others(&mut self) {
        while let Some(outgoing) = self.waiting.ready() {
            if let Outgoing::Ended { subscription, because } = outgoing
                && self.book.ended(&subscription).is_some()
            {
                self.say(&say::ended(&subscription, &because));
            }
        }
        for name in self.book.names() {
            self.say(&say::ended(&name, "the socket ends: another subscription on it lost continuity"));
        }
    }

    fn confirm(&mut self, request: &str, name: &Arc<str>) {
        // What the client left meanwhile has left the feeds, too.
        let Some(entry) = self.book.named(name) else { return };
        let answer = say::subscribed(request, name);
        match entry.stage {
            Stage::Asked(Some(spot)) => {
                entry.stage = Stage::Held(spot.batch);
                self.put(spot, answer);
            }
            Stage::Asked(None) => {
                entry.stage = Stage::Live;
                self.say(&answer);
            }
            Stage::Held(_) | Stage::Live => {}
        }
    }

    fn refuse(&mut self, request: &Arc<str>, error: &RpcError) {
        let Some(entry) = self.book.refused(request) else { return };
        let answer = say::error(request, error);
        match entry.stage {
            Stage::Asked(Some(spot)) => self.put(spot, answer),
            Stage::Asked(None) | Stage::Held(_) | Stage::Live => self.say(&answer),
        }
    }

    fn put(&mut self, spot: Spot, answer: Vec<u8>) {
        if let Some(gather) = self.gathers.get_mut(&spot.batch) {
            gather.put(spot.item, answer);
        }
        self.conclude(spot.batch);
    }

    /// Says a batch that is whole, then what waited for it.
    pub(super) fn conclude(&mut self, batch: u64) {
        if !self.gathers.get(&batch).is_some_and(Gather::is_whole) {
            return;
        }
        let Some(gather) = self.gathers.remove(&batch) else { return };
        let (array, held) = gather.end();
        if let Some(array) = array {
            self.say_long(array, Kept::default());
        }
        self.book.release(batch);
        for outgoing in held {
            // Events only: they end nothing.
            self.pass(outgoing);
        }
    }
}
