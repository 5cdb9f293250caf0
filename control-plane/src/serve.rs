//! `lasso serve`.
//!
//! Duty: listen, start every task, and end them all on one signal.
//! Invariant: it listens only once everything it will serve is encoded; logs go to standard error as JSON and hold no secrets.
//! Leaves to others: the streams (`xds::service`), another configuration (`reload`).

pub(crate) mod api;
mod facts;
mod fleet;
mod logging;

use std::future::Future;
use std::time::Duration;

use anyhow::Context;
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_server::AggregatedDiscoveryServiceServer;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tracing::{info, warn};

use crate::history::{Kept, Pace};
use crate::notice::Notices;
use crate::reload::{Cause, Current, Loader, Reload, Reloader};
use crate::supervise::Supervisor;
use crate::sync::SyncService;
use crate::xds::nodes::Nodes;
use crate::xds::service::Ads;

/// Serves until SIGINT or SIGTERM.
pub(crate) fn serve(loader: Loader, first: Current) -> anyhow::Result<()> {
    let log = logging::start(&first.loaded.config.log_level)?;
    if !first.site.filter.is_file() {
        warn!(filter = %first.site.filter.display(), "no filter here; Envoy must find it there");
    }
    for warning in &first.warnings {
        warn!(warning, "configuration");
    }
    for key in &first.loaded.not_in_effect {
        warn!(key, "set, and not in effect yet");
    }
    let mut kept = Kept::open(first.loaded.config.data_dir.as_deref(), Pace::default())?;
    let (loader, first) = loader.with_probe_token(kept.probe_token.clone(), &first)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(async {
        let address = first.loaded.config.listen_xds;
        let listener =
            TcpListener::bind(address).await.with_context(|| format!("listen.xds: cannot listen on {address}"))?;
        let (generation, channels) = (first.generation.clone(), first.deployment.clusters.len());
        info!(%address, generation, channels, "serving xds");
        let stop = stop_signal()?;
        let (mut running, reloader) = Running::new(loader, first);
        running.start(reloader)?;
        running.tasks.spawn(log.follow(running.reload.current()));
        let fleet = fleet::start(&mut running, &mut kept).await?;
        let http = running.reload.current().borrow().loaded.config.listen_http;
        api::start(&mut running, http, api::token().as_deref(), &fleet).await?;
        running.serve(listener, Some(fleet.sync), stop).await
    });
    // Every task has ended, so nothing more comes to be written.
    drop(runtime);
    if let Some(writer) = kept.writer.take() {
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
}

impl Running {
    pub(crate) fn new(loader: Loader, first: Current) -> (Self, Reloader) {
        let notices = Notices::new();
        let (reload, reloader) = Reload::new(loader, first, notices.clone());
        let (drain, _) = watch::channel(false);
        (
            Self { reload, nodes: Nodes::new(), notices, supervisor: Supervisor::new(), drain, tasks: JoinSet::new() },
            reloader,
        )
    }

    /// Starts every task; this is the place to add one.
    pub(crate) fn start(&mut self, reloader: Reloader) -> anyhow::Result<()> {
        self.tasks.spawn(reloader.run(self.reload.clone(), self.drain.subscribe()));
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

    /// Serves Envoys until `stop`; then everything is told to end.
    pub(crate) async fn serve(
        &self,
        listener: TcpListener,
        sync: Option<SyncService>,
        stop: impl Future<Output = ()>,
    ) -> anyhow::Result<()> {
        let drain = self.drain.subscribe();
        let ads = Ads::new(self.reload.clone(), self.nodes.clone(), self.notices.clone(), drain);
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
