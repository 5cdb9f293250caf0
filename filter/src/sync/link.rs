//! One worker's stream to the control plane: when to open it, what to send next, when to give it up.
//!
//! ```text
//! Closed --open--> Open: Connecting --the peer's first word--> Connected: Hello, then reports one at a time, heartbeats
//!   ^                |                                            |
//!   '---- backoff ---+------- closed, silent, not acked, wrong ---'
//! ```
//!
//! Duty: the machine alone. Invariants: Hello is the first message of every stream; at most one report waits for its ack; a stream that
//! is given up is closed once, and by us.
//! Leaves to others: host calls, messages and the ledger ([`super`]).

use lasso_routing::time::{Millis, Timestamp};

/// A heartbeat when nothing else was sent for so long.
const BEAT: Millis = Millis(2_000);
/// A report that is not acked in that time is lost with its stream.
const ACK: Millis = Millis(2_000);
/// The control plane says something every two seconds.
const SILENCE: Millis = Millis(6_000);
/// A stream that was up so long was a good one: the next failure is the first again.
const STABLE: Millis = Millis(5_000);
/// The longest first wait after a failure; it doubles with each one. At least half of it is waited.
const FIRST_WAIT: Millis = Millis(400);
/// The longest wait.
const LONGEST_WAIT: Millis = Millis(5_000);

/// What the shell is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Open a stream, and tell [`Link::handle_opened`] how that went.
    Open,
    /// Say Hello on it.
    Greet(u32),
    /// Send the report that waits, or the next one if there is anything to say; tell [`Link::handle_reported`] if one was sent.
    Report(u32),
    /// Say that we are here.
    Beat(u32),
    /// Close it.
    Close(u32),
}

/// The stream of a worker.
#[derive(Debug)]
pub struct Link {
    state: State,
    failures: u32,
    /// A stream that was given up and is still to be closed.
    doomed: Option<u32>,
}

#[derive(Debug)]
enum State {
    Closed { until: Timestamp },
    Open(Stream),
}

#[derive(Debug)]
struct Stream {
    token: u32,
    greeted: bool,
    /// When the peer's first word came.
    connected: Option<Timestamp>,
    /// When we last heard of it; at first, when it was opened.
    heard: Timestamp,
    sent: Timestamp,
    /// When the report was sent that is not acked.
    reported: Option<Timestamp>,
    /// Whether a report may be sent that was not thought of yet.
    asked: bool,
}

impl Default for Link {
    fn default() -> Self {
        Self { state: State::Closed { until: Timestamp::from_millis(0) }, failures: 0, doomed: None }
    }
}

impl Link {
    /// Whether the control plane is there.
    #[must_use]
    pub const fn is_connected(&self) -> bool {
        match &self.state {
            State::Open(stream) => stream.connected.is_some(),
            State::Closed { .. } => false,
        }
    }

    /// Whether `token` is the stream that is open.
    #[must_use]
    pub const fn is(&self, token: u32) -> bool {
        match &self.state {
            State::Open(stream) => stream.token == token,
            State::Closed { .. } => false,
        }
    }

    /// Envoy opened a stream, or refused to.
    pub fn handle_opened(&mut self, token: Option<u32>, now: Timestamp, chance: u64) {
        match token {
            Some(token) => {
                self.state = State::Open(Stream {
                    token,
                    greeted: false,
                    connected: None,
                    heard: now,
                    sent: now,
                    reported: None,
                    asked: false,
                });
            }
            None => self.back_off(now, chance),
        }
    }

    /// Something came on the stream.
    pub fn handle_heard(&mut self, now: Timestamp) {
        if let State::Open(stream) = &mut self.state {
            stream.heard = now;
            stream.connected.get_or_insert(now);
        }
    }

    /// It is time to look whether there is anything to report.
    pub fn handle_tick(&mut self) {
        if let State::Open(stream) = &mut self.state {
            stream.asked = true;
        }
    }

    /// Something other than a report was sent.
    pub fn handle_sent(&mut self, now: Timestamp) {
        if let State::Open(stream) = &mut self.state {
            stream.sent = now;
        }
    }

    /// A report was sent.
    pub fn handle_reported(&mut self, now: Timestamp) {
        if let State::Open(stream) = &mut self.state {
            stream.sent = now;
            stream.reported = Some(now);
        }
    }

    /// The report that waited counts.
    pub fn handle_acked(&mut self) {
        if let State::Open(stream) = &mut self.state {
            stream.reported = None;
        }
    }

    /// Envoy closed the stream.
    pub fn handle_closed(&mut self, now: Timestamp, chance: u64) {
        if let State::Open(stream) = &self.state {
            if stream.connected.is_some_and(|connected| now.since(connected) >= STABLE) {
                self.failures = 0;
            }
            self.back_off(now, chance);
        }
    }

    /// The stream is of no use any more: the peer is not understood.
    pub fn give_up(&mut self, now: Timestamp, chance: u64) {
        if let State::Open(stream) = &self.state {
            self.doomed = Some(stream.token);
            self.handle_closed(now, chance);
        }
    }

    /// The stream goes, through no fault of its peer; the next may be opened at once.
    pub fn leave(&mut self, now: Timestamp) {
        if let State::Open(stream) = &self.state {
            self.doomed = Some(stream.token);
        }
        (self.state, self.failures) = (State::Closed { until: now }, 0);
    }

    /// The stream that is to be closed, if there is one.
    pub const fn take_doomed(&mut self) -> Option<u32> {
        self.doomed.take()
    }

    /// What is to be done now, one thing at a time until there is nothing.
    pub fn poll_action(&mut self, now: Timestamp, chance: u64) -> Option<Action> {
        if let State::Open(stream) = &self.state {
            let lost = stream.reported.is_some_and(|reported| now.since(reported) >= ACK);
            if lost || now.since(stream.heard) >= SILENCE {
                self.give_up(now, chance);
            }
        }
        if let Some(token) = self.take_doomed() {
            return Some(Action::Close(token));
        }
        match &mut self.state {
            State::Closed { until } => (now >= *until).then_some(Action::Open),
            State::Open(stream) => {
                if !std::mem::replace(&mut stream.greeted, true) {
                    return Some(Action::Greet(stream.token));
                }
                let free = stream.connected.is_some() && stream.reported.is_none();
                if free && std::mem::take(&mut stream.asked) {
                    return Some(Action::Report(stream.token));
                }
                (now.since(stream.sent) >= BEAT).then_some(Action::Beat(stream.token))
            }
        }
    }

    /// Waits longer after each failure in a row, and no two workers the same.
    fn back_off(&mut self, now: Timestamp, chance: u64) {
        let longest = FIRST_WAIT.0.saturating_mul(1 << self.failures.min(16)).min(LONGEST_WAIT.0);
        self.failures = self.failures.saturating_add(1);
        let half = longest / 2;
        self.state = State::Closed { until: now.plus(Millis(half + chance % (longest - half + 1))) };
    }
}

#[cfg(test)]
mod tests;
