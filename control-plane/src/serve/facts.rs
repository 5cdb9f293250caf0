//! What the API asks, answered out of what runs.
//!
//! Duty: be the API's [`Facts`]: the store for the fleet, reload for the configuration, the nodes for the Envoys.
//! Invariant: nothing is kept here; every answer is of now. Before the tasks run, it says what is missing and knows no more than the first
//! configuration.
//! Leaves to others: all of it.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lasso_hub::{FeedRow, Hub};
use lasso_routing::fleet::event::{Event, Manual};
use lasso_routing::fleet::view::View;
use lasso_routing::time::Timestamp;

use super::readiness::Readiness;
use crate::events::Bus;
use crate::events::relay::{Sources, Tally};
use crate::history::{History, Keeper};
use crate::http::facts::{Ack, ConfigFacts, Counters, Facts, Nack, NodeConfig, RefusedConfig, Reloaded};
use crate::reload::{Cause, Current, Reload};
use crate::store::Store;
use crate::sync::Counts;
use crate::xds::nodes::{Node, Nodes};

/// What is known, from the start on.
#[derive(Debug)]
pub(crate) struct Known {
    first: Arc<Current>,
    readiness: Readiness,
    runs: OnceLock<Runs>,
}

/// Handles to what runs.
#[derive(Debug)]
pub(crate) struct Runs {
    pub(crate) store: Store,
    pub(crate) history: History,
    pub(crate) reload: Reload,
    pub(crate) nodes: Nodes,
    pub(crate) tally: Tally,
    pub(crate) sources: Sources,
    pub(crate) bus: Bus,
    pub(crate) keeper: Option<Keeper>,
    pub(crate) streams: Arc<Counts>,
    pub(crate) hub: Hub,
}

impl Known {
    /// Nothing runs yet.
    pub(crate) fn new(first: Arc<Current>, readiness: Readiness) -> Self {
        Self { first, readiness, runs: OnceLock::new() }
    }

    /// This runs; said once.
    pub(crate) fn found(&self, runs: Runs) {
        let _ = self.runs.set(runs);
    }
}

#[tonic::async_trait]
impl Facts for Known {
    async fn view(&self) -> Option<Arc<View>> {
        self.runs.get()?.store.view().await.ok()
    }

    async fn decide(&self, channel: Box<str>, decision: Manual) -> bool {
        let Some(runs) = self.runs.get() else { return false };
        runs.store.tell(Event::Decided { channel, decision }).await.is_ok()
    }

    async fn reload(&self) -> Reloaded {
        let Some(runs) = self.runs.get() else {
            return Reloaded::Refused { problems: vec!["it is still starting; ask again".to_owned()] };
        };
        match runs.reload.now(Cause::Call).await {
            Ok(summary) => Reloaded::Accepted { generation: summary.generation, changed: summary.changed },
            Err(problems) => Reloaded::Refused { problems: problems.lines().map(str::to_owned).collect() },
        }
    }

    fn config(&self) -> ConfigFacts {
        let runs = self.runs.get();
        let current = runs.map_or_else(|| Arc::clone(&self.first), |runs| Arc::clone(&runs.reload.current().borrow()));
        let refused = runs.and_then(|runs| runs.reload.refused().borrow().clone());
        ConfigFacts {
            generation: current.generation.clone(),
            effective: Arc::from(&*current.loaded.effective),
            loaded: current.loaded_at,
            warnings: current.warnings.clone(),
            refused: refused.map(|it| RefusedConfig {
                at: it.at,
                cause: it.cause.name(),
                problems: it.problems.lines().map(str::to_owned).collect(),
            }),
        }
    }

    fn nodes(&self) -> Vec<NodeConfig> {
        self.runs
            .get()
            .map(|runs| runs.nodes.subscribe().borrow().values().map(node_config).collect())
            .unwrap_or_default()
    }

    fn counters(&self) -> Counters {
        let Some(runs) = self.runs.get() else { return Counters::default() };
        let counts = runs.tally.counts();
        let notices = runs.sources.queues();
        let notices_missed = notices.iter().map(|queue| queue.dropped).sum();
        let streams = runs.streams.open();
        let mut queues = runs.store.queues(streams);
        queues.extend(notices);
        queues.extend([runs.bus.queue(), runs.reload.queue()]);
        queues.extend(runs.keeper.as_ref().map(Keeper::queue));
        Counters {
            reloads_accepted: counts.reloads,
            reloads_refused: counts.reloads_refused,
            answers: counts.answers(),
            restarts: runs.sources.supervisor.panics().into_iter().collect(),
            queues,
            streams,
            stream_troubles: runs.streams.troubles(),
            notices_missed,
            hub: runs.hub.counts(),
            feeds: counts.feeds,
        }
    }

    async fn feeds(&self) -> Vec<FeedRow> {
        match self.runs.get() {
            Some(runs) => runs.hub.feeds().await,
            None => Vec::new(),
        }
    }

    fn history(&self) -> Option<History> {
        Some(self.runs.get()?.history.clone())
    }

    fn missing(&self) -> Vec<String> {
        self.readiness.missing()
    }
}

fn node_config(node: &Node) -> NodeConfig {
    let acks = node.accepted.iter().map(|(kind, it)| Ack {
        at: wall(it.at),
        resource_type: kind.name(),
        resources: it.resources,
        after: it.after,
    });
    let nacks = node.refused.iter().map(|it| Nack {
        at: wall(it.at),
        resource_type: it.kind.name(),
        names: it.names.clone(),
        detail: it.detail.clone(),
    });
    let progress = node.progress.as_ref();
    NodeConfig {
        node: node.id.clone(),
        connected: wall(node.connected),
        gone: node.gone.map(wall),
        wanted: progress.map(|it| it.wanted.clone()),
        in_force: progress.and_then(|it| it.in_force.clone()),
        phase: progress.map_or("new", |it| it.phase.name()),
        held: progress.is_some_and(|it| it.held),
        without: progress.map(|it| it.without.iter().cloned().collect()).unwrap_or_default(),
        acks: acks.collect(),
        nacks: nacks.collect(),
    }
}

/// These timestamps are of the wall clock.
fn wall(at: Timestamp) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(at.as_millis())
}
