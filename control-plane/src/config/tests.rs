//! Whole files through [`super::load`].

use super::schema::Shape;
use super::tree::Content;
use super::{Hub, Millis, Subscriptions};
use crate::testing::{Directory, load_text};

/// The smallest file around one chain's keys.
fn with_chain(keys: &str) -> String {
    let keys = keys.replace('\n', "\n        ");
    format!("profiles:\n  public:\n    chains:\n      ethereum:\n        chain_id: 1\n        {keys}\n")
}

const PROVIDERS: &str = "providers: [{id: a, url: 'https://a.example/canary'}]";

#[track_caller]
fn check_problem(text: &str, expected: &str) {
    let problems = load_text(text).unwrap_err();
    assert_eq!(problems, format!("lasso.yaml:{expected}\n1 problem"), "{text}");
}

#[track_caller]
fn check_chain_problem(keys: &str, expected: &str) {
    check_problem(&with_chain(keys), expected);
}

const MISTAKES: &str = "\
on_missing_env: maybe
max_batch: 0
max_body_bytes: lots
listen:
  rpc: localhost
  xds: 10.1.2.3:18000
  http: 127.0.0.1
chains: {}
defaults: {strategie: fastest, explore: sometimes}
observability: {log_level: loud, sampling: 2}
profiles:
  default: {chains: {}}
  public:
    strategy: fastes
    max_lag_blocks: 3
    methods:
      block: eth_call
      timeouts: {eth_getLogs: 5, 'eth/call': 5s}
      strategies: {eth_getLogs: prioritty}
    chains:
      fastest:
        chain_id: 1
        block_time: 12
        providers: []
      ethereum:
        chain_id: 0x1
        aliases: [mainnet, eth main, 137]
        block_time: 12s
        block_time: 13s
        breaker: {failures: 0, recovery: {min: 2m, max: 1m}}
        providers:
          - id: a
            url: ftp://a.example/secret-canary
          - id: a
            url: https://user:secret-canary@a.example/secret-canary
            priority: -1
            cost: {eth_call: free}
            headers: {Host: secret-canary, x-key: [secret-canary]}
          - url: secret-canary
            ws_url: https://a.example/secret-canary
            archival: yes
            capabilities: {max_range: 5, error_rules: [{category: capabilty}, {code: 5}]}
          - id: shorthand
            url: alchemy://secret-canary/x
          - id: unset
            url: https://a.example/${
            rate_limit: {}
      polygon:
        chain_id: 137
        aliases: [mainnet]
        hosts: ['https://polygon.example.com/']
        providers:
          - {id: twin-1, url: 'https://p.example/secret-canary'}
          - {id: twin-2, url: 'https://p.example/secret-canary'}
          - {id: nowhere, url: 'infura://secret-canary'}
      polygon2:
        chain_id: 137
        providers: [{id: alchemy, url: 'alchmy://secret-canary'}]
region: ${NONE}
";

#[test]
fn every_mistake_is_named_with_line_key_and_what_would_be_right() {
    let problems = load_text(MISTAKES).unwrap_err();
    assert!(!problems.contains("canary"), "{problems}");
    insta::assert_snapshot!(problems);
}

#[test]
fn mistakes_one_by_one() {
    let wrong = &with_chain(&format!("block_tme: 12s\n{PROVIDERS}"));
    check_problem(wrong, "6: profiles.public.chains.ethereum.block_tme: is not a key (did you mean `block_time`?)");
    check_chain_problem(
        &format!("max_lag_blocks: 2\n{PROVIDERS}"),
        "6: profiles.public.chains.ethereum.max_lag_blocks: is not a key here; it stands under `selection`",
    );
    check_chain_problem("", "5: profiles.public.chains.ethereum.providers: is missing; it takes a list of mappings");
    check_chain_problem(
        "providers: [{id: a, url: 'https://canary.example:0/canary'}]",
        "6: profiles.public.chains.ethereum.providers[a].url: has no host or port; must be a URL like `https://host/path` or a \
         vendor's shorthand like `alchemy://${KEY}`",
    );
    check_chain_problem(
        "providers: [{id: a, url: 'alchemy://canary'}]\nbreaker: {failures: 2000}",
        "7: profiles.public.chains.ethereum.breaker.failures: `2000` is not a whole number from 1 to 1000",
    );
}

#[test]
fn hosts_that_differ_by_case_or_a_last_dot_are_one() {
    for twin in ["eth.example.com.", "ETH.example.com", "Eth.Example.Com."] {
        check_chain_problem(
            &format!("hosts:\n  - eth.example.com\n  - {twin}\n{PROVIDERS}"),
            "8: profiles.public.chains.ethereum.hosts: the host `eth.example.com` is taken at lasso.yaml:7; must be unique",
        );
    }
    for wrong in ["eth.example.com..", ".eth", "'*.example.com'", "a;b", "'a,b'"] {
        let problems = load_text(&with_chain(&format!("hosts:\n  - {wrong}\n{PROVIDERS}"))).unwrap_err();
        assert!(problems.starts_with("lasso.yaml:7: profiles.public.chains.ethereum.hosts[0]: "), "{problems}");
    }
}

#[test]
fn a_blank_text_is_no_text() {
    for blank in ["''", "' '", "${NONE:- }"] {
        let rule = format!("- category: auth\n          message: {blank}");
        let provider =
            format!("- id: a\n    url: 'https://a.example'\n    capabilities:\n      error_rules:\n        {rule}");
        let problems = load_text(&with_chain(&format!("providers:\n  {provider}"))).unwrap_err();
        let key = "profiles.public.chains.ethereum.providers[a].capabilities.error_rules[0].message: ";
        assert!(problems.contains(&format!("lasso.yaml:12: {key}")), "{blank}: {problems}");
    }
}

#[test]
fn headers_that_differ_by_case_are_one() {
    check_chain_problem(
        "providers:\n  - id: a\n    url: 'https://a.example'\n    headers:\n      x-key: canary\n      X-Key: canary",
        "11: profiles.public.chains.ethereum.providers[a].headers.X-Key: stands twice (first at line 10); keep one",
    );
}

#[test]
fn every_listener_has_a_port_of_its_own() {
    let chain = with_chain(PROVIDERS);
    let check = |listen: &str, expected: &str| check_problem(&format!("listen:\n  {listen}\n{chain}"), expected);
    check(
        "rpc: 0.0.0.0:0",
        "2: listen.rpc: `0.0.0.0:0` has port 0, where nobody would find it; must be an address like `0.0.0.0:10000`",
    );
    check(
        "xds: 127.0.0.1:0",
        "2: listen.xds: `127.0.0.1:0` has port 0, where nobody would find it; must be an address of this machine like \
         `127.0.0.1:18000`",
    );
    let same = "must have one of its own";
    check(
        "rpc: 127.0.0.1:9000\n  xds: 127.0.0.1:9000",
        &format!("3: listen.xds: has the port of `listen.rpc`, which is 127.0.0.1:9000; {same}"),
    );
    check(
        "rpc: 0.0.0.0:18000",
        &format!("2: listen.rpc: has the port of `listen.xds`, which is 127.0.0.1:18000; {same}"),
    );
    check(
        "http: 127.0.0.1:10000",
        &format!("2: listen.http: has the port of `listen.rpc`, which is 127.0.0.1:10000; {same}"),
    );
    load_text(&format!("listen: {{rpc: '192.0.2.1:18000'}}\n{chain}")).unwrap();
}

#[test]
fn what_the_catalog_refuses_is_told_with_file_and_line() {
    let loaded = load_text(&with_chain(&format!("aliases: [eth]\nbreaker: {{failures: 3}}\n{PROVIDERS}"))).unwrap();
    let check = |path: &str, expected: &str| {
        let told = loaded.refusal(path, "is odd").to_string();
        let (place, wrong) = told.split_once("lasso.yaml:").unwrap();
        assert!(place.ends_with('/'), "{told}");
        assert_eq!(wrong, format!("{expected}: is odd\n1 problem"));
    };
    check("channels[ethereum/a/http].path", "1: channels[ethereum/a/http].path");
    check("profiles[public].chains[ethereum].aliases[0]", "4: profiles.public.chains.ethereum.aliases[0]");
    check("profiles[public].chains[ethereum].chain_id", "5: profiles.public.chains.ethereum.chain_id");
    check("profiles[public].chains[ethereum].breaker.failures", "7: profiles.public.chains.ethereum.breaker.failures");
    check(
        "profiles[public].chains[ethereum].providers[a].cost[x]",
        "8: profiles.public.chains.ethereum.providers[a].cost[x]",
    );
    check("profiles[public].chains[eth].hosts[1]", "2: profiles.public.chains.eth.hosts[1]");
}

#[test]
fn a_file_that_is_not_yaml_is_told_with_its_line() {
    let problems = load_text("profiles:\n  public: {a: [b}\n").unwrap_err();
    assert!(problems.starts_with("lasso.yaml:2: not YAML: "), "{problems}");
    check_problem("", "1: is empty; it needs at least `profiles`");
    let deep = format!("{}{}", "[".repeat(40), "]".repeat(40));
    check_problem(&deep, "1: nested deeper than 32 levels");
    let missing = Directory::with(&[]).load("absent.yaml").unwrap_err();
    assert!(missing.starts_with("absent.yaml:1: cannot be read: "), "{missing}");
}

#[test]
fn an_unset_variable_leaves_its_provider_out_or_fails() {
    let keys =
        "providers:\n  - {id: a, url: 'https://a.example/${NONE}'}\n  - {id: b, url: 'https://b.example/${KEY}'}";
    let loaded = load_text(&with_chain(keys)).unwrap();
    assert_eq!(loaded.warnings, ["profiles.public.chains.ethereum.providers[a] is left out: `NONE` is not set"]);
    let providers = &loaded.config.profiles[0].chains[0].providers;
    assert_eq!(providers.iter().map(|provider| provider.id.as_str()).collect::<Vec<_>>(), ["b"]);
    assert_eq!(providers[0].location.path, "/env-canary");

    check_problem(
        &format!("on_missing_env: fail\n{}", with_chain(keys)),
        "8: profiles.public.chains.ethereum.providers[a].url: `NONE` is not set; set it, or write `${NONE:-default}`",
    );
}

#[test]
fn what_an_unset_variable_does_may_itself_be_a_variable() {
    let keys = with_chain("providers: [{id: a, url: 'https://a.example/${NONE}'}, {id: b, url: 'https://b.example'}]");
    let load = |word: &str| load_text(&format!("on_missing_env: {word}\n{keys}"));
    assert!(load("${MODE:-fail}").unwrap_err().contains("`NONE` is not set"));
    assert_eq!(load("${MODE:-disable}").unwrap().warnings.len(), 1);
    assert!(load("${MODE}").unwrap_err().contains("on_missing_env: `MODE` is not set"));
}

#[test]
fn a_configuration_without_any_usable_provider_fails() {
    check_chain_problem(
        "providers: [{id: a, url: 'https://a.example/${NONE}'}]",
        "1: profiles: no provider can be used (profiles.public.chains.ethereum.providers[a] is left out: `NONE` is not set; \
         profiles.public.chains.ethereum is left out: none of its providers can be used); set what one of them needs",
    );
}

#[test]
fn the_effective_configuration_has_defaults_and_no_secrets() {
    let text = with_chain(
        "providers:\n  - {id: a, url: 'https://a.example/canary?x=canary', headers: {x-key: canary}, ws_url: 'wss://a.example/${KEY}'}\n  \
         - {id: b, url: 'alchemy://${KEY}', priority: '${NONE:-7}'}",
    );
    let loaded = load_text(&text).unwrap();
    assert!(!loaded.effective.contains("canary"), "{}", loaded.effective);
    insta::assert_snapshot!(loaded.effective);
    assert_eq!(loaded.not_in_effect, Vec::<String>::new());
}

#[test]
fn what_does_nothing_yet_is_listed() {
    let text = with_chain(PROVIDERS).replace("  public:\n", "  public:\n    rate_limit: {requests_per_second: 5}\n");
    assert_eq!(load_text(&text).unwrap().not_in_effect, ["profiles.public.rate_limit"]);
}

#[test]
fn subscriptions_have_defaults_for_every_chain_and_kinds_for_every_provider() {
    let load = |keys: &str| load_text(&with_chain(keys)).unwrap().config;
    let config = load("providers: [{id: a, url: 'https://a.example', ws_url: 'wss://a.example:8/x'}]");
    let chain = &config.profiles[0].chains[0];
    let expected = Subscriptions {
        fill: true,
        max_fill_blocks: 256,
        fill_timeout: Millis(30_000),
        subscribe_timeout: Millis(10_000),
        stale_after: None,
        linger: Millis(60_000),
    };
    assert_eq!(chain.subscriptions, expected);
    assert_eq!(chain.providers[0].ws.as_ref().unwrap().authority, "a.example:8");
    assert_eq!(chain.providers[0].subscriptions, super::schema::SUBSCRIPTIONS);
    assert_eq!(config.hub, Hub { max_sockets: 10_000, max_subscriptions: 128, ws_sockets: 2 });
    assert_eq!(
        (config.listen_hub.to_string().as_str(), config.calls_via.as_str()),
        ("127.0.0.1:18001", "127.0.0.1:10000")
    );

    let config = load(
        "subscriptions: {fill: false, stale_after: 3s}\n\
         providers: [{id: a, url: 'https://a.example', capabilities: {subscriptions: [logs]}}, {id: b, url: 'https://b.example', \
         capabilities: {subscriptions: []}}]",
    );
    let chain = &config.profiles[0].chains[0];
    assert_eq!(chain.subscriptions, Subscriptions { fill: false, stale_after: Some(Millis(3_000)), ..expected });
    assert_eq!(chain.providers[0].subscriptions, ["logs"]);
    assert!(chain.providers[1].subscriptions.is_empty() && chain.providers[1].ws.is_none());
}

#[test]
fn calls_of_sockets_go_where_clients_go() {
    let via =
        |lines: &str| load_text(&format!("{lines}{}", with_chain(PROVIDERS))).map(|loaded| loaded.config.calls_via);
    assert_eq!(via("listen: {rpc: '0.0.0.0:9000'}\n").as_deref(), Ok("127.0.0.1:9000"));
    assert_eq!(via("calls_via: envoy:10000\n").as_deref(), Ok("envoy:10000"));
    for wrong in ["direct", "envoy"] {
        check_problem(
            &format!("calls_via: {wrong}\n{}", with_chain(PROVIDERS)),
            "1: calls_via: must be an address like `envoy:10000`",
        );
    }
}

#[test]
fn mistakes_about_sockets() {
    check_problem(
        &format!("listen: {{hub: '0.0.0.0:18001'}}\n{}", with_chain(PROVIDERS)),
        "1: listen.hub: `0.0.0.0:18001` is not an address of this machine like `127.0.0.1:18000`",
    );
    check_problem(
        &format!("hub: {{max_sockets: 0}}\n{}", with_chain(PROVIDERS)),
        "1: hub.max_sockets: `0` is not a whole number from 1 to 1000000",
    );
    let two = "providers:\n  - {id: a, url: 'https://a.example', ws_url: 'wss://a.example/canary'}\n  \
               - {id: b, url: 'https://b.example', ws_url: 'wss://a.example/canary'}";
    check_chain_problem(
        two,
        "8: profiles.public.chains.ethereum.providers[b].ws_url: is the URL of `a` at lasso.yaml:7 as well; one URL is one provider",
    );
    check_chain_problem(
        "providers: [{id: a, url: 'https://a.example', capabilities: {subscriptions: [newHead]}}]",
        "6: profiles.public.chains.ethereum.providers[a].capabilities.subscriptions[0]: `newHead` is not one of `newHeads`, `logs`, \
         `newPendingTransactions`, `syncing` (did you mean `newHeads`?)",
    );
    check_chain_problem(
        "providers: [{id: a, url: 'https://a.example', headers: {Sec-WebSocket-Protocol: canary}}]",
        "6: profiles.public.chains.ethereum.providers[a].headers.Sec-WebSocket-Protocol: `sec-websocket-protocol` is set by Lasso \
         itself; leave it out",
    );
}

#[test]
fn a_directory_is_one_configuration() {
    let chains = "chains:\n  ethereum:\n    chain_id: 1\n    providers: [{id: a, url: 'https://a.example'}]\n";
    let directory =
        Directory::with(&[("lasso.yaml", "max_batch: 7\n"), ("public.yaml", chains), ("beta.yaml", chains)]);
    let loaded = directory.load("").unwrap();
    assert_eq!(loaded.config.max_batch, 7);
    let names: Vec<_> = loaded.config.profiles.iter().map(|profile| profile.id.as_str()).collect();
    assert_eq!(names, ["public", "beta"], "public is first");

    let broken = Directory::with(&[("public.yaml", chains), ("beta.yaml", "chains:\n  ethereum: {chain: 1}\n")]);
    let problems = broken.load("").unwrap_err();
    assert!(problems.starts_with("beta.yaml:2: profiles.beta.chains.ethereum.chain: is not a key"), "{problems}");
}

#[test]
fn a_chain_block_may_be_shared_by_an_alias() {
    let text = "profiles:\n  public:\n    chains:\n      ethereum: &eth\n        chain_id: 1\n        providers: [{id: a, url: 'https://a.example'}]\n  \
                beta:\n    chains: {ethereum: *eth}\n";
    assert_eq!(load_text(text).unwrap().config.profiles.len(), 2);
}

#[test]
fn strategies_and_categories_are_the_routers() {
    let strategies: Vec<_> = lasso_routing::Strategy::ALL.iter().map(|strategy| strategy.name()).collect();
    assert_eq!(super::schema::STRATEGIES, strategies);
    let categories: Vec<_> = lasso_routing::outcome::ErrorRule::categories().collect();
    assert_eq!(super::schema::CATEGORIES, categories);
}

#[test]
fn every_default_is_a_value_of_its_key() {
    for key in super::schema::all() {
        if let super::schema::Absent::Is(default) = key.absent
            && !matches!(default, "[]" | "{}")
        {
            let Shape::One(kind) = &key.shape else { panic!("{}: a default that is not one value", key.path) };
            super::scalar::read(kind, default).unwrap_or_else(|wrong| panic!("{}: {wrong}", key.path));
        }
    }
}

fn example(name: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name)
}

#[test]
fn the_public_example_has_no_problem_and_no_warning() {
    let loaded = super::load(&example("public.yaml"), &|_| None).unwrap();
    assert!(loaded.warnings.is_empty() && loaded.not_in_effect.is_empty(), "{loaded:?}");
    assert_eq!(loaded.config.profiles[0].chains.len(), 4);
}

/// The paths of the table that a file uses.
fn used(node: &super::tree::Node, pattern: &str, paths: &mut Vec<&'static str>) {
    for (name, key) in super::schema::children(pattern) {
        let Some(value) = node.child(name) else { continue };
        paths.push(key.path);
        match key.shape {
            Shape::Section => used(value, key.path, paths),
            Shape::Named(_) => {
                value.entries().iter().for_each(|entry| used(&entry.value, &format!("{}.*", key.path), paths));
            }
            Shape::Sections => {
                let Content::List(items) = &value.content else { panic!("{}: not a list", key.path) };
                items.iter().for_each(|item| used(item, &format!("{}[]", key.path), paths));
            }
            Shape::One(_) | Shape::List(_) | Shape::Table(..) | Shape::OneOrTable(..) => {}
        }
    }
}

#[test]
fn the_full_example_has_every_key() {
    super::load(&example("full.yaml"), &|_| None).unwrap();
    let text = std::fs::read_to_string(example("full.yaml")).unwrap();
    let root = super::tree::parse(&"full.yaml".into(), &text, &mut Vec::new()).unwrap();
    let mut paths = Vec::new();
    used(&root, "", &mut paths);
    let missing: Vec<_> = super::schema::all().map(|key| key.path).filter(|path| !paths.contains(path)).collect();
    assert_eq!(missing, Vec::<&str>::new());
}

#[test]
fn a_file_without_a_region_has_that_of_the_environment() {
    #[track_caller]
    fn check(written: &str, variable: Option<&str>, expected: Result<&str, &str>) {
        let files = Directory::with(&[("lasso.yaml", &format!("{written}{}", with_chain(PROVIDERS)))]);
        let lookup = |name: &str| variable.filter(|_| name == "LASSO_REGION").map(str::to_owned);
        let found = super::load(&files.path("lasso.yaml"), &lookup).map(|loaded| loaded.config.region);
        let found = found.map_err(|problems| problems.to_string());
        match expected {
            Ok(region) => assert_eq!(found.as_deref(), Ok(region)),
            Err(wrong) => assert!(found.as_ref().is_err_and(|problems| problems.contains(wrong)), "{found:?}"),
        }
    }
    check("", None, Ok(""));
    check("", Some(""), Ok(""));
    check("", Some("eu"), Ok("eu"));
    check("region: us\n", Some("eu"), Ok("us"));
    check("", Some("e u"), Err("lasso.yaml:1: LASSO_REGION: "));
}
