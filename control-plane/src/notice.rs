//! What happened, for whoever wants to hear of it: a log, a stream of events, a counter.
//!
//! Duty: name the things that `reload` and `xds` tell of, and carry them to any number of listeners.
//! Invariant: the channel is bounded ([`MOST_WAITING`]); a listener that is slow loses the oldest ones and is told how many. No text holds a secret.
//! Leaves to others: showing and keeping them.

use tokio::sync::broadcast;

use crate::xds::snapshot::ResourceType;

/// Notices that wait for the slowest listener.
pub(crate) const MOST_WAITING: usize = 1_024;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Notice {
    /// Another configuration is in effect.
    Reloaded { generation: String, added: Vec<String>, removed: Vec<String> },
    /// A configuration was refused, and the one from before stays.
    ReloadRefused { problems: String },
    /// An Envoy opened its stream.
    Connected { node: String },
    /// An Envoy's stream ended.
    Disconnected { node: String },
    /// An Envoy acked.
    Accepted { node: String, kind: ResourceType, resources: usize, after_ms: u64 },
    /// An Envoy nacked. What it said is masked and cut.
    Refused { node: String, kind: ResourceType, names: Vec<String>, detail: String },
    /// An Envoy's catalog is of this generation now.
    InForce { node: String, generation: String },
}

/// Where notices are handed in.
#[derive(Debug, Clone)]
pub(crate) struct Notices(broadcast::Sender<Notice>);

impl Notices {
    pub(crate) fn new() -> Self {
        Self(broadcast::Sender::new(MOST_WAITING))
    }

    /// Everything from now on.
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Notice> {
        self.0.subscribe()
    }

    /// What waits for the slowest listener.
    pub(crate) fn waiting(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn tell(&self, notice: Notice) {
        // Nobody may be listening.
        let _ = self.0.send(notice);
    }
}
