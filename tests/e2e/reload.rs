//! Another configuration while everything runs: providers come, go and move, and no client notices.

use std::time::Duration;

use lasso_tests::{ChainConfig, Config, Envoy, Fault, FaultProxy, FilterKind, Mesh, Options, wait};
use serde_json::json;

use crate::load::Load;

const RELOADS: usize = 50;

/// The longest deadline of the catalog that goes, and what the steps around it take.
const CLUSTERS_GO_WITHIN: Duration = Duration::from_secs(120);

async fn good(result: &str) -> FaultProxy {
    let provider = FaultProxy::without_node().await.unwrap();
    provider.set([Fault::result(json!("0x1")).on("eth_chainId"), Fault::result(json!(result))]);
    provider
}

/// All of them take their turns, so that each gets traffic.
fn in_turn(providers: &[(&str, String)]) -> Config {
    let chain = ChainConfig::new("ethereum", 1).line("breaker: {failures: 5, recovery: {min: 10m, max: 10m}}");
    let chain = providers.iter().fold(chain, |chain, (name, url)| chain.provider(name, url));
    Config::new().strategy("round-robin").chain(chain)
}

async fn mesh(config: &Config) -> (Mesh, Envoy) {
    let options = Options { control_plane: true, concurrency: 2, ..Options::default() };
    let mesh = Mesh::start_with(config, &options).await.unwrap();
    let beside = mesh.own_listener_beside().await.unwrap();
    (mesh, beside)
}

/// The generations that the control plane put into effect so far.
fn generations(mesh: &Mesh) -> usize {
    mesh.control_plane_log().matches("configuration in effect").count()
}

/// Waits until so many were put into effect, and every Envoy has the last one's catalog.
async fn in_force(mesh: &Mesh, count: usize, envoys: usize) {
    let there = || {
        let log = mesh.control_plane_log();
        let effect = |line: &&str| line.contains("configuration in effect");
        let (at, last) = log.lines().enumerate().filter(|(_, line)| effect(line)).nth(count - 1)?;
        let generation = last.split("\"generation\":\"").nth(1)?.split('"').next()?.to_owned();
        let acked = |line: &&str| line.contains("catalog in force") && line.contains(&generation);
        (log.lines().skip(at).filter(acked).count() >= envoys).then_some(())
    };
    wait::until(&format!("reload {count} on every Envoy"), Duration::from_secs(60), || async { there() })
        .await
        .unwrap_or_else(|error| panic!("{error}\n{}", mesh.control_plane_log()));
}

/// The clusters of the chain, by the names of their providers.
async fn clusters(envoy: &Envoy) -> Vec<String> {
    let page = envoy.admin("/clusters").await.unwrap();
    let names = page.lines().filter_map(|line| line.strip_prefix("lasso/ethereum/")?.split("/http").next());
    let mut names: Vec<String> = names.map(str::to_owned).collect();
    names.sort();
    names.dedup();
    names
}

/// Providers of which two stay, one of them with its breaker open, and the others come, go and move.
struct Providers {
    stays: FaultProxy,
    dead: FaultProxy,
    goes: FaultProxy,
    comes: FaultProxy,
    first: FaultProxy,
    second: FaultProxy,
}

impl Providers {
    async fn start() -> Self {
        let [stays, dead, goes] = [good("0x1").await, good("0x2").await, good("0x3").await];
        let [comes, first, second] = [good("0x4").await, good("0x5").await, good("0x6").await];
        dead.set([Fault::rpc(-32603, "Internal error")]);
        Self { stays, dead, goes, comes, first, second }
    }

    /// Those that stay, with a new key each time, and these.
    fn with(&self, key: usize, others: &[(&str, String)]) -> Config {
        let always = [("stays", self.stays.url(&format!("/key-{key}"))), ("dead", self.dead.url("/"))];
        in_turn(&[&always, others].concat())
    }

    /// It goes and others come; one of these moves, is back, moves again; and the first comes back.
    fn generation(&self, reload: usize) -> Config {
        let others = match reload % 5 {
            0 | 2 => [("comes", self.comes.url("/")), ("moves", self.first.url("/a"))].to_vec(),
            1 => [("comes", self.comes.url("/")), ("moves", self.second.url("/b"))].to_vec(),
            3 => [("comes", self.comes.url("/other-key")), ("moves", self.second.url("/c"))].to_vec(),
            _ => [("goes", self.goes.url("/"))].to_vec(),
        };
        self.with(reload + 1, &others)
    }

    /// A path goes to the host it was written for, whatever generation a request began with.
    fn have_their_own_paths_only(&self) {
        for (provider, own) in [(&self.first, &["/a"][..]), (&self.second, &["/b", "/c"]), (&self.goes, &["/"])] {
            let requests = provider.requests();
            let stray = requests.iter().find(|request| !own.contains(&request.path.as_str()));
            assert!(stray.is_none(), "{stray:?}");
        }
    }
}

async fn reload_fifty_times(mesh: &Mesh, providers: &Providers, load: &Load) {
    for reload in 0..RELOADS {
        mesh.write_config(&providers.generation(reload)).unwrap();
        if reload % 3 == 0 {
            mesh.control_plane().unwrap().signal("HUP").unwrap();
        }
        // Every other one comes while the one before is on its way.
        if reload % 2 == 0 {
            in_force(mesh, reload + 1, 2).await;
            load.more(20).await;
        } else {
            wait::until_true("the reload", Duration::from_secs(20), || generations(mesh) > reload).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_reloads_under_load_lose_no_request() {
    let providers = Providers::start().await;
    let Providers { dead, goes, comes, first, second, .. } = &providers;
    let (mesh, beside) = mesh(&providers.with(0, &[("goes", goes.url("/"))])).await;
    let ask = |url: String| Load::start(6, &url, "eth_gasPrice", &json!([]));
    let loads = [ask(mesh.url("/rpc/ethereum")), ask(beside.url("/rpc/ethereum"))];
    for load in &loads {
        load.more(500).await;
    }
    let failures = dead.count("eth_gasPrice");
    reload_fifty_times(&mesh, &providers, &loads[0]).await;
    mesh.write_config(&providers.with(RELOADS + 1, &[("comes", comes.url("/"))])).unwrap();
    in_force(&mesh, RELOADS + 1, 2).await;
    for envoy in [mesh.envoy(), &beside] {
        let gone = || async { (clusters(envoy).await == ["comes", "dead", "stays"]).then_some(()) };
        wait::until("the clusters of all others to go", CLUSTERS_GO_WITHIN, gone).await.unwrap();
    }

    for (what, provider) in [("goes", goes), ("moves", first), ("moves", second)] {
        let before = provider.count("eth_gasPrice");
        assert!(before > 0, "{what} was never asked");
        for load in &loads {
            load.more(200).await;
        }
        assert_eq!(provider.count("eth_gasPrice"), before, "{what} went and is still asked");
    }
    providers.have_their_own_paths_only();
    // Three workers may each have had an attempt on its way.
    let asked_in_vain = dead.count("eth_gasPrice") - failures;
    assert!(asked_in_vain <= 3, "a breaker that is open for ten minutes was forgotten: {asked_in_vain} more");
    for (envoy, workers) in [(mesh.envoy(), 2), (&beside, 1)] {
        let stats = envoy.stats().await.unwrap();
        // One more for xDS.
        let streams = FilterKind::under_test().unwrap().streams(workers) as u64 + 1;
        assert_eq!(stats.get("cluster.lasso-control.upstream_rq_active"), Some(&streams), "streams leak");
    }
    for load in loads {
        load.end_without_loss().await;
    }
    assert!(!mesh.control_plane_log().contains("\"ERROR\""), "{}", mesh.control_plane_log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_envoy_refuses_holds_back_only_its_own_provider() {
    let [first, second] = [good("0x1").await, good("0x2").await];
    // Envoy cannot read these certificates, so it refuses every cluster with TLS.
    let options = Options { control_plane: true, ca_bundle: Some("canary".to_owned()), ..Options::default() };
    let config = |others: &[(&str, String)]| in_turn(&[&[("first", first.url("/"))], others].concat());
    let mesh = Mesh::start_with(&config(&[]), &options).await.unwrap();
    let load = Load::start(4, &mesh.url("/rpc/ethereum"), "eth_gasPrice", &json!([]));
    load.more(50).await;
    let bad = ("bad", "https://127.0.0.1:1/canary".to_owned());
    mesh.write_config(&config(&[bad.clone(), ("second", second.url("/"))])).unwrap();
    in_force(&mesh, 1, 1).await;
    wait::until_true("the second to be asked", Duration::from_secs(20), || second.counts().requests > 50)
        .await
        .unwrap();
    let log = mesh.control_plane_log();
    let refusals: Vec<_> = log.lines().filter(|line| line.contains("xds refused")).collect();
    assert!(refusals.iter().all(|line| line.contains("lasso/ethereum/bad/http")), "{log}");
    assert!(log.lines().any(|line| line.contains("catalog in force") && line.contains("\"without\":1")), "{log}");
    assert_eq!(clusters(mesh.envoy()).await, ["first", "second"]);

    // Nobody would be left: the catalog from before goes on.
    mesh.write_config(&in_turn(&[bad])).unwrap();
    wait::until_true("the reload", Duration::from_secs(20), || generations(&mesh) == 2).await.unwrap();
    load.more(500).await;
    mesh.write_config(&config(&[])).unwrap();
    in_force(&mesh, 3, 1).await;
    load.end_without_loss().await;
    assert!(!mesh.control_plane_log().contains("canary"), "a secret is in the log");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_file_changes_nothing_and_a_good_one_recovers() {
    let (first, second) = (good("0x1").await, good("0x2").await);
    let options = Options { control_plane: true, ..Options::default() };
    let mesh = Mesh::start_with(&in_turn(&[("first", first.url("/canary"))]), &options).await.unwrap();
    mesh.write_config_text(
        "profiles: {public: {chains: {ethereum: {chain_id: one, providers: [{id: a, url: canary}]}}}}\n",
    )
    .unwrap();
    mesh.control_plane().unwrap().signal("HUP").unwrap();
    let refused = || mesh.control_plane_log().contains("configuration refused");
    wait::until_true("the refusal", Duration::from_secs(20), refused).await.unwrap();
    let log = mesh.control_plane_log();
    assert!(
        log.contains("lasso.yaml:1: profiles.public.chains.ethereum.chain_id: `one` is not a whole number"),
        "{log}"
    );
    assert!(log.contains("profiles.public.chains.ethereum.providers[a].url"), "every problem is told: {log}");
    let answered = mesh.call("ethereum", "eth_gasPrice", json!([])).await.unwrap();
    assert_eq!(answered.result(), Some(json!("0x1")));

    mesh.write_config(&in_turn(&[("second", second.url("/canary"))])).unwrap();
    in_force(&mesh, 1, 1).await;
    let answers = || async {
        let answered = mesh.call("ethereum", "eth_gasPrice", json!([])).await.ok()?;
        (answered.result() == Some(json!("0x2"))).then_some(())
    };
    wait::until("the second to answer", Duration::from_secs(10), answers).await.unwrap();
    assert!(!mesh.control_plane_log().contains("canary"), "a secret is in the log");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_with_a_provider_that_moved_sends_no_key_elsewhere() {
    let [stays, from, to] = [good("0x1").await, good("0x2").await, good("0x3").await];
    let config = |moves: String| in_turn(&[("stays", stays.url("/")), ("moves", moves)]);
    let (mut mesh, beside) = mesh(&config(from.url("/from"))).await;
    let ask = |url: String| Load::start(6, &url, "eth_gasPrice", &json!([]));
    let loads = [ask(mesh.url("/rpc/ethereum")), ask(beside.url("/rpc/ethereum"))];
    for load in &loads {
        load.more(200).await;
    }
    mesh.restart_control_plane(&config(to.url("/to"))).unwrap();
    let asked = || async { (to.counts().requests > 200).then_some(()) };
    wait::until("the new place to be asked", Duration::from_secs(60), asked).await.unwrap();
    for load in loads {
        load.end_without_loss().await;
    }
    assert!(from.requests().iter().all(|request| request.path == "/from"));
    assert!(to.requests().iter().all(|request| request.path == "/to"));
}
