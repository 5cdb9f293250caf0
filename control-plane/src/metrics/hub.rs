//! Clients' sockets, feeds, and sockets to providers.

use std::collections::BTreeMap;
use std::sync::Arc;

use lasso_hub::{Close, Counts, FeedRow};

use super::page::Page;
use super::table as of;
use crate::http::facts::Counters;

pub(super) fn write(page: &mut Page, counters: &Counters, feeds: &[FeedRow]) {
    clients(page, &counters.hub);
    providers(page, counters);
    self::feeds(page, feeds);
    let told = &counters.feeds;
    let mut failovers = page.metric(&of::FEED_FAILOVERS);
    for (labels, count) in &told.failovers {
        failovers.sample(&borrowed(labels), count);
    }
    let mut fills = page.metric(&of::FEED_FILLS);
    for (labels, (count, _)) in &told.fills {
        fills.sample(&borrowed(labels), count);
    }
    let mut filled = page.metric(&of::FEED_FILLED);
    for (labels, (_, events)) in &told.fills {
        filled.sample(&borrowed(labels), events);
    }
    let mut lost = page.metric(&of::CONTINUITY_LOST);
    for (labels, count) in &told.lost {
        lost.sample(&borrowed(labels), count);
    }
    let mut reorgs = page.metric(&of::REORGS);
    for (labels, count) in &told.reorgs {
        reorgs.sample(&borrowed(labels), count);
    }
    let mut missed = page.metric(&of::EVENTS_LOST);
    for (labels, count) in &told.missed {
        missed.sample(&borrowed(labels), count);
    }
}

fn borrowed(labels: &[Arc<str>]) -> Vec<&str> {
    labels.iter().map(|label| &**label).collect()
}

fn clients(page: &mut Page, hub: &Counts) {
    page.one(&of::CLIENT_SOCKETS, &[], hub.sockets);
    page.one(&of::CLIENT_SOCKETS_OPENED, &[], hub.opened);
    page.one(&of::CLIENT_SOCKETS_REFUSED, &[], hub.refused);
    let mut closed = page.metric(&of::CLIENT_SOCKETS_CLOSED);
    for (how, count) in Close::ALL.into_iter().zip(hub.closed) {
        let code = how.code().map_or_else(String::new, |code| code.to_string());
        closed.sample(&[&code, how.name()], count);
    }
    page.all(&of::CLIENT_MESSAGES, [(["in"], hub.heard), (["out"], hub.said)]);
    page.one(&of::CLIENT_EVENTS, &[], hub.events);
    page.one(&of::CLIENT_CALLS, &[], hub.called);
    page.one(&of::CLIENT_CALLS_IN_FLIGHT, &[], hub.calls);
    page.one(&of::SUBSCRIPTIONS, &[], hub.subscriptions);
    page.one(&of::SUBSCRIPTIONS_OPENED, &[], hub.subscribed);
}

fn providers(page: &mut Page, counters: &Counters) {
    let mut sockets = page.metric(&of::PROVIDER_SOCKETS);
    for (channel, (opened, failed)) in &counters.feeds.sockets {
        sockets.sample(&[channel, "opened"], opened);
        sockets.sample(&[channel, "failed"], failed);
    }
}

fn feeds(page: &mut Page, feeds: &[FeedRow]) {
    let mut states: BTreeMap<[&str; 4], u64> = BTreeMap::new();
    let mut events: BTreeMap<[&str; 4], u64> = BTreeMap::new();
    for feed in feeds {
        *states.entry([&feed.profile, &feed.chain, feed.kind, feed.state.name()]).or_default() += 1;
        let counts = [
            ("delivered", feed.delivered),
            ("filled", feed.filled),
            ("duplicate", feed.duplicates),
            ("ignored", feed.ignored),
            ("buffered", feed.buffered as u64),
        ];
        for (what, count) in counts {
            *events.entry([&feed.profile, &feed.chain, feed.kind, what]).or_default() += count;
        }
    }
    page.all(&of::FEEDS, states);
    page.all(&of::FEED_EVENTS, events);
}
