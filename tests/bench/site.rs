//! An Envoy under measurement: plain, or ours.
//!
//! Invariant: both have one worker, the same limits and the same connection manager's settings, so what differs is our filter and
//! our routes; the access log is off unless asked for.

use std::{
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, ensure};
use lasso_tests::{Config, FilterKind, Listen, Process, Scratch, free_port, loopback, tools};

use crate::{
    calls::{Calls, Load},
    connection::Connection,
    machine::{self, Layout},
};

const STARTS_WITHIN: Duration = Duration::from_secs(30);

/// Whether requests are logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AccessLog {
    /// As rendered.
    On,
    /// Taken out of what was rendered.
    Off,
}

/// A running Envoy.
#[derive(Debug)]
pub(crate) struct Site {
    // Dropped in this order: Envoy first, its folder last.
    envoy: Process,
    address: SocketAddr,
    _scratch: Scratch,
}

impl Site {
    /// One route to one provider, nothing else.
    pub(crate) async fn plain(layout: Layout, provider: SocketAddr) -> anyhow::Result<Self> {
        let scratch = Scratch::new()?;
        let port = free_port();
        let yaml = PLAIN.replace("LISTENER_PORT", &port.to_string());
        let file = scratch.write("envoy.yaml", &yaml.replace("PROVIDER_PORT", &provider.port().to_string()))?;
        Self::start(layout, scratch, &file, port, "/").await
    }

    /// What `lasso render envoy` makes of a configuration. `path` is asked until it answers.
    pub(crate) async fn lasso(
        layout: Layout,
        kind: FilterKind,
        config: &Config,
        log: AccessLog,
        path: &str,
    ) -> anyhow::Result<Self> {
        let scratch = Scratch::new()?;
        let port = free_port();
        let listen = Listen { rpc: port, xds: free_port(), hub: free_port(), http: free_port() };
        let file = scratch.write("lasso.yaml", &config.yaml(listen))?;
        let rendered = Command::new(tools::lasso()?)
            .args(["render", "envoy"])
            .arg(&file)
            .arg("--filter")
            .arg(kind.file()?)
            .arg("--access-log")
            .arg(scratch.file("access.log"))
            .stdin(Stdio::null())
            .output()
            .context("cannot run lasso")?;
        ensure!(rendered.status.success(), "lasso render failed:\n{}", String::from_utf8_lossy(&rendered.stderr));
        let yaml = String::from_utf8(rendered.stdout)?;
        let yaml = match log {
            AccessLog::On => yaml,
            AccessLog::Off => without(&without(&yaml, "access_log:"), "request_log:"),
        };
        let file = scratch.write("envoy.yaml", &yaml)?;
        Self::start(layout, scratch, &file, port, path).await
    }

    async fn start(layout: Layout, scratch: Scratch, file: &Path, port: u16, path: &str) -> anyhow::Result<Self> {
        let mut command = tools::on(layout.envoy(), &tools::envoy()?);
        command.arg("-c").arg(file).args(["--disable-hot-restart", "-l", "error", "--concurrency", "1"]);
        let envoy = Process::start("envoy", &mut command, &scratch)?;
        let address = loopback(port);
        let look = || async move {
            let calls = Calls::new(Load::Small, path, 0);
            let answered = Connection::open(address, calls).await.ok()?.ask().await.ok()?;
            answered.whole.then_some(())
        };
        envoy.until("Envoy to pass a call on", STARTS_WITHIN, look).await?;
        Ok(Self { envoy, address, _scratch: scratch })
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Processor time it has used.
    pub(crate) fn processor_time(&self) -> anyhow::Result<Duration> {
        machine::processor_time(self.envoy.pid())
    }
}

impl Drop for Site {
    /// Envoy ends as it wants to: one that records where its time goes writes that at its end.
    fn drop(&mut self) {
        self.envoy.stop();
    }
}

/// YAML without the blocks under this key.
fn without(yaml: &str, key: &str) -> String {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut inside: Option<usize> = None;
    let mut kept = String::with_capacity(yaml.len());
    for line in yaml.lines() {
        if inside.is_some_and(|outer| indent(line) > outer) {
            continue;
        }
        inside = (line.trim_start() == key).then(|| indent(line));
        if inside.is_none() {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

/// `generate_request_id` and `suppress_envoy_headers` as we render them: they make plain Envoy cheaper too.
const PLAIN: &str = r#"
static_resources:
  listeners:
  - address: {socket_address: {address: 127.0.0.1, port_value: LISTENER_PORT}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: plain
          generate_request_id: false
          route_config:
            virtual_hosts:
            - {name: all, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: provider}}]}
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
              suppress_envoy_headers: true
  clusters:
  - name: provider
    type: STATIC
    connect_timeout: 1s
    circuit_breakers: {thresholds: [{max_connections: 100000, max_pending_requests: 100000, max_requests: 100000}]}
    load_assignment:
      cluster_name: provider
      endpoints:
      - lb_endpoints:
        - endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: PROVIDER_PORT}}}
"#;
