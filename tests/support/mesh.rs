//! Envoy with our filter, rendered from a `lasso.yaml`.
//!
//! Duty: write the configuration, render it with `lasso`, start Envoy (and the control plane where asked), wait until it serves.
//! Invariant: ports are free ones; everything Envoy and the control plane printed and logged is in the [`Scratch`] folder.
//! Leaves to others: asking Envoy ([`Envoy`]).

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::{
    Answered, Client, Config, Envoy, FilterKind, Listen, Process, Relay, Scratch, envoy::Ports, free_port, loopback,
    process::read_lossy, tools,
};

/// How a mesh is started.
#[derive(Debug, Clone)]
pub struct Options {
    /// Envoy's worker threads.
    pub concurrency: u32,
    /// The filter; absent: the built one of the kind under test.
    pub filter: Option<PathBuf>,
    /// Whether `lasso serve` feeds Envoy; else Envoy runs on a rendered file alone.
    pub control_plane: bool,
    /// The processor that all of it runs on; absent: wherever the system likes.
    pub processor: Option<u32>,
    /// PEM of the authorities that providers' certificates must come from; absent: the system's.
    pub ca_bundle: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self { concurrency: 1, filter: None, control_plane: false, processor: None, ca_bundle: None }
    }
}

/// A running Envoy, and the control plane when there is one.
#[derive(Debug)]
pub struct Mesh {
    // Fields are dropped in this order: Envoy first, the folder last.
    envoy: Envoy,
    control_plane: Option<Process>,
    /// Between Envoy and the control plane.
    relay: Relay,
    place: Place,
    scratch: Scratch,
}

/// What stays the same when the control plane starts again.
#[derive(Debug)]
struct Place {
    listen: Listen,
    processor: Option<u32>,
    filter: PathBuf,
    /// Other arguments of `lasso serve` and `lasso render envoy` about this machine.
    site: Vec<PathBuf>,
}

impl Place {
    fn new(options: &Options, scratch: &Scratch) -> anyhow::Result<Self> {
        let filter = match &options.filter {
            Some(filter) => filter.clone(),
            None => FilterKind::under_test()?.file()?,
        };
        let mut site = vec!["--access-log".into(), scratch.file("access.log")];
        if let Some(pem) = &options.ca_bundle {
            site.extend(["--ca-bundle".into(), scratch.write("authorities.pem", pem)?]);
        }
        let listen = Listen { rpc: free_port(), xds: free_port(), hub: free_port(), http: free_port() };
        Ok(Self { listen, processor: options.processor, filter, site })
    }

    fn write(&self, config: &Config, scratch: &Scratch) -> anyhow::Result<PathBuf> {
        scratch.write("lasso.yaml", &config.yaml(self.listen))
    }

    fn serve(&self, config: &Config, scratch: &Scratch) -> anyhow::Result<Process> {
        let file = self.write(config, scratch)?;
        let mut serve = tools::on(self.processor, &tools::lasso()?);
        serve.arg("serve").arg(&file).arg("--filter").arg(&self.filter).args(&self.site);
        Process::start("lasso", &mut serve, scratch)
    }
}

impl Mesh {
    /// A mesh of one worker on a rendered file.
    pub async fn start(config: &Config) -> anyhow::Result<Self> {
        Self::start_with(config, &Options::default()).await
    }

    /// A mesh started so.
    pub async fn start_with(config: &Config, options: &Options) -> anyhow::Result<Self> {
        let scratch = Scratch::new()?;
        let place = Place::new(options, &scratch)?;
        let ports = Ports { rpc: place.listen.rpc, admin: free_port() };
        let file = place.write(config, &scratch)?;
        let mut render = Command::new(tools::lasso()?);
        let relay = Relay::to(loopback(place.listen.xds)).await?;
        let control_plane = if options.control_plane {
            // Envoy goes by the relay; the control plane listens where it always does.
            let relayed = Listen { xds: relay.port(), ..place.listen };
            let file = scratch.write("relayed.yaml", &config.yaml(relayed))?;
            render.args(["render", "bootstrap"]).arg(&file);
            Some(place.serve(config, &scratch)?)
        } else {
            render.args(["render", "envoy"]).arg(&file).arg("--filter").arg(&place.filter).args(&place.site);
            None
        };
        render.args(["--admin", &format!("127.0.0.1:{}", ports.admin)]);
        let rendered = render_to(&mut render, &scratch)?;
        let envoy = Envoy::start("envoy", &rendered, ports, options, &scratch)?;
        let mut mesh = Self { envoy, control_plane, relay, place, scratch };
        if let Err(error) = mesh.envoy.serves(mesh.control_plane.as_ref()).await {
            mesh.scratch.keep();
            return Err(error);
        }
        Ok(mesh)
    }

    /// One more Envoy on the same control plane: `envoy/mesh.yaml`, with ports of its own and an admin port.
    pub async fn own_listener_beside(&self) -> anyhow::Result<Envoy> {
        let ports = Ports { rpc: free_port(), admin: free_port() };
        let text = fs::read_to_string(tools::root().join("envoy/mesh.yaml"))?;
        let text = FilterKind::under_test()?.in_mesh(&text);
        let text = with_port(&text, 10_000, ports.rpc)?;
        let text = with_port(&text, 18_000, self.place.listen.xds)?;
        let admin =
            format!("\nadmin: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {}}}}}}}\n", ports.admin);
        let file = self.scratch.write("mesh.yaml", &(text + &admin))?;
        let envoy = Envoy::start("envoy-mesh", &file, ports, &Options::default(), &self.scratch)?;
        envoy.serves(self.control_plane.as_ref()).await?;
        Ok(envoy)
    }

    /// A URL of the listener.
    pub fn url(&self, path: &str) -> String {
        self.envoy.url(path)
    }

    /// Where a chain's sockets are opened, by Envoy.
    pub fn ws_url(&self, chain: &str) -> String {
        self.envoy.ws_url(&format!("/ws/rpc/{chain}"))
    }

    /// The same past Envoy: straight at the hub.
    pub fn hub_url(&self, chain: &str) -> String {
        format!("ws://127.0.0.1:{}/ws/rpc/{chain}", self.place.listen.hub)
    }

    /// One call on a chain, by its default strategy.
    pub async fn call(&self, chain: &str, method: &str, params: Value) -> anyhow::Result<Answered> {
        self.envoy.call(chain, method, params).await
    }

    /// A body as it stands, to a path.
    pub async fn post(&self, path: &str, body: impl Into<bytes::Bytes>) -> anyhow::Result<Answered> {
        self.envoy.post(path, body).await
    }

    /// The client it is asked with.
    pub fn client(&self) -> &Client {
        self.envoy.client()
    }

    /// All counters and gauges that are not zero.
    pub async fn stats(&self) -> anyhow::Result<BTreeMap<String, u64>> {
        self.envoy.stats().await
    }

    /// The sum of all counters whose name ends so.
    pub async fn stat_sum(&self, suffix: &str) -> anyhow::Result<u64> {
        self.envoy.stat_sum(suffix).await
    }

    /// A page of Envoy's admin port.
    pub async fn admin(&self, path: &str) -> anyhow::Result<String> {
        self.envoy.admin(path).await
    }

    /// A page of the control plane's API, as JSON.
    pub async fn api(&self, path: &str) -> anyhow::Result<Value> {
        let answered = self.client().read(&self.api_url(path)).await?;
        ensure!(answered.status == 200, "the API said {} to {path}: {}", answered.status, answered.text());
        Ok(answered.json())
    }

    /// A URL of the control plane's API.
    pub fn api_url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.place.listen.http)
    }

    /// Everything Envoy printed.
    pub fn envoy_log(&self) -> String {
        self.envoy.log()
    }

    /// Envoy's access log; written in intervals, so wait for the line you want.
    pub fn access_log(&self) -> String {
        read_lossy(&self.scratch.file("access.log"))
    }

    /// Everything the control plane printed since it was last started.
    pub fn control_plane_log(&self) -> String {
        self.control_plane.as_ref().map(Process::log).unwrap_or_default()
    }

    /// Cuts every stream between Envoy and the control plane; both go on.
    pub fn cut_control_streams(&self) {
        self.relay.cut();
    }

    /// Ends the control plane as a crash would.
    pub fn kill_control_plane(&mut self) {
        drop(self.control_plane.take());
    }

    /// Ends the control plane as an operator would, and starts it with another configuration.
    pub fn restart_control_plane(&mut self, config: &Config) -> anyhow::Result<()> {
        if let Some(mut control_plane) = self.control_plane.take() {
            control_plane.stop();
        }
        self.control_plane = Some(self.place.serve(config, &self.scratch)?);
        Ok(())
    }

    /// The same with the filter of another kind.
    pub fn restart_with_filter(&mut self, config: &Config, kind: FilterKind) -> anyhow::Result<()> {
        self.place.filter = kind.file()?;
        self.restart_control_plane(config)
    }

    /// Writes another configuration where `lasso serve` reads it, as an editor does: in a file beside it that is renamed over it.
    pub fn write_config(&self, config: &Config) -> anyhow::Result<()> {
        self.write_config_text(&config.yaml(self.place.listen))
    }

    /// The same with any text.
    pub fn write_config_text(&self, text: &str) -> anyhow::Result<()> {
        let new = self.scratch.write("lasso.yaml.new", text)?;
        fs::rename(new, self.scratch.file("lasso.yaml")).context("cannot rename the configuration")
    }

    /// The control plane's process.
    pub fn control_plane(&self) -> anyhow::Result<&Process> {
        self.control_plane.as_ref().context("no control plane runs")
    }

    /// The port on which its workers look for their control plane.
    pub fn control_port(&self) -> u16 {
        self.place.listen.xds
    }

    /// Envoy.
    pub fn envoy(&self) -> &Envoy {
        &self.envoy
    }

    /// Where its configuration and logs are.
    pub fn scratch(&self) -> &Scratch {
        &self.scratch
    }
}

fn with_port(text: &str, documented: u16, own: u16) -> anyhow::Result<String> {
    let place = format!("port_value: {documented}}}");
    ensure!(text.matches(&place).count() == 1, "the file does not have `{place}` once");
    Ok(text.replace(&place, &format!("port_value: {own}}}")))
}

fn render_to(render: &mut Command, scratch: &Scratch) -> anyhow::Result<PathBuf> {
    let path = scratch.file("envoy.yaml");
    let out = File::create(&path)?;
    let done = render.stdin(Stdio::null()).stdout(out).stderr(Stdio::piped()).output().context("cannot run lasso")?;
    ensure!(done.status.success(), "lasso render failed:\n{}", String::from_utf8_lossy(&done.stderr));
    Ok(path)
}
