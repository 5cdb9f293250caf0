//! What the hub tells.

use std::sync::Arc;

use lasso_subscription::{Ended, Kind, Moved};

/// Something happened in the hub. No text holds a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Calls may use this channel, or may no longer.
    Connected {
        /// Channel.
        channel: Arc<str>,
        /// Which of both.
        connected: bool,
    },
    /// A socket to a provider opened.
    SocketUp {
        /// Channel.
        channel: Arc<str>,
    },
    /// A socket to a provider is gone, or could not be opened.
    SocketDown {
        /// Channel.
        channel: Arc<str>,
        /// Why, in a word or two.
        because: String,
    },
    /// A channel said which chain it serves.
    ChainId {
        /// Channel.
        channel: Arc<str>,
        /// The chain.
        chain_id: u64,
    },
    /// A feed saw a head on a channel.
    Head {
        /// Channel.
        channel: Arc<str>,
        /// The block's number.
        number: u64,
    },
    /// Something about a feed.
    Feed {
        /// Profile whose feed it is, the first of those that share it.
        profile: Arc<str>,
        /// Chain.
        chain: Arc<str>,
        /// What.
        told: FeedNotice,
    },
    /// A client's socket was closed by us.
    ClientClosed {
        /// Close code.
        code: u16,
        /// Why.
        because: &'static str,
    },
}

/// Something about a feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FeedNotice {
    /// It lives for the first time.
    Up {
        /// Of what.
        kind: Kind,
        /// Where.
        channel: Arc<str>,
    },
    /// Nobody listened, and it was closed.
    Down {
        /// Of what.
        kind: Kind,
    },
    /// It has left its channel and looks for another.
    Lost {
        /// Of what.
        kind: Kind,
        /// Where it was.
        channel: Arc<str>,
        /// Why.
        because: Moved,
    },
    /// It lives on another channel, or on the same again.
    FailedOver {
        /// Of what.
        kind: Kind,
        /// Where it was.
        from: Arc<str>,
        /// Where it is.
        to: Arc<str>,
        /// Why.
        because: Moved,
        /// How long it had none.
        took_ms: u64,
    },
    /// A gap was closed.
    Filled {
        /// Of what.
        kind: Kind,
        /// How many heads or logs were fetched.
        events: u64,
        /// How long it was open.
        took_ms: u64,
    },
    /// The chain took another branch.
    Reorg {
        /// First block that is different.
        number: u64,
        /// How many were replaced.
        depth: u64,
    },
    /// What was missed could not be had: subscriptions ended.
    ContinuityLost {
        /// Of what.
        kind: Kind,
        /// Why.
        because: Ended,
        /// How many.
        subscriptions: usize,
    },
    /// A channel lost events.
    EventsMissed {
        /// Of what.
        kind: Kind,
        /// Who.
        channel: Arc<str>,
    },
    /// A channel does not have this kind; it is not asked for a while.
    KindRefused {
        /// Which.
        kind: Kind,
        /// Who.
        channel: Arc<str>,
    },
    /// A channel sent an event that cannot be read.
    Malformed {
        /// Of what.
        kind: Kind,
        /// Who.
        channel: Arc<str>,
    },
}
