//! A provider whose breaker is open is asked last rather than failing a call.
//!
//! Its breaker stays open for a minute, so that what answers is the last resort and no trial that was due.

use std::time::Duration;

use lasso_tests::{Answer, ChainConfig, Config, Door, Fault, FaultProxy, Mesh, Options, wait};
use serde_json::json;

use crate::pace::{Pace, both, named, none_lost, saying, share};

const SECOND: Duration = Duration::from_secs(1);
const A_MINUTE: &str = "breaker: {recovery: {min: 60s, max: 60s}}";

/// Ways to die.
#[derive(Debug, Clone, Copy)]
enum Death {
    Refuses,
    Resets,
    Silent,
    Unwell,
}

impl Death {
    const ALL: [Self; 4] = [Self::Refuses, Self::Resets, Self::Silent, Self::Unwell];

    async fn befalls(self, provider: &FaultProxy) {
        match self {
            Self::Refuses => provider.door_is(Door::Refusing).await.unwrap(),
            Self::Resets => provider.set([Fault::answer(Answer::Reset)]),
            Self::Silent => provider.set([Fault::answer(Answer::Hang)]),
            Self::Unwell => provider.set([Fault::text(503, "")]),
        }
    }
}

/// Three providers, asked in this order, and the mesh before them.
struct Stand {
    a: FaultProxy,
    b: FaultProxy,
    c: FaultProxy,
    mesh: Mesh,
}

impl Stand {
    async fn new(options: &Options, line: &str) -> Self {
        let (a, b, c) = (named("a", 1).await, named("b", 1).await, named("c", 1).await);
        let chain = [("a", &a), ("b", &b), ("c", &c)]
            .iter()
            .fold(ChainConfig::new("ethereum", 1).line(line), |chain, (name, provider)| {
                chain.provider(name, &provider.url("/"))
            });
        let mesh = Mesh::start_with(&Config::new().chain(chain), options).await.unwrap();
        Self { a, b, c, mesh }
    }

    fn calls(&self) -> Pace {
        Pace::start(&self.mesh.url("/rpc/ethereum"), 100, &["eth_gasPrice", "eth_call"])
    }

    /// Until that many breakers of workers have opened in all.
    async fn opened(&self, breakers: u64) {
        let opened = || async { (self.mesh.stat_sum("lasso.breakers_opened").await.ok()? >= breakers).then_some(()) };
        wait::until(&format!("{breakers} breakers to open"), 10 * SECOND, opened).await.unwrap();
    }

    /// Until the control plane shows a and the others to be as available as this wants.
    async fn shown(&self, what: &str, wanted: impl Fn(&str, &[String]) -> bool) {
        let look = || async {
            let breakers = self.mesh.api("/api/breakers").await.ok()?;
            let (of_a, others): (Vec<_>, Vec<_>) =
                breakers["breakers"].as_array()?.iter().partition(|it| it["channel"] == "ethereum/a/http");
            let availability = |it: &serde_json::Value| it["availability"].as_str().unwrap_or_default().to_owned();
            let others: Vec<String> = others.into_iter().map(availability).collect();
            wanted(&availability(of_a.first()?), &others).then_some(())
        };
        wait::until(what, 60 * SECOND, look).await.unwrap();
    }

    /// a dies until its breaker is open, and heals.
    async fn a_was_dead(&self) {
        self.a.door_is(Door::Refusing).await.unwrap();
        self.opened(1).await;
        self.a.door_is(Door::Open).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_all_others_die_at_once_the_one_that_has_healed_answers_every_call() {
    for death in Death::ALL {
        let stand = Stand::new(&Options::default(), A_MINUTE).await;
        let calls = stand.calls();
        calls.run_for(SECOND / 2).await;
        stand.a_was_dead().await;
        let died = calls.now();
        death.befalls(&stand.b).await;
        death.befalls(&stand.c).await;
        calls.run_for(4 * SECOND).await;
        let after = calls.since(died + SECOND / 10);
        none_lost(&calls.end().await);
        assert!(share(&after, "a") > 0.95, "{death:?}: {}", share(&after, "a"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_only_closed_one_dies_one_of_the_open_ones_answers_every_call() {
    for death in Death::ALL {
        let stand = Stand::new(&Options::default(), A_MINUTE).await;
        let calls = stand.calls();
        calls.run_for(SECOND / 2).await;
        // b stays dead, and its opening ends before that of a: it is asked before a, in vain.
        stand.b.door_is(Door::Refusing).await.unwrap();
        let ask_b = Pace::start(&stand.mesh.url("/rpc/ethereum?exclude=a"), 50, &["eth_gasPrice"]);
        stand.opened(1).await;
        none_lost(&ask_b.end().await);
        stand.a.door_is(Door::Refusing).await.unwrap();
        stand.opened(2).await;
        stand.a.door_is(Door::Open).await.unwrap();
        death.befalls(&stand.c).await;
        calls.run_for(4 * SECOND).await;
        none_lost(&calls.end().await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_control_plane_and_breakers_as_they_come_no_call_is_lost_either() {
    let options = Options { control_plane: true, concurrency: 2, ..Options::default() };
    let stand = Stand::new(&options, "block_time: 12s").await;
    let calls = stand.calls();
    calls.run_for(SECOND).await;
    for death in [Death::Refuses, Death::Resets] {
        stand.a.door_is(Door::Refusing).await.unwrap();
        // The workers' own may never open: the fleet's has.
        stand.shown("a to be down", |a, _| a == "down").await;
        stand.a.door_is(Door::Open).await.unwrap();
        death.befalls(&stand.b).await;
        death.befalls(&stand.c).await;
        calls.run_for(3 * SECOND).await;
        for (name, provider) in [("b", &stand.b), ("c", &stand.c)] {
            provider.set(saying(name, 1));
            provider.door_is(Door::Open).await.unwrap();
        }
        stand.shown("everybody to be found again", |a, others| a == "up" && others.iter().all(|it| it == "up")).await;
    }
    none_lost(&calls.end().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_one_is_not_asked_for_calls_that_others_answer() {
    let stand = Stand::new(&Options::default(), A_MINUTE).await;
    let calls = stand.calls();
    calls.run_for(SECOND / 2).await;
    stand.a_was_dead().await;
    let asked = |provider: &FaultProxy| provider.counts().requests;
    let (from, before) = (calls.now(), asked(&stand.a));
    // One in five of b's answers is none.
    stand.b.set(both(Fault { probability: Some(0.2), ..Fault::answer(Answer::Reset) }, saying("b", 1)));
    calls.run_for(4 * SECOND).await;
    let made = calls.since(from).len() as u64;
    none_lost(&calls.end().await);
    assert_eq!(asked(&stand.a), before);
    let attempts = stand.mesh.stat_sum("lasso.attempts").await.unwrap();
    let requests = stand.mesh.stat_sum("lasso.requests").await.unwrap();
    assert!(made > 200 && attempts * 10 <= requests * 13, "{attempts} attempts for {requests} calls");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_last_resort_takes_no_longer_than_the_calls_deadline() {
    let stand = Stand::new(&Options::default(), A_MINUTE).await;
    let calls = stand.calls();
    calls.run_for(SECOND / 2).await;
    stand.a_was_dead().await;
    stand.a.door_is(Door::Gone).await.unwrap();
    none_lost(&calls.end().await);
    for provider in [&stand.b, &stand.c] {
        Death::Unwell.befalls(provider).await;
    }
    // eth_gasPrice has three seconds.
    for _ in 0..3 {
        let asked = std::time::Instant::now();
        let answered = stand.mesh.call("ethereum", "eth_gasPrice", json!([])).await.unwrap();
        assert_eq!(answered.status, 200, "{}", answered.text());
        assert!(answered.text().contains("-32000"), "{}", answered.text());
        assert!(asked.elapsed() < Duration::from_millis(3_500), "{:?}", asked.elapsed());
    }
}
