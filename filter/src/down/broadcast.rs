//! One transaction to several channels at once.
//!
//! Duty: send `eth_sendRawTransaction` to the best `methods.broadcast` channels; the first that takes it answers the client.
//! Invariants: each channel is sent the transaction once; "already known" is a success, since another of them was faster; a copy that never left is sent to the
//! next channel of the plan; while one may be in somebody's mempool, no refusal of another is the answer.
//! Leaves to others: everything about one attempt (each is an exchange of its own, with one candidate).

use std::cell::RefCell;
use std::rc::Rc;

use lasso_jsonrpc::error::RpcError;
use lasso_routing::outcome::{Failure, Next};
use lasso_routing::plan::Why;

use super::relay::{dispatched_envelope, lost, send};
use super::{Down, State};
use crate::exchange::{Exchange, Fate, Step};
use crate::host::{Host, Moment};
use crate::judge::Answer;
use crate::stats::Counter;
use crate::up::HELD_BYTES;
use crate::{Flow, reply};

/// A transaction under way.
#[derive(Debug)]
pub(super) struct Broadcast {
    /// What the client asked; its plan names the channels. It makes no attempt itself.
    pub(super) exchange: Rc<RefCell<Exchange>>,
    flights: Vec<(u32, Exchange)>,
    /// The candidate of the plan that is next.
    next: usize,
    /// Copies that are still to leave.
    wanted: usize,
    /// The last refusal of a channel that got it.
    refusal: Option<Vec<u8>>,
    /// A copy may have arrived although nobody said so.
    indeterminate: bool,
}

impl Broadcast {
    /// The attempts that have not ended.
    pub(super) fn into_exchanges(self) -> impl Iterator<Item = Exchange> {
        self.flights.into_iter().map(|(_, exchange)| exchange)
    }

    fn is_at_last_resorts(&self) -> bool {
        let next = |exchange: &Exchange| exchange.plan.candidates.get(self.next).map(|candidate| candidate.why);
        next(&self.exchange.borrow()) == Some(Why::LastResort)
    }

    pub(super) fn has(&self, token: u32) -> bool {
        self.flights.iter().any(|(own, _)| *own == token)
    }
}

impl<H: Host> Down<H> {
    /// Sends to the first `most` candidates of the plan that can be reached.
    pub(super) fn broadcast(&mut self, exchange: Rc<RefCell<Exchange>>, most: usize) -> Flow {
        {
            let mut whole = exchange.borrow_mut();
            // Each copy keeps the params, for the transaction's hash.
            let copied = whole.ask.params.as_ref().map_or(0, String::len).saturating_mul(most + 1);
            let bytes = whole.ask.body.len().saturating_add(copied);
            if self.worker.borrow_mut().reserve(bytes) {
                whole.kept = bytes;
            } else {
                let refusal = reply::error(&whole.ask.id, &RpcError::no_room());
                drop(whole);
                return self.finish(&exchange, &refusal);
            }
        }
        let flights = Vec::with_capacity(most);
        self.top_up(Broadcast { exchange, flights, next: 0, wanted: most, refusal: None, indeterminate: false });
        Flow::Pause
    }

    /// Sends what is wanted, and answers when nothing is under way.
    fn top_up(&mut self, mut broadcast: Broadcast) {
        let now = self.host.now();
        while broadcast.wanted > 0 {
            // A last resort is for when everybody else has failed.
            if broadcast.is_at_last_resorts() && !broadcast.flights.is_empty() {
                break;
            }
            let Some(mut part) = broadcast.exchange.borrow_mut().alone(broadcast.next) else { break };
            broadcast.next += 1;
            match self.send_copy(&broadcast, &mut part, now) {
                Some(token) => {
                    broadcast.wanted -= 1;
                    broadcast.flights.push((token, part));
                }
                None => {
                    let mut worker = self.worker.borrow_mut();
                    let _ = part.unanswered(&mut worker, now, Failure::Connect);
                    part.conclude(&mut worker, now);
                }
            }
        }
        if broadcast.flights.is_empty() {
            self.give_up_broadcast(broadcast);
        } else {
            self.state = State::Broadcasting(Box::new(broadcast));
        }
    }

    fn send_copy(&self, broadcast: &Broadcast, part: &mut Exchange, now: Moment) -> Option<u32> {
        let timeout_ms = part.time_for_another(now)?;
        let channel = part.begin(&mut self.worker.borrow_mut(), now)?;
        send(&self.host, part.catalog.channel(channel)?, &broadcast.exchange.borrow().ask.body, timeout_ms)
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
        let (step, verdict) = {
            let mut worker = self.worker.borrow_mut();
            let step = match lost(&self.host, answered, &body, part.timed_out(now)) {
                Some(failure) => part.unanswered(&mut worker, now, failure),
                None => {
                    let complete = body.len() <= HELD_BYTES;
                    part.answered(&mut worker, now, &Answer { body: &body, complete, envelope: &envelope })
                }
            };
            let verdict = part.attempts.last().and_then(|attempt| attempt.verdict);
            part.conclude(&mut worker, now);
            broadcast.exchange.borrow_mut().copies.append(&mut part.attempts);
            (step, verdict)
        };
        match (step, std::mem::replace(&mut part.fate, Fate::Passed)) {
            (Step::Release, fate) => {
                let reply = match fate {
                    Fate::Replaced(reply) => reply,
                    Fate::Passed | Fate::PassedAsOk | Fate::Open => body,
                };
                if verdict.is_some_and(|verdict| verdict.success) {
                    broadcast.exchange.borrow_mut().fate = Fate::Passed;
                    return self.finish_broadcast(*broadcast, &reply);
                }
                broadcast.refusal = Some(reply);
            }
            // What is sent once goes on only if it never left.
            (Step::Retry | Step::GiveUp, _) if verdict.is_some_and(|verdict| verdict.next == Next::Another) => {
                broadcast.wanted += 1;
            }
            (Step::Retry | Step::GiveUp, _) => broadcast.indeterminate = true,
        }
        self.top_up(*broadcast);
    }

    /// Nobody took it.
    fn give_up_broadcast(&mut self, mut broadcast: Broadcast) {
        let refusal = broadcast.refusal.take().filter(|_| !broadcast.indeterminate);
        let reply = refusal.unwrap_or_else(|| {
            let exchange = broadcast.exchange.borrow();
            let (counter, error) = if broadcast.indeterminate {
                (Counter::Indeterminate, RpcError::indeterminate())
            } else {
                let chain = exchange.catalog.chain(exchange.plan.chain).map_or("", |chain| chain.id());
                let tried = u32::try_from(broadcast.next).unwrap_or(u32::MAX);
                (Counter::Exhausted, RpcError::all_failed(&exchange.ask.method, chain, tried))
            };
            self.worker.borrow_mut().stats().count(counter);
            reply::error(&exchange.ask.id, &error)
        });
        broadcast.exchange.borrow_mut().error = Some(reply.clone());
        self.finish_broadcast(broadcast, &reply);
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
