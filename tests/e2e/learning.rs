//! `fastest` sends each method to who is fast at it now, and forgives.

use std::time::Duration;

use lasso_tests::{ChainConfig, Config, Door, Fault, FaultProxy, Mesh, Options, wait};

use crate::pace::{Asked, Pace, both, named, none_lost, saying, share};

const SECOND: Duration = Duration::from_secs(1);

async fn mesh(providers: &[(&str, &FaultProxy)], concurrency: u32) -> Mesh {
    let chain = ChainConfig::new("ethereum", 1);
    let chain = providers.iter().fold(chain, |chain, (name, provider)| chain.provider(name, &provider.url("/")));
    let config = Config::new().strategy("fastest").exploring().chain(chain);
    let options = Options { control_plane: true, concurrency, ..Options::default() };
    Mesh::start_with(&config, &options).await.unwrap()
}

/// It heals, and ten seconds later it answers nearly all.
async fn leads_again(fast: &FaultProxy, pace: &Pace) {
    fast.set(saying("fast", 5));
    pace.run_for(10 * SECOND).await;
    let healed = pace.now();
    pace.run_for(3 * SECOND).await;
    let led = share(&pace.since(healed), "fast");
    assert!(led > 0.8, "10 s after it healed it answers {led}");
}

fn of(asked: &[Asked], method: &str) -> Vec<Asked> {
    asked.iter().filter(|asked| asked.method == method).cloned().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_method_goes_to_who_is_fast_at_it_and_follows_a_swap() {
    let (a, b) = (named("a", 0).await, named("b", 0).await);
    let speeds = |name, calls, logs| {
        let slow = |method: &str, by: u64| Fault::latency(by).on(method);
        [vec![slow("eth_call", calls), slow("eth_getLogs", logs)], saying(name, 0)].concat()
    };
    a.set(speeds("a", 5, 60));
    b.set(speeds("b", 60, 5));
    let mesh = mesh(&[("a", &a), ("b", &b)], 2).await;
    let pace = Pace::start(&mesh.url("/rpc/ethereum"), 60, &["eth_call", "eth_getLogs"]);
    let check = |asked: &[Asked], calls: &str, logs: &str, when: &str| {
        let (calls, logs) = (share(&of(asked, "eth_call"), calls), share(&of(asked, "eth_getLogs"), logs));
        assert!(calls >= 0.95 && logs >= 0.95, "{when}: {calls} of the calls, {logs} of the logs went right");
    };
    // 200 calls of each.
    pace.run_for(7 * SECOND).await;
    let learned = pace.now();
    pace.run_for(3 * SECOND).await;
    check(&pace.since(learned), "a", "b", "after 200 calls of each");

    a.set(speeds("a", 60, 5));
    b.set(speeds("b", 5, 60));
    pace.run_for(10 * SECOND).await;
    let swapped = pace.now();
    pace.run_for(3 * SECOND).await;
    check(&pace.since(swapped), "b", "a", "10 s after the swap");
    none_lost(&pace.end().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_fails_three_in_ten_keeps_hardly_any_call_and_leads_again_when_healed() {
    let (fast, slow) = (named("fast", 5).await, named("slow", 30).await);
    let mesh = mesh(&[("fast", &fast), ("slow", &slow)], 1).await;
    let pace = Pace::start(&mesh.url("/rpc/ethereum"), 60, &["eth_call"]);
    pace.run_for(3 * SECOND).await;
    let failing = Fault { probability: Some(0.3), ..Fault::rpc(-32603, "Internal error") };
    fast.set(both(failing, saying("fast", 5)));
    pace.run_for(5 * SECOND).await;
    let (left, attempts, from) = (pace.now(), fast.counts().requests, pace.since(Duration::ZERO).len());
    pace.run_for(10 * SECOND).await;
    let (asked, attempts) = (pace.since(Duration::ZERO).len() - from, fast.counts().requests - attempts);
    assert!(attempts * 20 < asked as u64, "{attempts} of {asked} calls asked it");
    none_lost(&pace.since(left));

    leads_again(&fast, &pace).await;
    none_lost(&pace.end().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_turns_slow_is_left_and_leads_again_when_healed() {
    let (fast, slow) = (named("fast", 5).await, named("slow", 40).await);
    let mesh = mesh(&[("fast", &fast), ("slow", &slow)], 1).await;
    let pace = Pace::start(&mesh.url("/rpc/ethereum"), 60, &["eth_call"]);
    pace.run_for(5 * SECOND).await;
    assert!(share(&pace.since(3 * SECOND), "fast") > 0.8);
    fast.set(saying("fast", 300));
    pace.run_for(3 * SECOND).await;
    let left = pace.now();
    pace.run_for(5 * SECOND).await;
    let kept = share(&pace.since(left), "fast");
    assert!(kept < 0.05, "3 s later it still gets {kept}");

    leads_again(&fast, &pace).await;
    none_lost(&pace.end().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_hangs_makes_a_second_of_calls_slow_and_no_more() {
    let (fast, slow) = (named("fast", 5).await, named("slow", 20).await);
    let mesh = mesh(&[("fast", &fast), ("slow", &slow)], 1).await;
    let pace = Pace::start(&mesh.url("/rpc/ethereum"), 60, &["eth_call"]);
    pace.run_for(4 * SECOND).await;
    let hung = pace.now();
    fast.set([Fault::answer(lasso_tests::Answer::Hang)]);
    pace.run_for(10 * SECOND).await;
    let asked = pace.end().await;
    none_lost(&asked);
    let late = |from: Duration| asked.iter().filter(|asked| asked.at >= from && asked.took > SECOND / 2).count();
    assert!(late(hung) <= 60, "{} calls took longer than 500 ms", late(hung));
    assert_eq!(late(hung + 5 * SECOND), 0, "calls that were slow 5 s later");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fifth_of_errors_everywhere_costs_hardly_a_call() {
    let failing = || Fault { probability: Some(0.2), ..Fault::rpc(-32603, "Internal error") };
    let providers = [named("a", 5).await, named("b", 5).await, named("c", 5).await];
    for (provider, name) in providers.iter().zip(["a", "b", "c"]) {
        provider.set(both(failing(), saying(name, 5)));
    }
    let mesh = mesh(&[("a", &providers[0]), ("b", &providers[1]), ("c", &providers[2])], 2).await;
    let pace = Pace::start(&mesh.url("/rpc/ethereum"), 200, &["eth_call"]);
    pace.run_for(15 * SECOND).await;
    let asked = pace.end().await;
    let lost = asked.iter().filter(|asked| asked.answer.is_err()).count();
    let attempts: u64 = providers.iter().map(|provider| provider.counts().requests).sum();
    assert!(lost as f64 <= 0.015 * asked.len() as f64, "{lost} of {} lost", asked.len());
    assert!(attempts as f64 <= 1.4 * asked.len() as f64, "{attempts} attempts for {} calls", asked.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_all_are_down_calls_fail_at_once_and_are_answered_as_soon_as_they_are_back() {
    let providers = [named("a", 5).await, named("b", 5).await];
    let mesh = mesh(&[("a", &providers[0]), ("b", &providers[1])], 2).await;
    let pace = Pace::start(&mesh.url("/rpc/ethereum"), 60, &["eth_call"]);
    pace.run_for(3 * SECOND).await;
    for provider in &providers {
        provider.door_is(Door::Refusing).await.unwrap();
    }
    let down = pace.now();
    pace.run_for(4 * SECOND).await;
    for provider in &providers {
        provider.door_is(Door::Open).await.unwrap();
    }
    let back = pace.now();
    pace.run_for(4 * SECOND).await;
    let asked = pace.end().await;
    let late = asked.iter().filter(|asked| asked.at >= down && asked.answer.is_err() && asked.took > SECOND).count();
    assert_eq!(late, 0, "errors that took longer than a second");
    let lost_later: Vec<_> = asked.iter().filter(|asked| asked.at >= back + SECOND && asked.answer.is_err()).collect();
    assert!(lost_later.is_empty(), "{} lost a second after they were back: {:?}", lost_later.len(), lost_later.first());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_says_wait_is_asked_last_for_that_long_and_not_opened() {
    let (fast, slow) = (named("fast", 5).await, named("slow", 20).await);
    let mesh = mesh(&[("fast", &fast), ("slow", &slow)], 2).await;
    let pace = Pace::start(&mesh.url("/rpc/ethereum"), 60, &["eth_call"]);
    pace.run_for(3 * SECOND).await;
    let refusal = Fault::text(429, r#"{"jsonrpc":"2.0","id":$ID,"error":{"code":-32005,"message":"slow down"}}"#);
    fast.set(both(refusal.header("retry-after", "3").times(1), saying("fast", 5)));
    wait::until_true("the refusal", 5 * SECOND, || {
        pace.since(3 * SECOND).iter().any(|asked| asked.answer.as_deref() == Ok("slow"))
    })
    .await
    .unwrap();
    pace.run_for(SECOND / 2).await;
    let (marked, before) = (pace.now(), fast.counts().requests);
    pace.run_for(2 * SECOND).await;
    assert_eq!(fast.counts().requests, before, "it was asked while it wanted to be left alone");
    assert!(share(&pace.since(marked), "slow") > 0.99);
    pace.run_for(3 * SECOND).await;
    let over = pace.now();
    pace.run_for(2 * SECOND).await;
    let led = share(&pace.since(over), "fast");
    assert!(led > 0.8, "after its time it answers {led}");
    assert_eq!(mesh.stat_sum("lasso.breakers_opened").await.unwrap(), 0);
    none_lost(&pace.end().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_black_hole_is_left_after_three_requests() {
    for door in [Door::Gone, Door::Deaf] {
        let (first, second) = (named("first", 1).await, named("second", 1).await);
        let chain =
            ChainConfig::new("ethereum", 1).provider("first", &first.url("/")).provider("second", &second.url("/"));
        let options = Options { control_plane: true, ..Options::default() };
        let mesh = Mesh::start_with(&Config::new().chain(chain), &options).await.unwrap();
        first.door_is(door).await.unwrap();
        let mut slow = 0;
        for _ in 0..20 {
            let asked = std::time::Instant::now();
            let answered = mesh.call("ethereum", "eth_gasPrice", serde_json::json!([])).await.unwrap();
            assert_eq!(answered.result(), Some(serde_json::json!("second")), "{door:?}: {}", answered.text());
            slow += u32::from(asked.elapsed() > SECOND / 4);
        }
        assert!(slow <= 3, "{door:?}: {slow} calls waited for it");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_error_in_a_hundred_opens_nothing_in_a_minute_of_traffic() {
    let one_in_a_hundred = |fault: Fault| Fault { probability: Some(0.01), ..fault };
    let (a, b) = (named("a", 1).await, named("b", 1).await);
    a.set(both(one_in_a_hundred(Fault::rpc(-32603, "Internal error")), saying("a", 1)));
    b.set(both(one_in_a_hundred(Fault::answer(lasso_tests::Answer::Reset)), saying("b", 1)));
    let sound = named("sound", 1).await;
    let mesh = mesh(&[("a", &a), ("b", &b), ("sound", &sound)], 2).await;
    let pace = Pace::start(&mesh.url("/rpc/round-robin/ethereum"), 1_000, &["eth_call"]);
    pace.run_for(60 * SECOND).await;
    let asked = pace.end().await;
    eprintln!("{} calls in a minute", asked.len());
    none_lost(&asked);
    assert_eq!(mesh.stat_sum("lasso.breakers_opened").await.unwrap(), 0, "a worker's breaker opened");
    let breakers = mesh.api("/api/breakers").await.unwrap();
    assert!(!breakers.to_string().contains("\"openings\":1"), "{breakers}");
}
