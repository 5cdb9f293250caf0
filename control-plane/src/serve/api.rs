//! The API, and what feeds it.
//!
//! Duty: listen on `listen.http`, before anything else is there, and start the tasks behind it.
//! Invariant: a listener that others than this machine can reach does not start without a token.
//! Leaves to others: routes (`http`), answers (`facts`).

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Running;
use super::facts::{Known, Runs};
use super::fleet::Fleet;
use super::readiness::{ADS, CONFIGURATION, HUB, Readiness, STORE, SYNC};
use crate::events::Bus;
use crate::events::relay::{self, Meters, Sources, Tally};
use crate::http;
use crate::http::facts::Facts;
use crate::http::guard::{Guard, TOKEN_VARIABLE};
use crate::hub::Started;
use crate::reload::Current;

/// The API, while what it tells of is not there yet.
#[derive(Debug)]
pub(crate) struct Front {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    pub(crate) readiness: Readiness,
    /// Turns true when everything must end.
    pub(crate) drain: watch::Sender<bool>,
    known: Arc<Known>,
    bus: Bus,
    /// It ends with this struct.
    _serving: JoinSet<()>,
}

impl Front {
    /// Listens at `address` and serves. `token` is for what changes something.
    pub(crate) async fn open(address: SocketAddr, first: Arc<Current>, token: Option<&str>) -> anyhow::Result<Self> {
        let guard = Guard::new(address, token)?;
        let listener =
            TcpListener::bind(address).await.with_context(|| format!("listen.http: cannot listen on {address}"))?;
        let address = listener.local_addr()?;
        let (bus, (drain, draining)) = (Bus::new(&first.loaded.config.region), watch::channel(false));
        let readiness = Readiness::of(&[CONFIGURATION, STORE, HUB, ADS, SYNC]);
        let known = Arc::new(Known::new(first, readiness.clone()));
        let facts: Arc<dyn Facts> = Arc::<Known>::clone(&known);
        let mut serving = JoinSet::new();
        serving.spawn(http::serve(listener, facts, bus.clone(), guard, draining));
        Ok(Self { address, readiness, drain, known, bus, _serving: serving })
    }

    /// From now on it tells of what runs.
    pub(crate) fn start(&self, running: &mut Running, fleet: &Fleet, hub: &Started) {
        let (supervisor, drain) = (running.supervisor.clone(), running.drain.subscribe());
        let (bus, tally) = (self.bus.clone(), Tally::default());
        let notices = fleet.notices.clone();
        let sources = Sources {
            fleet: notices,
            shell: running.notices.clone(),
            supervisor: supervisor.clone(),
            hub: hub.notices.clone(),
            meters: Meters::default(),
        };
        self.known.found(Runs {
            store: fleet.store.clone(),
            history: fleet.history.clone(),
            reload: running.reload.clone(),
            nodes: running.nodes.clone(),
            tally: tally.clone(),
            sources: sources.clone(),
            bus: bus.clone(),
            keeper: fleet.keeper.clone(),
            streams: fleet.sync.counts(),
            hub: hub.hub.clone(),
        });
        running.tasks.spawn(async move {
            supervisor.keep_up("events", || relay::run(&sources, bus.clone(), tally.clone(), drain.clone())).await;
        });
    }
}

/// The token of the environment.
pub(crate) fn token() -> Option<String> {
    std::env::var(TOKEN_VARIABLE).ok()
}

#[cfg(test)]
mod tests;
