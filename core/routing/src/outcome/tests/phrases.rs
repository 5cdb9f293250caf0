//! Rows that a text decides. Codes are chosen so that only the text can.

use super::*;

/// Each message, in three spellings, under a code that says nothing.
#[track_caller]
fn check_all(method: &str, code: i64, messages: &[&str], expected: Expected) {
    for message in messages {
        for spelling in [(*message).to_owned(), message.to_uppercase(), format!("error: {message}, sorry")] {
            check(&Case { method, ..error(code, &spelling) }, expected);
        }
    }
}

const ANSWER: (Next, Blame, Mark) = (Next::Stop, Blame::None, Mark::None);

const fn answer(row: Row) -> Expected {
    (row, ANSWER.0, ANSWER.1, ANSWER.2)
}

const fn another(row: Row, mark: Mark) -> Expected {
    (row, Next::Another, Blame::None, mark)
}

#[test]
fn row_1_reverts_are_answers() {
    let messages = [
        "execution reverted",
        "execution reverted: ERC20: transfer amount exceeds balance",
        "VM execution error.",
        "VM Exception while processing transaction: out of gas",
        "evm error: InvalidFEOpcode",
        "transaction: revert",
        "intrinsic gas too high",
        "invalid opcode: opcode 0xfe not defined",
        "stack underflow (0 <=> 1)",
        "stack overflow",
        "invalid jump destination",
    ];
    for code in [3, -32_000, -32_015, -32_603, 7] {
        check_all("eth_call", code, &messages, answer(Row::Revert));
    }
}

#[test]
fn row_1_revert_data_is_enough() {
    for data in [r#""0x08c379a000000000""#, r#""0x4e487b710000""#] {
        check(&Case { data: Some(data), ..error(-32_000, "") }, answer(Row::Revert));
    }
    check(&Case { data: Some(r#""Reverted 0x08c379a0""#), ..error(-32_015, "VM") }, answer(Row::Revert));
    check(
        &Case { data: Some(r#""0x12345678""#), ..error(-32_000, "") },
        another(Row::UnknownServerError, Mark::Sample),
    );
}

#[test]
fn row_2_already_known_is_a_success_for_who_sent_it() {
    let messages = [
        "already known",
        "known transaction: 0xabc",
        "transaction already imported",
        "tx already in mempool",
        "tx already in the mempool",
        "transaction already exists",
        "tx already exists in mempool",
    ];
    for code in [-32_000, -32_003] {
        check_all("eth_sendRawTransaction", code, &messages, answer(Row::AlreadyKnown));
    }
    let sent = Case { method: "eth_sendRawTransaction", ..error(-32_000, "already known") }.verdict();
    assert!(sent.success && sent.hash_is_result);
    let called = error(-32_000, "already known").verdict();
    assert!(!called.success && !called.hash_is_result);
}

#[test]
fn row_3_nonces() {
    let messages = ["nonce too low", "nonce too high", "nonce is too low", "nonce has already been used"];
    for code in [-32_000, -32_003] {
        check_all("eth_sendRawTransaction", code, &messages, answer(Row::Nonce));
        check_all("eth_call", code, &messages, answer(Row::Nonce));
    }
}

#[test]
fn row_4_funds_fees_and_gas() {
    let messages = [
        "insufficient funds for gas * price + value",
        "insufficient balance",
        "out of gas",
        "gas too low",
        "gas required exceeds allowance (21000)",
        "intrinsic gas too low: have 0, want 21000",
        "exceeds block gas limit",
        "transaction underpriced",
        "replacement transaction underpriced",
        "max fee per gas less than block base fee: address 0x0",
        "tx fee (1.5 ether) exceeds the configured fee cap",
        "max fee per blob gas less than block blob fee",
        "transaction fee too low",
        "existing transaction had higher priority",
        "newer transaction had higher priority",
    ];
    for code in [-32_000, -32_003] {
        check_all("eth_estimateGas", code, &messages, answer(Row::Funds));
        // Replaying a transaction that was mined cannot lack funds: the node's state is wrong.
        for method in ["debug_traceTransaction", "trace_block"] {
            check_all(method, code, &messages, another(Row::Funds, Mark::None));
        }
    }
}

#[test]
fn row_5_malformed_transactions() {
    let messages = [
        "transaction too short",
        "rlp: expected input list",
        "invalid transaction v, r, s values",
        "transaction type not supported",
        "invalid sender",
        "max initcode size exceeded",
    ];
    for code in [-32_000, -32_602, -32_603] {
        check_all("eth_call", code, &messages, answer(Row::MalformedTransaction));
    }
}

const RANGES: &[&str] = &[
    "block range is too wide",
    "block range too large",
    "block range exceeded",
    "exceeds block range limit",
    "range too large",
    "exceed maximum block range",
    "max block range reached",
    "query exceeds the range",
    "exceeds max range",
    "logs over more blocks are not supported",
    "response size should not be greater than 150 MB",
    "query returned more than 10000 results",
    "query exceeds max results 20000",
    "response too large",
    "query exceeds limit",
    "please limit the query to fewer blocks",
    "range limit exceeded",
    "too many results",
    "too many logs",
    "requested too many blocks",
    "try paginating",
    "maximum [from, to] blocks distance",
    "eth_getLogs is limited to a smaller range",
    "range is limited to fewer blocks",
    "ranges over are not supported on freetier",
    "range is too large, max is 1k blocks",
    "the range is too big",
    "try with this block range [0x1, 0x2]",
    "this block range should work: [0x1, 0x2]",
    "eth_getLogs and eth_newFilter are limited to a smaller range",
];

#[test]
fn row_6_ranges_for_methods_that_have_them() {
    for message in RANGES {
        for method in ["eth_getLogs", "trace_filter"] {
            let verdict = Case { method, ..error(-32_000, message) }.verdict();
            assert_eq!((verdict.row, verdict.next, verdict.blame), (Row::RangeTooLarge, Next::Another, Blame::None));
        }
        let filter = Case { method: "eth_getFilterLogs", ..error(-32_000, message) }.verdict();
        assert_eq!((filter.row, filter.next), (Row::RangeTooLarge, Next::Stop), "a filter lives on one channel");
        assert_ne!(error(-32_000, message).verdict().row, Row::RangeTooLarge, "{message} to eth_call");
    }
}

#[test]
fn row_7_too_many_addresses() {
    let messages = [
        "please specify less number of addresses",
        "exceeds max addresses or topics per search position",
        "too many addresses",
        "exceed max addresses",
    ];
    check_all("eth_getLogs", -32_602, &messages, another(Row::TooManyAddresses, Mark::TooManyAddresses));
}

const FORGOTTEN: &[&str] = &[
    "missing trie node 0xabc (path )",
    "state at block height 100 is not available",
    "state is not available",
    "no state available for block 0x1",
    "historical state 0xabc is not available",
    "historical state unavailable",
    "state does not maintain archive data",
    "required historical state unavailable (reexec=128)",
    "state has been pruned",
    "archive node required",
    "this request requires archival data",
    "no historical rpc is available",
    "trie does not exist",
    "block is older than 128 blocks",
    "genesis is not traceable",
];

#[test]
fn row_8_missing_state_teaches_a_depth_only_far_behind_the_head() {
    for code in [-32_000, -32_602, -32_603, 3] {
        check_all("eth_call", code, FORGOTTEN, another(Row::MissingData, Mark::None));
    }
    for (blocks, mark) in [
        (Blocks::At(BlockRef::Number(871)), Mark::LearnDepth),
        (Blocks::At(BlockRef::Number(872)), Mark::None),
        (Blocks::At(BlockRef::Number(5_000)), Mark::None),
        (Blocks::At(BlockRef::Number(u64::MAX)), Mark::None),
        (Blocks::At(BlockRef::Tag(Tag::Earliest)), Mark::LearnDepth),
        (Blocks::At(BlockRef::Tag(Tag::Latest)), Mark::None),
        (Blocks::At(BlockRef::Hash([7; 32])), Mark::None),
        (Blocks::None, Mark::None),
    ] {
        for message in FORGOTTEN {
            check(&Case { best_head: Some(1_000), blocks, ..error(-32_000, message) }, another(Row::MissingData, mark));
        }
    }
}

#[test]
fn row_8_a_node_that_may_be_behind_is_asked_for_its_head() {
    let messages = [
        "header not found",
        "block not found: 0x10",
        "could not find block",
        "unknown block",
        "block is out of range",
        "block number greater than latest",
        "requested to height 7 after last accepted block 5",
        "request beyond head block",
        "cannot query unfinalized data",
        "hash 0xabc is not currently canonical",
        "requested data is not available",
        "transaction indexing: not fully indexed",
        "transaction not found",
    ];
    for code in [-32_000, -32_602, -32_603, 3] {
        check_all("eth_call", code, &messages, another(Row::MissingData, Mark::Behind));
    }
    assert_ne!(error(-32_000, "unknown blockchain").verdict().row, Row::MissingData);
}

#[test]
fn row_9_a_tag_is_unsupported_if_it_was_asked_for() {
    let messages = [
        "pending block is not available",
        "safe block not found",
        "finalized block not found",
        "finalized tag is not supported",
        "final is not a supported commitment",
    ];
    check_all("eth_call", -32_000, &messages, another(Row::TagUnsupported, Mark::None));
    for tag in [Tag::Pending, Tag::Safe, Tag::Finalized] {
        let asked = [
            Blocks::At(BlockRef::Tag(tag)),
            Blocks::Range { from: BlockRef::Number(1), to: BlockRef::Tag(tag) },
            Blocks::Range { from: BlockRef::Tag(tag), to: BlockRef::Tag(Tag::Latest) },
        ];
        for blocks in asked {
            let case = Case { blocks, ..error(-32_000, "safe block not found") };
            check(&case, another(Row::TagUnsupported, Mark::TagUnsupported));
        }
    }
}

#[test]
fn row_10_billing_opens_for_ten_minutes() {
    let messages = [
        "Monthly capacity limit exceeded. Visit https://dashboard.example.com/settings to upgrade",
        "you have reached the free tier limit",
        "see https://example.com/billing",
    ];
    let expected = (Row::Billing, Next::Another, Blame::Opens(Category::Billing, Millis(600_000)), Mark::None);
    check_all("eth_call", -32_000, &messages, expected);
}

#[test]
fn row_11_a_senders_own_limit_is_its_answer() {
    check_all("eth_call", -32_005, &["sender is over rate limit"], answer(Row::SenderLimit));
}

#[test]
fn row_12_rate_limits() {
    let messages = [
        "rate limit reached",
        "over rate limit",
        "Too Many Requests",
        "request throttled",
        "daily quota exceeded",
        "you exceeded the quota",
        "reached the quota",
        "requests limited to 5",
        "your app has exceeded its plan",
        "capacity exceeded",
        "too many requests per second",
        "concurrent requests capacity",
        "qps limit",
        "out of compute units",
        "out of request units",
        "credits limited",
        "cups limit",
        "node is under too much load",
        "request limit reached",
        "no server available",
        "limit exceeded",
        "request timeout on the free tier",
        "cannot fulfill request",
    ];
    for code in [-32_000, -32_001, -32_016, -32_602, -32_603, 7] {
        check_all("eth_call", code, &messages, another(Row::RateLimit, Mark::RateLimited(None)));
    }
}

#[test]
fn row_13_auth() {
    let messages = [
        "Unauthorized",
        "invalid api key",
        "your key is inactive",
        "Must be authenticated!",
        "token is invalid",
        "apikey is on another chain",
    ];
    let expected = (Row::Auth, Next::Another, Blame::Counts(Category::Auth), Mark::None);
    for code in [-32_000, -32_600, -32_602] {
        check_all("eth_call", code, &messages, expected);
    }
}

#[test]
fn row_14_methods_that_a_provider_lacks() {
    let messages = [
        "Method not found",
        "the method debug_traceCall does not exist/is not available",
        "method is not available",
        "method disabled",
        "this method is not supported",
        "method is not whitelisted",
        "module not found",
        "module debug does not exist",
        "module is not available",
        "module disabled",
        "module not supported",
        "module not whitelisted",
        "unsupported method: trace_block",
        "tracing not enabled",
    ];
    let expected = (Row::MethodMissing, Next::AnotherProvider, Blame::None, Mark::BanMethod(Millis(300_000)));
    for code in [-32_000, -32_602, -32_600] {
        check_all("debug_traceCall", code, &messages, expected);
    }
}

#[test]
fn row_14b_methods_that_are_not_in_the_plan_blame_nobody() {
    let messages = [
        "debug is a premium feature",
        "only available on a paid plan",
        "upgrade your tier",
        "upgrade to paid",
        "over the limit for your current plan",
        "debug_traceCall is not included in your current plan",
        "you are not allowed to access this",
        "access denied",
        "permission denied",
        "needs an access key",
    ];
    for status in [200, 401, 403] {
        for message in messages {
            let case = Case { status, method: "debug_traceCall", ..error(-32_000, message) };
            check(&case, another(Row::NotInPlan, Mark::BanMethod(Millis(300_000))));
        }
    }
}

#[test]
fn row_15_a_node_that_ran_out_of_time() {
    let messages = [
        "execution timeout",
        "query timeout exceeded",
        "context deadline exceeded",
        "request timeout",
        "backend timeout",
    ];
    let expected = (Row::NodeTimeout, Next::Another, Blame::Counts(Category::Timeout), Mark::None);
    check_all("eth_call", -32_000, &messages, expected);
}

#[test]
fn row_16_transient_trouble() {
    let messages = [
        "please retry",
        "try again later",
        "temporarily unavailable",
        "temporary internal error",
        "service overloaded",
        "resource unavailable",
        "node is syncing",
    ];
    for code in [-32_000, -32_002, -32_603] {
        check_all("eth_call", code, &messages, (Row::Transient, Next::Another, SERVER, Mark::None));
    }
}

#[test]
fn row_17_dialects() {
    let messages = ["tx of type Eip4844 is not allowed here", "invalid type: map, expected BlockNumber, 'latest'"];
    check_all("eth_call", -32_602, &messages, another(Row::Dialect, Mark::None));
}

#[test]
fn row_18_invalid_params() {
    let messages = [
        "invalid argument 0: hex string of odd size",
        "invalid params",
        "param is required",
        "json: cannot unmarshal string into Go value",
        "unable to decode",
        "invalid hex",
        "odd length",
        "hex string without 0x prefix",
        "invalid address",
        "wrong number of arguments",
        "missing value for required argument 1",
        "validation errors in batch",
        "bad request input",
    ];
    for code in [-32_000, -32_602, -32_603] {
        check_all("eth_call", code, &messages, answer(Row::InvalidParamsText));
    }
}
