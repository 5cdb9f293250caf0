//! How this control plane does: `GET /api/health` and its like.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use lasso_routing::fleet::view::{NodeStatus, View};
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::facts::{NodeConfig, Queue};
use super::fleet::Answer;
use super::live::MOST_VIEWERS;
use super::problem::ErrorBody;
use super::rows::{is_usable, members, millis};
use crate::events::rfc3339;
use crate::metrics::Sources;

/// Alive, and with what.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct HealthAnswer {
    /// `alive`: there is no other answer.
    status: &'static str,
    version: &'static str,
    region: String,
    uptime_s: u64,
    /// `null` while the store does not answer.
    fleet: Option<FleetHealth>,
    queues: Vec<QueueRow>,
}

#[derive(Debug, Serialize, ToSchema)]
struct FleetHealth {
    generation: String,
    chains: Vec<ChainHealth>,
    channels: usize,
    usable_channels: usize,
    envoys: EnvoyCounts,
}

#[derive(Debug, Serialize, ToSchema)]
struct ChainHealth {
    profile: String,
    chain: String,
    channels: usize,
    usable_channels: usize,
}

#[derive(Debug, Serialize, ToSchema)]
struct EnvoyCounts {
    /// With an xDS stream.
    connected: usize,
    /// With a stream of reports.
    reporting: usize,
    set_aside: usize,
}

/// A bounded queue.
#[derive(Debug, Serialize, ToSchema)]
struct QueueRow {
    queue: &'static str,
    depth: u64,
    /// The deepest it was.
    high_water: u64,
    capacity: u64,
    dropped: u64,
}

/// 200 while it is alive, whatever it can do.
#[utoipa::path(get, path = "/api/health", tag = "process", responses((status = 200, body = HealthAnswer)))]
pub(super) async fn health(State(api): State<Api>) -> Json<HealthAnswer> {
    let fleet = api.view().await.ok().map(|view| fleet_health(&view, &api.facts.nodes()));
    Json(HealthAnswer {
        status: "alive",
        version: env!("CARGO_PKG_VERSION"),
        region: api.bus.region().to_string(),
        uptime_s: api.started.elapsed().as_secs(),
        fleet,
        queues: api.facts.counters().queues.into_iter().map(queue_row).collect(),
    })
}

fn fleet_health(view: &View, nodes: &[NodeConfig]) -> FleetHealth {
    let chains = view.chains.iter().map(|chain| ChainHealth {
        profile: chain.profile.to_string(),
        chain: chain.chain.to_string(),
        channels: chain.members.len(),
        usable_channels: members(view, chain).filter(|(status, _)| is_usable(status)).count(),
    });
    FleetHealth {
        generation: view.generation.to_string(),
        chains: chains.collect(),
        channels: view.channels.len(),
        usable_channels: view.channels.iter().filter(|status| is_usable(status)).count(),
        envoys: EnvoyCounts {
            connected: nodes.iter().filter(|node| node.gone.is_none()).count(),
            reporting: view.nodes.iter().filter(|node| node.streams > 0).count(),
            set_aside: view.nodes.iter().filter(|node| node.set_aside).count(),
        },
    }
}

fn queue_row(queue: Queue) -> QueueRow {
    let Queue { name, depth, capacity, high_water, dropped } = queue;
    QueueRow { queue: name, depth, high_water, capacity, dropped }
}

/// Whether it is of use.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Readiness {
    ready: bool,
    /// What is missing: `configuration`, `store`, `ads`, `sync`.
    missing: Vec<String>,
}

/// 200 once the configuration is valid, the store restored and ADS listening; until then 503 with what is missing.
#[utoipa::path(get, path = "/api/ready", tag = "process",
    responses((status = 200, body = Readiness), (status = 503, body = Readiness)))]
pub(super) async fn ready(State(api): State<Api>) -> Response {
    let mut missing = api.facts.missing();
    if missing.is_empty() && api.view().await.is_err() {
        missing.push("the store does not answer".to_owned());
    }
    let status = if missing.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Readiness { ready: missing.is_empty(), missing })).into_response()
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Envoys {
    envoys: Vec<Envoy>,
}

/// One Envoy: what it was told, and what it tells.
#[derive(Debug, Serialize, ToSchema)]
struct Envoy {
    node: String,
    /// How it takes its configuration, by xDS stream. More than one open: two Envoys have one name.
    streams: Vec<EnvoyConfig>,
    /// What its workers report; `null` without a stream of reports.
    reports: Option<EnvoyReports>,
}

#[derive(Debug, Serialize, ToSchema)]
struct EnvoyConfig {
    /// RFC 3339 in UTC, as all times.
    connected_at: String,
    /// When the stream ended; `null` while it is open.
    gone_at: Option<String>,
    /// The generation it is led to.
    wanted: Option<String>,
    /// The generation that its filters route by.
    in_force: Option<String>,
    /// The step of its rollout: `clusters`, `routes`, `catalog`, `draining`, `removing`, `settled`, or `new`.
    phase: &'static str,
    /// Something was refused, and is not sent again until it changes.
    held: bool,
    /// Clusters that it refused, and that its catalog leaves out.
    without: Vec<String>,
    /// The last that it accepted of each type.
    acks: Vec<AckRow>,
    /// The last that it refused of each type, until it accepts something of that type.
    nacks: Vec<NackRow>,
}

#[derive(Debug, Serialize, ToSchema)]
struct AckRow {
    at: String,
    /// `clusters`, `routes`, `filters` or `listeners`.
    resource_type: &'static str,
    resources: usize,
    after_ms: u64,
}

#[derive(Debug, Serialize, ToSchema)]
struct NackRow {
    at: String,
    /// `clusters`, `routes`, `filters` or `listeners`.
    resource_type: &'static str,
    names: Vec<String>,
    /// What Envoy said, masked and cut.
    detail: String,
}

#[derive(Debug, Serialize, ToSchema)]
struct EnvoyReports {
    region: String,
    /// Streams open: one a worker and one of the main thread.
    streams: u32,
    /// Workers that asked a provider in the last 10 s.
    active_workers: u32,
    /// What its workers route by, newest last.
    generations: Vec<String>,
    /// Versions of its filters.
    versions: Vec<String>,
    /// Its failures are its own, and open nothing.
    set_aside: bool,
    attempts: u64,
    reports: u64,
    last_report_ms: Option<u64>,
    /// Attempts counted under `other`, without latencies.
    coarsened: u64,
    dropped_decisions: u64,
    dropped_lessons: u64,
    /// Attempts that are counted nowhere: they ended many reloads after they began.
    lost_attempts: u64,
}

/// Every Envoy that is connected or was lately.
#[utoipa::path(get, path = "/api/envoys", tag = "process",
    responses((status = 200, body = Envoys), (status = 503, body = ErrorBody)))]
pub(super) async fn envoys(State(api): State<Api>) -> Answer<Envoys> {
    let view = api.view().await?;
    let nodes = api.facts.nodes();
    let names: BTreeSet<&str> =
        nodes.iter().map(|node| &*node.node).chain(view.nodes.iter().map(|node| &*node.node)).collect();
    let envoys = names.into_iter().map(|name| Envoy {
        node: name.to_owned(),
        streams: nodes.iter().filter(|node| node.node == name).map(envoy_config).collect(),
        reports: view.nodes.iter().find(|node| *node.node == *name).map(envoy_reports),
    });
    Ok(Json(Envoys { envoys: envoys.collect() }))
}

fn envoy_config(node: &NodeConfig) -> EnvoyConfig {
    let acks = node.acks.iter().map(|ack| AckRow {
        at: rfc3339(ack.at),
        resource_type: ack.resource_type,
        resources: ack.resources,
        after_ms: ack.after.0,
    });
    let nacks = node.nacks.iter().map(|nack| NackRow {
        at: rfc3339(nack.at),
        resource_type: nack.resource_type,
        names: nack.names.clone(),
        detail: nack.detail.clone(),
    });
    EnvoyConfig {
        connected_at: rfc3339(node.connected),
        gone_at: node.gone.map(rfc3339),
        wanted: node.wanted.clone(),
        in_force: node.in_force.clone(),
        phase: node.phase,
        held: node.held,
        without: node.without.clone(),
        acks: acks.collect(),
        nacks: nacks.collect(),
    }
}

fn envoy_reports(node: &NodeStatus) -> EnvoyReports {
    EnvoyReports {
        region: node.region.to_string(),
        streams: node.streams,
        active_workers: node.active,
        generations: node.generations.iter().map(ToString::to_string).collect(),
        versions: node.versions.iter().map(ToString::to_string).collect(),
        set_aside: node.set_aside,
        attempts: node.attempts,
        reports: node.reports,
        last_report_ms: millis(node.last_report),
        coarsened: node.dropped.coarsened,
        dropped_decisions: node.dropped.decisions,
        dropped_lessons: node.dropped.lessons,
        lost_attempts: node.dropped.lost,
    }
}

/// The configuration in force.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ConfigAnswer {
    generation: String,
    /// RFC 3339 in UTC.
    loaded_at: String,
    warnings: Vec<String>,
    /// The last configuration that was refused since then.
    refused: Option<RefusedAnswer>,
    /// With defaults, as YAML, secrets masked.
    effective: String,
}

#[derive(Debug, Serialize, ToSchema)]
struct RefusedAnswer {
    at: String,
    /// What made us read it: `file`, `signal`, `call` or `name`.
    cause: &'static str,
    /// As `lasso check` prints them.
    problems: Vec<String>,
}

/// What is in force, and what was refused.
#[utoipa::path(get, path = "/api/config", tag = "process", responses((status = 200, body = ConfigAnswer)))]
pub(super) async fn config(State(api): State<Api>) -> Json<ConfigAnswer> {
    let config = api.facts.config();
    Json(ConfigAnswer {
        generation: config.generation,
        loaded_at: rfc3339(config.loaded),
        warnings: config.warnings,
        refused: config.refused.map(|it| RefusedAnswer { at: rfc3339(it.at), cause: it.cause, problems: it.problems }),
        effective: config.effective.to_string(),
    })
}

/// Everything that is counted, for Prometheus. While the store does not answer, without what only it knows.
#[utoipa::path(get, path = "/metrics", tag = "process", responses((status = 200, content_type = "text/plain", body = String)))]
pub(super) async fn metrics(State(api): State<Api>) -> Response {
    let view = api.view().await.ok();
    let feeds = api.facts.feeds().await;
    let sources = Sources {
        feeds: &feeds,
        view: view.as_deref(),
        counters: &api.facts.counters(),
        config: &api.facts.config(),
        nodes: &api.facts.nodes(),
        events_skipped: api.bus.skipped(),
        viewers: MOST_VIEWERS - api.viewers.available_permits(),
        region: api.bus.region(),
    };
    let text = api.metrics.page(&sources);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}
