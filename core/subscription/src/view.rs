//! What a hub shows of its feeds.

use lasso_routing::time::Timestamp;

use crate::event::ChannelId;
use crate::key::Key;

/// How a feed is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Asked for, never accepted yet.
    Opening,
    /// Events flow.
    Live,
    /// Bound, and fetching what it missed.
    Filling,
    /// Without a binding, looking for one.
    Lost,
    /// Nobody listens; it waits for somebody.
    Lingering,
}

impl State {
    /// As it stands in views and labels.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Opening => "opening",
            Self::Live => "live",
            Self::Filling => "filling",
            Self::Lost => "lost",
            Self::Lingering => "lingering",
        }
    }
}

/// One feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedView {
    /// Of what.
    pub key: Key,
    /// How it is.
    pub state: State,
    /// Where it is bound.
    pub channel: Option<ChannelId>,
    /// Subscriptions that it serves or that wait for it.
    pub subscribers: usize,
    /// Since when it is bound there.
    pub since: Option<Timestamp>,
    /// When its channel last sent an event.
    pub last_event: Option<Timestamp>,
    /// The newest block that was delivered of it.
    pub head: Option<u64>,
    /// Events that wait for something missing.
    pub buffered: usize,
    /// Gaps closed.
    pub fills: u64,
    /// Events fetched, as opposed to arrived.
    pub filled: u64,
    /// Changes of binding.
    pub failovers: u64,
    /// Events dropped because they had been delivered.
    pub duplicates: u64,
    /// Events that came too late to be in order, were of no use, or could not be read.
    pub ignored: u64,
    /// Events delivered, each counted once however many hear it.
    pub delivered: u64,
}
