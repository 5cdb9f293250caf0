//! `lasso serve`.
//!
//! Duty: listen, hand out the snapshot until a signal comes.
//! Invariant: it listens only once everything it will serve is encoded; logs go to standard error as JSON and hold no secrets.
//! Leaves to others: the streams (`xds::service`).

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_server::AggregatedDiscoveryServiceServer;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tracing::{info, warn};
use tracing_subscriber::EnvFilter;

use crate::compile::Deployment;
use crate::config::Loaded;
use crate::xds::resources::Site;
use crate::xds::secrets::Secrets;
use crate::xds::service::Ads;
use crate::xds::snapshot::Snapshot;

/// Serves until SIGINT or SIGTERM.
pub(crate) fn serve(loaded: &Loaded, deployment: &Deployment, site: &Site) -> anyhow::Result<()> {
    log_to_stderr(&loaded.config.log_level)?;
    let snapshot = Arc::new(Snapshot::new(&loaded.config, deployment, site)?);
    if !site.filter.is_file() {
        warn!(filter = %site.filter.display(), "no filter here; Envoy must find it there");
    }
    for warning in &loaded.warnings {
        warn!(warning, "configuration");
    }
    for key in &loaded.not_in_effect {
        warn!(key, "set, and not in effect yet");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let address = loaded.config.listen_xds;
        let listener = TcpListener::bind(address).await.with_context(|| format!("listen.xds: cannot listen on {address}"))?;
        info!(%address, generation = deployment.catalog.generation, channels = deployment.clusters.len(), "serving xds");
        run(listener, snapshot, Secrets::of(&deployment.catalog), stop_signal()?).await?;
        info!("stopped");
        Ok(())
    })
}

/// Serves one snapshot until `stop`.
pub(crate) async fn run(
    listener: TcpListener,
    snapshot: Arc<Snapshot>,
    secrets: Secrets,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let (draining, drain) = watch::channel(false);
    let ads = Ads { snapshot, secrets: Arc::new(secrets), drain: drain.clone() };
    let server = Server::builder()
        .http2_keepalive_interval(Some(Duration::from_secs(10)))
        .http2_keepalive_timeout(Some(Duration::from_secs(5)))
        .tcp_nodelay(true)
        .add_service(AggregatedDiscoveryServiceServer::new(ads));
    let drained = async move {
        stop.await;
        info!("draining");
        // Streams end on this; a graceful server waits for them.
        let _ = draining.send(true);
    };
    server.serve_with_incoming_shutdown(TcpListenerStream::new(listener), drained).await?;
    Ok(())
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

fn log_to_stderr(level: &str) -> anyhow::Result<()> {
    // The libraries below speak of frames and tasks: only their warnings.
    let filter = EnvFilter::try_new(format!("warn,lasso={level}"))?;
    let logs =
        tracing_subscriber::fmt().json().flatten_event(true).with_writer(std::io::stderr).with_env_filter(filter);
    logs.try_init().map_err(|error| anyhow::anyhow!("logging cannot start: {error}"))
}

#[cfg(test)]
mod tests;
