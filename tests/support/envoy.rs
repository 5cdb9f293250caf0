//! A running Envoy, and how it is asked.
//!
//! Invariant: it runs without hot restart, and its listener and admin port are on 127.0.0.1.
//! Leaves to others: what its configuration says ([`crate::Mesh`]).

use std::{collections::BTreeMap, path::Path, time::Duration};

use anyhow::ensure;
use serde_json::Value;

use crate::{Answered, Client, Options, Process, Scratch, tools};

const STARTS_WITHIN: Duration = Duration::from_secs(30);

/// The ports that a configuration gives an Envoy.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ports {
    pub(crate) rpc: u16,
    pub(crate) admin: u16,
}

/// A running Envoy.
#[derive(Debug)]
pub struct Envoy {
    process: Process,
    ports: Ports,
    client: Client,
}

impl Envoy {
    /// Starts on a file. It may not serve yet: [`Self::serves`].
    pub(crate) fn start(
        name: &str,
        file: &Path,
        ports: Ports,
        options: &Options,
        scratch: &Scratch,
    ) -> anyhow::Result<Self> {
        let mut command = tools::on(options.processor, &tools::envoy()?);
        command.arg("-c").arg(file).args(["--disable-hot-restart", "-l", "warning"]);
        command.args(["--concurrency", &options.concurrency.to_string()]);
        Ok(Self { process: Process::start(name, &mut command, scratch)?, ports, client: Client::new() })
    }

    /// Waits until it answers `/healthz`; fails when it ends, or what it depends on does not live.
    pub(crate) async fn serves(&self, support: Option<&Process>) -> anyhow::Result<()> {
        let (client, health) = (&self.client, self.url("/healthz"));
        let health = &health;
        let look = || async move {
            let lives = support.map_or(Ok(()), Process::must_live);
            let serves = client.read(health).await.is_ok_and(|answered| answered.status == 200);
            lives.err().map(Err).or_else(|| serves.then_some(Ok(())))
        };
        self.process.until("Envoy to serve /healthz", STARTS_WITHIN, look).await?
    }

    /// A URL of the listener.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.ports.rpc)
    }

    /// A URL of the listener for sockets.
    pub fn ws_url(&self, path: &str) -> String {
        format!("ws://127.0.0.1:{}{path}", self.ports.rpc)
    }

    /// One call on a chain, by its default strategy.
    pub async fn call(&self, chain: &str, method: &str, params: Value) -> anyhow::Result<Answered> {
        self.client.call(&self.url(&format!("/rpc/{chain}")), method, params).await
    }

    /// A body as it stands, to a path.
    pub async fn post(&self, path: &str, body: impl Into<bytes::Bytes>) -> anyhow::Result<Answered> {
        self.client.post(&self.url(path), body).await
    }

    /// The client it is asked with.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// All counters and gauges that are not zero.
    pub async fn stats(&self) -> anyhow::Result<BTreeMap<String, u64>> {
        let page = self.admin("/stats?usedonly").await?;
        let line = |line: &str| {
            let (name, value) = line.rsplit_once(": ")?;
            Some((name.to_owned(), value.parse().ok()?))
        };
        Ok(page.lines().filter_map(line).collect())
    }

    /// The sum of all counters whose name ends so.
    pub async fn stat_sum(&self, suffix: &str) -> anyhow::Result<u64> {
        Ok(self.stats().await?.iter().filter(|(name, _)| name.ends_with(suffix)).map(|(_, value)| value).sum())
    }

    /// A page of the admin port.
    pub async fn admin(&self, path: &str) -> anyhow::Result<String> {
        let answered = self.client.read(&format!("http://127.0.0.1:{}{path}", self.ports.admin)).await?;
        ensure!(answered.status == 200, "Envoy's admin port said {} to {path}", answered.status);
        Ok(answered.text())
    }

    /// Everything it printed.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Its process.
    pub fn process(&self) -> &Process {
        &self.process
    }
}
