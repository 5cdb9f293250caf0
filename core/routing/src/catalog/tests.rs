use lasso_jsonrpc::method::Method;

use super::spec::{ChainSpec, CostSpec, ErrorRuleSpec, TransportSpec};
use super::*;
use crate::fixture::{chain_spec, channel_spec, profile_spec, provider_spec, spec};

/// What is said of a catalog of two providers (a, b) that was changed like this.
#[track_caller]
fn check(change: impl FnOnce(&mut CatalogSpec), said: &str) {
    let mut spec = spec(&["a", "b"]);
    change(&mut spec);
    let error = Catalog::try_from(spec).expect_err("it was accepted");
    assert_eq!(error.to_string(), said);
}

/// The only chain of the only profile.
fn chain(spec: &mut CatalogSpec) -> &mut ChainSpec {
    &mut spec.profiles[0].chains[0]
}

#[test]
fn a_plain_document_is_accepted() {
    let catalog = Catalog::try_from(spec(&["a", "b"])).unwrap();
    assert_eq!(catalog.channels().count(), 2);
    assert_eq!(catalog.chains().count(), 1);
    assert_eq!(catalog.generation(), "0000000000000001");
}

#[test]
fn another_shape_or_an_impossible_number_is_named() {
    check(|spec| spec.version = 2, "version: version 2 is not understood; this build reads 1");
    check(|spec| spec.generation.clear(), "generation: is empty; at least one is needed");
    check(|spec| spec.workers = 0, "workers: is 0; must be at least 1");
    check(|spec| spec.max_body_bytes = 0, "max_body_bytes: is 0; must be at least 1");
    check(|spec| spec.max_batch = 0, "max_batch: is 0; must be at least 1");
    check(|spec| spec.profiles.clear(), "profiles: is empty; at least one is needed");
    check(|spec| spec.profiles[0].chains.clear(), "profiles[public].chains: is empty; at least one is needed");
    check(|spec| chain(spec).chain_id = 0, "profiles[public].chains[ethereum].chain_id: is 0; must be at least 1");
    check(
        |spec| chain(spec).block_time_ms = Some(0),
        "profiles[public].chains[ethereum].block_time_ms: is 0; must be at least 1",
    );
    check(
        |spec| chain(spec).breaker.recovery_max_ms = 10,
        "profiles[public].chains[ethereum].breaker.recovery_max_ms: is 10; must be at least 1000",
    );
    check(
        |spec| chain(spec).breaker.failures = 0,
        "profiles[public].chains[ethereum].breaker.failures: is 0; must be at least 1",
    );
    check(
        |spec| spec.profiles[0].methods.broadcast = 0,
        "profiles[public].methods.broadcast: is 0; must be at least 1",
    );
    check(
        |spec| {
            spec.profiles[0].methods.timeouts_ms.insert("eth_call".into(), 0);
        },
        "profiles[public].methods.timeouts_ms[eth_call]: is 0; must be at least 1",
    );
    check(
        |spec| chain(spec).providers[1].capabilities.max_block_range = Some(0),
        "profiles[public].chains[ethereum].providers[b].capabilities.max_block_range: is 0; must be at least 1",
    );
    check(
        |spec| chain(spec).providers[0].requests_per_second = Some(0.0),
        "profiles[public].chains[ethereum].providers[a].requests_per_second: 0 is not an amount; a finite number, not negative",
    );
    check(
        |spec| chain(spec).providers[0].cost = Some(CostSpec::ByMethod([("*".to_owned(), -1.0)].into())),
        "profiles[public].chains[ethereum].providers[a].cost[*]: -1 is not an amount; a finite number, not negative",
    );
}

#[test]
fn a_name_is_given_once() {
    check(
        |spec| spec.channels.push(channel_spec("ethereum", "a", TransportSpec::Http)),
        "channels[ethereum/a/http].id: `ethereum/a/http` is taken",
    );
    check(|spec| spec.profiles.push(spec.profiles[0].clone()), "profiles[public].id: `public` is taken");
    check(
        |spec| spec.profiles[0].chains.push(chain_spec("ethereum", 5, &[])),
        "profiles[public].chains[ethereum].id: `ethereum` is taken",
    );
    check(
        |spec| chain(spec).aliases = vec!["eth".into(), "eth".into()],
        "profiles[public].chains[ethereum].aliases[1]: `eth` is taken",
    );
    check(
        |spec| spec.profiles[0].chains.push(chain_spec("other", 1, &[])),
        "profiles[public].chains[other].chain_id: `1` is taken",
    );
    check(
        |spec| chain(spec).hosts = vec!["eth.example".into(), "ETH.example.".into()],
        "profiles[public].chains[ethereum].hosts[1]: `eth.example` is taken",
    );
    check(
        |spec| chain(spec).providers[1].id = "a".into(),
        "profiles[public].chains[ethereum].providers[a].id: `a` is taken",
    );
    check(
        |spec| chain(spec).providers[1].channels = vec!["ethereum/a/http".into()],
        "profiles[public].chains[ethereum].providers[a].channels[0]: `ethereum/a/http` is taken",
    );
}

#[test]
fn a_name_can_stand_in_a_path() {
    check(
        |spec| chain(spec).id = "provider".into(),
        "profiles[public].chains[provider]: `provider` is a word of the route table; choose another name",
    );
    check(
        |spec| chain(spec).aliases = vec!["profile".into()],
        "profiles[public].chains[ethereum].aliases[0]: `profile` is a word of the route table; choose another name",
    );
    check(
        |spec| chain(spec).providers[0].id = "a/b".into(),
        "profiles[public].chains[ethereum].providers[a/b]: `a/b` is not a name; no spaces, slashes or control characters",
    );
    check(|spec| spec.profiles[0].id.clear(), "profiles[0]: is empty; at least one is needed");
}

#[test]
fn what_is_pointed_at_exists() {
    check(
        |spec| chain(spec).providers[1].channels = vec!["ethereum/c/http".into()],
        "profiles[public].chains[ethereum].providers[b].channels[0]: no channel `ethereum/c/http`",
    );
    check(
        |spec| chain(spec).providers[1].channels.clear(),
        "profiles[public].chains[ethereum].providers[b].channels: is empty; at least one is needed",
    );
    let strategies = "one of fastest latency-weighted load-balanced round-robin priority cheapest";
    check(
        |spec| chain(spec).strategy = "quickest".into(),
        &format!("profiles[public].chains[ethereum].strategy: no strategy `quickest`; {strategies}"),
    );
    check(
        |spec| {
            spec.profiles[0].methods.strategies.insert("eth_call".into(), "best".into());
        },
        &format!("profiles[public].methods.strategies[eth_call]: no strategy `best`; {strategies}"),
    );
}

#[test]
fn a_channel_serves_one_chain_and_one_transport_of_a_provider() {
    check(
        |spec| {
            let mut base = chain_spec("base", 8453, &["a"]);
            base.providers[0].channels = vec!["ethereum/a/http".into()];
            spec.profiles[0].chains.push(base);
        },
        "profiles[public].chains[base].providers[a].channels[0]: this channel serves chain id 1 already; it cannot serve 8453 too",
    );
    check(
        |spec| {
            spec.channels.push(channel_spec("ethereum", "c", TransportSpec::Http));
            chain(spec).providers[0].channels.push("ethereum/c/http".into());
        },
        "profiles[public].chains[ethereum].providers[a].channels[1]: a second channel of the same transport",
    );
}

#[test]
fn what_cannot_be_sent_is_named_without_its_secret() {
    check(
        |spec| spec.channels[0].path = "v2/secret".into(),
        "channels[ethereum/a/http].path: must start with / and have no spaces or control characters",
    );
    check(
        |spec| spec.channels[0].authority = "a\r\nb".into(),
        "channels[ethereum/a/http].authority: a host is needed, without control characters",
    );
    check(
        |spec| {
            spec.channels[0].headers.insert("X-Key".into(), "secret".into());
        },
        "channels[ethereum/a/http].headers[X-Key]: not a header: a lower-case name and a printable value",
    );
    let shown = format!("{:?}", Catalog::try_from(spec(&["a"])).unwrap());
    assert!(!shown.contains("secret"), "{shown}");
}

#[test]
fn an_error_rule_that_matches_everything_is_refused() {
    let rule = ErrorRuleSpec { code: None, message: None, category: "rate_limit".into() };
    let mut spec = spec(&["a"]);
    chain(&mut spec).providers[0].capabilities.error_rules = vec![rule];
    let error = Catalog::try_from(spec).unwrap_err();
    assert_eq!(error.path, "profiles[public].chains[ethereum].providers[a].capabilities.error_rules[0]");
}

#[test]
fn a_chain_is_found_by_id_alias_number_and_host() {
    let mut spec = spec(&["a"]);
    chain(&mut spec).aliases = vec!["mainnet".into()];
    chain(&mut spec).hosts = vec!["eth.Example.com".into()];
    let catalog = Catalog::try_from(spec).unwrap();
    let profile = catalog.profile_named("public").unwrap();
    assert_eq!(catalog.profile_named("default"), Some(profile));
    assert_eq!(catalog.profile_named("private"), None);
    for name in ["ethereum", "mainnet", "1"] {
        assert!(catalog.chain_named(profile, name).is_some(), "{name}");
    }
    for name in ["Ethereum", "01", "", "base"] {
        assert!(catalog.chain_named(profile, name).is_none(), "{name}");
    }
    for host in ["eth.example.com", "ETH.example.com:8545", "eth.example.com."] {
        assert!(catalog.chain_at_host(host).is_some(), "{host}");
    }
    for host in ["example.com", "eth.example.com:x", "", "[::1]:80"] {
        assert!(catalog.chain_at_host(host).is_none(), "{host}");
    }
}

#[test]
fn a_profile_called_default_is_itself() {
    let mut spec = spec(&["a"]);
    spec.profiles.push(profile_spec("default", vec![chain_spec("ethereum", 1, &["a"])]));
    let catalog = Catalog::try_from(spec).unwrap();
    assert_ne!(catalog.profile_named("default"), catalog.profile_named("public"));
}

#[test]
fn the_longest_pattern_decides() {
    let mut spec = spec(&["a"]);
    let methods = &mut spec.profiles[0].methods;
    methods.block = vec!["debug_*".into(), "eth_call".into()];
    methods.allow = vec!["debug_traceCall".into(), "eth_*".into(), "personal_sign".into(), "eth_accounts".into()];
    methods.timeouts_ms = [("debug_*".into(), 7_000), ("debug_trace*".into(), 9_000)].into();
    methods.strategies = [("eth_getLogs".into(), "priority".into())].into();
    methods.confirm_null = vec!["eth_*".into(), "!eth_getTransactionReceipt".into(), "foo_bar".into()];
    let catalog = Catalog::try_from(spec).unwrap();
    let rule = |name: &str| catalog.profiles()[0].method(&Method::of(name));

    for (name, blocked) in [
        ("debug_traceTransaction", true),
        ("debug_traceCall", false),
        ("eth_call", true),
        ("eth_getBalance", false),
        ("eth_accounts", false),
        ("personal_sign", false),
        ("personal_unlockAccount", true),
        ("admin_peers", true),
        ("foo_bar", false),
    ] {
        assert_eq!(rule(name).blocked, blocked, "{name}");
    }
    for (name, deadline) in
        [("debug_traceCall", 9_000), ("debug_foo", 7_000), ("eth_blockNumber", 3_000), ("foo_bar", 10_000)]
    {
        assert_eq!(rule(name).deadline, Millis(deadline), "{name}");
    }
    assert_eq!(rule("eth_getLogs").strategy, Some(Strategy::Priority));
    assert_eq!(rule("eth_call").strategy, None);
    for (name, confirms) in [
        ("eth_getTransactionReceipt", false),
        ("eth_getTransactionByHash", true),
        ("eth_call", true),
        ("foo_bar", true),
        ("net_version", false),
    ] {
        assert_eq!(rule(name).confirms_null, confirms, "{name}");
    }
}

#[test]
fn prices_and_capabilities_go_by_the_longest_pattern_too() {
    let mut spec = spec(&["a", "b"]);
    let providers = &mut chain(&mut spec).providers;
    providers[0].cost = Some(CostSpec::ByMethod([("*".into(), 1.0), ("eth_get*".into(), 2.0)].into()));
    providers[0].capabilities.unsupported_methods = vec!["debug_*".into(), "eth_getLogs".into()];
    providers[1] = provider_spec("ethereum", "b");
    let catalog = Catalog::try_from(spec).unwrap();
    let (_, chain) = catalog.chains().next().unwrap();
    let [a, b] = chain.providers() else { panic!("two providers") };
    for (name, cost) in [("eth_call", 1.0), ("eth_getLogs", 2.0), ("eth_getFoo", 2.0), ("foo_bar", 1.0)] {
        assert_eq!(a.costs.of(Keyed::of(&Method::of(name))), cost, "{name}");
        assert_eq!(b.costs.of(Keyed::of(&Method::of(name))), f64::INFINITY, "{name}");
    }
    for (name, unsupported) in
        [("debug_traceCall", true), ("debug_foo", true), ("eth_getLogs", true), ("eth_call", false), ("foo_bar", false)]
    {
        assert_eq!(a.unsupported.has(Keyed::of(&Method::of(name))), unsupported, "{name}");
        assert!(!b.unsupported.has(Keyed::of(&Method::of(name))), "{name}");
    }
}

#[test]
fn a_budget_is_split_over_the_workers_and_shared_by_siblings() {
    let mut spec = spec(&["a", "b"]);
    spec.workers = 4;
    spec.channels.push(channel_spec("ethereum", "a", TransportSpec::Ws));
    chain(&mut spec).providers[0].channels.push("ethereum/a/ws".into());
    chain(&mut spec).providers[0].requests_per_second = Some(300.0);
    let catalog = Catalog::try_from(spec).unwrap();
    let budget = |id: &str| catalog.channel(catalog.channel_named(id).unwrap()).unwrap().budget;
    assert_eq!(catalog.budgets, [75.0]);
    assert_eq!(
        (budget("ethereum/a/http"), budget("ethereum/a/ws"), budget("ethereum/b/http")),
        (Some(0), Some(0), None)
    );
}

#[test]
fn profiles_share_a_channel() {
    let mut spec = spec(&["a"]);
    spec.profiles.push(profile_spec("paid", vec![chain_spec("ethereum", 1, &["a"])]));
    let catalog = Catalog::try_from(spec).unwrap();
    let channels: Vec<_> = catalog.chains().map(|(_, chain)| chain.channels().next().unwrap()).collect();
    assert_eq!(channels[0], channels[1]);
    assert_eq!(catalog.networks, [1]);
}
