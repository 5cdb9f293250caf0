//! Clients that ask at a fixed rate, whatever becomes of their calls.
//!
//! A slow answer does not slow the clients down, so a provider that hangs is seen as people would see it. Every call is kept: when it left, how long it took,
//! and who answered (each provider of such a test gives a result of its own).

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use lasso_tests::{Client, Fault, FaultProxy, wait};
use serde_json::{Value, json};
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

/// One call.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// When it left, since the start.
    pub(crate) at: Duration,
    pub(crate) took: Duration,
    pub(crate) method: &'static str,
    /// The result, which names the provider, or what came instead.
    pub(crate) answer: Result<String, String>,
}

/// Calls under way. They end when it is dropped.
pub(crate) struct Pace {
    shared: Arc<Shared>,
    started: Instant,
    _clients: JoinSet<()>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    asked: Mutex<Vec<Asked>>,
    under_way: Mutex<usize>,
}

impl Pace {
    /// Asks these methods in turn, so many calls a second altogether.
    pub(crate) fn start(url: &str, per_second: u32, methods: &[&'static str]) -> Self {
        Self::start_as(Client::new(), url, per_second, methods)
    }

    /// The same by a client of one's own.
    pub(crate) fn start_as(client: Client, url: &str, per_second: u32, methods: &[&'static str]) -> Self {
        let (shared, started) = (Arc::new(Shared::default()), Instant::now());
        let mut clients = JoinSet::new();
        let site = Site { client, url: url.to_owned(), started };
        clients.spawn(keep(Arc::clone(&shared), site, per_second, methods.to_vec()));
        Self { shared, started, _clients: clients }
    }

    /// Now, as [`Asked::at`] counts.
    pub(crate) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Lets it run for so long.
    pub(crate) async fn run_for(&self, long: Duration) {
        let until = self.now() + long;
        wait::until_true("calls to be asked", long + Duration::from_secs(30), || self.now() >= until).await.unwrap();
    }

    /// The calls that left from then on and have ended.
    pub(crate) fn since(&self, from: Duration) -> Vec<Asked> {
        self.shared.asked.lock().unwrap().iter().filter(|asked| asked.at >= from).cloned().collect()
    }

    /// Ends it: all calls, when the last of them has ended.
    pub(crate) async fn end(self) -> Vec<Asked> {
        self.shared.stop.store(true, Ordering::Relaxed);
        let idle = || *self.shared.under_way.lock().unwrap() == 0;
        wait::until_true("the last calls to end", Duration::from_secs(30), idle).await.unwrap();
        std::mem::take(&mut *self.shared.asked.lock().unwrap())
    }
}

impl Drop for Pace {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

/// Whom to ask.
#[derive(Clone)]
struct Site {
    client: Client,
    url: String,
    started: Instant,
}

async fn keep(shared: Arc<Shared>, site: Site, per_second: u32, methods: Vec<&'static str>) {
    let mut calls = JoinSet::new();
    let mut ticks = interval(Duration::from_secs(1) / per_second);
    // What this machine was too busy to send is sent late, not left out: the rate is kept.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for method in methods.iter().cycle() {
        ticks.tick().await;
        if shared.stop.load(Ordering::Relaxed) {
            break;
        }
        *shared.under_way.lock().unwrap() += 1;
        calls.spawn(ask(Arc::clone(&shared), site.clone(), method));
        while calls.try_join_next().is_some() {}
    }
    calls.join_all().await;
}

async fn ask(shared: Arc<Shared>, site: Site, method: &'static str) {
    let at = site.started.elapsed();
    let answer = match site.client.call(&site.url, method, params(method)).await {
        Ok(answered) => match answered.result() {
            Some(Value::String(who)) => Ok(who),
            Some(_) | None => Err(format!("{} {}", answered.status, answered.text())),
        },
        Err(error) => Err(format!("{error:#}")),
    };
    let asked = Asked { at, took: site.started.elapsed() - at, method, answer };
    shared.asked.lock().unwrap().push(asked);
    *shared.under_way.lock().unwrap() -= 1;
}

fn params(method: &str) -> Value {
    match method {
        "eth_call" => json!([{"to": "0x0000000000000000000000000000000000000001", "data": "0x"}, "latest"]),
        "eth_getLogs" => json!([{"fromBlock": "0x10", "toBlock": "0x12"}]),
        _ => json!([]),
    }
}

/// A provider whose result is its name, after so long.
pub(crate) async fn named(name: &str, milliseconds: u64) -> FaultProxy {
    let provider = FaultProxy::without_node().await.unwrap();
    provider.set(saying(name, milliseconds));
    provider
}

/// The answers of such a provider: its name to clients, and what is true of chain 1 to the control plane.
pub(crate) fn saying(name: &str, milliseconds: u64) -> Vec<Fault> {
    at_block(name, milliseconds, 1_000)
}

/// The same at another block.
pub(crate) fn at_block(name: &str, milliseconds: u64, head: u64) -> Vec<Fault> {
    let answers = [
        Fault::result(json!("0x1")).on("eth_chainId"),
        Fault::result(json!(format!("{head:#x}"))).on("eth_blockNumber"),
        Fault::result(json!({"number": format!("{head:#x}")})).on("eth_getBlockByNumber"),
        Fault::result(json!(name)),
    ];
    answers.map(|answer| answer.after(milliseconds)).into()
}

/// First these, then those.
pub(crate) fn both(first: Fault, then: Vec<Fault>) -> Vec<Fault> {
    std::iter::once(first).chain(then).collect()
}

/// The part of these calls that `who` answered.
pub(crate) fn share(asked: &[Asked], who: &str) -> f64 {
    let by = asked.iter().filter(|asked| asked.answer.as_deref() == Ok(who)).count();
    by as f64 / asked.len().max(1) as f64
}

/// No call may have been lost.
#[track_caller]
pub(crate) fn none_lost(asked: &[Asked]) {
    let lost: Vec<&Asked> = asked.iter().filter(|asked| asked.answer.is_err()).collect();
    assert!(lost.is_empty(), "{} of {} lost, such as {:?}", lost.len(), asked.len(), lost.first());
}
