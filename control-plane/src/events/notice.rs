//! From what the fleet, reload, xDS and the supervisor notice to what is told.

use lasso_routing::fleet::event::Notice;
use lasso_routing::report;

use super::{
    Attempt, BreakerClosed, BreakerOpened, ChannelBarred, ChannelOnly, ConfigInForce, ConfigLoaded, ConfigRefused,
    Decision, Event, HealthChanged, NodeOnly, RateLimited, ReportsDropped, TaskRestarted, XdsAcked, XdsRefused,
};
use crate::notice;
use crate::supervise::Panicked;

impl From<Notice> for Event {
    fn from(notice: Notice) -> Self {
        let only = |channel: Box<str>| ChannelOnly { channel: channel.into() };
        match notice {
            Notice::BreakerOpened { channel, because, length } => Self::BreakerOpened(BreakerOpened {
                channel: channel.into(),
                because: because.map(|category| category.name()),
                length_ms: length.map(|length| length.0),
            }),
            Notice::BreakerHalfOpened { channel } => Self::BreakerHalfOpened(only(channel)),
            Notice::BreakerClosed { channel, manual } => {
                Self::BreakerClosed(BreakerClosed { channel: channel.into(), manual })
            }
            Notice::RateLimited { channel, length } => {
                Self::RateLimited(RateLimited { channel: channel.into(), length_ms: length.0 })
            }
            Notice::RateLimitEnded { channel } => Self::RateLimitEnded(only(channel)),
            Notice::HealthChanged { channel, from, to } => {
                Self::HealthChanged(HealthChanged { channel: channel.into(), from: from.name(), to: to.name() })
            }
            Notice::SetAside { node } => Self::EnvoySetAside(NodeOnly { node: node.into() }),
            Notice::Returned { node } => Self::EnvoyReturned(NodeOnly { node: node.into() }),
            Notice::Barred { channel, because } => {
                Self::ChannelBarred(ChannelBarred { channel: channel.into(), because: because.name() })
            }
            Notice::Unbarred { channel } => Self::ChannelUnbarred(only(channel)),
            Notice::Decided(decision) => Self::Decision((*decision).into()),
            Notice::Dropped { node, dropped } => Self::ReportsDropped(ReportsDropped {
                node: node.into(),
                coarsened: dropped.coarsened,
                decisions: dropped.decisions,
                lessons: dropped.lessons,
                lost: dropped.lost,
            }),
        }
    }
}

impl From<Panicked> for Event {
    fn from(Panicked { task, times }: Panicked) -> Self {
        Self::TaskRestarted(TaskRestarted { task, restarts: times })
    }
}

impl From<notice::Notice> for Event {
    fn from(notice: notice::Notice) -> Self {
        match notice {
            notice::Notice::Reloaded { generation, added, removed } => {
                Self::ConfigLoaded(ConfigLoaded { generation, added, removed })
            }
            notice::Notice::ReloadRefused { problems } => {
                Self::ConfigRefused(ConfigRefused { problems: problems.lines().map(str::to_owned).collect() })
            }
            notice::Notice::Connected { node } => Self::EnvoyConnected(NodeOnly { node }),
            notice::Notice::Disconnected { node } => Self::EnvoyDisconnected(NodeOnly { node }),
            notice::Notice::Accepted { node, kind, resources, after_ms } => {
                Self::XdsAcked(XdsAcked { node, resource_type: kind.name(), resources, after_ms })
            }
            notice::Notice::Refused { node, kind, names, detail } => {
                Self::XdsRefused(XdsRefused { node, resource_type: kind.name(), names, detail })
            }
            notice::Notice::InForce { node, generation } => Self::ConfigInForce(ConfigInForce { node, generation }),
        }
    }
}

impl From<report::Decision> for Decision {
    fn from(decision: report::Decision) -> Self {
        let attempts = decision.attempts.into_iter().map(|(channel, outcome, latency)| Attempt {
            channel: channel.into(),
            outcome: outcome.into(),
            latency_us: latency.0,
        });
        Self {
            // As the filter writes it into the meta: a number of 64 bits loses digits in JavaScript.
            request_id: format!("{:016x}", decision.request_id),
            profile: decision.profile.into(),
            chain: decision.chain.into(),
            method: decision.class.name(),
            strategy: decision.strategy.into(),
            reason: decision.reason.into(),
            candidates: decision.candidates,
            attempts: attempts.collect(),
            answered: decision.answered,
            selection_us: decision.selection.0,
            total_us: decision.total.0,
        }
    }
}
