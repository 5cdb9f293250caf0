//! Envoy with our filter, rendered from a `lasso.yaml`.
//!
//! Duty: write the configuration, render it with `lasso`, start Envoy (and the control plane where asked), wait until it serves.
//! Invariant: ports are free ones; Envoy runs without hot restart; everything it printed and logged is in the [`Scratch`] folder.

use std::{
    collections::BTreeMap,
    fs::File,
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::{Answered, Client, Config, Process, Scratch, free_port, process::read_lossy, tools};

const STARTS_WITHIN: Duration = Duration::from_secs(30);

/// How a mesh is started.
#[derive(Debug, Clone)]
pub struct Options {
    /// Envoy's worker threads.
    pub concurrency: u32,
    /// The filter; absent: the built one.
    pub filter: Option<PathBuf>,
    /// Whether `lasso serve` feeds Envoy; else Envoy runs on a rendered file alone.
    pub control_plane: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { concurrency: 1, filter: None, control_plane: false }
    }
}

/// A running Envoy, and the control plane when there is one.
#[derive(Debug)]
pub struct Mesh {
    // Fields are dropped in this order: Envoy first, the folder last.
    envoy: Process,
    control_plane: Option<Process>,
    rpc: u16,
    admin: u16,
    client: Client,
    scratch: Scratch,
}

impl Mesh {
    /// A mesh of one worker on a rendered file.
    pub async fn start(config: &Config) -> anyhow::Result<Self> {
        Self::start_with(config, &Options::default()).await
    }

    /// A mesh started so.
    pub async fn start_with(config: &Config, options: &Options) -> anyhow::Result<Self> {
        let scratch = Scratch::new()?;
        let (rpc, admin, xds) = (free_port(), free_port(), free_port());
        let file = scratch.write("lasso.yaml", &config.yaml(rpc, xds))?;
        let filter = match &options.filter {
            Some(filter) => filter.clone(),
            None => tools::filter()?,
        };
        let lasso = tools::lasso()?;
        let site = |command: &mut Command| {
            command.arg("--filter").arg(&filter).arg("--access-log").arg(scratch.file("access.log"));
        };
        let mut render = Command::new(&lasso);
        let control_plane = if options.control_plane {
            let mut serve = Command::new(&lasso);
            serve.arg("serve").arg(&file);
            site(&mut serve);
            render.args(["render", "bootstrap"]).arg(&file);
            Some(Process::start("lasso", &mut serve, &scratch)?)
        } else {
            render.args(["render", "envoy"]).arg(&file);
            site(&mut render);
            None
        };
        render.args(["--admin", &format!("127.0.0.1:{admin}")]);
        let rendered = render_to(&mut render, &scratch)?;
        let mut command = Command::new(tools::envoy()?);
        command.arg("-c").arg(&rendered).args(["--disable-hot-restart", "-l", "warning"]);
        command.args(["--concurrency", &options.concurrency.to_string()]);
        let envoy = Process::start("envoy", &mut command, &scratch)?;
        let mut mesh = Self { envoy, control_plane, rpc, admin, client: Client::new(), scratch };
        if let Err(error) = mesh.serves().await {
            mesh.scratch.keep();
            return Err(error);
        }
        Ok(mesh)
    }

    async fn serves(&self) -> anyhow::Result<()> {
        let (client, health) = (&self.client, self.url("/healthz"));
        let health = &health;
        let look = || async move {
            let lives = self.control_plane.as_ref().map_or(Ok(()), Process::must_live);
            let serves = client.read(health).await.is_ok_and(|answered| answered.status == 200);
            lives.err().map(Err).or_else(|| serves.then_some(Ok(())))
        };
        self.envoy.until("Envoy to serve /healthz", STARTS_WITHIN, look).await?
    }

    /// A URL of the listener.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.rpc)
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

    /// A page of Envoy's admin port.
    pub async fn admin(&self, path: &str) -> anyhow::Result<String> {
        let answered = self.client.read(&format!("http://127.0.0.1:{}{path}", self.admin)).await?;
        ensure!(answered.status == 200, "Envoy's admin port said {} to {path}", answered.status);
        Ok(answered.text())
    }

    /// Everything Envoy printed.
    pub fn envoy_log(&self) -> String {
        self.envoy.log()
    }

    /// Envoy's access log; written in intervals, so wait for the line you want.
    pub fn access_log(&self) -> String {
        read_lossy(&self.scratch.file("access.log"))
    }

    /// Everything the control plane printed.
    pub fn control_plane_log(&self) -> String {
        self.control_plane.as_ref().map(Process::log).unwrap_or_default()
    }

    /// Ends the control plane as a crash would.
    pub fn kill_control_plane(&mut self) {
        drop(self.control_plane.take());
    }

    /// Envoy's process.
    pub fn envoy(&self) -> &Process {
        &self.envoy
    }
}

fn render_to(render: &mut Command, scratch: &Scratch) -> anyhow::Result<PathBuf> {
    let path = scratch.file("envoy.yaml");
    let out = File::create(&path)?;
    let done = render.stdin(Stdio::null()).stdout(out).stderr(Stdio::piped()).output().context("cannot run lasso")?;
    ensure!(done.status.success(), "lasso render failed:\n{}", String::from_utf8_lossy(&done.stderr));
    Ok(path)
}
