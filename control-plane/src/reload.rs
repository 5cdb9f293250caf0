//! Another configuration while `lasso serve` runs.
//!
//! Duty: read the file when it changes, on a signal, or when somebody asks; put the new configuration into effect for everybody at once.
//! Invariant: whole or not at all: what is published was read, checked, compiled and encoded without a mistake. A file with a mistake
//! changes nothing; why is logged, and kept until a good one is there.
//! Leaves to others: making it (`loader`), seeing a change (`watcher`), bringing it to each Envoy (`xds::session`).

pub(crate) mod loader;
mod watcher;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tracing::{debug, error, info, warn};

use crate::compile::names::{Identity, Names};
use crate::http::facts::Queue;
use crate::notice::{Notice, Notices};
use crate::queue::{Meter, waiting};
use crate::supervise::Supervisor;
pub(crate) use loader::{Current, Loader};

/// Orders that wait.
const MOST_WAITING: usize = 64;

/// Why there is another configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The file changed.
    File,
    /// SIGHUP.
    Signal,
    /// Somebody asked over the API.
    Call,
    /// An Envoy has another place under one of its names.
    Name,
}

impl Cause {
    /// Name in the API.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Signal => "signal",
            Self::Call => "call",
            Self::Name => "name",
        }
    }
}

/// What a reload did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Summary {
    /// What is in effect now.
    pub(crate) generation: String,
    /// Whether anything is different.
    pub(crate) changed: bool,
    /// Clusters that came.
    pub(crate) added: Vec<String>,
    /// Clusters that went.
    pub(crate) removed: Vec<String>,
    pub(crate) warnings: Vec<String>,
}

/// A configuration that is not in effect, and why.
#[derive(Debug, Clone)]
pub(crate) struct Refused {
    pub(crate) at: SystemTime,
    pub(crate) cause: Cause,
    /// As `lasso check` prints them, one to a line.
    pub(crate) problems: String,
}

#[derive(Debug)]
enum Order {
    Read(Cause, Option<oneshot::Sender<Result<Summary, String>>>),
    /// An Envoy has clusters by these names that lead there.
    Taken(Vec<(String, Identity)>),
    #[cfg(test)]
    Panic,
}

/// The way to ask for a reload, and to what is in effect. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Reload {
    orders: mpsc::Sender<Order>,
    meter: Meter,
    current: watch::Receiver<Arc<Current>>,
    refused: watch::Receiver<Option<Arc<Refused>>>,
}

impl Reload {
    /// Begins with what was loaded at the start.
    pub(crate) fn new(loader: Loader, first: Current, notices: Notices) -> (Self, Reloader) {
        let (orders, inbox) = mpsc::channel(MOST_WAITING);
        let (current, refused) = (watch::Sender::new(Arc::new(first)), watch::Sender::new(None));
        let meter = Meter::default();
        let handle = Self { orders, meter: meter.clone(), current: current.subscribe(), refused: refused.subscribe() };
        let names = Names::default().after(&current.borrow().deployment);
        (handle, Reloader { loader: Arc::new(loader), names, inbox, meter, current, refused, notices })
    }

    /// Reads the configuration now. The error is every mistake in it.
    pub(crate) async fn now(&self, cause: Cause) -> Result<Summary, String> {
        let (reply, replied) = oneshot::channel();
        let gone = "`lasso serve` is stopping";
        self.orders.send(Order::Read(cause, Some(reply))).await.map_err(|_| gone.to_owned())?;
        replied.await.map_err(|_| "it was not read to its end; ask again".to_owned())?
    }

    /// What is in effect, and every change of it.
    pub(crate) fn current(&self) -> watch::Receiver<Arc<Current>> {
        self.current.clone()
    }

    /// Why the configuration that is there is not in effect; nothing while it is.
    pub(crate) fn refused(&self) -> watch::Receiver<Option<Arc<Refused>>> {
        self.refused.clone()
    }

    /// Orders that wait. Who finds no room waits.
    pub(crate) fn queue(&self) -> Queue {
        self.meter.shown("reload_orders", waiting(&self.orders) as u64, MOST_WAITING as u64)
    }

    /// An Envoy has clusters by these names that lead elsewhere: the configuration's own need others.
    pub(crate) async fn taken(&self, clusters: Vec<(String, Identity)>) {
        // Nobody is there any more when everything ends.
        let _ = self.orders.send(Order::Taken(clusters)).await;
    }
}

/// The task that owns what is in effect.
#[derive(Debug)]
pub(crate) struct Reloader {
    loader: Arc<Loader>,
    names: Names,
    inbox: mpsc::Receiver<Order>,
    meter: Meter,
    current: watch::Sender<Arc<Current>>,
    refused: watch::Sender<Option<Arc<Refused>>>,
    notices: Notices,
}

impl Reloader {
    /// Works until `drain` turns true, and watches the file; each is started again after a panic, with what was in effect before it.
    pub(crate) async fn run(self, handle: Reload, supervisor: Supervisor, mut drain: watch::Receiver<bool>) {
        let path = self.loader.path().to_owned();
        let reloader = Arc::new(Mutex::new(self));
        let work = || {
            let reloader = Arc::clone(&reloader);
            async move { reloader.lock().await.work().await }
        };
        let watch = || watcher::watch(path.clone(), handle.orders.clone());
        tokio::select! {
            _ = drain.wait_for(|drain| *drain) => {}
            () = supervisor.keep_up("reload", work) => {}
            () = supervisor.keep_up("watch", watch) => {}
        }
    }

    async fn work(&mut self) {
        while let Some(order) = self.inbox.recv().await {
            self.meter.seen(self.inbox.len() + 1);
            match order {
                Order::Read(cause, reply) => {
                    let done = self.read(cause).await;
                    if let Some(reply) = reply {
                        // Who asked may be gone.
                        let _ = reply.send(done);
                    }
                }
                Order::Taken(clusters) => self.rename(clusters).await,
                #[cfg(test)]
                Order::Panic => panic!("as the test asked"),
            }
        }
    }

    async fn read(&mut self, cause: Cause) -> Result<Summary, String> {
        let (loader, before, names) = (Arc::clone(&self.loader), self.in_effect(), self.names.clone());
        let loaded = tokio::task::spawn_blocking(move || loader.reload(&before, &names)).await;
        match loaded.unwrap_or_else(|error| Err(error.into())) {
            Ok(next) => {
                self.refused.send_replace(None);
                Ok(self.publish(next, cause))
            }
            Err(error) => {
                let problems = format!("{error:#}");
                for problem in problems.lines() {
                    error!(?cause, problem, "configuration refused; the one from before stays in effect");
                }
                let refused = Refused { at: SystemTime::now(), cause, problems: problems.clone() };
                self.refused.send_replace(Some(Arc::new(refused)));
                self.notices.tell(Notice::ReloadRefused { problems: problems.clone() });
                Err(problems)
            }
        }
    }

    /// The same configuration once more, under names that are free.
    async fn rename(&mut self, taken: Vec<(String, Identity)>) {
        for (name, identity) in taken {
            self.names.bind(&name, identity);
        }
        // Every Envoy says the same, and the first one was enough.
        if self.names.allow(&self.current.borrow().deployment) {
            return;
        }
        let (loader, before, names) = (Arc::clone(&self.loader), self.in_effect(), self.names.clone());
        let loaded = tokio::task::spawn_blocking(move || loader.again(&before, &names)).await;
        match loaded.unwrap_or_else(|error| Err(error.into())) {
            Ok(next) => {
                self.publish(next, Cause::Name);
            }
            Err(error) => error!(error = format!("{error:#}"), "a name cannot be changed"),
        }
    }

    fn in_effect(&self) -> Arc<Current> {
        Arc::clone(&self.current.borrow())
    }

    fn publish(&mut self, next: Current, cause: Cause) -> Summary {
        let before = self.in_effect();
        let clusters = |current: &Current| -> BTreeSet<String> {
            current.deployment.clusters.iter().map(|plan| plan.name.clone()).collect()
        };
        let (old, new) = (clusters(&before), clusters(&next));
        let summary = Summary {
            generation: next.generation.clone(),
            changed: !next.is_like(&before),
            added: new.difference(&old).cloned().collect(),
            removed: old.difference(&new).cloned().collect(),
            warnings: next.warnings.clone(),
        };
        if !summary.changed {
            let generation = &summary.generation;
            match cause {
                // Somebody waits for a word.
                Cause::Signal | Cause::Call => info!(?cause, generation, "configuration unchanged"),
                Cause::File | Cause::Name => debug!(?cause, generation, "configuration unchanged"),
            }
            return summary;
        }
        for warning in &summary.warnings {
            warn!(warning, "configuration");
        }
        for key in &next.loaded.not_in_effect {
            warn!(key, "set, and not in effect yet");
        }
        let Summary { generation, added, removed, .. } = summary.clone();
        info!(?cause, generation, ?added, ?removed, "configuration in effect");
        self.names = std::mem::take(&mut self.names).after(&next.deployment);
        self.current.send_replace(Arc::new(next));
        self.notices.tell(Notice::Reloaded { generation, added, removed });
        summary
    }
}

#[cfg(test)]
mod tests;
