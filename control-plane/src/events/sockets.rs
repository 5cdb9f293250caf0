//! What the hub notices, as it is told.
//!
//! Invariant: heads and clients' sockets are counted, not told: there are too many of them.

use lasso_hub::{FeedNotice, Notice};
use serde::Serialize;
use utoipa::ToSchema;

use super::{ChannelOnly, Event};

/// A socket to a provider is gone, or could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct SocketDown {
    pub(crate) channel: String,
    /// In a word or two.
    pub(crate) because: String,
}

/// Calls may use a ws channel, or may no longer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ChannelConnected {
    pub(crate) channel: String,
    pub(crate) connected: bool,
}

/// Something about the feed of a kind on a channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct FeedOn {
    pub(crate) profile: String,
    pub(crate) chain: String,
    /// `newHeads`, `logs`, `newPendingTransactions` or `syncing`.
    pub(crate) kind: &'static str,
    pub(crate) channel: String,
}

/// Nobody listened to a feed any more, and it was closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct FeedDown {
    pub(crate) profile: String,
    pub(crate) chain: String,
    pub(crate) kind: &'static str,
}

/// A feed has left its channel and looks for another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct FeedLost {
    pub(crate) profile: String,
    pub(crate) chain: String,
    pub(crate) kind: &'static str,
    pub(crate) channel: String,
    /// `lost`, `stale`, `behind`, `lossy`, `unlinked`, `malformed` or `removed`.
    pub(crate) because: &'static str,
}

/// A feed lives on another channel, or on the same again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct FeedFailedOver {
    pub(crate) profile: String,
    pub(crate) chain: String,
    pub(crate) kind: &'static str,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) because: &'static str,
    /// How long it had none.
    pub(crate) took_ms: u64,
}

/// What a feed had missed was fetched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct GapFilled {
    pub(crate) profile: String,
    pub(crate) chain: String,
    pub(crate) kind: &'static str,
    /// Heads or logs.
    pub(crate) events: u64,
    pub(crate) took_ms: u64,
}

/// A chain took another branch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Reorg {
    pub(crate) profile: String,
    pub(crate) chain: String,
    /// First block that is different.
    pub(crate) number: u64,
    /// Blocks that were replaced.
    pub(crate) depth: u64,
}

/// What subscriptions missed could not be had: they ended, and their clients were told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ContinuityLost {
    pub(crate) profile: String,
    pub(crate) chain: String,
    pub(crate) kind: &'static str,
    pub(crate) because: String,
    pub(crate) subscriptions: usize,
}

impl Event {
    /// What is told of a notice of the hub's, if anything is.
    pub(crate) fn of_hub(notice: Notice) -> Option<Self> {
        match notice {
            Notice::Connected { channel, connected } => {
                Some(Self::ChannelConnected(ChannelConnected { channel: channel.to_string(), connected }))
            }
            Notice::SocketUp { channel } => Some(Self::SocketUp(ChannelOnly { channel: channel.to_string() })),
            Notice::SocketDown { channel, because } => {
                Some(Self::SocketDown(SocketDown { channel: channel.to_string(), because }))
            }
            Notice::Feed { profile, chain, told } => Some(of_feed(&profile, &chain, told)),
            // A wrong one bars the channel, which is told.
            Notice::ChainId { .. } | Notice::Head { .. } | Notice::ClientClosed { .. } => None,
        }
    }
}

fn of_feed(profile: &str, chain: &str, told: FeedNotice) -> Event {
    let (profile, chain) = (profile.to_owned(), chain.to_owned());
    match told {
        FeedNotice::Up { kind, channel } => {
            Event::FeedUp(FeedOn { profile, chain, kind: kind.name(), channel: channel.to_string() })
        }
        FeedNotice::Down { kind } => Event::FeedDown(FeedDown { profile, chain, kind: kind.name() }),
        FeedNotice::Lost { kind, channel, because } => Event::FeedLost(FeedLost {
            profile,
            chain,
            kind: kind.name(),
            channel: channel.to_string(),
            because: because.name(),
        }),
        FeedNotice::FailedOver { kind, from, to, because, took_ms } => Event::FeedFailedOver(FeedFailedOver {
            profile,
            chain,
            kind: kind.name(),
            from: from.to_string(),
            to: to.to_string(),
            because: because.name(),
            took_ms,
        }),
        FeedNotice::Filled { kind, events, took_ms } => {
            Event::GapFilled(GapFilled { profile, chain, kind: kind.name(), events, took_ms })
        }
        FeedNotice::Reorg { number, depth } => Event::Reorg(Reorg { profile, chain, number, depth }),
        FeedNotice::ContinuityLost { kind, because, subscriptions } => Event::ContinuityLost(ContinuityLost {
            profile,
            chain,
            kind: kind.name(),
            because: because.to_string(),
            subscriptions,
        }),
        FeedNotice::EventsMissed { kind, channel } => {
            Event::EventsMissed(FeedOn { profile, chain, kind: kind.name(), channel: channel.to_string() })
        }
        FeedNotice::KindRefused { kind, channel } => {
            Event::KindRefused(FeedOn { profile, chain, kind: kind.name(), channel: channel.to_string() })
        }
        FeedNotice::Malformed { kind, channel } => {
            Event::EventsMalformed(FeedOn { profile, chain, kind: kind.name(), channel: channel.to_string() })
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use lasso_routing::time::Millis;
    use lasso_subscription::{Ended, Kind, Moved};

    use super::*;

    /// Every notice that is told.
    pub(in crate::events) fn notices() -> Vec<Notice> {
        let channel = || Arc::<str>::from("ethereum/a/ws");
        let kind = Kind::NewHeads;
        let told = [
            FeedNotice::Up { kind, channel: channel() },
            FeedNotice::Down { kind },
            FeedNotice::Lost { kind, channel: channel(), because: Moved::Stale },
            FeedNotice::FailedOver {
                kind,
                from: channel(),
                to: "ethereum/b/ws".into(),
                because: Moved::Lost,
                took_ms: 12,
            },
            FeedNotice::Filled { kind: Kind::Logs, events: 3, took_ms: 40 },
            FeedNotice::Reorg { number: 10, depth: 2 },
            FeedNotice::ContinuityLost { kind, because: Ended::FillTimedOut(Millis(30_000)), subscriptions: 5 },
            FeedNotice::EventsMissed { kind, channel: channel() },
            FeedNotice::KindRefused { kind, channel: channel() },
            FeedNotice::Malformed { kind, channel: channel() },
        ];
        let feed = |told| Notice::Feed { profile: "public".into(), chain: "ethereum".into(), told };
        let sockets = [
            Notice::Connected { channel: channel(), connected: true },
            Notice::SocketUp { channel: channel() },
            Notice::SocketDown { channel: channel(), because: "reset".to_owned() },
        ];
        sockets.into_iter().chain(told.map(feed)).collect()
    }

    #[test]
    fn heads_and_clients_are_counted_not_told() {
        assert_eq!(Event::of_hub(Notice::Head { channel: "c".into(), number: 1 }), None);
        assert_eq!(Event::of_hub(Notice::ClientClosed { code: 1013, because: "too slow" }), None);
    }
}
