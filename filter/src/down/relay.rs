//! Attempts that DOWN sends itself, for one call.
//!
//! Duty: go on where the router cannot: a cluster without a usable host ends Envoy's retries before UP ever runs, and so does an overflow.
//! Invariant: the same exchange, plan, judge and ledger as UP; nothing here knows more or less about safety than UP does.
//! Bound: Envoy buffers such an answer whole, at most 32 MiB; a longer one fails the attempt.
//! Leaves to others: everything before the first local reply.

use std::cell::RefCell;
use std::rc::Rc;

use lasso_routing::catalog::Channel;
use lasso_routing::outcome::Failure;

use super::{Down, State};
use crate::Flow;
use crate::exchange::{Exchange, Fate, Step};
use crate::host::{Dispatch, Host};
use crate::judge::{Answer, Envelope};
use crate::stats::Counter;
use crate::up::{HELD_BYTES, number_in};

impl<H: Host> Down<H> {
    /// Sends the next attempt; answers the client when none is left.
    pub(super) fn relay(&mut self, exchange: &Rc<RefCell<Exchange>>) -> Flow {
        if !exchange.borrow().ask.target.probe {
            self.worker.borrow_mut().stats().count(Counter::Relayed);
        }
        if exchange.borrow().ask.body.is_empty() {
            return self.fail(exchange);
        }
        loop {
            let now = self.host.now();
            let token = {
                let mut worker = self.worker.borrow_mut();
                let mut exchange = exchange.borrow_mut();
                let Some(timeout_ms) = exchange.time_for_another(now) else { break };
                let Some(index) = exchange.begin(&mut worker, now) else { break };
                exchange
                    .catalog
                    .channel(index)
                    .and_then(|channel| send(&self.host, channel, &exchange.ask.body, timeout_ms))
            };
            if let Some(token) = token {
                self.state = State::Relaying(Rc::clone(exchange), token);
                return Flow::Pause;
            }
            if exchange.borrow_mut().unanswered(&mut self.worker.borrow_mut(), now, Failure::Connect) != Step::Retry {
                break;
            }
        }
        self.fail(exchange)
    }

    /// The answer to a sub-request came, or none did (`answered` is false).
    pub fn dispatched(&mut self, token: u32, answered: bool, size: usize) {
        match &self.state {
            State::Relaying(exchange, expected) if *expected == token => {
                let exchange = Rc::clone(exchange);
                self.relayed(&exchange, answered, size);
            }
            State::Broadcasting(broadcast) if broadcast.has(token) => self.broadcast_ended(token, answered, size),
            State::Batching(_) => self.sub_batch_ended(token, answered, size),
            State::Broadcasting(_)
            | State::Relaying(..)
            | State::Passing
            | State::Holding(_)
            | State::Routed(_)
            | State::Answered => {}
        }
    }

    fn relayed(&mut self, exchange: &Rc<RefCell<Exchange>>, answered: bool, size: usize) {
        let now = self.host.now();
        let body = if answered { self.host.dispatched_body(size) } else { Vec::new() };
        let envelope = || dispatched_envelope(&self.host);
        let step = {
            let mut worker = self.worker.borrow_mut();
            let mut exchange = exchange.borrow_mut();
            match lost(&self.host, answered, &body, exchange.timed_out(now)) {
                Some(failure) => exchange.unanswered(&mut worker, now, failure),
                None => {
                    let complete = body.len() <= HELD_BYTES;
                    exchange.answered(&mut worker, now, &Answer { body: &body, complete, envelope: &envelope })
                }
            }
        };
        match step {
            Step::Release => {
                let fate = std::mem::replace(&mut exchange.borrow_mut().fate, Fate::Passed);
                match fate {
                    Fate::Replaced(body) => self.finish(exchange, &body),
                    Fate::Passed | Fate::PassedAsOk => self.finish(exchange, &body),
                    Fate::Open => self.fail(exchange),
                }
            }
            Step::Retry => self.relay(exchange),
            Step::GiveUp => self.fail(exchange),
        };
    }
}

/// Why a sub-request has no provider's answer, if it has none: Envoy answers for those it could not reach, in its own words. A clock is no witness: what
/// came in the last milliseconds came in time. A provider behind an Envoy of its own uses the same words, but its replies have a server and a date.
pub(super) fn lost<H: Host>(host: &H, answered: bool, body: &[u8], out_of_time: bool) -> Option<Failure> {
    const NO_HOST: &[u8] = b"no healthy upstream";
    const OUT_OF_TIME: &[u8] = b"upstream request timeout";
    const NOT_REACHED: &[u8] = b"upstream connect error or disconnect/reset before headers";
    const REASON: &str = "reset reason: ";
    const UNSENT: [&str; 4] = ["connection failure", "connection timeout", "overflow", "refused stream"];
    if !answered {
        return Some(if out_of_time { Failure::Timeout } else { Failure::Reset });
    }
    let envoys = body == NO_HOST || body == OUT_OF_TIME || body.starts_with(NOT_REACHED);
    if !envoys || ["server", "date"].iter().any(|name| host.dispatched_header(name).is_some()) {
        return None;
    }
    if body == NO_HOST {
        return Some(Failure::Connect);
    }
    if body == OUT_OF_TIME {
        return Some(Failure::Timeout);
    }
    // What follows a comma is the transport's own text.
    let text = String::from_utf8_lossy(body);
    let reason = text.split_once(REASON).map_or("", |(_, rest)| rest.split(',').next().unwrap_or_default());
    let unsent = UNSENT.iter().any(|words| reason.contains(words));
    Some(if unsent { Failure::Connect } else { Failure::Reset })
}

/// Sends `body` to a channel; `None` when Envoy refuses (it has no such cluster).
pub(super) fn send<H: Host>(host: &H, channel: &Channel, body: &[u8], timeout_ms: u32) -> Option<u32> {
    let mut headers = vec![
        (":method", "POST"),
        (":path", channel.path()),
        (":authority", channel.authority()),
        ("content-type", "application/json"),
    ];
    headers.extend(channel.headers());
    host.dispatch(&Dispatch { cluster: channel.cluster(), headers: &headers, body, timeout_ms })
}

/// Status and `Retry-After` of a sub-request's answer.
pub(super) fn dispatched_envelope<H: Host>(host: &H) -> Envelope {
    Envelope {
        status: host.dispatched_header(":status").as_deref().and_then(number_in).unwrap_or_default(),
        retry_after: host.dispatched_header("retry-after").and_then(|value| String::from_utf8(value).ok()),
    }
}
