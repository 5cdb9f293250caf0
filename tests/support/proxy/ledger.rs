//! What one provider is told to do, and what it saw.
//!
//! Invariant: bounded: the last [`MOST_REQUESTS`] requests and [`MOST_BYTES`] of their bodies.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

use crate::{Fault, Over, SocketFault};

const MOST_REQUESTS: usize = 1_000;
const MOST_BYTES: usize = 64 << 20;

/// What a provider counted.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Counts {
    /// Connections let in.
    pub connections: u64,
    /// HTTP requests read to their end.
    pub requests: u64,
    /// Calls by method that came over HTTP; each item of a batch is one.
    pub by_method: BTreeMap<String, u64>,
    /// What concerns sockets.
    pub sockets: SocketCounts,
}

/// What a provider counted of its sockets.
#[derive(Debug, Clone, Default, Serialize)]
pub struct SocketCounts {
    /// Upgrades done.
    pub opened: u64,
    /// Upgrades refused.
    pub refused: u64,
    /// Open now.
    pub open: u64,
    /// Messages that came.
    pub messages: u64,
    /// Calls by method; each item of a batch is one.
    pub by_method: BTreeMap<String, u64>,
    /// Events sent.
    pub events: u64,
    /// Subscriptions there are now, by kind.
    pub subscriptions: BTreeMap<String, u64>,
    /// Subscriptions ever made, by kind.
    pub subscribed: BTreeMap<String, u64>,
}

/// One request as it arrived.
#[derive(Debug, Clone, Serialize)]
pub struct Recorded {
    /// How it came.
    pub over: Over,
    /// HTTP method.
    pub verb: String,
    /// Path and query.
    pub path: String,
    /// Names in lower case, in order of arrival.
    pub headers: Vec<(String, String)>,
    /// JSON-RPC methods in it.
    pub methods: Vec<String>,
    /// Byte for byte.
    #[serde(serialize_with = "as_text")]
    pub body: Vec<u8>,
}

impl Recorded {
    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(named, _)| named == name).map(|(_, value)| value.as_str())
    }
}

fn as_text<S: serde::Serializer>(body: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&String::from_utf8_lossy(body))
}

/// Faults in force, counts, the last requests.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    faults: Vec<Fault>,
    counts: Counts,
    requests: VecDeque<Recorded>,
    bytes: usize,
    dice: Dice,
}

impl Ledger {
    pub(super) fn set(&mut self, faults: impl IntoIterator<Item = Fault>) {
        self.faults = faults.into_iter().collect();
    }

    pub(super) fn add(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    pub(super) fn faults(&self) -> &[Fault] {
        &self.faults
    }

    pub(super) fn counts(&self) -> &Counts {
        &self.counts
    }

    pub(super) fn requests(&self) -> Vec<Recorded> {
        self.requests.iter().cloned().collect()
    }

    /// What is open stays counted.
    pub(super) fn forget(&mut self) {
        let SocketCounts { open, subscriptions, .. } = std::mem::take(&mut self.counts).sockets;
        self.counts.sockets = SocketCounts { open, subscriptions, ..SocketCounts::default() };
        self.requests.clear();
        self.bytes = 0;
    }

    pub(super) fn connected(&mut self) {
        self.counts.connections += 1;
    }

    /// What sockets are to do now.
    pub(super) fn socket_faults(&self) -> Vec<SocketFault> {
        self.faults.iter().filter_map(|fault| fault.socket.clone()).collect()
    }

    /// How many blocks the provider is behind its node.
    pub(super) fn behind(&self) -> u64 {
        self.faults.iter().map(|fault| fault.behind).max().unwrap_or_default()
    }

    /// Counts what a socket did.
    pub(super) fn sockets(&mut self) -> &mut SocketCounts {
        &mut self.counts.sockets
    }

    /// Counts an event that is about to be sent, and says whether its socket breaks instead.
    pub(super) fn sends_event(&mut self) -> bool {
        self.counts.sockets.events += 1;
        let mut breaks = false;
        self.faults.retain_mut(|fault| match &mut fault.socket {
            Some(SocketFault::BreakAfter(left)) => {
                breaks |= *left == 0;
                *left = left.saturating_sub(1);
                !breaks
            }
            _ => true,
        });
        breaks
    }

    /// Writes an upgrade down and says with which status and `Retry-After` it is refused, if it is.
    pub(super) fn knocked(&mut self, upgrade: Recorded) -> Option<(u16, Option<u64>)> {
        self.remember(upgrade);
        for fault in &mut self.faults {
            let Some(SocketFault::Refuse { status, retry_after }) = fault.socket else { continue };
            match &mut fault.times {
                Some(0) => continue,
                Some(times) => *times -= 1,
                None => {}
            }
            self.counts.sockets.refused += 1;
            return Some((status, retry_after));
        }
        self.counts.sockets.opened += 1;
        self.counts.sockets.open += 1;
        None
    }

    /// Writes a request down and says which faults strike it, in their order.
    pub(super) fn received(&mut self, request: Recorded) -> Vec<Fault> {
        let (count, by_method) = match request.over {
            Over::Http => (&mut self.counts.requests, &mut self.counts.by_method),
            Over::Ws => (&mut self.counts.sockets.messages, &mut self.counts.sockets.by_method),
        };
        *count += 1;
        for method in &request.methods {
            *by_method.entry(method.clone()).or_default() += 1;
        }
        let striking = self.strike(&request);
        self.remember(request);
        striking
    }

    fn remember(&mut self, request: Recorded) {
        self.bytes += request.body.len();
        self.requests.push_back(request);
        while self.requests.len() > MOST_REQUESTS || self.bytes > MOST_BYTES {
            let Some(oldest) = self.requests.pop_front() else { break };
            self.bytes -= oldest.body.len();
        }
    }

    /// Latencies add up; the first fault with an answer or a delivery of its own ends the search, so that `times` of the next is kept.
    fn strike(&mut self, request: &Recorded) -> Vec<Fault> {
        let (methods, agent) = (&request.methods, request.header("user-agent"));
        let mut striking = Vec::new();
        for fault in &mut self.faults {
            let concerned = fault.strikes_calls() && fault.over.is_none_or(|over| over == request.over);
            let named = fault.agent.as_deref().is_none_or(|wanted| agent == Some(wanted));
            let applies = concerned
                && named
                && (fault.methods.is_empty() || methods.iter().any(|method| fault.applies_to(method)));
            if !applies || fault.times == Some(0) || fault.probability.is_some_and(|p| self.dice.roll() >= p) {
                continue;
            }
            if let Some(times) = &mut fault.times {
                *times -= 1;
            }
            let only_slow = fault.is_only_slow();
            striking.push(fault.clone());
            if !only_slow {
                break;
            }
        }
        striking
    }
}

/// Chance that is the same in every run.
#[derive(Debug)]
struct Dice(u64);

impl Default for Dice {
    fn default() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }
}

impl Dice {
    /// From 0 up to, not including, 1 (xorshift64).
    fn roll(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let low = u32::try_from(self.0 >> 32).unwrap_or_default();
        f64::from(low) / (f64::from(u32::MAX) + 1.0)
    }
}
