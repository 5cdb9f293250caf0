//! What the hub counts on the clients' side.
//!
//! Invariant: numbers only, under names that are written here; nothing that a client sends becomes a label.
//! Leaves to others: showing them (control plane).

use std::sync::atomic::{AtomicU64, Ordering};

/// How a client's socket ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Close {
    /// The client closed it.
    ByClient,
    /// It broke, or the client went without a word.
    Lost,
    /// We are going.
    Drained,
    /// We are going, and the client is to subscribe again.
    Restarted,
    /// A frame that is none.
    Protocol,
    /// A text that is no UTF-8.
    NotText,
    /// A message over the limit.
    TooLarge,
    /// Two pings without an answer.
    Silent,
    /// What a subscription missed cannot be had.
    ContinuityLost,
    /// The client does not read what it asked for.
    Slow,
    /// There is no room for its message.
    NoRoom,
}

impl Close {
    /// Every way.
    pub const ALL: [Self; 11] = [
        Self::ByClient,
        Self::Lost,
        Self::Drained,
        Self::Restarted,
        Self::Protocol,
        Self::NotText,
        Self::TooLarge,
        Self::Silent,
        Self::ContinuityLost,
        Self::Slow,
        Self::NoRoom,
    ];

    /// The code that we close with; `None` where it is not we who close.
    #[must_use]
    pub const fn code(self) -> Option<u16> {
        match self {
            Self::ByClient | Self::Lost => None,
            Self::Drained => Some(1001),
            Self::Protocol => Some(1002),
            Self::NotText => Some(1007),
            Self::TooLarge => Some(1009),
            Self::Silent => Some(1011),
            Self::Restarted | Self::ContinuityLost => Some(1012),
            Self::Slow | Self::NoRoom => Some(1013),
        }
    }

    /// As a label, and as the reason in the close frame.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ByClient => "by client",
            Self::Lost => "lost",
            Self::Drained => "going away",
            Self::Restarted => "service restart",
            Self::Protocol => "protocol error",
            Self::NotText => "invalid UTF-8",
            Self::TooLarge => "message too large",
            Self::Silent => "no answer to pings",
            Self::ContinuityLost => "subscribe again",
            Self::Slow => "too slow",
            Self::NoRoom => "no room, try again later",
        }
    }

    const fn index(self) -> usize {
        match self {
            Self::ByClient => 0,
            Self::Lost => 1,
            Self::Drained => 2,
            Self::Restarted => 3,
            Self::Protocol => 4,
            Self::NotText => 5,
            Self::TooLarge => 6,
            Self::Silent => 7,
            Self::ContinuityLost => 8,
            Self::Slow => 9,
            Self::NoRoom => 10,
        }
    }
}

/// The counters, for those who count.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    sockets: AtomicU64,
    opened: AtomicU64,
    refused: AtomicU64,
    closed: [AtomicU64; Close::ALL.len()],
    subscriptions: AtomicU64,
    subscribed: AtomicU64,
    heard: AtomicU64,
    said: AtomicU64,
    events: AtomicU64,
    calls: AtomicU64,
    called: AtomicU64,
}

/// The counters at a moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Clients' sockets that are open.
    pub sockets: u64,
    /// Sockets that were opened.
    pub opened: u64,
    /// Upgrades that were refused.
    pub refused: u64,
    /// Sockets that ended, in the order of [`Close::ALL`].
    pub closed: [u64; Close::ALL.len()],
    /// Subscriptions that are open or asked for.
    pub subscriptions: u64,
    /// Subscriptions that were asked for.
    pub subscribed: u64,
    /// Messages from clients.
    pub heard: u64,
    /// Messages to clients, events among them.
    pub said: u64,
    /// Events to clients.
    pub events: u64,
    /// Calls and batches under way to Envoy.
    pub calls: u64,
    /// Calls and batches that were sent on to Envoy.
    pub called: u64,
}

/// One more while it lives.
#[derive(Debug)]
pub(crate) struct Open<'a>(&'a AtomicU64);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Tally {
    /// Counts a socket in, unless there are `most` already.
    pub(crate) fn open(&self, most: usize) -> bool {
        let most = most as u64;
        let more = |sockets: u64| (sockets < most).then_some(sockets + 1);
        let let_in = self.sockets.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok();
        if let_in {
            self.opened.fetch_add(1, Ordering::Relaxed);
        }
        let_in
    }

    /// Counts a socket out.
    pub(crate) fn close(&self, how: Close) {
        self.sockets.fetch_sub(1, Ordering::Relaxed);
        if let Some(count) = self.closed.get(how.index()) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn subscribe(&self) {
        self.subscriptions.fetch_add(1, Ordering::Relaxed);
        self.subscribed.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn unsubscribe(&self, subscriptions: usize) {
        self.subscriptions.fetch_sub(subscriptions as u64, Ordering::Relaxed);
    }

    pub(crate) fn hear(&self) {
        self.heard.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn say(&self) {
        self.said.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn tell(&self) {
        self.events.fetch_add(1, Ordering::Relaxed);
    }

    /// A call that is under way until the answer is dropped.
    pub(crate) fn call(&self) -> Open<'_> {
        self.called.fetch_add(1, Ordering::Relaxed);
        self.calls.fetch_add(1, Ordering::Relaxed);
        Open(&self.calls)
    }

    /// The numbers now.
    pub(crate) fn counts(&self) -> Counts {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Counts {
            sockets: read(&self.sockets),
            opened: read(&self.opened),
            refused: read(&self.refused),
            closed: std::array::from_fn(|index| self.closed.get(index).map_or(0, read)),
            subscriptions: read(&self.subscriptions),
            subscribed: read(&self.subscribed),
            heard: read(&self.heard),
            said: read(&self.said),
            events: read(&self.events),
            calls: read(&self.calls),
            called: read(&self.called),
        }
    }
}
