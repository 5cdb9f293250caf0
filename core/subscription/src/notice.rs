//! Reasons, and what is told to whoever watches.

use std::fmt;

use lasso_jsonrpc::RpcError;
use lasso_routing::time::Millis;

use crate::event::ChannelId;
use crate::key::Kind;

const SERVER: i64 = -32000;

/// Why a subscription was not taken.
#[derive(Debug, Clone, PartialEq)]
pub enum Refusal {
    /// No channel has this kind; the last one's own words.
    Unsupported(Kind, RpcError),
    /// Every connected channel is declared not to have this kind.
    Lacking(Kind),
    /// Nobody took it in time; the last words there were.
    TimedOut(Kind, Option<RpcError>),
    /// There are as many feeds or subscriptions in this scope as there may be.
    Full,
}

impl Refusal {
    /// What the client gets.
    #[must_use]
    pub fn error(&self) -> RpcError {
        match self {
            Self::Unsupported(_, error) | Self::TimedOut(_, Some(error)) => error.clone(),
            Self::Lacking(_) | Self::TimedOut(_, None) | Self::Full => {
                RpcError { code: SERVER, message: self.to_string(), data: None }
            }
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsupported(kind, error) => write!(f, "no channel supports {kind}: {error}"),
            Self::Lacking(kind) => write!(f, "no channel supports {kind}"),
            Self::TimedOut(kind, None) => write!(f, "no channel took the subscription to {kind} in time"),
            Self::TimedOut(kind, Some(error)) => {
                write!(f, "no channel took the subscription to {kind} in time, the last said: {error}")
            }
            Self::Full => f.write_str("too many subscriptions"),
        }
    }
}

/// Why continuity was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    /// More is missing than may be filled.
    #[error("{missing} blocks are missing, at most {most} are filled")]
    GapTooLong {
        /// How many blocks.
        missing: u64,
        /// How many would be filled.
        most: u64,
    },
    /// Nobody could give what is missing in time.
    #[error("missing blocks could not be fetched within {0}")]
    FillTimedOut(Millis),
    /// No channel took the feed over in time.
    #[error("no channel took over within {0}")]
    NobodyTookOver(Millis),
    /// Something is missing and nothing is to be fetched.
    #[error("blocks are missing and fills are switched off")]
    FillOff,
    /// More arrived during a fill than may be held.
    #[error("more than {0} events wait for missing blocks")]
    TooMuchHeld(usize),
    /// The feed of heads that keeps logs in order lost continuity.
    #[error("the chain could not be followed")]
    HeadsEnded,
}

/// Why a feed left a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moved {
    /// The binding is gone.
    Lost,
    /// No head came for too long.
    Stale,
    /// Others have blocks that it does not tell of.
    Behind,
    /// Events were missing.
    Lossy,
    /// Nobody else knows the blocks it tells of.
    Unlinked,
    /// What it sends cannot be read.
    Malformed,
    /// The channel is not there any more.
    Removed,
}

impl Moved {
    /// One word for logs and labels.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Stale => "stale",
            Self::Behind => "behind",
            Self::Lossy => "lossy",
            Self::Unlinked => "unlinked",
            Self::Malformed => "malformed",
            Self::Removed => "removed",
        }
    }
}

/// Something worth telling.
#[derive(Debug, Clone, PartialEq)]
pub enum Notice {
    /// A feed lives for the first time.
    FeedUp {
        /// Of what.
        kind: Kind,
        /// Where.
        channel: ChannelId,
    },
    /// A feed was closed: nobody listens.
    FeedDown {
        /// Of what.
        kind: Kind,
    },
    /// A feed has no channel any more and looks for one.
    FeedLost {
        /// Of what.
        kind: Kind,
        /// Where it was.
        channel: ChannelId,
        /// Why.
        because: Moved,
    },
    /// A feed lives on another channel, or on the same again.
    FailedOver {
        /// Of what.
        kind: Kind,
        /// Where it was.
        from: ChannelId,
        /// Where it is.
        to: ChannelId,
        /// Why.
        because: Moved,
        /// From the reason to the new binding.
        took: Millis,
    },
    /// A gap was closed.
    Filled {
        /// Of what.
        kind: Kind,
        /// Heads or logs that had not arrived by themselves.
        events: u64,
        /// From the gap's opening.
        took: Millis,
    },
    /// The chain took another branch.
    Reorg {
        /// The first block that is different.
        number: u64,
        /// Blocks that were told and are not of the chain any more.
        depth: u64,
    },
    /// Continuity was lost and the subscriptions ended.
    ContinuityLost {
        /// Of what.
        kind: Kind,
        /// Why.
        because: Ended,
        /// How many.
        subscriptions: usize,
    },
    /// A channel's feed of heads told of a block.
    HeadSeen {
        /// Who.
        channel: ChannelId,
        /// Which block.
        number: u64,
    },
    /// A channel lost events.
    EventsMissed {
        /// Who.
        channel: ChannelId,
        /// Of what.
        kind: Kind,
    },
    /// A channel does not have this kind; it is not asked for a while.
    KindRefused {
        /// Who.
        channel: ChannelId,
        /// Which.
        kind: Kind,
    },
    /// A channel sent an event that cannot be read.
    Malformed {
        /// Who.
        channel: ChannelId,
        /// Of what.
        kind: Kind,
    },
}
