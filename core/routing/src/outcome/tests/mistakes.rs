//! Mistakes that other gateways made.

use super::*;

#[test]
fn a_revert_that_speaks_of_limits_is_a_revert() {
    for message in [
        "execution reverted: deposit limit exceeded",
        "execution reverted: rate limit",
        "execution reverted: unauthorized",
        "execution reverted: method not supported",
        "execution reverted: request timeout, try again",
        "execution reverted: block not found",
        "execution reverted: nonce too low",
    ] {
        for (code, status) in [(3, 200), (-32_000, 200), (-32_603, 500), (-32_005, 429)] {
            let verdict = Case { status, ..error(code, message) }.verdict();
            assert_eq!((verdict.row, verdict.next, verdict.blame), (Row::Revert, Next::Stop, Blame::None), "{message}");
        }
    }
}

#[test]
fn code_3_with_a_custom_text_is_a_revert_unless_data_is_missing() {
    assert_eq!(error(3, "deposit limit exceeded").verdict().row, Row::Revert);
    assert_eq!(error(3, "header not found").verdict().row, Row::MissingData);
    let with_data = Case { data: Some(r#""0x08c379a0""#), ..error(3, "header not found") };
    assert_eq!(with_data.verdict().row, Row::Revert);
}

#[test]
fn timeouts_count() {
    let method = Method::of("eth_call");
    let verdict = classify(&observed(&method, Held::NoResponse(Failure::Timeout)));
    assert_eq!(verdict.blame, Blame::Counts(Category::Timeout));
}

#[test]
fn a_firewalls_page_is_not_the_clients_error() {
    let verdict = body(403, "<!DOCTYPE html><html><title>Access denied</title></html>");
    assert_eq!((verdict.row, verdict.next, verdict.blame), (Row::NotJsonRpc, Next::Another, SERVER));
}

#[test]
fn an_invalid_request_blames_nobody() {
    assert_eq!(error(-32_600, "Invalid Request").verdict().blame, Blame::None);
}

#[test]
fn a_rejected_transaction_does_not_open_a_breaker() {
    for message in ["transaction rejected", "transaction underpriced", "nonce too low", "already known"] {
        let verdict = Case { method: "eth_sendRawTransaction", ..error(-32_003, message) }.verdict();
        assert_eq!(verdict.blame, Blame::None, "{message}");
        assert!(!matches!(verdict.signal(), Signal::Failure(_)), "{message}");
    }
}

#[test]
fn bans_expire() {
    let Mark::BanMethod(length) = error(-32_601, "Method not found").verdict().mark else { panic!("a ban") };
    assert_eq!(length, Millis(300_000));
}

#[test]
fn over_rate_limit_under_a_reverts_code_is_a_rate_limit() {
    assert_eq!(error(-32_016, "over rate limit").verdict().row, Row::RateLimit);
}

#[test]
fn a_write_is_stopped_by_everything_but_a_connection_that_was_refused() {
    for (method, next) in
        [("eth_sendRawTransaction", Next::Stop), ("eth_newFilter", Next::Stop), ("foo_bar", Next::Stop)]
    {
        assert_eq!(Case { method, ..error(-32_603, "oops") }.verdict().next, next);
        let method = Method::of(method);
        let lost = |failure| classify(&observed(&method, Held::NoResponse(failure))).next;
        assert_eq!(lost(Failure::Reset), Next::Stop);
        assert_eq!(lost(Failure::Timeout), Next::Stop);
        assert_eq!(lost(Failure::Connect), Next::Another);
    }
}

#[test]
fn a_rate_limited_write_with_a_foreign_id_is_still_a_rate_limit() {
    let reply = read(br#"{"jsonrpc":"2.0","id":7,"error":{"code":-32005,"message":"rate limit"}}"#, true);
    let method = Method::of("eth_sendRawTransaction");
    let verdict = classify(&Observed { wrong_id: true, ..observed(&method, Held::Reply(&reply)) });
    assert_eq!(verdict.row, Row::RateLimit);
}
