//! `make run`: Lasso on this machine, to be played with.
//!
//! Duty: without `--config` two chains on local nodes, five providers behind fault proxies; with it the user's own providers. In
//! both cases the control plane and Envoy as they would run anywhere, until ctrl-c.
//! Invariant: everything that was started ends with this program; a port that is taken stops the start and is named, with what would give another one;
//! nothing in the folder grows from run to run.
//! Leaves to others: what the processes are (`lasso_tests`), the chains (`chains`), what is printed (`page`).

use std::{
    io::Write as _,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use clap::Parser;
use lasso_tests::{Client, FilterKind, Listen, Process, Scratch, loopback, tools};
use tokio::signal::unix::{SignalKind, signal};

mod chains;
mod page;

/// Lasso on this machine: two local chains, or your own providers.
#[derive(Debug, Parser)]
#[command(name = "lasso-demo")]
struct Args {
    /// Your own lasso.yaml instead of the local chains.
    #[arg(long)]
    config: Option<PathBuf>,
    /// The filter's kind; WebAssembly when absent.
    #[arg(long)]
    filter: Option<FilterKind>,
    /// Envoy's worker threads; all processors when absent.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=256))]
    workers: Option<u32>,
    /// Takes all ports of the local chains' demo from this one on, where the usual ones are taken; with `--config` only Envoy's admin port is not the
    /// configuration's.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1024..=65_000))]
    ports_from: Option<u16>,
    /// Where configuration and logs go.
    #[arg(long, default_value = ".run")]
    folder: PathBuf,
}

/// What to do about a port that the demo chose.
const OTHER_PORTS: &str =
    "take other ports: `make run PORTS_FROM=22000`, or another number up to 65000, moves those of the demo there";

/// Exit code of who was told twice to end, as of a shell's command that a signal ended.
const INTERRUPTED: i32 = 130;

/// The ports of everything the demo starts.
#[derive(Debug, Clone, Copy)]
struct Ports {
    rpc: u16,
    xds: u16,
    hub: u16,
    http: u16,
    admin: u16,
    nodes: u16,
    providers: u16,
    faults: u16,
}

impl Ports {
    fn listen(self) -> Listen {
        Listen { rpc: self.rpc, xds: self.xds, hub: self.hub, http: self.http }
    }

    fn of(args: &Args) -> Self {
        match args.ports_from {
            None => Self {
                rpc: 10_000,
                xds: 18_000,
                hub: 18_001,
                http: 18_002,
                admin: 9_901,
                nodes: 18_545,
                providers: 21_001,
                faults: 21_101,
            },
            Some(first) => Self {
                rpc: first,
                xds: first + 1,
                admin: first + 2,
                nodes: first + 3,
                hub: first + 8,
                http: first + 9,
                providers: first + 10,
                faults: first + 20,
            },
        }
    }
}

fn main() -> std::process::ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let done = runtime.context("cannot start").and_then(|runtime| runtime.block_on(run(&Args::parse())));
    match done {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "lasso-demo: {error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}

async fn run(args: &Args) -> anyhow::Result<()> {
    let workers = args.workers.unwrap_or_else(|| {
        std::thread::available_parallelism().map_or(1, |processors| u32::try_from(processors.get()).unwrap_or(1))
    });
    let filter = args.filter.map_or_else(FilterKind::under_test, Ok)?;
    let scratch = Scratch::at(&args.folder)?;
    let ports = Ports::of(args);
    let stop = stopped()?;
    let mut up = Box::pin(async {
        match &args.config {
            Some(config) => {
                let site = Site { config, own: true, filter, admin: ports.admin, workers };
                let stack = Stack::start(&site, &scratch).await?;
                page::own(&stack.rpc.to_string(), config, workers, &args.folder)?;
                stack.until_something_ends().await
            }
            None => {
                let chains = chains::Chains::start(ports, &scratch).await?;
                let config = scratch.write("lasso.yaml", &chains.config().yaml(ports.listen()))?;
                let site = Site { config: &config, own: false, filter, admin: ports.admin, workers };
                let stack = Stack::start(&site, &scratch).await?;
                page::demo(&stack.rpc.to_string(), &loopback(ports.http).to_string(), &chains, workers, &args.folder)?;
                stack.until_something_ends().await
            }
        }
    });
    tokio::select! {
        ended = &mut up => ended?,
        () = stop => {
            page::line("\nstopping: WebSocket clients are told first, which takes 12 seconds at most; ctrl-c again: now")?;
            let again = stopped()?;
            tokio::spawn(async move {
                again.await;
                // Nothing is dropped: what was started ends when it sees that nobody holds its pipe any more.
                std::process::exit(INTERRUPTED)
            });
        }
    }
    drop(up);
    page::line("\nstopped: Envoy, the control plane and everything else this program started")
}

/// Ready when a person (ctrl-c) or the system wants an end.
fn stopped() -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// The control plane and Envoy.
struct Stack {
    envoy: Process,
    control_plane: Process,
    rpc: SocketAddr,
}

impl Drop for Stack {
    fn drop(&mut self) {
        // While Envoy is there, so that the hub can take leave of its clients.
        self.control_plane.stop();
    }
}

/// What they run with.
struct Site<'a> {
    config: &'a Path,
    /// The configuration is the user's, so its ports are for him to choose.
    own: bool,
    filter: FilterKind,
    admin: u16,
    workers: u32,
}

impl Site<'_> {
    fn must_have_free(&self, address: SocketAddr, key: &str) -> anyhow::Result<()> {
        let remedy = format!("set {key} in {} to another port", self.config.display());
        must_be_free(address, key, if self.own { &remedy } else { OTHER_PORTS })
    }
}

impl Stack {
    async fn start(site: &Site<'_>, scratch: &Scratch) -> anyhow::Result<Self> {
        let (lasso, filter) = (tools::lasso()?, site.filter.file()?);
        let (config, workers) = (site.config, site.workers);
        let checked = Command::new(&lasso).arg("check").arg(config).output().context("cannot run lasso")?;
        ensure!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr).trim_end());
        // What it warns of, like a provider that is left out: the log is no place to look for that.
        std::io::stderr().write_all(&checked.stderr)?;
        let effective = String::from_utf8_lossy(&checked.stdout).into_owned();
        let rpc = listen(&effective, "rpc")?;
        site.must_have_free(rpc, "listen.rpc")?;
        for key in ["xds", "hub", "http"] {
            site.must_have_free(listen(&effective, key)?, &format!("listen.{key}"))?;
        }
        must_be_free(loopback(site.admin), "Envoy's admin port", OTHER_PORTS)?;

        let mut serve = Command::new(&lasso);
        serve.arg("serve").arg(config).arg("--filter").arg(&filter);
        // Envoy appends.
        let access_log = scratch.write("access.log", "")?;
        serve.arg("--access-log").arg(std::path::absolute(access_log)?);
        serve.args(["--workers", &workers.to_string()]);
        let control_plane = Process::start("lasso", &mut serve, scratch)?;
        let mut render = Command::new(&lasso);
        render.args(["render", "bootstrap"]).arg(config).args(["--admin", &loopback(site.admin).to_string()]);
        let rendered = render.output().context("cannot run lasso")?;
        ensure!(rendered.status.success(), "{}", String::from_utf8_lossy(&rendered.stderr).trim_end());
        let bootstrap = scratch.write("envoy.yaml", &String::from_utf8_lossy(&rendered.stdout))?;
        let mut command = Command::new(tools::envoy()?);
        command.arg("-c").arg(bootstrap).args(["--disable-hot-restart", "-l", "warning"]);
        command.args(["--concurrency", &workers.to_string()]);
        let envoy = Process::start("envoy", &mut command, scratch)?;
        let stack = Self { envoy, control_plane, rpc };
        stack.serves().await?;
        Ok(stack)
    }

    async fn serves(&self) -> anyhow::Result<()> {
        let (client, health) = (Client::new(), format!("http://{}/healthz", self.rpc));
        let (client, health) = (&client, &health);
        let look = || async move {
            let serves = client.read(health).await.is_ok_and(|answered| answered.status == 200);
            self.control_plane.must_live().err().map(Err).or_else(|| serves.then_some(Ok(())))
        };
        self.envoy.until("Envoy to serve", Duration::from_secs(30), look).await?
    }

    async fn until_something_ends(&self) -> anyhow::Result<()> {
        let mut looks = tokio::time::interval(Duration::from_millis(500));
        loop {
            looks.tick().await;
            self.envoy.must_live()?;
            self.control_plane.must_live()?;
        }
    }
}

/// `listen.KEY` of the effective configuration that `lasso check` prints.
fn listen(effective: &str, key: &str) -> anyhow::Result<SocketAddr> {
    let prefix = format!("{key}:");
    let section = effective.lines().skip_while(|line| !line.starts_with("listen:")).skip(1);
    let mut lines = section.take_while(|line| line.starts_with(' '));
    let value = lines.find_map(|line| line.trim().strip_prefix(&prefix));
    let value = value.with_context(|| format!("`lasso check` shows no listen.{key}"))?;
    let value = value.trim().trim_matches('"');
    value.parse().with_context(|| format!("listen.{key} is {value}, which is no address"))
}

fn must_be_free(address: SocketAddr, whose: &str, remedy: &str) -> anyhow::Result<()> {
    if let Err(error) = TcpListener::bind(address) {
        bail!("cannot listen on {address} ({whose}): {error}; end what listens there, or {remedy}");
    }
    Ok(())
}
