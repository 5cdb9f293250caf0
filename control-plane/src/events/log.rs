//! One line of the log for each event of the fleet, except decisions, of which there are too many.
//!
//! Invariant: a field is called as it is in the event. What an operator may have to act on is a warning; a channel that
//! answers for another chain is an error: the configuration is wrong.

use tracing::{error, info, warn};

use super::Event;

#[expect(clippy::too_many_lines, reason = "one arm for each event")]
pub(super) fn line(event: &Event, region: &str) {
    let name = event.name();
    match event {
        Event::Decision(_) | Event::Skipped(_) => {}
        // Written by `reload`, `xds` and `supervise`, which know more.
        Event::ConfigLoaded(_)
        | Event::ConfigRefused(_)
        | Event::ConfigInForce(_)
        | Event::XdsAcked(_)
        | Event::XdsRefused(_)
        | Event::EnvoyConnected(_)
        | Event::EnvoyDisconnected(_)
        | Event::TaskRestarted(_) => {}
        Event::BreakerOpened(it) => {
            warn!(
                event = name,
                region,
                channel = it.channel,
                because = it.because,
                length_ms = it.length_ms,
                "breaker opened"
            );
        }
        Event::BreakerHalfOpened(it) => info!(event = name, region, channel = it.channel, "breaker half-open"),
        Event::BreakerClosed(it) => {
            info!(event = name, region, channel = it.channel, manual = it.manual, "breaker closed")
        }
        Event::RateLimited(it) => {
            warn!(event = name, region, channel = it.channel, length_ms = it.length_ms, "channel is rate-limited")
        }
        Event::RateLimitEnded(it) => info!(event = name, region, channel = it.channel, "rate-limit mark ended"),
        Event::HealthChanged(it) => {
            info!(event = name, region, channel = it.channel, from = it.from, to = it.to, "health changed")
        }
        Event::ChannelBarred(it) => {
            error!(event = name, region, channel = it.channel, because = it.because, "channel will not be asked")
        }
        Event::ChannelUnbarred(it) => info!(event = name, region, channel = it.channel, "channel may be asked again"),
        Event::EnvoySetAside(it) => warn!(event = name, region, node = it.node, "an Envoy fails where others do not"),
        Event::EnvoyReturned(it) => info!(event = name, region, node = it.node, "an Envoy counts again"),
        Event::ReportsDropped(it) => {
            warn!(
                event = name,
                region,
                node = it.node,
                coarsened = it.coarsened,
                decisions = it.decisions,
                lessons = it.lessons,
                lost = it.lost,
                "a worker had no room"
            );
        }
        Event::SocketUp(it) => info!(event = name, region, channel = it.channel, "socket to a provider opened"),
        Event::SocketDown(it) => {
            warn!(event = name, region, channel = it.channel, because = it.because, "no socket to a provider")
        }
        Event::ChannelConnected(it) => {
            info!(event = name, region, channel = it.channel, connected = it.connected, "calls over WebSocket")
        }
        Event::FeedUp(it) => {
            info!(event = name, region, chain = it.chain, kind = it.kind, channel = it.channel, "feed is live")
        }
        Event::FeedDown(it) => info!(event = name, region, chain = it.chain, kind = it.kind, "feed closed"),
        Event::FeedLost(it) => warn!(
            event = name,
            region,
            chain = it.chain,
            kind = it.kind,
            channel = it.channel,
            because = it.because,
            "feed left its channel"
        ),
        Event::FeedFailedOver(it) => info!(
            event = name,
            region,
            chain = it.chain,
            kind = it.kind,
            from = it.from,
            to = it.to,
            because = it.because,
            took_ms = it.took_ms,
            "feed is live again"
        ),
        Event::GapFilled(it) => info!(
            event = name,
            region,
            chain = it.chain,
            kind = it.kind,
            events = it.events,
            took_ms = it.took_ms,
            "gap filled"
        ),
        Event::Reorg(it) => {
            info!(event = name, region, chain = it.chain, number = it.number, depth = it.depth, "reorg")
        }
        Event::ContinuityLost(it) => error!(
            event = name,
            region,
            chain = it.chain,
            kind = it.kind,
            because = it.because,
            subscriptions = it.subscriptions,
            "subscriptions ended"
        ),
        Event::EventsMissed(it) => {
            warn!(
                event = name,
                region,
                chain = it.chain,
                kind = it.kind,
                channel = it.channel,
                "a provider lost events"
            )
        }
        Event::KindRefused(it) => {
            warn!(
                event = name,
                region,
                chain = it.chain,
                kind = it.kind,
                channel = it.channel,
                "a provider lacks a kind"
            )
        }
        Event::EventsMalformed(it) => {
            warn!(event = name, region, chain = it.chain, kind = it.kind, channel = it.channel, "events cannot be read")
        }
    }
}
