use proptest::prelude::*;

use super::*;
use crate::catalog::CatalogSpec;
use crate::catalog::spec::TransportSpec;
use crate::fixture::{chain_spec, channel_spec, profile_spec, spec};

/// Profiles public (ethereum = mainnet = 1 with alchemy and infura; base = 8453; a chain called `fastest`) and paid (ethereum).
fn catalog() -> Catalog {
    let mut spec: CatalogSpec = spec(&["alchemy", "infura"]);
    spec.channels.push(channel_spec("base", "infura", TransportSpec::Http));
    let public = &mut spec.profiles[0];
    public.chains[0].aliases = vec!["mainnet".into(), "éth".into()];
    public.chains[0].hosts = vec!["eth.example.com".into()];
    public.chains.push(chain_spec("base", 8453, &["infura"]));
    public.chains.push(chain_spec("fastest", 99, &[]));
    spec.profiles.push(profile_spec("paid", vec![chain_spec("ethereum", 1, &["alchemy"])]));
    Catalog::try_from(spec).unwrap()
}

/// The target in words: `profile/chain strategy=.. provider=..`, or the error.
fn named(path_and_query: &str, headers: &[(&str, &'static str)]) -> String {
    named_at("localhost:10000", path_and_query, headers)
}

fn named_at(host: &str, path_and_query: &str, headers: &[(&str, &'static str)]) -> String {
    let catalog = catalog();
    let header = |name: &str| headers.iter().find(|(own, _)| *own == name).map(|(_, value)| *value);
    let target = match resolve(&catalog, host, path_and_query, &header) {
        Ok(target) => target,
        Err(error) => return format!("{} {error}", error.status()),
    };
    let chain = catalog.chain(target.chain).unwrap();
    let mut words = format!("{}/{}", catalog.profile(target.profile).unwrap().id(), chain.id());
    let mut say = |word: String| words.push_str(&format!(" {word}"));
    let provider = |index: usize| chain.providers()[index].id();
    if let Some(strategy) = target.strategy {
        say(strategy.name().into());
    }
    if let Some(index) = target.provider {
        say(format!("at {}", provider(index)));
    }
    if let Some(transport) = target.transport {
        say(format!("over {}", transport.name()));
    }
    for &index in &target.exclude {
        say(format!("without {}", provider(index)));
    }
    if let Some(blocks) = target.max_lag_blocks {
        say(format!("lag {blocks}"));
    }
    if target.allow_failover {
        say("else anybody".into());
    }
    if target.include_meta.wanted() {
        say(format!("meta {:?}", target.include_meta));
    }
    if target.websocket {
        say("websocket".into());
    }
    words
}

#[track_caller]
fn check(table: &[(&str, &str)]) {
    for (path, expected) in table {
        assert_eq!(named(path, &[]), *expected, "{path}");
    }
}

#[test]
fn every_route_of_the_table() {
    check(&[
        ("/rpc/ethereum", "public/ethereum"),
        ("/rpc/mainnet", "public/ethereum"),
        ("/rpc/1", "public/ethereum"),
        ("/rpc/8453", "public/base"),
        ("/rpc/round-robin/ethereum", "public/ethereum round-robin"),
        ("/rpc/latency-weighted/1", "public/ethereum latency-weighted"),
        ("/rpc/provider/infura/ethereum", "public/ethereum at infura"),
        ("/rpc/ethereum/alchemy", "public/ethereum at alchemy"),
        ("/rpc/1/alchemy", "public/ethereum at alchemy"),
        ("/rpc/profile/paid/ethereum", "paid/ethereum"),
        ("/rpc/profile/default/ethereum", "public/ethereum"),
        ("/rpc/profile/public/base", "public/base"),
        ("/rpc/profile/paid/fastest/ethereum", "paid/ethereum fastest"),
        ("/rpc/profile/paid/ethereum/alchemy", "paid/ethereum at alchemy"),
        ("/rpc/profile/paid/provider/alchemy/ethereum", "paid/ethereum at alchemy"),
        ("/ws/rpc/base", "public/base websocket"),
        ("/ws/rpc/profile/paid/priority/1", "paid/ethereum priority websocket"),
    ]);
}

#[test]
fn a_strategys_name_beats_a_chains() {
    check(&[
        ("/rpc/fastest", "public/fastest"),
        ("/rpc/fastest/ethereum", "public/ethereum fastest"),
        ("/rpc/fastest/alchemy", "400 unknown chain `alchemy`; chains: ethereum, base, fastest"),
    ]);
}

#[test]
fn slashes_and_percent_signs_are_tolerated() {
    check(&[
        ("/rpc/ethereum/", "public/ethereum"),
        ("/rpc//ethereum///", "public/ethereum"),
        ("/rpc/%65thereum", "public/ethereum"),
        ("/rpc/%c3%a9th", "public/ethereum"),
        ("/rpc/ethereum/?strategy=priority", "public/ethereum priority"),
        ("/rpc/%zz", "400 bad value `%zz` for path; percent-encoded UTF-8"),
        ("/rpc/%ff", "400 bad value `%ff` for path; percent-encoded UTF-8"),
        ("/rpc/%6", "400 bad value `%6` for path; percent-encoded UTF-8"),
    ]);
}

#[test]
fn what_does_not_exist_is_answered_with_what_does() {
    check(&[
        ("/rpc/solana", "400 unknown chain `solana`; chains: ethereum, base, fastest"),
        ("/rpc/solana/alchemy", "400 unknown chain `solana`; chains: ethereum, base, fastest"),
        ("/rpc/ethereum/quicknode", "400 unknown provider `quicknode`; providers: alchemy, infura"),
        ("/rpc/provider/alchemy/base", "400 unknown provider `alchemy`; providers: infura"),
        (
            "/rpc/quickest/ethereum",
            "400 unknown strategy `quickest`; strategies: fastest, latency-weighted, load-balanced, round-robin, priority, cheapest",
        ),
        ("/rpc/profile/vip/ethereum", "404 unknown profile `vip`; profiles: public, paid"),
        ("/rpc/profile/paid/base", "400 unknown chain `base`; chains: ethereum"),
    ]);
    for path in
        ["/rpc", "/rpc/", "/rpc/profile/paid", "/rpc/a/b/c", "/rpc/fastest/ethereum/alchemy", "/rpc/1/2/3/4/5/6/7/8"]
    {
        assert!(named(path, &[]).starts_with("400 no such route"), "{path}: {}", named(path, &[]));
    }
}

#[test]
fn other_paths_are_not_ours() {
    for path in ["/", "", "/rpcx", "/rp", "/healthz", "/ws", "/ws/rpcs/ethereum", "/v1/rpc/ethereum", "*"] {
        assert_eq!(named(path, &[]), "404 not an RPC path", "{path}");
    }
}

#[test]
fn a_mapped_host_has_its_chain_at_the_root() {
    let at = |path: &str| named_at("ETH.example.com:443", path, &[]);
    assert_eq!(at("/"), "public/ethereum");
    assert_eq!(at("/?strategy=cheapest&provider=infura"), "public/ethereum cheapest at infura");
    assert_eq!(at("/rpc/base"), "public/base");
    assert_eq!(at("/other"), "404 not an RPC path");
}

#[test]
fn the_query_says_what_the_path_does_not() {
    check(&[
        ("/rpc/1?strategy=cheapest", "public/ethereum cheapest"),
        ("/rpc/fastest/1?strategy=cheapest", "public/ethereum cheapest"),
        ("/rpc/1?provider=alchemy&allow_failover=true", "public/ethereum at alchemy else anybody"),
        ("/rpc/1/infura?provider=alchemy", "public/ethereum at alchemy"),
        ("/rpc/1?transport=ws", "public/ethereum over ws"),
        ("/rpc/1?exclude=alchemy,%20infura,", "public/ethereum without alchemy without infura"),
        ("/rpc/1?exclude=alchemy%2Cinfura", "public/ethereum without alchemy without infura"),
        ("/rpc/1?max_lag_blocks=0", "public/ethereum lag 0"),
        ("/rpc/1?include_meta=body&&apikey=x", "public/ethereum meta Body"),
        ("/rpc/1?strategy=priority&strategy=nonsense", "public/ethereum priority"),
        ("/rpc/1?", "public/ethereum"),
    ]);
}

#[test]
fn a_bad_value_is_an_error_that_says_what_would_be_right() {
    check(&[
        ("/rpc/1?transport=tcp", "400 bad value `tcp` for transport; one of: http, ws"),
        ("/rpc/1?include_meta=yes", "400 bad value `yes` for include_meta; one of: headers, body"),
        ("/rpc/1?max_lag_blocks=-1", "400 bad value `-1` for max_lag_blocks; a whole number of blocks"),
        ("/rpc/1?max_lag_blocks=", "400 bad value `` for max_lag_blocks; a whole number of blocks"),
        ("/rpc/1?allow_failover=maybe", "400 bad value `maybe` for allow_failover; one of: true, false"),
        ("/rpc/1?provider=x", "400 unknown provider `x`; providers: alchemy, infura"),
        ("/rpc/1?exclude=alchemy,x", "400 unknown provider `x`; providers: alchemy, infura"),
        ("/rpc/1?transport=%z", "400 bad value `%z` for the query; percent-encoded UTF-8"),
    ]);
    assert!(named("/rpc/1?strategy=x", &[]).starts_with("400 unknown strategy `x`"));
}

#[test]
fn headers_speak_where_query_and_path_are_silent() {
    let headers = [
        ("x-lasso-provider", "infura"),
        ("x-lasso-transport", "http"),
        ("x-lasso-include-meta", "headers"),
        ("x-lasso-exclude", " alchemy "),
    ];
    assert_eq!(named("/rpc/1", &headers), "public/ethereum at infura over http without alchemy meta Headers");
    assert_eq!(
        named("/rpc/1?provider=alchemy&transport=ws&include_meta=body&exclude=infura", &headers),
        "public/ethereum at alchemy over ws without infura meta Body"
    );
    assert_eq!(named("/rpc/1/alchemy", &headers[..1]), "public/ethereum at alchemy");
    assert_eq!(named("/rpc/1", &[("x-lasso-provider", " ")]), "public/ethereum");
    assert_eq!(named("/rpc/1", &[("x-lasso-transport", "tcp")]), "400 bad value `tcp` for transport; one of: http, ws");
}

#[test]
fn errors_are_invalid_params_with_a_bounded_echo() {
    let catalog = catalog();
    let long = format!("/rpc/{}", "x".repeat(10_000));
    let error = resolve(&catalog, "", &long, &|_| None).unwrap_err().rpc_error();
    assert_eq!(error.code, -32602);
    assert!(error.message.len() < 200, "{}", error.message);
}

proptest! {
    #[test]
    fn no_path_makes_it_panic(host in ".{0,20}", path in "/(rpc|ws/rpc)?[a-z0-9/%?&=,éx]{0,60}") {
        let _ = resolve(&catalog(), &host, &path, &|_| Some("%"));
    }
}

#[test]
fn a_probe_says_the_catalogs_word_and_names_a_provider() {
    #[track_caller]
    fn check(path: &str, word: &'static str, probe: bool) {
        let spec = CatalogSpec { probe_token: Some([0xab; 16].into()), ..spec(&["alchemy", "infura"]) };
        let catalog = Catalog::try_from(spec).unwrap();
        let target = resolve(&catalog, "", path, &|name| (name == PROBE).then_some(word)).unwrap();
        assert_eq!(target.probe, probe, "{path} {word}");
        assert!(!(target.probe && target.allow_failover));
    }
    const WORD: &str = "abababababababababababababababab";
    check("/rpc/profile/public/provider/infura/ethereum", WORD, true);
    check("/rpc/ethereum?provider=infura&allow_failover=true", WORD, true);
    check("/rpc/ethereum", WORD, false);
    check("/rpc/ethereum/infura", "abababababababababababababababac", false);
    check("/rpc/ethereum/infura", "ab", false);
    check("/rpc/ethereum/infura", "", false);
}
