//! Several Envoys, one control plane: what one has seen, all know.

use std::time::{Duration, Instant};

use lasso_tests::{ChainConfig, Client, Config, Door, Envoy, Fault, FaultProxy, Mesh, Options, wait};
use serde_json::{Value, json};

use crate::pace::{Pace, both, named, none_lost, saying};

const SECOND: Duration = Duration::from_secs(1);
const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"eth_gasPrice"}"#;
/// How long failures must last before a breaker opens.
const RUN: Duration = Duration::from_millis(500);

/// `public` asks x first; `aside` asks y first, so that it tells of x without asking it.
fn two_ways(x: &FaultProxy, y: &FaultProxy) -> Config {
    let quick = "breaker: {recovery: {min: 200ms, max: 300ms}}";
    let chain = |first: (&str, &FaultProxy), second: (&str, &FaultProxy)| {
        ChainConfig::new("ethereum", 1)
            .line(quick)
            .provider(first.0, &first.1.url("/"))
            .provider(second.0, &second.1.url("/"))
    };
    Config::new().chain(chain(("x", x), ("y", y))).profile("aside").chain(chain(("y", y), ("x", x)))
}

async fn two_envoys(config: &Config) -> (Mesh, Envoy) {
    let options = Options { control_plane: true, ..Options::default() };
    let mesh = Mesh::start_with(config, &options).await.unwrap();
    let beside = mesh.own_listener_beside().await.unwrap();
    (mesh, beside)
}

/// Whom an Envoy would ask, in order, as the request's meta says; without last resorts.
async fn candidates(envoy: &Envoy, path: &str) -> Vec<String> {
    let answered = envoy.post(&format!("{path}?include_meta=body"), CALL).await.unwrap();
    let meta = &answered.json()["lasso_meta"];
    let listed = |key: &str| meta[key].as_array().into_iter().flatten().filter_map(Value::as_str);
    let admitted = listed("candidate_providers").filter(|own| !listed("last_resorts").any(|last| last == *own));
    let named: Vec<String> = admitted.map(|own| own.strip_suffix(":http").unwrap_or(own).to_owned()).collect();
    assert!(!named.is_empty(), "{}", answered.text());
    named
}

async fn until_candidates(envoy: &Envoy, path: &str, within: Duration, wanted: &[&str]) {
    let look = || async { (candidates(envoy, path).await == wanted).then_some(()) };
    wait::until(&format!("the candidates of {path} to be {wanted:?}"), within, look).await.unwrap();
}

/// A chain of its own for each run, since an Envoy that just saw a provider answer keeps the others from giving it up.
struct Site {
    name: String,
    x: FaultProxy,
    y: FaultProxy,
}

impl Site {
    async fn new(chain_id: u64) -> Self {
        let answering = |name: &str| {
            let chain = Fault::result(json!(format!("{chain_id:#x}"))).on("eth_chainId");
            both(chain, saying(name, 1))
        };
        let (x, y) = (named("x", 1).await, named("y", 1).await);
        x.set(answering("x"));
        y.set(answering("y"));
        Self { name: format!("chain-{chain_id}"), x, y }
    }

    fn chain(&self, chain_id: u64, x_first: bool) -> ChainConfig {
        let chain = ChainConfig::new(&self.name, chain_id);
        let (x, y) = (("x", self.x.url("/")), ("y", self.y.url("/")));
        let (first, second) = if x_first { (x, y) } else { (y, x) };
        chain.provider(first.0, &first.1).provider(second.0, &second.1)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_dies_for_one_envoy_is_left_alone_by_the_other() {
    const RUNS: u64 = 20;
    let mut sites = Vec::new();
    for chain_id in 1..=RUNS {
        sites.push((chain_id, Site::new(chain_id).await));
    }
    let config = sites.iter().fold(Config::new(), |config, (id, site)| config.chain(site.chain(*id, true)));
    let config = config.profile("aside");
    let config = sites.iter().fold(config, |config, (id, site)| config.chain(site.chain(*id, false)));
    let (mesh, beside) = two_envoys(&config).await;
    let mut reactions = Vec::new();
    for (_, site) in &sites {
        let (own, aside) = (format!("/rpc/{}", site.name), format!("/rpc/profile/aside/{}", site.name));
        let pace = Pace::start(&mesh.url(&own), 100, &["eth_gasPrice"]);
        pace.run_for(SECOND / 2).await;
        until_candidates(&beside, &aside, 20 * SECOND, &["y", "x"]).await;
        site.x.door_is(Door::Refusing).await.unwrap();
        let died = Instant::now();
        until_candidates(&beside, &aside, 10 * SECOND, &["y"]).await;
        reactions.push(died.elapsed().saturating_sub(RUN));
        none_lost(&pace.end().await);
    }
    reactions.sort();
    let (median, longest) = (reactions[reactions.len() / 2], reactions[reactions.len() - 1]);
    eprintln!(
        "from the threshold to the other Envoy's table: median {median:?}, longest {longest:?}, all {reactions:?}"
    );
    assert!(longest <= Duration::from_millis(300), "{reactions:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_heals_while_the_control_plane_is_dead_is_used_again() {
    let (x, y) = (named("x", 1).await, named("y", 1).await);
    let (mut mesh, beside) = two_envoys(&two_ways(&x, &y)).await;
    let pace = Pace::start(&mesh.url("/rpc/ethereum"), 50, &["eth_gasPrice"]);
    until_candidates(&beside, "/rpc/profile/aside/ethereum", 10 * SECOND, &["y", "x"]).await;
    x.door_is(Door::Refusing).await.unwrap();
    until_candidates(&beside, "/rpc/profile/aside/ethereum", 10 * SECOND, &["y"]).await;
    mesh.kill_control_plane();
    x.door_is(Door::Open).await.unwrap();
    for envoy in [mesh.envoy(), &beside] {
        until_candidates(envoy, "/rpc/ethereum", 20 * SECOND, &["x", "y"]).await;
    }
    none_lost(&pace.end().await);
}

/// How a control plane ends.
#[derive(Debug, Clone, Copy)]
enum End {
    Asked,
    Killed,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn breakers_and_evidence_survive_a_restart_of_the_control_plane() {
    for end in [End::Asked, End::Killed] {
        outlives(end).await;
    }
}

async fn outlives(end: End) {
    let (x, y) = (named("x", 1).await, named("y", 1).await);
    let scratch = lasso_tests::Scratch::new().unwrap();
    let data = format!("data_dir: {}", scratch.file("data").display());
    let config = Config::new()
        .top_line(&data)
        .chain(
            ChainConfig::new("ethereum", 1)
                .line("breaker: {recovery: {min: 60s, max: 60s}}")
                .provider("x", &x.url("/"))
                .provider("y", &y.url("/")),
        )
        .strategy("priority");
    let (mut mesh, beside) = two_envoys(&config).await;
    let pace = Pace::start(&mesh.url("/rpc/ethereum"), 100, &["eth_gasPrice"]);
    until_candidates(&beside, "/rpc/ethereum", 10 * SECOND, &["x", "y"]).await;
    x.set([Fault::rpc(-32603, "Internal error")]);
    until_candidates(&beside, "/rpc/ethereum", 10 * SECOND, &["y"]).await;
    // Evidence is written down every five seconds.
    pace.run_for(6 * SECOND).await;
    match end {
        End::Asked => {}
        End::Killed => mesh.kill_control_plane(),
    }
    mesh.restart_control_plane(&config).unwrap();
    let ready = || async { mesh.api("/api/ready").await.ok() };
    wait::until("the control plane to be ready", 10 * SECOND, ready).await.unwrap();
    let opened = || async {
        let breakers = mesh.api("/api/breakers").await.ok()?;
        breakers.to_string().contains("open").then_some(breakers)
    };
    let breakers = wait::until("the breaker to be open as before", 2 * SECOND, opened).await.unwrap();
    assert!(breakers.to_string().contains("ethereum/x/http"), "{breakers}");
    let requests = asked(&x);
    pace.run_for(3 * SECOND).await;
    assert_eq!(asked(&x), requests, "{end:?}: the open provider was asked again after the restart");
    assert_eq!(candidates(&beside, "/rpc/ethereum").await, ["y"]);
    // Nobody has asked x since, so what stands there is from before.
    let after = mesh.api("/api/leaderboard/ethereum").await.unwrap();
    assert!(after.to_string().contains("ethereum/x/http"), "{end:?}: {after}");
    none_lost(&pace.end().await);
}

/// Attempts that the control plane counted, by provider.
async fn counted(mesh: &Mesh, provider: &str) -> u64 {
    let page = mesh.client().read(&mesh.api_url("/metrics")).await.unwrap().text();
    let channel = format!("channel=\"ethereum/{provider}/http\"");
    let of = |line: &str| line.starts_with("lasso_attempts_total") && line.contains(&channel);
    let value = |line: &str| line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok());
    page.lines().filter(|line| of(line)).filter_map(value).sum::<f64>() as u64
}

/// Calls by clients, without the control plane's own questions.
fn asked(provider: &FaultProxy) -> u64 {
    provider.counts().by_method.get("eth_gasPrice").copied().unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_counted_is_what_the_providers_saw_whatever_becomes_of_the_streams() {
    let (x, y) = (named("x", 1).await, named("y", 1).await);
    let chain = ChainConfig::new("ethereum", 1).provider("x", &x.url("/")).provider("y", &y.url("/"));
    let options = Options { control_plane: true, concurrency: 2, ..Options::default() };
    let mesh = Mesh::start_with(&Config::new().strategy("round-robin").chain(chain), &options).await.unwrap();
    let pace = Pace::start(&mesh.url("/rpc/ethereum"), 200, &["eth_gasPrice"]);
    for _ in 0..10 {
        pace.run_for(SECOND).await;
        mesh.cut_control_streams();
    }
    none_lost(&pace.end().await);
    for (name, provider) in [("x", &x), ("y", &y)] {
        let look = || async { (counted(&mesh, name).await == asked(provider)).then_some(()) };
        let same = wait::until("all attempts to be counted", 10 * SECOND, look).await;
        assert!(same.is_ok(), "{name}: {} counted, {} seen", counted(&mesh, name).await, asked(provider));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_only_envoy_is_never_set_aside_though_probes_are_answered() {
    let providers = [named("x", 1).await, named("y", 1).await, named("z", 1).await];
    let chain = ChainConfig::new("ethereum", 1);
    let chain =
        ["x", "y", "z"].iter().zip(&providers).fold(chain, |chain, (name, at)| chain.provider(name, &at.url("/")));
    let options = Options { control_plane: true, ..Options::default() };
    let mesh = Mesh::start_with(&Config::new().strategy("round-robin").chain(chain), &options).await.unwrap();
    // Probes are not the client's: they come at good moments only.
    for (provider, name) in providers.iter().zip(["x", "y", "z"]) {
        let failing = Fault::answer(lasso_tests::Answer::Reset).for_agent("unlucky");
        provider.set(both(failing, saying(name, 1)));
    }
    let unlucky = Pace::start_as(Client::new().named("unlucky"), &mesh.url("/rpc/ethereum"), 60, &["eth_gasPrice"]);
    unlucky.run_for(10 * SECOND).await;
    let log = mesh.control_plane_log();
    assert!(!log.contains("envoy_set_aside"), "{log}");
    assert!(log.contains("breaker_opened"), "what the client suffers is seen: {log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_envoy_that_reaches_nobody_opens_nothing_for_the_other_one_and_is_set_aside() {
    let providers = [named("x", 1).await, named("y", 1).await, named("z", 1).await];
    let chain = ChainConfig::new("ethereum", 1);
    let chain =
        ["x", "y", "z"].iter().zip(&providers).fold(chain, |chain, (name, at)| chain.provider(name, &at.url("/")));
    let (mesh, beside) = two_envoys(&Config::new().strategy("round-robin").chain(chain)).await;
    for (provider, name) in providers.iter().zip(["x", "y", "z"]) {
        let cut = Fault::answer(lasso_tests::Answer::Reset).for_agent("cut off");
        provider.set(both(cut, saying(name, 1)));
    }
    let pace = Pace::start(&mesh.url("/rpc/ethereum"), 60, &["eth_gasPrice"]);
    let cut_off = Pace::start_as(Client::new().named("cut off"), &beside.url("/rpc/ethereum"), 60, &["eth_gasPrice"]);
    let aside = || async {
        let envoys = mesh.api("/api/envoys").await.ok()?;
        envoys.to_string().contains("\"set_aside\":true").then_some(())
    };
    wait::until("the Envoy that reaches nobody to be set aside", 20 * SECOND, aside).await.unwrap();
    pace.run_for(5 * SECOND).await;
    drop(cut_off);
    let mut served = candidates(mesh.envoy(), "/rpc/ethereum").await;
    served.sort();
    assert_eq!(served, ["x", "y", "z"]);
    let opened: Vec<u64> = vec![mesh.stat_sum("lasso.breakers_opened").await.unwrap()];
    assert_eq!(opened, [0], "the Envoy that reaches everybody opened a breaker");
    none_lost(&pace.end().await);
}
