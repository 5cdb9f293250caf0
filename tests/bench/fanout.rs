//! One head, many sockets.
//!
//! Duty: open thousands of sockets through Envoy and at the hub itself, publish heads on a chain that is made up, and see when each client had them, what
//! that cost the hub and Envoy, and what a socket weighs; kill the hub, see everybody come back, and calls over HTTP go on meanwhile.
//! Invariant: first everybody runs on both processors, with a worker of Envoy's for each, as people run it; that says how late a head is. Then hub and
//! Envoy share one processor, clients and providers the other, where nobody sleeps; that says what it costs. What a client does with a head is as little as
//! possible, and counts.
//! Leaves to others: whether what came is right (tests/e2e).

use std::{
    fs,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use lasso_tests::{
    ChainConfig, Config, FaultProxy, MadeChain, Mesh, Options,
    frame::{Frame, Frames, opcode},
    wait,
};
use tokio::{net::TcpStream, sync::Semaphore, task::JoinSet, time::MissedTickBehavior};

use crate::{
    Effort,
    bystanders::Bystanders,
    machine::{Layout, processor_time},
    numbers::{Middle, quantile},
    report::{Budget, Report},
};

const PATH: &str = "/ws/rpc/ethereum";
const SUBSCRIBE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["newHeads"]}"#;
/// Handshakes under way at once.
const AT_ONCE: usize = 64;
/// Between tries of a client whose socket ended, as libraries pause.
const PAUSE: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_secs(60);
/// Between heads: long enough for the slowest client to have the one before.
const HEADS_EVERY: Duration = Duration::from_millis(400);
/// Of the budgets.
const P99_MS: f64 = 100.0;
const SOCKET_KIB: f64 = 16.0;
const BACK_S: f64 = 10.0;
const DELIVERIES: f64 = 10_000.0;

/// Measures and reports.
pub(crate) async fn measure(effort: &Effort, layout: Layout, report: &mut Report) -> anyhow::Result<()> {
    let sockets = affordable(effort.sockets, report)?;
    let processors = layout.spread()?;
    let late = whole_machine(effort.heads, sockets, processors, report).await;
    layout.gather()?;
    late?;
    one_processor(effort.heads, sockets, layout, report).await
}

/// As it is run.
async fn whole_machine(heads: u32, sockets: usize, processors: u32, report: &mut Report) -> anyhow::Result<()> {
    let made = Made::up().await?;
    let options = Options { control_plane: true, concurrency: processors, ..Options::default() };
    let mesh = Mesh::start_with(&made.config, &options).await?;
    let crowd = Crowd::gather(&mesh.ws_url("ethereum"), sockets).await?;
    let way = format!("through Envoy, {processors} processors for everybody");
    Heads::publish(&made.chain, &crowd, &mesh, heads).await?.tell_lateness(
        &way,
        sockets,
        Budget::AtMost(P99_MS),
        report,
    )
}

/// What it costs and weighs, and how it comes back.
async fn one_processor(heads: u32, sockets: usize, layout: Layout, report: &mut Report) -> anyhow::Result<()> {
    let Made { chain, providers, config } = Made::up().await?;
    let options = Options { control_plane: true, processor: layout.envoy(), ..Options::default() };
    let mut mesh = Mesh::start_with(&config, &options).await?;
    let (through, direct) = (mesh.ws_url("ethereum"), mesh.hub_url("ethereum"));
    // The first feed and everything that is made once is no part of a socket's weight.
    let first = Crowd::gather(&through, 1).await?;
    let crowd = weighed(&mesh, &through, sockets, "through Envoy", report).await?;
    ensure!(subscriptions(&providers) == 1, "{} subscriptions with providers", subscriptions(&providers));
    let awake = stay_awake();
    let told = Heads::publish(&chain, &crowd, &mesh, heads).await?;
    drop(awake);
    told.tell_costs("through Envoy", sockets, report);
    told.tell_lateness("through Envoy, one processor for Envoy and the hub", sockets, Budget::None, report)?;
    // It is started anew, where it was.
    come_back(&mut mesh, &config, &crowd, &providers, report).await?;
    drop(crowd);

    // A fresh hub, whose memory nobody has used before.
    mesh.restart_control_plane(&config)?;
    wait::until_true("the hub to serve", PATIENCE, || subscriptions(&providers) == 1 && first.told.there() == 1)
        .await?;
    let crowd = weighed(&mesh, &direct, sockets, "past Envoy", report).await?;
    let _awake = stay_awake();
    let told = Heads::publish(&chain, &crowd, &mesh, heads).await?;
    told.tell_costs("past Envoy", sockets, report);
    told.tell_lateness("past Envoy", sockets, Budget::AtMost(P99_MS), report)
}

/// A chain that is made up, its providers, and a configuration that has them.
struct Made {
    chain: MadeChain,
    providers: [FaultProxy; 2],
    config: Config,
}

impl Made {
    async fn up() -> anyhow::Result<Self> {
        let chain = MadeChain::new(1);
        let providers = [FaultProxy::of_chain(&chain).await?, FaultProxy::of_chain(&chain).await?];
        let config = Config::new().chain(
            ChainConfig::new("ethereum", 1)
                .line("block_time: 12s")
                .provider_on("one", &providers[0])
                .provider_on("two", &providers[1]),
        );
        Ok(Self { chain, providers, config })
    }
}

/// Until it is dropped the clients' thread does not sleep: waking a sleeping processor is paid for by who wakes it, which is who is measured, and clients
/// elsewhere are not woken so.
fn stay_awake() -> JoinSet<()> {
    let mut awake = JoinSet::new();
    awake.spawn(async {
        loop {
            tokio::task::yield_now().await;
        }
    });
    awake
}

/// So many clients, and what each weighs. The first fifth is not weighed: a process that was just started grows for other reasons, too.
async fn weighed(mesh: &Mesh, url: &str, sockets: usize, way: &str, report: &mut Report) -> anyhow::Result<Crowd> {
    let resident = || anyhow::Ok((mesh.control_plane()?.memory()?.0, mesh.envoy().process().memory()?.0));
    let first = sockets / 5;
    let mut crowd = Crowd::gather(url, first).await?;
    let before = resident()?;
    crowd.join(url, sockets - first).await?;
    let now = resident()?;
    let each = |now: u64, before: u64| now.saturating_sub(before) as f64 / (sockets - first) as f64 / 1_024.0;
    let hub = Middle::only(each(now.0, before.0));
    report.row(&format!("a socket in the hub, {way}"), hub, " KiB", Budget::AtMost(SOCKET_KIB));
    if way == "through Envoy" {
        report.figure("a socket in Envoy", Middle::only(each(now.1, before.1)), " KiB");
    }
    Ok(crowd)
}

/// As many as the limit of open files allows: Envoy needs two for each, and has ours.
fn affordable(wanted: usize, report: &mut Report) -> anyhow::Result<usize> {
    let limits = fs::read_to_string("/proc/self/limits").context("only Linux tells its limits")?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).context("no limit of open files")?;
    let most: usize = line.split_whitespace().next().unwrap_or_default().parse().unwrap_or(usize::MAX);
    let sockets = wanted.min(most.saturating_sub(600) / 2);
    ensure!(sockets > 0, "{most} open files are too few for a single socket");
    if sockets < wanted {
        report.doubt(format!("{sockets} sockets instead of {wanted}: raise `ulimit -n` above {}", wanted * 2 + 600));
    }
    Ok(sockets)
}

fn subscriptions(providers: &[FaultProxy]) -> u64 {
    providers.iter().map(|provider| provider.subscriptions("newHeads")).sum()
}

/// The hub is killed and started again; everybody comes back by themselves.
async fn come_back(
    mesh: &mut Mesh,
    config: &Config,
    crowd: &Crowd,
    providers: &[FaultProxy],
    report: &mut Report,
) -> anyhow::Result<()> {
    let dials = || providers.iter().map(|provider| provider.counts().sockets.opened).sum::<u64>();
    let (sockets, before) = (crowd.told.there(), dials());
    let bystanders = Bystanders::start(&mesh.url("/rpc/ethereum"));
    mesh.kill_control_plane();
    wait::until_true("the clients to notice", PATIENCE, || crowd.told.there() == 0).await?;
    let returned = Instant::now();
    mesh.restart_control_plane(config)?;
    wait::until_true("the clients to be back", PATIENCE, || crowd.told.there() == sockets).await?;
    let took = returned.elapsed().as_secs_f64();
    let what = format!("{sockets} sockets back after kill -9 of the hub");
    report.row(&what, Middle::only(took), " s", Budget::AtMost(BACK_S));
    let count = |count: u64| anyhow::Ok(Middle::only(f64::from(u32::try_from(count)?)));
    let what = "subscriptions with providers for their one key after that";
    report.row(what, count(subscriptions(providers))?, "", Budget::AtMost(1.0));
    let (served, lost) = bystanders.end().await;
    report.row("calls over HTTP that were lost meanwhile", count(lost.into())?, "", Budget::AtMost(0.0));
    report.figure("calls over HTTP that were served meanwhile", count(served.into())?, "");
    report.figure("dials of two providers meanwhile", count(dials() - before)?, "");
    Ok(())
}

/// What came of some heads.
struct Heads {
    /// From publishing to the client, in nanoseconds.
    late: Vec<u32>,
    /// The p99 of each head, in milliseconds: others on the machine disturb some of them.
    p99s: Middle,
    /// Processor time of the hub and of Envoy for one delivery, in microseconds.
    hub: f64,
    envoy: f64,
    /// The same of clients and providers.
    load: f64,
}

impl Heads {
    async fn publish(chain: &MadeChain, crowd: &Crowd, mesh: &Mesh, count: u32) -> anyhow::Result<Self> {
        let (hub, envoy) = (mesh.control_plane()?.pid(), mesh.envoy().process().pid());
        let load = std::process::id();
        let sockets = crowd.told.there();
        crowd.told.forget();
        let mut used = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
        let mut turns = tokio::time::interval(HEADS_EVERY);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for head in 1..=count {
            turns.tick().await;
            let before = (processor_time(hub)?, processor_time(envoy)?, processor_time(load)?);
            crowd.told.publish(|| chain.grow(0));
            let goal = sockets * usize::try_from(head)?;
            wait::until_true("everybody to be told", PATIENCE, || crowd.told.count() >= goal).await?;
            used.0 += processor_time(hub)? - before.0;
            used.1 += processor_time(envoy)? - before.1;
            used.2 += processor_time(load)? - before.2;
        }
        let mut late = crowd.told.late();
        ensure!(late.len() == sockets * usize::try_from(count)?, "{} deliveries of {count} heads", late.len());
        let p99s = late.chunks_mut(sockets).map(|head| Ok(quantile(head, 0.99)? / 1_000.0));
        let p99s = Middle::of(&p99s.collect::<anyhow::Result<Vec<_>>>()?)?;
        let each = |used: Duration| used.as_secs_f64() * 1e6 / late.len() as f64;
        Ok(Self { p99s, hub: each(used.0), envoy: each(used.1), load: each(used.2), late })
    }

    fn tell_costs(&self, way: &str, sockets: usize, report: &mut Report) {
        let what = |what: &str| format!("one head to {sockets} sockets {way}, {what}");
        let deliveries = Middle::only(1e6 / self.hub);
        report.row(&what("deliveries a second and core of the hub"), deliveries, "", Budget::AtLeast(DELIVERIES));
        report.figure(&what("hub, a delivery"), Middle::only(self.hub), " us");
        if way == "through Envoy" {
            report.figure(&what("Envoy, a delivery"), Middle::only(self.envoy), " us");
        }
        report.figure(&what("clients and providers, a delivery"), Middle::only(self.load), " us");
    }

    fn tell_lateness(mut self, way: &str, sockets: usize, budget: Budget, report: &mut Report) -> anyhow::Result<()> {
        let mut at = |share| anyhow::Ok(Middle::only(quantile(&mut self.late, share)? / 1_000.0));
        let (p50, p99, last) = (at(0.5)?, at(0.99)?, at(1.0)?);
        let what = |what: &str| format!("one head to {sockets} sockets {way}, {what}");
        match budget {
            Budget::None => report.figure(&what("p99 of the middle head"), self.p99s, " ms"),
            Budget::AtMost(_) | Budget::AtLeast(_) => {
                report.row(&what("p99 of the middle head"), self.p99s, " ms", budget);
            }
        }
        report.figure(&what("p50 of all heads together"), p50, " ms");
        report.figure(&what("p99 of all heads together"), p99, " ms");
        report.figure(&what("the last client of all heads"), last, " ms");
        Ok(())
    }
}

/// What clients were told.
#[derive(Debug, Default)]
struct Told {
    there: AtomicUsize,
    late: Mutex<Vec<u32>>,
    published: Mutex<Option<Instant>>,
}

impl Told {
    fn there(&self) -> usize {
        self.there.load(Ordering::Relaxed)
    }

    fn publish(&self, publish: impl FnOnce() -> u64) {
        *self.published.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        publish();
    }

    /// A client has a head.
    fn told(&self) {
        let Some(published) = *self.published.lock().unwrap_or_else(PoisonError::into_inner) else { return };
        let nanos = u32::try_from(published.elapsed().as_nanos()).unwrap_or(u32::MAX);
        self.late.lock().unwrap_or_else(PoisonError::into_inner).push(nanos);
    }

    fn count(&self) -> usize {
        self.late.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn forget(&self) {
        self.late.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn late(&self) -> Vec<u32> {
        std::mem::take(&mut self.late.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Clients that stay until it is dropped.
struct Crowd {
    told: Arc<Told>,
    seats: Arc<Semaphore>,
    clients: JoinSet<()>,
}

impl Crowd {
    /// So many clients, all of them subscribed.
    async fn gather(url: &str, sockets: usize) -> anyhow::Result<Self> {
        let (told, seats) = (Arc::new(Told::default()), Arc::new(Semaphore::new(AT_ONCE)));
        let mut crowd = Self { told, seats, clients: JoinSet::new() };
        crowd.join(url, sockets).await?;
        Ok(crowd)
    }

    /// So many more.
    async fn join(&mut self, url: &str, sockets: usize) -> anyhow::Result<()> {
        let host = url.trim_start_matches("ws://").split('/').next().unwrap_or_default();
        for _ in 0..sockets {
            self.clients.spawn(stay(host.to_owned(), Arc::clone(&self.told), Arc::clone(&self.seats)));
        }
        let all = self.clients.len();
        wait::until_true("all clients to be subscribed", PATIENCE, || self.told.there() == all)
            .await
            .with_context(|| format!("{} of {all} are", self.told.there()))
    }
}

async fn stay(host: String, told: Arc<Told>, seats: Arc<Semaphore>) {
    let mut turns = tokio::time::interval(PAUSE);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        turns.tick().await;
        let opened = async {
            // It is never closed.
            let _seat = seats.acquire().await.ok()?;
            subscribed(&host).await
        };
        let Some(mut frames) = opened.await else { continue };
        told.there.fetch_add(1, Ordering::Relaxed);
        while let Ok(Some(frame)) = frames.frame().await {
            match frame.opcode {
                opcode::TEXT => told.told(),
                opcode::PING if frames.put(&Frame::new(opcode::PONG, frame.payload).masked()).await.is_ok() => {}
                _ => break,
            }
        }
        told.there.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A socket whose subscription was confirmed.
async fn subscribed(host: &str) -> Option<Frames<TcpStream>> {
    let confirmed = async {
        let mut frames = Frames::dial(host, PATH).await.ok()?;
        frames.put(&Frame::text(SUBSCRIBE).masked()).await.ok()?;
        let reply = frames.frame().await.ok()??;
        reply.payload.starts_with(br#"{"jsonrpc":"2.0","id":1,"result":"#).then_some(frames)
    };
    tokio::time::timeout(PATIENCE, confirmed).await.ok()?
}
