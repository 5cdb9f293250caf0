//! What the API asks of the rest of the control plane.
//!
//! Duty: name the questions and the shape of their answers, so that the API knows neither the store nor reload nor xDS.
//! Invariant: plain data, and no secrets in it.
//! Leaves to others: answering.

use std::sync::Arc;
use std::time::SystemTime;

use lasso_hub::FeedRow;
use lasso_routing::fleet::event::Manual;
use lasso_routing::fleet::view::View;
use lasso_routing::time::Millis;

use crate::events::relay::FeedCounts;
use crate::history::History;

/// The control plane, as the API sees it.
#[tonic::async_trait]
pub(crate) trait Facts: Send + Sync + 'static {
    /// What the fleet knows now. `None` while nobody answers: the store is restored or restarted.
    async fn view(&self) -> Option<Arc<View>>;

    /// A person decided about a breaker. `false` when nobody took it.
    async fn decide(&self, channel: Box<str>, decision: Manual) -> bool;

    /// Reads the configuration again and says what came of it, once it is in force or refused.
    async fn reload(&self) -> Reloaded;

    /// The configuration in force, and the last one that was refused.
    fn config(&self) -> ConfigFacts;

    /// Envoys with an xDS stream, or that had one lately.
    fn nodes(&self) -> Vec<NodeConfig>;

    /// What only the shell counts.
    fn counters(&self) -> Counters;

    /// The feeds that there are.
    async fn feeds(&self) -> Vec<FeedRow>;

    /// What was. `None` while it is not there yet.
    fn history(&self) -> Option<History>;

    /// What is missing until this control plane is of use; empty when nothing is.
    fn missing(&self) -> Vec<String>;
}

/// How a reload ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reloaded {
    /// In force, or on its way to the Envoys.
    Accepted { generation: String, changed: bool },
    /// Nothing changed; these problems were found.
    Refused { problems: Vec<String> },
}

/// The configuration.
#[derive(Debug, Clone)]
pub(crate) struct ConfigFacts {
    pub(crate) generation: String,
    /// With defaults, as YAML, secrets masked.
    pub(crate) effective: Arc<str>,
    pub(crate) loaded: SystemTime,
    pub(crate) warnings: Vec<String>,
    pub(crate) refused: Option<RefusedConfig>,
}

/// A configuration that was refused since the one in force was loaded.
#[derive(Debug, Clone)]
pub(crate) struct RefusedConfig {
    pub(crate) at: SystemTime,
    /// What made us read it.
    pub(crate) cause: &'static str,
    pub(crate) problems: Vec<String>,
}

/// One xDS stream of an Envoy, open or lately ended: what it has of what it should have.
#[derive(Debug, Clone)]
pub(crate) struct NodeConfig {
    pub(crate) node: String,
    pub(crate) connected: SystemTime,
    /// When the stream ended.
    pub(crate) gone: Option<SystemTime>,
    /// The generation it is led to.
    pub(crate) wanted: Option<String>,
    /// The generation that its filters route by.
    pub(crate) in_force: Option<String>,
    /// The step of its rollout.
    pub(crate) phase: &'static str,
    /// Something was refused, and is not sent again until it changes.
    pub(crate) held: bool,
    /// Clusters that it refused, and that its catalog leaves out.
    pub(crate) without: Vec<String>,
    /// The last that it accepted of each type.
    pub(crate) acks: Vec<Ack>,
    /// The last that it refused of each type, until it accepts something of that type.
    pub(crate) nacks: Vec<Nack>,
}

/// Resources that an Envoy accepted.
#[derive(Debug, Clone)]
pub(crate) struct Ack {
    pub(crate) at: SystemTime,
    pub(crate) resource_type: &'static str,
    pub(crate) resources: usize,
    pub(crate) after: Millis,
}

/// Resources that an Envoy refused.
#[derive(Debug, Clone)]
pub(crate) struct Nack {
    pub(crate) at: SystemTime,
    pub(crate) resource_type: &'static str,
    pub(crate) names: Vec<String>,
    /// Masked and cut.
    pub(crate) detail: String,
}

/// Counts since the start.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counters {
    pub(crate) reloads_accepted: u64,
    pub(crate) reloads_refused: u64,
    /// Acks and nacks by resource type.
    pub(crate) answers: Vec<XdsAnswers>,
    /// Restarts by task.
    pub(crate) restarts: Vec<(&'static str, u64)>,
    pub(crate) queues: Vec<Queue>,
    /// Sync streams that are open.
    pub(crate) streams: u64,
    /// What went wrong with Sync streams, by kind.
    pub(crate) stream_troubles: Vec<(&'static str, u64)>,
    /// Notices that came faster than they became events.
    pub(crate) notices_missed: u64,
    /// Clients' sockets.
    pub(crate) hub: lasso_hub::Counts,
    /// Feeds, and sockets to providers.
    pub(crate) feeds: FeedCounts,
}

/// What Envoys said to resources of one type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct XdsAnswers {
    pub(crate) resource_type: &'static str,
    pub(crate) acks: u64,
    pub(crate) nacks: u64,
}

/// A bounded queue.
#[derive(Debug, Clone)]
pub(crate) struct Queue {
    pub(crate) name: &'static str,
    pub(crate) depth: u64,
    pub(crate) capacity: u64,
    /// The deepest it was.
    pub(crate) high_water: u64,
    /// What found no room.
    pub(crate) dropped: u64,
}
