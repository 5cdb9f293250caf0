//! The API, and what feeds it.
//!
//! Duty: listen on `listen.http` and start the tasks behind it.
//! Invariant: a listener that others than this machine can reach does not start without a token.
//! Leaves to others: routes (`http`), answers (`facts`).

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use tokio::net::TcpListener;
use tracing::info;

use super::Running;
use super::facts::Known;
use super::fleet::Fleet;
use crate::events::Bus;
use crate::events::relay::{self, Sources, Tally};
use crate::http;
use crate::http::guard::{Guard, TOKEN_VARIABLE};

/// Listens at `address` and starts; says where it listens. `token` is for what changes something.
pub(crate) async fn start(
    running: &mut Running,
    address: SocketAddr,
    token: Option<&str>,
    fleet: &Fleet,
) -> anyhow::Result<SocketAddr> {
    let guard = Guard::new(address, token)?;
    let listener =
        TcpListener::bind(address).await.with_context(|| format!("listen.http: cannot listen on {address}"))?;
    let address = listener.local_addr()?;
    let region = running.reload.current().borrow().loaded.config.region.clone();
    let (bus, tally) = (Bus::new(&region), Tally::default());
    let (supervisor, drain) = (running.supervisor.clone(), running.drain.subscribe());
    let notices = fleet.notices.clone();
    let sources = Sources { fleet: notices, shell: running.notices.clone(), supervisor: supervisor.clone() };
    let keeper = supervisor.clone();
    running.tasks.spawn({
        let (bus, tally) = (bus.clone(), tally.clone());
        async move {
            keeper.keep_up("events", || relay::run(&sources, bus.clone(), tally.clone(), drain.clone())).await;
        }
    });
    let facts = Known {
        store: fleet.store.clone(),
        history: fleet.history.clone(),
        reload: running.reload.clone(),
        nodes: running.nodes.clone(),
        tally,
        supervisor,
        streams: fleet.sync.counts(),
    };
    info!(%address, token = token.is_some(), "serving the API");
    running.tasks.spawn(http::serve(listener, Arc::new(facts), bus, guard, running.drain.subscribe()));
    Ok(address)
}

/// The token of the environment.
pub(crate) fn token() -> Option<String> {
    std::env::var(TOKEN_VARIABLE).ok()
}

#[cfg(test)]
mod tests;
