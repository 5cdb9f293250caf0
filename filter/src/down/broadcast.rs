//! One transaction to several channels at once.
//!
//! Duty: send `eth_sendRawTransaction` to the best `methods.broadcast` channels; the first that takes it answers the client.
//! Invariant: each channel is sent the transaction once; "already known" is a success, since another of them was faster.
//! Leaves to others: everything about one attempt (each is an exchange of its own, with one candidate).

use std::cell::RefCell;
use std::rc::Rc;

use super::relay::{dispatched_envelope, lost, send};
use super::{Down, State};
use crate::Flow;
use crate::exchange::{Exchange, Failed, Fate, Step};
use crate::host::Host;
use crate::judge::Answer;
use crate::up::HELD_BYTES;

/// A transaction under way.
#[derive(Debug)]
pub(super) struct Broadcast {
    /// What the client asked; its plan names the channels. It makes no attempt itself.
    pub(super) exchange: Rc<RefCell<Exchange>>,
    flights: Vec<(u32, Exchange)>,
    /// The best refusal so far.
    refusal: Option<Vec<u8>>,
    indeterminate: bool,
}

impl Broadcast {
    /// The attempts that have not ended.
    pub(super) fn into_exchanges(self) -> impl Iterator<Item = Exchange> {
        self.flights.into_iter().map(|(_, exchange)| exchange)
    }

    pub(super) fn has(&self, token: u32) -> bool {
        self.flights.iter().any(|(own, _)| *own == token)
    }
}

impl<H: Host> Down<H> {
    /// Sends to the first `most` candidates of the plan.
    pub(super) fn broadcast(&mut self, exchange: Rc<RefCell<Exchange>>, most: usize) -> Flow {
        let now = self.host.now();
        let mut broadcast =
            Broadcast { exchange: Rc::clone(&exchange), flights: Vec::new(), refusal: None, indeterminate: false };
        let parts = exchange.borrow().each_candidate(most);
        for mut part in parts {
            let token = {
                let mut worker = self.worker.borrow_mut();
                let timeout_ms = u32::try_from(part.per_try().0).unwrap_or(u32::MAX);
                let channel = part.begin(&mut worker, now).and_then(|channel| part.catalog.channel(channel));
                channel.and_then(|channel| send(&self.host, channel, &part.ask.body, timeout_ms))
            };
            match token {
                Some(token) => broadcast.flights.push((token, part)),
                None => {
                    let mut worker = self.worker.borrow_mut();
                    let _ = part.unanswered(&mut worker, now, lasso_routing::outcome::Failure::Connect);
                    part.conclude(&mut worker, now);
                }
            }
        }
        if broadcast.flights.is_empty() {
            return self.fail(&exchange);
        }
        self.state = State::Broadcasting(Box::new(broadcast));
        Flow::Pause
    }

    /// One of the channels answered, or did not.
    pub(super) fn broadcast_ended(&mut self, token: u32, answered: bool, size: usize) {
        let State::Broadcasting(mut broadcast) = std::mem::replace(&mut self.state, State::Answered) else { return };
        let Some(at) = broadcast.flights.iter().position(|(own, _)| *own == token) else {
            self.state = State::Broadcasting(broadcast);
            return;
        };
        let (_, mut part) = broadcast.flights.swap_remove(at);
        let now = self.host.now();
        let body = if answered { self.host.dispatched_body(size) } else { Vec::new() };
        let envelope = || dispatched_envelope(&self.host);
        let (step, taken) = {
            let mut worker = self.worker.borrow_mut();
            let step = match lost(&part, answered, &body, now) {
                Some(failure) => part.unanswered(&mut worker, now, failure),
                None => {
                    let complete = body.len() <= HELD_BYTES;
                    part.answered(&mut worker, now, &Answer { body: &body, complete, envelope: &envelope })
                }
            };
            let taken = part.attempts.last().and_then(|attempt| attempt.verdict).is_some_and(|verdict| verdict.success);
            part.conclude(&mut worker, now);
            (step, taken)
        };
        let reply = match (step, std::mem::replace(&mut part.fate, Fate::Passed)) {
            (Step::Release, Fate::Replaced(reply)) => reply,
            (Step::Release, Fate::Passed | Fate::PassedAsOk | Fate::Open) => body,
            (Step::Retry | Step::GiveUp, _) => {
                let Failed { body, indeterminate } = part.failed(now);
                broadcast.indeterminate |= indeterminate;
                body
            }
        };
        if taken {
            self.finish_broadcast(*broadcast, &reply);
            return;
        }
        if step == Step::Release || broadcast.refusal.is_none() {
            broadcast.refusal = Some(reply);
        }
        if broadcast.flights.is_empty() {
            let refusal = broadcast.refusal.take().unwrap_or_default();
            self.finish_broadcast(*broadcast, &refusal);
        } else {
            self.state = State::Broadcasting(broadcast);
        }
    }

    fn finish_broadcast(&mut self, broadcast: Broadcast, reply: &[u8]) {
        let exchange = Rc::clone(&broadcast.exchange);
        self.end_broadcast(broadcast);
        self.finish(&exchange, reply);
    }

    /// The attempts that are still under way end with the client's stream.
    pub(super) fn end_broadcast(&self, broadcast: Broadcast) {
        let now = self.host.now();
        let mut worker = self.worker.borrow_mut();
        for mut part in broadcast.into_exchanges() {
            part.conclude(&mut worker, now);
        }
    }
}
