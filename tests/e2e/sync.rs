//! What workers tell the control plane, and what they make of what it tells them.

use std::time::Duration;

use lasso_routing::{
    report::Ending,
    table::{BreakerView, ChannelView, Table},
    time::Millis,
};
use lasso_tests::{ChainConfig, Config, FakeControl, Fault, FaultProxy, FilterKind, Mesh, Options, wait};
use serde_json::json;

const SOON: Duration = Duration::from_secs(10);

struct Stand {
    first: FaultProxy,
    second: FaultProxy,
    mesh: Mesh,
    control: FakeControl,
}

/// Of two workers.
fn streams() -> usize {
    FilterKind::under_test().unwrap().streams(2)
}

impl Stand {
    /// Two providers, two workers, and a control plane that both reach.
    async fn start() -> Self {
        let (first, second) = (FaultProxy::without_node().await.unwrap(), FaultProxy::without_node().await.unwrap());
        for provider in [&first, &second] {
            provider.set([Fault::result(json!("0x1"))]);
        }
        let chain = ChainConfig::new("ethereum", 1)
            .provider("first", &first.url("/v2/canary-path"))
            .provider("second", &second.url("/"));
        let options = Options { concurrency: 2, ..Options::default() };
        let mesh = Mesh::start_with(&Config::new().chain(chain), &options).await.unwrap();
        let control = FakeControl::on(mesh.control_port()).await.unwrap();
        let stand = Self { first, second, mesh, control };
        stand.until("a stream of each worker", || stand.control.heard().streams == streams()).await;
        stand
    }

    async fn until(&self, what: &str, holds: impl Fn() -> bool) {
        wait::until_true(what, SOON, holds).await.unwrap();
    }

    async fn ask(&self, times: usize) {
        for _ in 0..times {
            let answered = self.mesh.call("ethereum", "eth_gasPrice", json!([])).await.unwrap();
            assert_eq!(answered.result(), Some(json!("0x1")), "{}", answered.text());
        }
    }

    /// Attempts in all reports, by channel and by how they ended.
    fn attempts(&self, channel: &str, ending: Ending) -> u64 {
        let heard = self.control.heard();
        let tallies = heard.reports.values().flat_map(|(_, report)| &report.tallies);
        let sums = tallies.filter(|tally| *tally.channel == *channel).map(|tally| u64::from(tally.sums.ended(ending)));
        sums.sum()
    }

    fn seen(&self) -> u64 {
        self.first.counts().requests + self.second.counts().requests
    }

    fn told(&self) -> u64 {
        let heard = self.control.heard();
        heard.reports.values().flat_map(|(_, report)| &report.tallies).map(|tally| tally.sums.attempts()).sum()
    }
}

#[tokio::test]
async fn every_worker_says_who_it_is_and_reports_what_it_saw() {
    let stand = Stand::start().await;
    stand.first.set([Fault::rpc(-32603, "Internal error at http://h/v2/canary-path")]);
    stand.ask(3).await;
    stand.first.set([Fault::result(json!("0x1"))]);
    stand.ask(5).await;
    stand.until("all attempts", || stand.told() == 11).await;
    assert_eq!(stand.attempts("ethereum/first/http", Ending::Server), 3);
    assert_eq!(stand.attempts("ethereum/first/http", Ending::Success), 5);
    assert_eq!(stand.attempts("ethereum/second/http", Ending::Success), 3);
    let heard = stand.control.heard();
    let instances: std::collections::BTreeSet<u64> = heard.hellos.iter().map(|hello| hello.instance).collect();
    assert_eq!(instances.len(), streams());
    assert!(heard.hellos.iter().all(|hello| &*hello.node == "envoy-1" && hello.generation.len() == 16));
    let decisions: usize = heard.reports.values().map(|(_, report)| report.decisions.len()).sum();
    assert_eq!(decisions, 8, "few enough to tell all");
    assert!(!format!("{:?}", heard.reports).contains("canary"));
}

#[tokio::test]
async fn over_ten_broken_streams_no_attempt_is_told_twice_or_never() {
    let stand = Stand::start().await;
    let broken = std::cell::Cell::new(false);
    let asking = async {
        while !broken.get() {
            stand.ask(25).await;
        }
    };
    let breaking = async {
        let reports = || stand.control.heard().reports.len();
        for turn in 0..10 {
            // Every other one while a report is on its way that nobody acks.
            stand.control.ack(turn % 2 == 0);
            let heard = reports();
            stand.until("another report", || reports() > heard).await;
            stand.control.break_streams();
            stand.control.ack(true);
            stand.until("all streams again", || stand.control.heard().streams == streams()).await;
        }
        broken.set(true);
    };
    tokio::join!(asking, breaking);
    stand.until("all attempts", || stand.told() >= stand.seen()).await;
    assert_eq!(stand.told(), stand.seen());
    assert!(stand.control.heard().repeated > 0, "no report had to be sent again");
}

#[tokio::test]
async fn what_the_fleet_knows_is_followed_and_said_to_be_in_force() {
    let stand = Stand::start().await;
    let closed_off = ChannelView {
        channel: "ethereum/first/http".into(),
        breaker: BreakerView::Open { left: Some(Millis(60_000)) },
        opening: 1,
        limited: None,
        barred: None,
        connected: false,
    };
    stand.control.say(Table { version: 1, full: true, channels: vec![closed_off], ..Table::default() });
    stand.until("the table to be taken", || stand.control.heard().taken.len() == streams()).await;
    let before = stand.first.counts().requests;
    stand.ask(10).await;
    assert_eq!(stand.first.counts().requests, before, "the first is left alone");
}

#[tokio::test]
async fn a_breaker_that_opens_is_told_before_the_tick() {
    let stand = Stand::start().await;
    stand.first.set([Fault::rpc(-32603, "Internal error")]);
    wait::until("an opened breaker", SOON, || async {
        stand.ask(4).await;
        (stand.mesh.stat_sum("lasso.breakers_opened").await.unwrap() > 0).then_some(())
    })
    .await
    .unwrap();
    stand.until("all attempts", || stand.told() == stand.seen()).await;
}

#[tokio::test]
async fn without_a_control_plane_workers_serve_and_envoy_does_not_complain() {
    let provider = FaultProxy::without_node().await.unwrap();
    provider.set([Fault::result(json!("0x1"))]);
    let chain = ChainConfig::new("ethereum", 1).provider("main", &provider.url("/"));
    let mesh = Mesh::start(&Config::new().chain(chain)).await.unwrap();
    let tried = || async { (mesh.stat_sum("lasso.sync_reconnects").await.unwrap() > 2).then_some(()) };
    wait::until("some vain attempts to connect", SOON, tried).await.unwrap();
    let answered = mesh.call("ethereum", "eth_gasPrice", json!([])).await.unwrap();
    assert_eq!(answered.result(), Some(json!("0x1")));
    let log = mesh.envoy_log();
    assert!(!log.contains("lasso-control") && !log.contains("grpc") && !log.contains("wasm"), "{log}");
}
