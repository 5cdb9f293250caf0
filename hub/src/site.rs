//! What exists, for the hub: from the configuration, whole, and replaced whole.
//!
//! Invariant: a [`Site`] was checked by whoever made it; its channels are the catalog's of transport `ws`. `Debug` shows no secret.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use lasso_routing::catalog::{Catalog, ChainIdx};
use lasso_subscription::{Kind, Settings};
use subtle::ConstantTimeEq;
use url::Url;

/// Everything that the hub serves.
#[derive(Debug)]
pub struct Site {
    /// What clients can name.
    pub catalog: Arc<Catalog>,
    /// The catalog's channels of transport `ws`.
    pub channels: Vec<WsChannel>,
    /// How each chain of the catalog deals with subscriptions.
    pub subscriptions: BTreeMap<ChainIdx, Settings>,
    /// `host:port` of Envoy's own listener: calls on clients' sockets and fills go there. `None`: they cannot be served.
    pub calls: Option<String>,
    /// What Envoy brings along to use a channel.
    pub token: HubToken,
    /// Bounds.
    pub limits: Limits,
}

/// Bounds of the hub, from the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Clients' sockets; over it an upgrade gets HTTP 503.
    pub sockets: usize,
    /// Subscriptions of one socket.
    pub subscriptions: usize,
    /// Sockets to each provider, for calls. One more carries its feeds.
    pub provider_sockets: usize,
    /// Largest message of a client, bytes.
    pub message_bytes: usize,
    /// Most calls in a batch.
    pub batch: usize,
}

/// One channel of transport `ws`.
#[derive(Clone)]
pub struct WsChannel {
    /// The catalog's id, `chain/provider/ws`.
    pub id: Arc<str>,
    /// The chain that it must serve.
    pub chain_id: u64,
    /// Where. A secret: providers put their keys here.
    pub url: Url,
    /// Headers of the upgrade. Secrets.
    pub headers: Vec<(String, String)>,
    /// What can be subscribed to, where the configuration says so.
    pub kinds: Option<Vec<Kind>>,
    /// Ascending: who is preferred among equals.
    pub priority: u32,
}

impl fmt::Debug for WsChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WsChannel").field("id", &self.id).finish_non_exhaustive()
    }
}

impl PartialEq for WsChannel {
    /// Whether a socket to the one is as good as a socket to the other.
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id && self.chain_id == other.chain_id && self.url == other.url && self.headers == other.headers
    }
}

/// What shows that a request to the hub's channels is Envoy's. A secret.
#[derive(Clone)]
pub struct HubToken(String);

impl HubToken {
    /// From the word that the catalog's channels carry.
    #[must_use]
    pub fn new(word: String) -> Self {
        Self(word)
    }

    /// Whether `given` is this word. Takes as long whatever is given.
    #[must_use]
    pub fn is(&self, given: &[u8]) -> bool {
        !self.0.is_empty() && bool::from(self.0.as_bytes().ct_eq(given))
    }
}

impl fmt::Debug for HubToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HubToken(***)")
    }
}
