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

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::broadcast;
use utoipa::ToSchema;

pub(crate) use payload::*;

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
    skipped: Arc<AtomicU64>,
}

impl Bus {
    pub(crate) fn new(region: &str) -> Self {
        Self { sender: broadcast::Sender::new(KEPT), region: region.into(), skipped: Arc::default() }
    }

    pub(crate) fn region(&self) -> &Arc<str> {
        &self.region
    }

    /// Tells all who listen, and the log.
    pub(crate) fn tell(&self, event: Event) {
        log::line(&event, &self.region);
        // Nobody listens: the log has it.
        let _ = self.sender.send(Arc::new(self.told(event)));
    }

    /// Hears what is told from now on.
    pub(crate) fn subscribe(&self) -> Subscriber {
        Subscriber { receiver: self.sender.subscribe(), bus: self.clone() }
    }

    /// Events that slow subscribers did not get, since the start.
    pub(crate) fn skipped(&self) -> u64 {
        self.skipped.load(Ordering::Relaxed)
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
                self.bus.skipped.fetch_add(count, Ordering::Relaxed);
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
