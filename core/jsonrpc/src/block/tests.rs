use super::*;

const HASH: &str = "0x00000000000000000000000000000000000000000000000000000000000000Ff";

fn hash_ff() -> BlockRef {
    let mut bytes = [0; 32];
    bytes[31] = 0xff;
    BlockRef::Hash(bytes)
}

fn tag(tag: Tag) -> Blocks {
    Blocks::At(BlockRef::Tag(tag))
}

fn number(number: u64) -> Blocks {
    Blocks::At(BlockRef::Number(number))
}

#[track_caller]
fn check(method: &str, params: &str, expected: Blocks) {
    assert_eq!(blocks_of(&Method::of(method), Some(params)), expected, "{method} {params}");
}

#[test]
fn each_method_has_its_block_where_the_specification_puts_it() {
    for (method, params) in [
        ("eth_getBalance", r#"["0xab","0x10"]"#),
        ("eth_getCode", r#"["0xab","0x10"]"#),
        ("eth_getTransactionCount", r#"["0xab","0x10"]"#),
        ("eth_getStorageAt", r#"["0xab","0x0","0x10"]"#),
        ("eth_getProof", r#"["0xab",["0x0","0x1"],"0x10"]"#),
        ("eth_call", r#"[{"to":"0xab","data":"0x\"]"},"0x10"]"#),
        ("eth_call", r#"[{"to":"0xab"},"0x10",{"0xab":{"balance":"0x1"}}]"#),
        ("eth_estimateGas", r#"[{},"0x10"]"#),
        ("eth_createAccessList", r#"[{},"0x10"]"#),
        ("eth_simulateV1", r#"[{},"0x10"]"#),
        ("eth_feeHistory", r#"["0x4","0x10",[25,75]]"#),
        ("eth_getBlockByNumber", r#"["0x10",false]"#),
        ("eth_getBlockReceipts", r#"["0x10"]"#),
        ("eth_getBlockTransactionCountByNumber", r#"["0x10"]"#),
        ("eth_getTransactionByBlockNumberAndIndex", r#"["0x10","0x0"]"#),
        ("eth_getUncleByBlockNumberAndIndex", r#"["0x10","0x0"]"#),
        ("eth_getUncleCountByBlockNumber", r#"["0x10"]"#),
        ("debug_traceBlockByNumber", r#"["0x10",{}]"#),
        ("debug_traceCall", r#"[{},"0x10",{}]"#),
        ("trace_block", r#"["0x10"]"#),
        ("trace_call", r#"[{},["trace"],"0x10"]"#),
        ("trace_callMany", r#"[[],"0x10"]"#),
        ("trace_replayBlockTransactions", r#"["0x10",["trace"]]"#),
    ] {
        check(method, params, number(16));
    }
    for method in [
        "eth_getBlockByHash",
        "eth_getBlockTransactionCountByHash",
        "eth_getUncleCountByBlockHash",
        "debug_traceBlockByHash",
    ] {
        check(method, &format!(r#"["{HASH}"]"#), Blocks::At(hash_ff()));
    }
}

#[test]
fn methods_without_a_block_have_none() {
    for method in
        ["eth_blockNumber", "eth_getTransactionByHash", "eth_sendRawTransaction", "frobnicate", "eth_unheardOf"]
    {
        check(method, r#"["0x10","0x10","0x10"]"#, Blocks::None);
    }
}

#[test]
fn every_form_of_a_block() {
    let balance = |block: &str, expected| check("eth_getBalance", &format!(r#"["0xab",{block}]"#), expected);
    for each in [Tag::Latest, Tag::Pending, Tag::Safe, Tag::Finalized, Tag::Earliest] {
        balance(&format!("\"{}\"", each.name()), tag(each));
        assert_eq!(Tag::named(each.name()), Some(each));
    }
    balance("\"0x0\"", number(0));
    balance("\"0x00ff\"", number(255));
    balance("\"0XfF\"", number(255));
    balance("\"0xffffffffffffffff\"", number(u64::MAX));
    balance("7", number(7));
    balance(&format!("\"{HASH}\""), Blocks::At(hash_ff()));
    balance(r#"{"blockNumber":"0x5"}"#, number(5));
    balance(r#"{"blockNumber":"safe"}"#, tag(Tag::Safe));
    balance(&format!(r#"{{"blockHash":"{HASH}","requireCanonical":true}}"#), Blocks::At(hash_ff()));
    balance(&format!(r#"{{"blockHash":"{HASH}","blockNumber":null}}"#), Blocks::At(hash_ff()));
}

#[test]
fn a_missing_block_is_the_latest_where_it_may_be_missing() {
    check("eth_getBalance", r#"["0xab"]"#, tag(Tag::Latest));
    check("eth_getBalance", r#"["0xab",null]"#, tag(Tag::Latest));
    check("eth_call", r#"[{}]"#, tag(Tag::Latest));
    check("eth_getBlockByNumber", "[]", Blocks::None);
    check("eth_getBlockByNumber", "[null]", Blocks::None);
    assert_eq!(blocks_of(&Method::of("eth_getBalance"), None), tag(Tag::Latest));
    assert_eq!(blocks_of(&Method::of("eth_getBlockByNumber"), None), Blocks::None);
    assert_eq!(blocks_of(&Method::of("eth_getLogs"), None), Blocks::None);
}

#[test]
fn what_cannot_be_read_is_no_block() {
    for block in [
        "\"\"",
        "\"0x\\u0031\"",
        "\"newest\"",
        "\"123\"",
        "\"0x\"",
        "\"0xzz\"",
        "\"0x+1\"",
        "\"0x10000000000000000\"",
        "true",
        "[]",
        "-1",
        "1.5",
        "{}",
        r#"{"blockNumber":"0x1","blockHash":"0x2"}"#,
        r#"{"blockHash":"0x2"}"#,
        r#"{"blockHash":"latest"}"#,
    ] {
        check("eth_getBalance", &format!(r#"["0xab",{block}]"#), Blocks::None);
    }
    check("eth_getBlockByNumber", r#"{"block":"0x1"}"#, Blocks::None);
    check("eth_getBlockByNumber", "7", Blocks::None);
    check("eth_getBalance", r#"{"address":"0xab","block":"0x1"}"#, Blocks::None);
}

#[test]
fn log_filters() {
    let latest = BlockRef::Tag(Tag::Latest);
    let range = |from, to| Blocks::Range { from, to };
    for method in ["eth_getLogs", "eth_newFilter"] {
        check(method, "[{}]", range(latest, latest));
        check(
            method,
            r#"[{"fromBlock":"0x1","toBlock":"0xa","topics":[[null]]}]"#,
            range(BlockRef::Number(1), BlockRef::Number(10)),
        );
        check(
            method,
            r#"[{"toBlock":"safe","fromBlock":"earliest"}]"#,
            range(BlockRef::Tag(Tag::Earliest), BlockRef::Tag(Tag::Safe)),
        );
        check(method, r#"[{"fromBlock":"0x1"}]"#, range(BlockRef::Number(1), latest));
        check(method, r#"[{"toBlock":"0x1","fromBlock":null}]"#, range(latest, BlockRef::Number(1)));
        check(method, &format!(r#"[{{"blockHash":"{HASH}"}}]"#), Blocks::At(hash_ff()));
        check(method, &format!(r#"[{{"blockHash":"{HASH}","fromBlock":"0x1"}}]"#), Blocks::None);
        check(method, r#"[{"fromBlock":"0xzz"}]"#, Blocks::None);
        check(method, r#"["latest"]"#, Blocks::None);
        check(method, "[]", Blocks::None);
    }
    check("trace_filter", "[{}]", range(BlockRef::Tag(Tag::Earliest), latest));
    check("trace_filter", r#"[{"fromBlock":"0x1","toBlock":"0x2"}]"#, range(BlockRef::Number(1), BlockRef::Number(2)));
}

#[test]
fn garbage_is_no_block_and_no_panic() {
    for row in ["eth_getBalance", "eth_getLogs", "trace_filter", "eth_getBlockByNumber", "eth_getProof"] {
        for params in ["[", "[[[", "[\"é", "{", "\"", "[{\"fromBlock\":", "nul", "[,,]", "[x"] {
            let blocks = blocks_of(&Method::of(row), Some(params));
            assert!(
                matches!(blocks, Blocks::None | Blocks::At(BlockRef::Tag(Tag::Latest))),
                "{row} {params}: {blocks:?}"
            );
        }
    }
}
