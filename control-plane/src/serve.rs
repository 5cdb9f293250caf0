//! `lasso serve`.
//!
//! Duty: listen, start every task, and end them all on one signal.
//! Invariant: the API listens first, and says what is missing; Envoys are served only once everything they get is encoded. Logs go to standard error as JSON and hold no secrets.
//! Leaves to others: the streams (`xds::service`), another configuration (`reload`).

pub(crate) mod api;
mod facts;
mod fleet;
mod logging;
pub(crate) mod readiness;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_server::AggregatedDiscoveryServiceServer;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tracing::{info, warn};

use crate::history::{Kept, Pace};
use crate::hub;
use crate::notice::Notices;
use crate::reload::{Cause, Current, Loader, Reload, Reloader};
use crate::supervise::Supervisor;
use crate::sync::SyncService;
use crate::xds::nodes::Nodes;
use crate::xds::service::Ads;
use api::Front;
use readiness::{ADS, CONFIGURATION, HUB, Readiness, STORE, SYNC};

/// The hub says that it needs less.
const FAREWELL: Duration = Duration::from_secs(12);

/// Serves until SIGINT or SIGTERM.
pub(crate) fn serve(loader: Loader, first: Current) -> anyhow::Result<()> {
    let log = logging::start(&first.loaded.config.log_level)?;
    if !first.site.filter.path.is_file() {
        warn!(filter = %first.site.filter.path.display(), "no filter here; Envoy must find it there");
    }
    for warning in &first.warnings {
        warn!(warning, "configuration");
    }
    for key in &first.loaded.not_in_effect {
        warn!(key, "set, and not in effect yet");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut writer = None;
    let ended = runtime.block_on(async {
        let stop = stop_signal()?;
        let (http, first) = (first.loaded.config.listen_http, Arc::new(first));
        let token = api::token();
        let front = Front::open(http, Arc::clone(&first), token.as_deref()).await?;
        info!(address = %front.address, token = token.is_some(), "serving the API");
        let data_dir = first.loaded.config.data_dir.clone();
        // It may take a while, and whoever asks meanwhile is answered.
        let mut kept = tokio::task::spawn_blocking(move || Kept::open(data_dir.as_deref(), Pace::default())).await??;
        writer = kept.writer.take();
        let (loader, first) = loader.with_tokens(kept.tokens.clone(), &first)?;
        let address = first.loaded.config.listen_xds;
        let listener =
            TcpListener::bind(address).await.with_context(|| format!("listen.xds: cannot listen on {address}"))?;
        let (generation, channels) = (first.generation.clone(), first.deployment.clusters.len());
        info!(%address, generation, channels, "serving xds");
        let (mut running, reloader) = Running::new(loader, first, front.drain.clone());
        running.start(reloader)?;
        front.readiness.has(CONFIGURATION);
        running.tasks.spawn(log.follow(running.reload.current()));
        let fleet = fleet::start(&mut running, &mut kept).await?;
        let sockets = hub::listen(running.reload.current().borrow().loaded.config.listen_hub).await?;
        let hub = hub::start(&mut running, sockets, &fleet.store, &kept.tokens.hub)?;
        front.start(&mut running, &fleet, &hub);
        front.readiness.has(STORE);
        front.readiness.has(HUB);
        let served = running.serve(listener, Some(fleet.sync), &front.readiness, stop).await;
        running.farewell().await;
        served
    });
    // Every task has ended, so nothing more comes to be written.
    drop(runtime);
    if let Some(writer) = writer {
        writer.stop();
    }
    info!("stopped");
    ended
}

/// What is running, and what a task that is added needs: the configuration in effect, the Envoys, what happens, the end.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) reload: Reload,
    pub(crate) nodes: Nodes,
    pub(crate) notices: Notices,
    pub(crate) supervisor: Supervisor,
    /// Turns true when everything must end.
    pub(crate) drain: watch::Sender<bool>,
    /// They end with this struct.
    pub(crate) tasks: JoinSet<()>,
    /// The hub, which has to take leave of its clients.
    pub(crate) hub: JoinSet<()>,
}

impl Running {
    pub(crate) fn new(loader: Loader, first: Current, drain: watch::Sender<bool>) -> (Self, Reloader) {
        let notices = Notices::new();
        let (reload, reloader) = Reload::new(loader, first, notices.clone());
        (
            Self {
                reload,
                nodes: Nodes::new(),
                notices,
                supervisor: Supervisor::new(),
                drain,
                tasks: JoinSet::new(),
                hub: JoinSet::new(),
            },
            reloader,
        )
    }

    /// Starts every task; this is the place to add one.
    pub(crate) fn start(&mut self, reloader: Reloader) -> anyhow::Result<()> {
        self.tasks.spawn(reloader.run(self.reload.clone(), self.supervisor.clone(), self.drain.subscribe()));
        let mut hang_up = signal(SignalKind::hangup())?;
        let reload = self.reload.clone();
        self.tasks.spawn(async move {
            while hang_up.recv().await.is_some() {
                // Whatever comes of it is logged there.
                let _ = reload.now(Cause::Signal).await;
            }
        });
        Ok(())
    }

    /// Waits until the hub's clients know that it goes; what it waits for itself is bounded.
    async fn farewell(&mut self) {
        let leave = async { while self.hub.join_next().await.is_some() {} };
        if timeout(FAREWELL, leave).await.is_err() {
            warn!("clients' sockets were cut");
        }
    }

    /// Serves Envoys until `stop`; then everything is told to end.
    pub(crate) async fn serve(
        &self,
        listener: TcpListener,
        sync: Option<SyncService>,
        readiness: &Readiness,
        stop: impl Future<Output = ()>,
    ) -> anyhow::Result<()> {
        let ads = Ads::new(self);
        let server = Server::builder()
            .http2_keepalive_interval(Some(Duration::from_secs(10)))
            .http2_keepalive_timeout(Some(Duration::from_secs(5)))
            .tcp_nodelay(true)
            .add_service(AggregatedDiscoveryServiceServer::new(ads))
            .add_optional_service(sync.map(SyncService::into_server));
        let drained = async {
            stop.await;
            info!("draining");
            // Streams end on this; a graceful server waits for them.
            self.drain.send_replace(true);
        };
        // It is bound: who connects now is heard.
        readiness.has(ADS);
        readiness.has(SYNC);
        server.serve_with_incoming_shutdown(TcpListenerStream::new(listener), drained).await?;
        Ok(())
    }
}

fn stop_signal() -> anyhow::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

#[cfg(test)]
mod tests;
