//! `/metrics`: the fleet in numbers, for Prometheus.
//!
//! Duty: one page of text from one view and a few counts of the shell.
//! Invariant: every metric stands in [`table`], from which docs/metrics.md is generated. Evidence has at most [`MOST_SERIES`] series:
//! over that, the method classes with the fewest attempts are counted as `other`, until the next start, so that a counter does not come and go.
//! Leaves to others: counting (the fleet), serving (`http`). Nothing is counted here, so that a scrape asks the store once and holds no lock
//! while it waits.

#[cfg(test)]
mod dashboards;
mod evidence;
mod hub;
mod page;
mod reference;
mod table;

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use lasso_hub::FeedRow;
use lasso_jsonrpc::method::MethodClass;
use lasso_routing::fleet::event::{Health, Manual};
use lasso_routing::fleet::view::{Availability, ChannelStatus, Totals, View};
use lasso_routing::report::{Selection, Stage};
use lasso_routing::table::BreakerView;

use crate::http::facts::{ConfigFacts, Counters, NodeConfig};
use page::Page;
pub(crate) use reference::markdown as reference;
use table as of;

/// Series of evidence (attempts and latencies) on one page.
pub(crate) const MOST_SERIES: usize = 50_000;

/// What a page is made of.
#[derive(Debug)]
pub(crate) struct Sources<'a> {
    /// `None` while the store does not answer.
    pub(crate) view: Option<&'a View>,
    pub(crate) counters: &'a Counters,
    pub(crate) config: &'a ConfigFacts,
    pub(crate) nodes: &'a [NodeConfig],
    /// Events that slow subscribers did not get.
    pub(crate) events_skipped: u64,
    /// Who listens to events.
    pub(crate) viewers: usize,
    pub(crate) region: &'a str,
    pub(crate) feeds: &'a [FeedRow],
}

/// Makes pages.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    /// Classes that are counted as `other`. Only a scrape touches it.
    collapsed: Mutex<BTreeSet<MethodClass>>,
}

impl Metrics {
    /// One page.
    pub(crate) fn page(&self, sources: &Sources<'_>) -> String {
        let mut page = Page::new(sources.region);
        page.one(&of::BUILD, &[env!("CARGO_PKG_VERSION")], 1_u64);
        page.one(&of::STORE_UP, &[], u64::from(sources.view.is_some()));
        config(&mut page, sources.config, sources.counters);
        shell(&mut page, sources);
        hub::write(&mut page, sources.counters, sources.feeds);
        if let Some(view) = sources.view {
            channels(&mut page, view);
            chains(&mut page, view);
            fleet(&mut page, view, sources.nodes);
            // A panic in another scrape leaves a set that is still right.
            let mut collapsed = self.collapsed.lock().unwrap_or_else(PoisonError::into_inner);
            evidence::collapse(view, MOST_SERIES, &mut collapsed);
            evidence::write(&mut page, view, &collapsed);
        }
        page.into_text()
    }
}

fn config(page: &mut Page, config: &ConfigFacts, counters: &Counters) {
    page.one(&of::CONFIG, &[&config.generation], 1_u64);
    page.one(&of::CONFIG_LOADED, &[], seconds_since_epoch(config.loaded));
    page.one(&of::CONFIG_REFUSED, &[], u64::from(config.refused.is_some()));
    let mut reloads = page.metric(&of::RELOADS);
    reloads.sample(&["accepted"], counters.reloads_accepted);
    reloads.sample(&["refused"], counters.reloads_refused);
}

fn shell(page: &mut Page, sources: &Sources<'_>) {
    let counters = sources.counters;
    let answers = || counters.answers.iter();
    page.all(&of::XDS_ACKS, answers().map(|it| ([it.resource_type], it.acks)));
    page.all(&of::XDS_NACKS, answers().map(|it| ([it.resource_type], it.nacks)));
    page.all(&of::RESTARTS, counters.restarts.iter().map(|(task, count)| ([*task], *count)));
    let queues = || counters.queues.iter();
    page.all(&of::QUEUE_DEPTH, queues().map(|it| ([it.name], it.depth)));
    page.all(&of::QUEUE_HIGH_WATER, queues().map(|it| ([it.name], it.high_water)));
    page.all(&of::QUEUE_CAPACITY, queues().map(|it| ([it.name], it.capacity)));
    page.all(&of::QUEUE_DROPPED, queues().map(|it| ([it.name], it.dropped)));
    page.one(&of::STREAMS, &[], counters.streams);
    page.all(&of::STREAM_TROUBLES, counters.stream_troubles.iter().map(|(kind, count)| ([*kind], *count)));
    page.one(&of::EVENTS_SKIPPED, &[], sources.events_skipped);
    page.one(&of::EVENTS_MISSED, &[], counters.notices_missed);
    page.one(&of::EVENT_VIEWERS, &[], sources.viewers as u64);
}

fn channels(page: &mut Page, view: &View) {
    let mut info = page.metric(&of::CHANNEL);
    for chain in &view.chains {
        for (channel, provider) in &chain.members {
            if let Some(status) = view.channels.get(*channel) {
                let labels = [&chain.profile, &chain.chain, provider, &*status.channel, status.transport.name()];
                info.sample(&labels, 1_u64);
            }
        }
    }
    let each =
        |value: fn(&ChannelStatus) -> u64| view.channels.iter().map(move |status| ([&*status.channel], value(status)));
    page.all(&of::IN_FLIGHT, each(|status| status.in_flight));
    page.all(&of::BREAKER_STATE, each(|status| breaker(status.breaker)));
    page.all(&of::BREAKER_OPENINGS, each(|status| status.openings.into()));
    page.all(&of::BREAKER_MANUAL, each(|status| manual(status.manual)));
    page.all(&of::BARRED, each(|status| status.barred.is_some().into()));
    let connected = view.channels.iter().filter_map(|status| Some(([&*status.channel], u64::from(status.connected?))));
    page.all(&of::CONNECTED, connected);
    page.all(&of::HEALTH, each(|status| health(status.health)));
    page.all(&of::AVAILABILITY, each(|status| availability(status.availability)));
    let marks = view.channels.iter();
    page.all(&of::RATE_LIMIT, marks.map(|it| ([&*it.channel], it.limited.map_or(0.0, |left| left.0 as f64 / 1_000.0))));
    let heads = view.channels.iter().filter_map(|status| Some(([&*status.channel], status.head?)));
    page.all(&of::CHANNEL_HEAD, heads);
    let lags = view.channels.iter().filter_map(|status| Some(([&*status.channel], status.lag? as f64)));
    page.all(&of::CHANNEL_LAG, lags);
}

fn chains(page: &mut Page, view: &View) {
    let heads = view.chains.iter().filter_map(|it| Some(([&*it.profile, &*it.chain], it.best_head?)));
    page.all(&of::CHAIN_HEAD, heads);
    let mut counts = page.metric(&of::CHAIN_CHANNELS);
    for chain in &view.chains {
        let members = || chain.members.iter().filter_map(|(channel, _)| view.channels.get(*channel));
        for state in [Availability::Up, Availability::Limited, Availability::Down] {
            let count = members().filter(|status| status.availability == state).count();
            counts.sample(&[&chain.profile, &chain.chain, state.name()], count as u64);
        }
    }
    let started = view.chains.iter().map(|it| ([&*it.profile, &*it.chain], it.request_count(Stage::Started)));
    page.all(&of::REQUESTS_STARTED, started);
    let mut ended = page.metric(&of::REQUESTS_ENDED);
    for chain in &view.chains {
        for stage in Stage::ALL.into_iter().filter(|stage| *stage != Stage::Started) {
            ended.sample(&[&chain.profile, &chain.chain, stage.name()], chain.request_count(stage));
        }
    }
    let mut selections = page.metric(&of::SELECTIONS);
    for chain in &view.chains {
        for (selection, count) in Selection::ALL.iter().zip(chain.selections) {
            selections.sample(&[&chain.profile, &chain.chain, selection.name()], count);
        }
    }
}

fn fleet(page: &mut Page, view: &View, nodes: &[NodeConfig]) {
    let connected = nodes.iter().filter(|node| node.gone.is_none());
    let current = connected.clone().filter(|node| node.in_force.is_some() && node.in_force == node.wanted);
    let held = connected.clone().filter(|node| node.held);
    let mut envoys = page.metric(&of::ENVOYS);
    envoys.sample(&["connected"], connected.count() as u64);
    envoys.sample(&["current"], current.count() as u64);
    envoys.sample(&["held"], held.count() as u64);
    envoys.sample(&["reporting"], view.nodes.iter().filter(|node| node.streams > 0).count() as u64);
    envoys.sample(&["set_aside"], view.nodes.iter().filter(|node| node.set_aside).count() as u64);
    page.one(&of::WORKERS, &[], view.nodes.iter().map(|node| u64::from(node.active)).sum::<u64>());
    let mut dropped = page.metric(&of::REPORT_DROPPED);
    dropped.sample(&["attempts"], view.nodes.iter().map(|node| node.dropped.coarsened).sum::<u64>());
    dropped.sample(&["decisions"], view.nodes.iter().map(|node| node.dropped.decisions).sum::<u64>());
    dropped.sample(&["lessons"], view.nodes.iter().map(|node| node.dropped.lessons).sum::<u64>());
    dropped.sample(&["lost"], view.nodes.iter().map(|node| node.dropped.lost).sum::<u64>());
    let Totals { reports, repeated, attempts, tables, cells, trials, explorations, refused, unknown } = view.totals;
    page.one(&of::REPORTS, &[], reports);
    page.one(&of::REPORTS_REPEATED, &[], repeated);
    page.one(&of::REPORTED_ATTEMPTS, &[], attempts);
    page.one(&of::REPORTS_UNKNOWN, &[], unknown);
    page.one(&of::STREAMS_REFUSED, &[], refused);
    page.one(&of::TABLES, &[], tables);
    page.one(&of::TABLE_CELLS, &[], cells);
    let mut leases = page.metric(&of::LEASES);
    leases.sample(&["trial"], trials);
    leases.sample(&["exploration"], explorations);
}

fn seconds_since_epoch(at: SystemTime) -> f64 {
    at.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// In the order of how bad it is, so that an alert compares.
fn breaker(state: BreakerView) -> u64 {
    match state {
        BreakerView::Closed => 0,
        BreakerView::HalfOpen => 1,
        BreakerView::Open { .. } => 2,
    }
}

fn manual(manual: Manual) -> u64 {
    match manual {
        Manual::Auto => 0,
        Manual::Close => 1,
        Manual::Open => 2,
    }
}

fn health(health: Health) -> u64 {
    match health {
        Health::Healthy => 0,
        Health::Degraded => 1,
        Health::Unhealthy => 2,
    }
}

fn availability(availability: Availability) -> u64 {
    match availability {
        Availability::Up => 0,
        Availability::Limited => 1,
        Availability::Down => 2,
    }
}

#[cfg(test)]
mod tests;
