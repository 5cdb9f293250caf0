//! When the router has no answer left.
//!
//! Duty: find out from Envoy's own reply whether the running attempt ever left, settle it so, and try what is left of the plan from here.
//! Invariant: what may have left and must not be sent twice is not sent again.
//! Leaves to others: sending ([`super::relay`]), the client's error (DOWN).

use std::cell::RefCell;
use std::rc::Rc;

use lasso_routing::outcome::Failure;

use super::Down;
use crate::exchange::{Exchange, Fate, Step};
use crate::host::Host;
use crate::{Flow, flags};

impl<H: Host> Down<H> {
    /// No attempt gave an answer, or Envoy gave one of its own. What is left of the plan is tried from here.
    pub(super) fn recover(&mut self, exchange: &Rc<RefCell<Exchange>>) -> Flow {
        let now = self.host.now();
        let flags = self.flags();
        let unsent = flags.is_some_and(flags::never_sent);
        let step = {
            let mut worker = self.worker.borrow_mut();
            let mut exchange = exchange.borrow_mut();
            exchange.fate = Fate::Open;
            let unreachable = flags.is_some_and(flags::no_host);
            if unreachable && exchange.running().is_none() && exchange.upcoming().is_some() {
                // The router found no host for the published candidate: UP never ran for it.
                let _ = exchange.begin(&mut worker, now);
            }
            let failure = match unsent {
                true => Failure::Connect,
                false if exchange.timed_out(now) => Failure::Timeout,
                false => Failure::Reset,
            };
            if exchange.running().is_some() {
                exchange.unanswered(&mut worker, now, failure)
            } else if exchange.upcoming().is_some() {
                // Envoy did not make a retry that it was told to make.
                Step::Retry
            } else {
                Step::GiveUp
            }
        };
        match step {
            Step::Retry => self.relay(exchange),
            Step::GiveUp | Step::Release => self.fail(exchange),
        }
    }

    /// What Envoy says about its own reply.
    fn flags(&self) -> Option<u64> {
        let flags = self.host.property(&["response", "flags"]);
        flags.as_deref().and_then(<[u8]>::first_chunk::<8>).map(|bytes| u64::from_le_bytes(*bytes))
    }
}
