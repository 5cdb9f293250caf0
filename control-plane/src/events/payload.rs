//! What each event says. The names of these types are the names of the schemas in the OpenAPI document.
//!
//! Invariant: plain words and numbers; lengths of time carry their unit in the name of the field; nothing here is secret.

use serde::Serialize;
use utoipa::ToSchema;

/// A breaker opened: the channel gets no traffic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct BreakerOpened {
    pub(crate) channel: String,
    /// Category of the failures; `null` when a person did it.
    pub(crate) because: Option<&'static str>,
    /// For how long; `null` until told otherwise.
    pub(crate) length_ms: Option<u64>,
}

/// Something about a channel that needs no more words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ChannelOnly {
    pub(crate) channel: String,
}

/// A breaker closed: traffic flows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct BreakerClosed {
    pub(crate) channel: String,
    /// A person did it.
    pub(crate) manual: bool,
}

/// A provider asked us to slow down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct RateLimited {
    pub(crate) channel: String,
    pub(crate) length_ms: u64,
}

/// `healthy`, `degraded` or `unhealthy`, before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct HealthChanged {
    pub(crate) channel: String,
    pub(crate) from: &'static str,
    pub(crate) to: &'static str,
}

/// A channel will not be asked whatever its breaker says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ChannelBarred {
    pub(crate) channel: String,
    pub(crate) because: &'static str,
}

/// Something about an Envoy that needs no more words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct NodeOnly {
    /// Envoy's node id.
    pub(crate) node: String,
}

/// A worker had no room for a part of what it saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ReportsDropped {
    pub(crate) node: String,
    /// Attempts counted under `other`, without latencies.
    pub(crate) coarsened: u64,
    /// Decisions that were not sampled.
    pub(crate) decisions: u64,
    /// Learned limits that were forgotten.
    pub(crate) lessons: u64,
    /// Attempts that are counted nowhere.
    pub(crate) lost: u64,
}

/// One sampled request as it was routed.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Decision {
    /// As in the request's meta.
    pub(crate) request_id: String,
    pub(crate) profile: String,
    pub(crate) chain: String,
    /// Method class.
    pub(crate) method: &'static str,
    pub(crate) strategy: String,
    /// Why the first candidate was the first.
    pub(crate) reason: String,
    /// How many candidates there were.
    pub(crate) candidates: u32,
    pub(crate) attempts: Vec<Attempt>,
    /// The client got an answer of a provider.
    pub(crate) answered: bool,
    /// How long screening and planning took.
    pub(crate) selection_us: u64,
    pub(crate) total_us: u64,
}

/// One attempt of a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Attempt {
    pub(crate) channel: String,
    pub(crate) outcome: String,
    pub(crate) latency_us: u64,
}

/// A configuration is in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ConfigLoaded {
    pub(crate) generation: String,
    /// Clusters that came.
    pub(crate) added: Vec<String>,
    /// Clusters that went.
    pub(crate) removed: Vec<String>,
}

/// A configuration was refused; what was in force still is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ConfigRefused {
    /// As `lasso check` prints them.
    pub(crate) problems: Vec<String>,
}

/// An Envoy accepted resources.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct XdsAcked {
    pub(crate) node: String,
    /// `clusters`, `routes`, `filters` or `listeners`.
    pub(crate) resource_type: &'static str,
    pub(crate) resources: usize,
    pub(crate) after_ms: u64,
}

/// An Envoy refused resources. They are not sent again until they change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct XdsRefused {
    pub(crate) node: String,
    pub(crate) resource_type: &'static str,
    pub(crate) names: Vec<String>,
    /// What Envoy said, masked and cut.
    pub(crate) detail: String,
}

/// An Envoy routes by this generation now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ConfigInForce {
    pub(crate) node: String,
    pub(crate) generation: String,
}

/// A task of the control plane panicked and was started again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct TaskRestarted {
    pub(crate) task: &'static str,
    /// How often, since the start.
    pub(crate) restarts: u64,
}

/// This subscriber was too slow for so many events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Skipped {
    pub(crate) count: u64,
}
