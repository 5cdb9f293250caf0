//! What the API asks, answered out of what runs.
//!
//! Duty: be the API's [`Facts`]: the store for the fleet, reload for the configuration, the nodes for the Envoys.
//! Invariant: nothing is kept here; every answer is of now.
//! Leaves to others: all of it.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lasso_routing::fleet::event::{Event, Manual};
use lasso_routing::fleet::view::View;
use lasso_routing::time::Timestamp;

use crate::events::relay::Tally;
use crate::history::History;
use crate::http::facts::{Ack, ConfigFacts, Counters, Facts, Nack, NodeConfig, Queue, RefusedConfig, Reloaded};
use crate::reload::{Cause, Reload};
use crate::store::Store;
use crate::supervise::Supervisor;
use crate::sync::Counts;
use crate::xds::nodes::{Node, Nodes};

/// Handles to what runs.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) store: Store,
    pub(crate) history: History,
    pub(crate) reload: Reload,
    pub(crate) nodes: Nodes,
    pub(crate) tally: Tally,
    pub(crate) supervisor: Supervisor,
    pub(crate) streams: Arc<Counts>,
}

#[tonic::async_trait]
impl Facts for Known {
    async fn view(&self) -> Option<Arc<View>> {
        self.store.view().await.ok()
    }

    async fn decide(&self, channel: Box<str>, decision: Manual) -> bool {
        self.store.tell(Event::Decided { channel, decision }).await.is_ok()
    }

    async fn reload(&self) -> Reloaded {
        match self.reload.now(Cause::Call).await {
            Ok(summary) => Reloaded::Accepted { generation: summary.generation, changed: summary.changed },
            Err(problems) => Reloaded::Refused { problems: problems.lines().map(str::to_owned).collect() },
        }
    }

    fn config(&self) -> ConfigFacts {
        let current = Arc::clone(&self.reload.current().borrow());
        let refused = self.reload.refused().borrow().clone();
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
        self.nodes.subscribe().borrow().values().map(node_config).collect()
    }

    fn counters(&self) -> Counters {
        let counts = self.tally.counts();
        let (depth, high_water, capacity) = self.store.fill();
        // Who finds no room waits.
        let store = Queue { name: "store", depth, high_water, capacity, dropped: 0 };
        Counters {
            reloads_accepted: counts.reloads,
            reloads_refused: counts.reloads_refused,
            answers: counts.answers(),
            restarts: self.supervisor.panics().into_iter().collect(),
            queues: vec![store],
            streams: self.streams.open(),
            stream_troubles: self.streams.troubles(),
            notices_missed: counts.missed,
        }
    }

    fn history(&self) -> Option<History> {
        Some(self.history.clone())
    }

    // The listeners are bound and the store is restored before this one listens.
    fn missing(&self) -> Vec<String> {
        Vec::new()
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
