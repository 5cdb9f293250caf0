//! Ends that are no errors of JSON-RPC: results, nulls, foreign bodies, silence.

use super::*;

fn row(verdict: Verdict) -> (Row, Next, Blame) {
    (verdict.row, verdict.next, verdict.blame)
}

const RESULT: &str = r#"{"jsonrpc":"2.0","id":1,"result":"0x1"}"#;

#[test]
fn a_result_is_a_success_with_nothing_to_do() {
    for status in [200, 201, 299] {
        assert_eq!(body(status, RESULT), SUCCESS);
    }
    assert_eq!(body(200, r#"{"jsonrpc":"2.0","id":1,"result":[]}"#), SUCCESS, "an empty result is an answer");
    assert_eq!(body(200, r#"{"jsonrpc":"2.0","id":1,"result":null}"#), SUCCESS, "and so is null, from eth_call");
    let method = Method::of("eth_getLogs");
    assert_eq!(classify(&observed(&method, Held::Streaming)), SUCCESS);
}

#[test]
fn a_result_under_a_bad_status_is_judged_by_the_status() {
    for (status, expected) in [
        (429, Row::RateLimit),
        (402, Row::Billing),
        (500, Row::HttpServerError),
        (503, Row::Transient),
        (504, Row::NodeTimeout),
        (404, Row::HttpClientError),
        (301, Row::HttpClientError),
    ] {
        assert_eq!(body(status, RESULT).row, expected, "{status}");
        let method = Method::of("eth_getLogs");
        let streaming = classify(&Observed { status, ..observed(&method, Held::Streaming) });
        assert_eq!(streaming.row, expected, "{status}");
    }
}

/// A null from a method, with what was asked and the best head.
fn null(method: &str, blocks: &Blocks, best_head: Option<u64>) -> Verdict {
    let method = Method::of(method);
    let reply = Reply::Result { id: Some("1"), null: true, raw: Some("null") };
    classify(&Observed { blocks, best_head, ..observed(&method, Held::Reply(&reply)) })
}

#[test]
fn row_24_a_null_is_confirmed_once_where_a_node_that_is_behind_would_say_it() {
    let confirmed = |mark| Verdict { row: Row::NullResult, next: Next::HighestHeadOnce, mark, ..SUCCESS };
    for method in
        ["eth_getBlockByHash", "eth_getTransactionByHash", "eth_getTransactionReceipt", "eth_getBlockReceipts"]
    {
        assert_eq!(null(method, &Blocks::None, None), confirmed(Mark::None), "{method}");
        assert_eq!(null(method, &Blocks::At(BlockRef::Hash([1; 32])), Some(5)), confirmed(Mark::None), "{method}");
    }
    for method in ["eth_getBlockByNumber", "eth_getBlockReceipts"] {
        for (number, best_head, expected) in [
            (100, Some(100), confirmed(Mark::Behind)),
            (5, Some(100), confirmed(Mark::Behind)),
            (101, Some(100), SUCCESS),
            (100, None, SUCCESS),
        ] {
            let asked = Blocks::At(BlockRef::Number(number));
            assert_eq!(null(method, &asked, best_head), expected, "{method} {number} {best_head:?}");
        }
        assert_eq!(null(method, &Blocks::At(BlockRef::Tag(Tag::Safe)), Some(100)), SUCCESS);
    }
    assert_eq!(null("eth_getStorageAt", &Blocks::At(BlockRef::Number(1)), Some(100)), SUCCESS);
}

#[test]
fn row_24_the_profile_has_the_last_word() {
    let reply = Reply::Result { id: Some("1"), null: true, raw: Some("null") };
    for (name, confirms_null, expected) in [
        ("eth_getTransactionReceipt", false, Row::Result),
        ("eth_getTransactionBySenderAndNonce", true, Row::NullResult),
    ] {
        let method = Method::of(name);
        let verdict = classify(&Observed { confirms_null, ..observed(&method, Held::Reply(&reply)) });
        assert_eq!(verdict.row, expected, "{name}");
    }
}

#[test]
fn row_30_bodies_that_are_no_replies() {
    for content in [
        "",
        "  ",
        "<html><body>502</body></html>",
        "<!DOCTYPE html>",
        "upstream connect error",
        r#"{"jsonrpc":"2.0","id":1,"resu"#,
        r#"{"jsonrpc":"2.0","id":1}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":1,"error":{"code":1,"message":""}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":1}}"#,
        r#"{"jsonrpc":"1.0","id":1,"result":1}"#,
        "[]",
        "17",
        "\u{1f}\u{8b}\u{8}",
    ] {
        assert_eq!(body(200, content).mark, Mark::Sample, "{content}");
        assert_eq!(row(body(200, content)), (Row::NotJsonRpc, Next::Another, SERVER), "{content}");
    }
    for content in ["", "<html>", "nope", r#"{"jsonrpc":"2.0","#] {
        for status in [400, 401, 403, 404, 413, 499] {
            assert_eq!(row(body(status, content)), (Row::NotJsonRpc, Next::Another, SERVER), "{status} {content}");
        }
    }
}

#[test]
fn row_30_a_reply_to_somebody_else() {
    let method = Method::of("eth_call");
    let judge = |content: &str, status| {
        let reply = read(content.as_bytes(), true);
        classify(&Observed { wrong_id: true, status, ..observed(&method, Held::Reply(&reply)) }).row
    };
    assert_eq!(judge(r#"{"jsonrpc":"2.0","id":7,"result":"0x1"}"#, 200), Row::NotJsonRpc);
    assert_eq!(judge(r#"{"jsonrpc":"2.0","id":7,"result":null}"#, 200), Row::NotJsonRpc);
    // Not our client's revert, but a rate limit is one whoever is told.
    assert_eq!(
        judge(r#"{"jsonrpc":"2.0","id":7,"error":{"code":3,"message":"execution reverted"}}"#, 200),
        Row::NotJsonRpc
    );
    assert_eq!(judge(r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32005,"message":"slow"}}"#, 200), Row::RateLimit);
    assert_eq!(judge(r#"{"jsonrpc":"2.0","id":7,"result":"0x1"}"#, 429), Row::RateLimit);
}

#[test]
fn statuses_without_an_error() {
    for (status, content, expected) in [
        (402, "", (Row::Billing, Next::Another, Blame::Opens(Category::Billing, Millis(600_000)))),
        (429, "", (Row::RateLimit, Next::Another, Blame::None)),
        (429, "<html>1015</html>", (Row::RateLimit, Next::Another, Blame::None)),
        (429, r#"{"message":"slow down"}"#, (Row::RateLimit, Next::Another, Blame::None)),
        (401, r#"{"message":"bad key"}"#, (Row::Auth, Next::Another, Blame::Counts(Category::Auth))),
        (403, r#"{"message":"bad key"}"#, (Row::Auth, Next::Another, Blame::Counts(Category::Auth))),
        (405, "", (Row::MethodMissing, Next::AnotherProvider, Blame::None)),
        (415, "<html>", (Row::MethodMissing, Next::AnotherProvider, Blame::None)),
        (504, "<html>", (Row::NodeTimeout, Next::Another, Blame::Counts(Category::Timeout))),
        (408, "", (Row::NodeTimeout, Next::Another, Blame::Counts(Category::Timeout))),
        (502, "<html>", (Row::Transient, Next::Another, SERVER)),
        (503, "", (Row::Transient, Next::Another, SERVER)),
        (500, "", (Row::HttpServerError, Next::Another, SERVER)),
        (500, "<html>", (Row::HttpServerError, Next::Another, SERVER)),
        (521, "{}", (Row::HttpServerError, Next::Another, SERVER)),
        (404, r#"{"message":"no such project"}"#, (Row::HttpClientError, Next::Another, SERVER)),
        (301, "<html>", (Row::HttpClientError, Next::Another, SERVER)),
    ] {
        assert_eq!(row(body(status, content)), expected, "{status} `{content}`");
    }
}

#[test]
fn rows_33_to_35_no_response() {
    let method = Method::of("eth_call");
    for (failure, expected) in [
        (Failure::Connect, (Row::NotReached, Next::Another, Blame::Counts(Category::Network))),
        (Failure::Reset, (Row::NotReached, Next::Another, Blame::Counts(Category::Network))),
        (Failure::Timeout, (Row::TimedOut, Next::Another, Blame::Counts(Category::Timeout))),
        (Failure::Cancelled, (Row::Abandoned, Next::Stop, Blame::Ignored)),
    ] {
        for status in [0, 200, 429] {
            let verdict = classify(&Observed { status, ..observed(&method, Held::NoResponse(failure)) });
            assert_eq!(row(verdict), expected, "{failure:?}");
        }
    }
}

#[test]
fn what_the_breaker_and_the_evidence_are_told() {
    for (verdict, signal, weighs) in [
        (body(200, RESULT), Signal::Success, Weighs::Success),
        (error(3, "execution reverted").verdict(), Signal::Success, Weighs::Neutral),
        (error(-32_000, "nonce too low").verdict(), Signal::Success, Weighs::Neutral),
        (null("eth_getBlockByHash", &Blocks::None, None), Signal::Success, Weighs::Neutral),
        (error(-32_602, "").verdict(), Signal::Ignore, Weighs::Neutral),
        (error(-32_005, "").verdict(), Signal::Ignore, Weighs::Neutral),
        (error(-32_000, "header not found").verdict(), Signal::Ignore, Weighs::Neutral),
        (error(-32_603, "").verdict(), Signal::Failure(Category::Server), Weighs::Failure),
        (body(402, ""), Signal::Failure(Category::Billing), Weighs::Failure),
    ] {
        assert_eq!((verdict.signal(), verdict.weighs()), (signal, weighs), "{verdict:?}");
    }
    let method = Method::of("eth_call");
    let cancelled = classify(&observed(&method, Held::NoResponse(Failure::Cancelled)));
    assert_eq!((cancelled.signal(), cancelled.weighs()), (Signal::Ignore, Weighs::Neutral));
}

#[test]
fn every_malformed_body_has_a_shape() {
    let method = Method::of("eth_call");
    for malformed in [Malformed::NotArray, Malformed::NotObject, Malformed::Version] {
        let reply = Reply::Malformed(malformed);
        assert_eq!(classify(&observed(&method, Held::Reply(&reply))).row, Row::NotJsonRpc);
    }
}
