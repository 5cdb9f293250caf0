//! What the hub is started with.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use rustls::ClientConfig;
use tokio::net::TcpListener;
use tokio::sync::{broadcast, watch};

use crate::{Notice, Site};

/// Everything that the hub is given.
pub struct Setup {
    /// Where Envoy comes in: `listen.hub`.
    pub listener: TcpListener,
    /// What exists; followed.
    pub site: watch::Receiver<Arc<Site>>,
    /// How the fleet sees the channels; followed.
    pub standings: watch::Receiver<Arc<Standings>>,
    /// For providers behind TLS; each dial goes by what is there then.
    pub tls: watch::Receiver<Arc<ClientConfig>>,
    /// Where the hub tells what happens.
    pub notices: broadcast::Sender<Notice>,
    /// Who starts tasks again.
    pub supervisor: Arc<dyn Supervise>,
    /// Turns true when everything must end.
    pub drain: watch::Receiver<bool>,
}

impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setup").field("listener", &self.listener).finish_non_exhaustive()
    }
}

/// How the fleet sees the channels of transport `ws`, by id.
pub type Standings = BTreeMap<Arc<str>, Standing>;

/// How the fleet sees one channel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    /// Its breaker lets calls through, and it is not barred.
    pub usable: bool,
    /// Its provider's head, as probes and calls saw it.
    pub head: Option<u64>,
    /// The head that the chain is believed to have.
    pub best: Option<u64>,
}

/// A task, as the supervisor runs it.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs tasks that may panic.
pub trait Supervise: Send + Sync + 'static {
    /// Runs the task that `start` makes until it ends by itself; after a panic, makes it again.
    fn keep_up(&self, name: &'static str, start: Box<dyn FnMut() -> Task + Send>) -> Task;
    /// Runs what cannot be started again; a panic is told.
    fn outlive(&self, name: &'static str, task: Task) -> Task;
}
