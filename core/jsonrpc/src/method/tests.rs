use super::*;
use crate::block::{BlockRef, Blocks, Tag};

#[test]
fn the_table_is_sorted_and_without_twins() {
    for pair in KNOWN.windows(2) {
        assert!(pair[0].name < pair[1].name, "{} before {}", pair[0].name, pair[1].name);
    }
    for pair in NAMESPACES.windows(2) {
        assert!(pair[0].name < pair[1].name, "{} before {}", pair[0].name, pair[1].name);
    }
}

#[test]
fn every_row_is_found_by_its_name() {
    for row in KNOWN {
        let method = Method::of(row.name);
        assert!(method.is_known(), "{}", row.name);
        assert_eq!(method.name(), row.name);
        assert!(method.deadline() >= 3_000);
        assert!(
            !table::BLOCKED.iter().any(|pattern| glob(pattern, row.name)),
            "{} is blocked: it needs no row",
            row.name
        );
    }
}

#[test]
fn deadlines() {
    #[track_caller]
    fn check(ms: u32, names: &[&str]) {
        for name in names {
            assert_eq!(Method::of(name).deadline(), ms, "{name}");
        }
    }
    check(
        3_000,
        &[
            "eth_blockNumber",
            "net_version",
            "net_whatever",
            "web3_clientVersion",
            "eth_syncing",
            "eth_gasPrice",
            "eth_maxPriorityFeePerGas",
            "eth_feeHistory",
            "eth_getBalance",
            "eth_getTransactionCount",
            "eth_getCode",
            "eth_getStorageAt",
            "eth_getTransactionByHash",
            "eth_getTransactionReceipt",
            "eth_getBlockByNumber",
            "eth_getBlockByHash",
            "eth_getUncleCountByBlockHash",
            "eth_getUncleByBlockNumberAndIndex",
            "eth_getBlockTransactionCountByNumber",
            "eth_chainId",
        ],
    );
    check(
        5_000,
        &[
            "eth_call",
            "eth_estimateGas",
            "eth_getLogs",
            "eth_createAccessList",
            "eth_getBlockReceipts",
            "eth_sendRawTransaction",
        ],
    );
    check(10_000, &["eth_getProof", "eth_unheardOf", "zks_x", "frobnicate", "", "a_b", "debug_setHead"]);
    check(30_000, &["debug_traceTransaction", "debug_traceCall", "trace_block", "trace_filter", "trace_unheardOf"]);
    check(
        45_000,
        &["debug_traceBlock", "debug_traceBlockByHash", "debug_traceBlockByNumber", "debug_traceBlockFromFile"],
    );
}

#[test]
fn safety() {
    #[track_caller]
    fn check(safety: Safety, names: &[&str]) {
        for name in names {
            assert_eq!(Method::of(name).safety(), safety, "{name}");
        }
    }
    check(
        Safety::Replay,
        &["eth_call", "eth_getLogs", "eth_getProof", "debug_traceTransaction", "trace_filter", "net_version"],
    );
    check(
        Safety::Once,
        &[
            "eth_sendRawTransactionSync",
            "eth_sendTransaction",
            "debug_setHead",
            "trace_unheardOf",
            "frobnicate",
            "Eth_call",
            "eth_call ",
        ],
    );
    check(Safety::Broadcast, &["eth_sendRawTransaction"]);
    check(
        Safety::Filter,
        &[
            "eth_newFilter",
            "eth_newBlockFilter",
            "eth_newPendingTransactionFilter",
            "eth_getFilterChanges",
            "eth_getFilterLogs",
            "eth_uninstallFilter",
        ],
    );
}

/// The known methods of which something holds.
fn those(holds: impl Fn(&Method<'static>) -> bool) -> Vec<&'static str> {
    KNOWN.iter().map(|row| row.name).filter(|name| holds(&Method::of(name))).collect()
}

#[test]
fn few_methods_have_few_traits() {
    assert_eq!(
        those(Method::reads_head),
        ["eth_blobBaseFee", "eth_blockNumber", "eth_gasPrice", "eth_maxPriorityFeePerGas"]
    );
    assert_eq!(those(Method::websocket_only), ["eth_subscribe", "eth_unsubscribe"]);
    assert_eq!(those(|method| method.local_answer() == Some(LocalAnswer::ChainId)), ["eth_chainId"]);
    assert_eq!(those(|method| method.local_answer() == Some(LocalAnswer::NetVersion)), ["net_version"]);
    assert_eq!(
        those(Method::confirms_null),
        [
            "eth_getBlockByHash",
            "eth_getBlockByNumber",
            "eth_getBlockReceipts",
            "eth_getTransactionByHash",
            "eth_getTransactionReceipt"
        ]
    );
    assert_eq!(
        those(|method| method.filter_op() == Some(FilterOp::Create)),
        ["eth_newBlockFilter", "eth_newFilter", "eth_newPendingTransactionFilter"]
    );
    assert_eq!(
        those(|method| method.filter_op() == Some(FilterOp::Use)),
        ["eth_getFilterChanges", "eth_getFilterLogs", "eth_uninstallFilter"]
    );
}

#[test]
fn filter_safety_and_filter_op_go_together() {
    assert_eq!(those(|method| method.safety() == Safety::Filter), those(|method| method.filter_op().is_some()));
}

#[test]
fn heavy_tailed() {
    for name in [
        "eth_getLogs",
        "eth_getProof",
        "eth_estimateGas",
        "trace_block",
        "trace_unheardOf",
        "debug_traceCall",
        "debug_unheardOf",
    ] {
        assert!(Method::of(name).heavy_tailed(), "{name}");
    }
    for name in ["eth_call", "eth_blockNumber", "eth_unheardOf", "frobnicate"] {
        assert!(!Method::of(name).heavy_tailed(), "{name}");
    }
}

#[test]
fn what_is_cheap_is_replay_safe_and_light() {
    for name in those(Method::cheap) {
        let method = Method::of(name);
        assert_eq!(method.safety(), Safety::Replay, "{name}");
        assert!(!method.heavy_tailed(), "{name}");
    }
    assert!(Method::of("eth_call").cheap());
    assert!(!Method::of("eth_getLogs").cheap());
    assert!(!Method::of("eth_unheardOf").cheap());
}

#[test]
fn state_reads() {
    for name in [
        "eth_call",
        "eth_estimateGas",
        "eth_createAccessList",
        "eth_getBalance",
        "eth_getTransactionCount",
        "eth_getCode",
        "eth_getStorageAt",
        "eth_getProof",
        "eth_simulateV1",
        "debug_traceTransaction",
        "trace_block",
    ] {
        assert!(Method::of(name).state_read(), "{name}");
    }
    for name in ["eth_blockNumber", "eth_getLogs", "eth_getBlockByNumber", "eth_getTransactionReceipt", "frobnicate"] {
        assert!(!Method::of(name).state_read(), "{name}");
    }
}

#[test]
fn blocked_by_default() {
    for name in [
        "eth_sendTransaction",
        "eth_sign",
        "eth_signTransaction",
        "eth_signTypedData_v4",
        "eth_accounts",
        "personal_unlockAccount",
        "wallet_addEthereumChain",
        "admin_peers",
        "miner_start",
        "engine_newPayloadV3",
        "eth_coinbase",
        "eth_submitWork",
        "eth_getWork",
    ] {
        assert!(Method::of(name).blocked_by_default(), "{name}");
    }
    for name in
        ["eth_sendRawTransaction", "eth_call", "eth_account", "eth_sendTransactions", "frobnicate", "debug_setHead"]
    {
        assert!(!Method::of(name).blocked_by_default(), "{name}");
    }
}

#[test]
fn classes_are_dense_and_their_names_differ() {
    let names: Vec<_> = MethodClass::all().map(MethodClass::name).collect();
    assert_eq!(names.len(), MethodClass::COUNT);
    let mut distinct = names.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), names.len());
    assert!(MethodClass::all().enumerate().all(|(index, class)| class.index() == index));
}

#[track_caller]
fn check_class(name: &str, blocks: Blocks, expected: &str) {
    assert_eq!(MethodClass::of(&Method::of(name), &blocks).name(), expected, "{name} {blocks:?}");
}

#[test]
fn classes_by_name_and_namespace() {
    for row in KNOWN.iter().filter(|row| row.name != "eth_getLogs") {
        check_class(row.name, Blocks::None, row.name);
    }
    for (name, class) in [
        ("eth_unheardOf", "eth_*"),
        ("debug_unheardOf", "debug_*"),
        ("zks_getL1BatchDetails", "zks_*"),
        ("qn_", "qn_*"),
        ("frobnicate", "other"),
        ("eth", "other"),
        ("frob_nicate", "other"),
        ("_", "other"),
        ("eth_*", "eth_*"),
    ] {
        check_class(name, Blocks::None, class);
    }
    assert_eq!((MethodClass::BATCH.name(), MethodClass::OTHER.name()), ("batch", "other"));
}

#[test]
fn log_queries_have_three_classes() {
    let numbers = |from, to| Blocks::Range { from: BlockRef::Number(from), to: BlockRef::Number(to) };
    let tags = |from, to| Blocks::Range { from: BlockRef::Tag(from), to: BlockRef::Tag(to) };
    for (blocks, class) in [
        (numbers(5, 5), "eth_getLogs<=10"),
        (numbers(1, 10), "eth_getLogs<=10"),
        (numbers(1, 11), "eth_getLogs<=1000"),
        (numbers(1, 1_000), "eth_getLogs<=1000"),
        (numbers(1, 1_001), "eth_getLogs>1000"),
        (numbers(0, u64::MAX), "eth_getLogs>1000"),
        (numbers(9, 1), "eth_getLogs>1000"),
        (tags(Tag::Latest, Tag::Latest), "eth_getLogs<=10"),
        (tags(Tag::Earliest, Tag::Latest), "eth_getLogs>1000"),
        (Blocks::Range { from: BlockRef::Number(1), to: BlockRef::Tag(Tag::Latest) }, "eth_getLogs>1000"),
        (Blocks::At(BlockRef::Hash([0; 32])), "eth_getLogs<=10"),
        (Blocks::None, "eth_getLogs>1000"),
    ] {
        check_class("eth_getLogs", blocks, class);
    }
}

#[test]
fn globs() {
    #[track_caller]
    fn check(pattern: &str, name: &str, expected: bool) {
        assert_eq!(glob(pattern, name), expected, "{pattern} {name}");
    }
    for (pattern, name) in [
        ("eth_call", "eth_call"),
        ("eth_*", "eth_call"),
        ("eth_*", "eth_"),
        ("*", ""),
        ("*", "anything"),
        ("**", "anything"),
        ("*Block*", "eth_getBlockByHash"),
        ("eth_get*By*", "eth_getBlockByHash"),
        ("*_*", "a_b"),
        ("a*b", "ab"),
        ("a*b", "abab"),
        ("a*b*c", "aXbYbZc"),
        ("", ""),
        ("*é*", "aéb"),
    ] {
        check(pattern, name, true);
    }
    for (pattern, name) in [
        ("eth_call", "eth_callMany"),
        ("eth_call", "ETH_CALL"),
        ("eth_*", "net_version"),
        ("eth_*x", "eth_call"),
        ("a*a", "a"),
        ("a*b*c", "acb"),
        ("*Block*", "eth_getLogs"),
        ("", "a"),
    ] {
        check(pattern, name, false);
    }
}
