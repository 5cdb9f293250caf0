//! UP: the filter in the router's upstream chain, once for each attempt.
//!
//! Duty: address the attempt to its channel, hold the response until its end or 64 KiB, judge it, and let it go, mark it for a retry, or leave the end to DOWN.
//! Invariants: nothing is sent with a path, authority or header of another channel; the next cluster is published only when an attempt failed; each
//! attempt is settled once, here or by DOWN, whoever sees its end first.
//! Leaves to others: the verdict (`judge`), the client's answer (DOWN).
//!
//! Envoy destroys this context before the router's retry timer fires (the deferred delete list runs first), so what [`Up::done`] publishes is what the retry
//! is routed by.

use std::cell::RefCell;
use std::rc::Rc;

use lasso_routing::catalog::Channel;
use lasso_routing::header::RETRY;
use lasso_routing::outcome::Failure;
use lasso_routing::plan::Attempts;

use crate::Flow;
use crate::exchange::{Exchange, Step};
use crate::host::{Host, Moment};
use crate::judge::{Answer, Envelope};
use crate::worker::Worker;

/// A response is held until its end or this many bytes, whichever is first.
pub const HELD_BYTES: usize = 64 * 1024;
/// Filter state that the route's matcher reads: `{cluster} 0x7f {exchange number}`.
pub const PLAN: &str = "lasso_plan";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Not one of our requests, or already let go.
    Passing,
    /// Sent; the response is held.
    Holding,
}

/// One attempt's context.
#[derive(Debug)]
pub struct Up<H> {
    host: H,
    worker: Rc<RefCell<Worker>>,
    exchange: Option<Rc<RefCell<Exchange>>>,
    attempt: usize,
    phase: Phase,
}

impl<H: Host> Up<H> {
    /// A context before its request.
    pub fn new(host: H, worker: Rc<RefCell<Worker>>) -> Self {
        Self { host, worker, exchange: None, attempt: 0, phase: Phase::Passing }
    }

    /// The attempt is about to be sent.
    pub fn request_headers(&mut self) -> Flow {
        let Some(plan) = self.host.property(&[PLAN]) else { return Flow::Continue };
        let exchange = number_of(&plan).and_then(|number| self.worker.borrow().exchange(number));
        let Some(exchange) = exchange else { return self.refuse() };
        let begun = {
            let (mut worker, mut exchange) = (self.worker.borrow_mut(), exchange.borrow_mut());
            let now = self.host.now();
            exchange.goes_on(&mut worker, now).then(|| exchange.begin(&mut worker, now)).flatten()
        };
        if begun.is_none() {
            return self.refuse();
        }
        self.address(&exchange.borrow());
        self.attempt = exchange.borrow().attempts.len() - 1;
        self.exchange = Some(exchange);
        self.phase = Phase::Holding;
        Flow::Continue
    }

    /// No attempt belongs here: the plan is not in this VM (the module was replaced between DOWN and this attempt), or a provider sent the mark that is ours
    /// and made Envoy repeat what was answered. Sending it on, addressed to somebody else, would be wrong, so it fails here and DOWN sees it.
    fn refuse(&self) -> Flow {
        self.host.send_response(503, &[], b"");
        Flow::Pause
    }

    fn address(&self, exchange: &Exchange) {
        let [before @ .., last] = exchange.attempts.as_slice() else { return };
        let Some(channel) = exchange.catalog.channel(last.channel) else { return };
        // The header map is the client's, shared by all attempts: what an earlier channel got must not reach this one.
        for earlier in before.iter().filter_map(|attempt| exchange.catalog.channel(attempt.channel)) {
            for (name, _) in earlier.headers() {
                if !channel.headers().any(|(own, _)| own == name) {
                    self.host.set_request_header(name, None);
                }
            }
        }
        self.host.set_request_header(":path", Some(channel.path()));
        self.host.set_request_header(":authority", Some(channel.authority()));
        for (name, value) in channel.headers() {
            self.host.set_request_header(name, Some(value));
        }
    }

    /// The response's head came.
    pub fn response_headers(&mut self, end: bool) -> Flow {
        if self.phase == Phase::Passing {
            return Flow::Continue;
        }
        if end { self.judge(0, true) } else { Flow::Pause }
    }

    /// `size` bytes of the response are buffered.
    pub fn response_body(&mut self, size: usize, end: bool) -> Flow {
        if self.phase == Phase::Passing {
            return Flow::Continue;
        }
        if end || size >= HELD_BYTES { self.judge(size, end && size <= HELD_BYTES) } else { Flow::Pause }
    }

    /// The response ended with trailers: the body callback never said so.
    pub fn response_trailers(&mut self) -> Flow {
        if self.phase == Phase::Passing { Flow::Continue } else { self.judge(HELD_BYTES, true) }
    }

    fn judge(&mut self, size: usize, complete: bool) -> Flow {
        self.phase = Phase::Passing;
        let Some(exchange) = self.exchange.clone() else { return Flow::Continue };
        let body = if size == 0 { Vec::new() } else { self.host.response_body(size.min(HELD_BYTES)) };
        let host = &self.host;
        let envelope = || Envelope {
            status: host.response_header(":status").as_deref().and_then(number_in).unwrap_or_default(),
            retry_after: host.response_header("retry-after").and_then(|value| String::from_utf8(value).ok()),
        };
        let answer = Answer { body: &body, complete, envelope: &envelope };
        let step = exchange.borrow_mut().answered(&mut self.worker.borrow_mut(), self.host.now(), &answer);
        match step {
            // Envoy takes a provider's own header of that name off: a host call less in every request.
            Step::Release | Step::GiveUp => {}
            Step::Retry => {
                self.host.set_property(PLAN, &plan_property(&exchange.borrow()));
                self.host.set_response_header(RETRY.0, Some(RETRY.1));
            }
        }
        Flow::Continue
    }

    /// Envoy is done with this attempt.
    pub fn done(&mut self) {
        let Some(exchange) = self.exchange.take() else { return };
        if exchange.borrow().running() != Some(self.attempt) {
            return;
        }
        let now = self.host.now();
        let failure = self.failure(&exchange.borrow(), now);
        if failure == Failure::Reset && exchange.borrow().plan.attempts == Attempts::Once {
            // Envoy knows whether it left, and repeats it only if it did not (`retry_on` of the route for what is sent once). If UP runs again, it never
            // left; if DOWN sees the end, it may have.
            let plan = plan_property(&exchange.borrow());
            self.host.set_property(PLAN, &plan);
            return;
        }
        let step = exchange.borrow_mut().unanswered(&mut self.worker.borrow_mut(), now, failure);
        let exchange = exchange.borrow();
        // Without a cluster Envoy retries on the one it has; then UP refuses the attempt, which ends it.
        let plan = if step == Step::Retry { plan_property(&exchange) } else { property("", exchange.number) };
        self.host.set_property(PLAN, &plan);
    }

    fn failure(&self, exchange: &Exchange, now: Moment) -> Failure {
        if exchange.closed {
            Failure::Cancelled
        } else if exchange.timed_out(now) {
            Failure::Timeout
        } else if self.host.property(&["upstream", "transport_failure_reason"]).is_some_and(|reason| !reason.is_empty())
        {
            Failure::Connect
        } else {
            Failure::Reset
        }
    }
}

/// The value of [`PLAN`] for the attempt to come.
#[must_use]
pub fn plan_property(exchange: &Exchange) -> Vec<u8> {
    property(exchange.upcoming().map_or("", Channel::cluster), exchange.number)
}

fn property(cluster: &str, number: u32) -> Vec<u8> {
    let mut value = Vec::with_capacity(cluster.len() + 11);
    value.extend_from_slice(cluster.as_bytes());
    value.push(0x7f);
    value.extend_from_slice(number.to_string().as_bytes());
    value
}

/// The number in a value of [`PLAN`].
#[must_use]
pub fn number_of(plan: &[u8]) -> Option<u32> {
    let at = plan.iter().rposition(|byte| *byte == 0x7f)?;
    number_in(plan.get(at + 1..)?)
}

/// A decimal number in ASCII.
pub(crate) fn number_in<N: std::str::FromStr>(text: &[u8]) -> Option<N> {
    std::str::from_utf8(text).ok()?.trim().parse().ok()
}
