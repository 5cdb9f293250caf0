//! What happens, for people and machines that listen.
//!
//! Duty: one closed, versioned set of events; one bus. Each event but sampled decisions is one line of the log: here, or where
//! it happened.
//! Invariant: nobody who listens holds up who tells: the bus keeps [`KEPT`] events, and a slow subscriber skips and learns how many.
//! No event holds a secret: problems and complaints come here masked.
//! Leaves to others: what is worth telling (the fleet, reload, xDS, the tasks), who may listen (`http`).

mod log;
mod notice;
mod payload;
pub(crate) mod relay;
mod sockets;

use std::sync::Arc;
use std::time::SystemTime;

use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::broadcast;
use utoipa::ToSchema;

use crate::http::facts::Queue;
use crate::queue::Meter;
pub(crate) use payload::*;
pub(crate) use sockets::*;

/// Events that a subscriber may be behind.
pub(crate) const KEPT: usize = 1_024;

/// The version of all that is told. Fields may be added to it; one that changes its meaning or goes makes it another.
pub(crate) const VERSION: u32 = 1;

/// Something happened.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub(crate) enum Event {
    BreakerOpened(BreakerOpened),
    BreakerHalfOpened(ChannelOnly),
    BreakerClosed(BreakerClosed),
    RateLimited(RateLimited),
    RateLimitEnded(ChannelOnly),
    HealthChanged(HealthChanged),
    ChannelBarred(ChannelBarred),
    ChannelUnbarred(ChannelOnly),
    EnvoySetAside(NodeOnly),
    EnvoyReturned(NodeOnly),
    ReportsDropped(ReportsDropped),
    Decision(Decision),
    ConfigLoaded(ConfigLoaded),
    ConfigRefused(ConfigRefused),
    XdsAcked(XdsAcked),
    XdsRefused(XdsRefused),
    /// A configuration, at one Envoy.
    ConfigInForce(ConfigInForce),
    EnvoyConnected(NodeOnly),
    EnvoyDisconnected(NodeOnly),
    TaskRestarted(TaskRestarted),
    /// To a provider.
    SocketUp(ChannelOnly),
    SocketDown(SocketDown),
    ChannelConnected(ChannelConnected),
    FeedUp(FeedOn),
    FeedDown(FeedDown),
    FeedLost(FeedLost),
    FeedFailedOver(FeedFailedOver),
    GapFilled(GapFilled),
    Reorg(Reorg),
    ContinuityLost(ContinuityLost),
    /// A channel lost events; they were fetched, and the feed moved.
    EventsMissed(FeedOn),
    /// A channel does not have a kind; it is not asked for it for a while.
    KindRefused(FeedOn),
    /// A channel sent events that cannot be read.
    EventsMalformed(FeedOn),
    /// To one subscriber only, in place of what it missed.
    Skipped(Skipped),
}

impl Event {
    /// Its stable name: `type` in JSON, `event` in the log and in a stream of server-sent events.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::BreakerOpened(_) => "breaker_opened",
            Self::BreakerHalfOpened(_) => "breaker_half_opened",
            Self::BreakerClosed(_) => "breaker_closed",
            Self::RateLimited(_) => "rate_limited",
            Self::RateLimitEnded(_) => "rate_limit_ended",
            Self::HealthChanged(_) => "health_changed",
            Self::ChannelBarred(_) => "channel_barred",
            Self::ChannelUnbarred(_) => "channel_unbarred",
            Self::EnvoySetAside(_) => "envoy_set_aside",
            Self::EnvoyReturned(_) => "envoy_returned",
            Self::ReportsDropped(_) => "reports_dropped",
            Self::Decision(_) => "decision",
            Self::ConfigLoaded(_) => "config_loaded",
            Self::ConfigRefused(_) => "config_refused",
            Self::XdsAcked(_) => "xds_acked",
            Self::XdsRefused(_) => "xds_refused",
            Self::ConfigInForce(_) => "config_in_force",
            Self::EnvoyConnected(_) => "envoy_connected",
            Self::EnvoyDisconnected(_) => "envoy_disconnected",
            Self::TaskRestarted(_) => "task_restarted",
            Self::SocketUp(_) => "socket_up",
            Self::SocketDown(_) => "socket_down",
            Self::ChannelConnected(_) => "channel_connected",
            Self::FeedUp(_) => "feed_up",
            Self::FeedDown(_) => "feed_down",
            Self::FeedLost(_) => "feed_lost",
            Self::FeedFailedOver(_) => "feed_failed_over",
            Self::GapFilled(_) => "gap_filled",
            Self::Reorg(_) => "reorg",
            Self::ContinuityLost(_) => "continuity_lost",
            Self::EventsMissed(_) => "events_missed",
            Self::KindRefused(_) => "kind_refused",
            Self::EventsMalformed(_) => "events_malformed",
            Self::Skipped(_) => "skipped",
        }
    }
}

/// An event as it is told.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Told {
    /// Version of this format.
    pub(crate) v: u32,
    /// When, RFC 3339 in UTC.
    pub(crate) at: String,
    /// The control plane's region; empty when it has none.
    pub(crate) region: String,
    /// What.
    #[serde(flatten)]
    pub(crate) event: Event,
}

/// Where events are told and heard. Clones are the same bus.
#[derive(Debug, Clone)]
pub(crate) struct Bus {
    sender: broadcast::Sender<Arc<Told>>,
    region: Arc<str>,
    meter: Meter,
}

impl Bus {
    pub(crate) fn new(region: &str) -> Self {
        Self { sender: broadcast::Sender::new(KEPT), region: region.into(), meter: Meter::default() }
    }

    pub(crate) fn region(&self) -> &Arc<str> {
        &self.region
    }

    /// Tells all who listen, and the log.
    pub(crate) fn tell(&self, event: Event) {
        log::line(&event, &self.region);
        // Nobody listens: the log has it.
        let _ = self.sender.send(Arc::new(self.told(event)));
        self.meter.seen(self.sender.len());
    }

    /// Hears what is told from now on.
    pub(crate) fn subscribe(&self) -> Subscriber {
        Subscriber { receiver: self.sender.subscribe(), bus: self.clone() }
    }

    /// Events that slow subscribers did not get, since the start.
    pub(crate) fn skipped(&self) -> u64 {
        self.queue().dropped
    }

    /// What the slowest subscriber has not heard yet.
    pub(crate) fn queue(&self) -> Queue {
        self.meter.shown("events", self.sender.len() as u64, KEPT as u64)
    }

    fn told(&self, event: Event) -> Told {
        Told { v: VERSION, at: rfc3339(SystemTime::now()), region: self.region.to_string(), event }
    }
}

/// One who listens.
#[derive(Debug)]
pub(crate) struct Subscriber {
    receiver: broadcast::Receiver<Arc<Told>>,
    bus: Bus,
}

impl Subscriber {
    /// The next event, or how many were missed before it. `None` when the bus is gone.
    pub(crate) async fn next(&mut self) -> Option<Arc<Told>> {
        match self.receiver.recv().await {
            Ok(told) => Some(told),
            Err(broadcast::error::RecvError::Lagged(count)) => {
                self.bus.meter.dropped(count);
                Some(Arc::new(self.bus.told(Event::Skipped(Skipped { count }))))
            }
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

/// A time as all answers and events have it: UTC, to the millisecond.
pub(crate) fn rfc3339(at: SystemTime) -> String {
    let at = OffsetDateTime::from(at);
    let whole = at.replace_millisecond(at.millisecond()).unwrap_or(at);
    // Fails for years beyond 9999 only.
    whole.format(&Rfc3339).unwrap_or_default()
}

#[cfg(test)]
mod tests;
