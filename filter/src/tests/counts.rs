//! What a report says of requests and selections, by chain.

use lasso_routing::report::{ChainCounts, Selection, Stage};
use serde_json::json;

use super::*;
use crate::host::Host;

/// What the next report counts of the only chain.
fn counts(worker: &Rc<RefCell<Worker>>, envoy: &FakeEnvoy) -> ChainCounts {
    let mut worker = worker.borrow_mut();
    let report = worker.ledger().report(envoy.now().at).expect("something happened");
    assert!(report.chains.len() <= 1, "{:?}", report.chains);
    report.chains.first().map(|tally| tally.counts).unwrap_or_default()
}

/// Selections as `selected 1, failover 2`, and stages in the same way.
fn words(counts: &ChainCounts) -> (String, String) {
    let list = |pairs: Vec<(&str, u32)>| {
        let named = pairs.into_iter().filter(|(_, count)| *count > 0).map(|(name, count)| format!("{name} {count}"));
        named.collect::<Vec<_>>().join(", ")
    };
    let selections = Selection::ALL.iter().zip(counts.selections).map(|(it, count)| (it.name(), count));
    let stages = Stage::ALL.iter().zip(counts.requests).map(|(it, count)| (it.name(), count));
    (list(selections.collect()), list(stages.collect()))
}

#[track_caller]
fn check(body: &str, goes: impl FnOnce(&mut Request), selections: &str, stages: &str) {
    let mut request = Request::new("/rpc/ethereum", body);
    request.send();
    goes(&mut request);
    request.down.logged();
    request.down.logged();
    let counts = counts(&request.worker, &request.envoy);
    assert_eq!(words(&counts), (selections.to_owned(), stages.to_owned()));
}

#[test]
fn a_call_starts_once_and_ends_once() {
    let answered = |request: &mut Request| {
        request.attempt("200", OK);
        request.down.response_headers();
    };
    check(CALL, answered, "selected 1", "started 1, answered 1");
    check(CALL, |_| {}, "selected 1", "started 1, cancelled 1");
    let failed = |request: &mut Request| {
        (0..3).for_each(|_| request.slow_attempt());
        request.down.response_headers();
    };
    check(CALL, failed, "selected 1, failover 2", "started 1, failed 1");
}

#[test]
fn a_providers_error_is_an_answer() {
    let reverted = |request: &mut Request| {
        request.attempt("200", r#"{"jsonrpc":"2.0","id":7,"error":{"code":3,"message":"execution reverted"}}"#);
        request.down.response_headers();
    };
    check(CALL, reverted, "selected 1", "started 1, answered 1");
}

#[test]
fn what_needs_no_provider_counts_as_a_request_only() {
    let method = |name: &str| json!({"jsonrpc": "2.0", "id": 1, "method": name}).to_string();
    check(&method("eth_chainId"), |_| {}, "", "started 1, answered 1");
    check(&method("eth_accounts"), |_| {}, "", "started 1, refused 1");
    check(
        &json!([{"jsonrpc": "2.0", "id": 1, "method": "eth_chainId"}]).to_string(),
        |_| {},
        "",
        "started 1, answered 1",
    );
}

#[test]
fn nobody_to_ask_fails_fast() {
    let worker = worker();
    let mut request = Request::with(Rc::clone(&worker), "/rpc/ethereum?transport=ws", CALL);
    request.send();
    request.down.logged();
    let counts = counts(&worker, &request.envoy);
    assert_eq!(words(&counts), ("fail_fast 1".into(), "started 1, failed 1".into()));
}

#[test]
fn a_batch_is_one_request_and_its_second_channel_a_failover() {
    let item = |id: u32| json!({"jsonrpc": "2.0", "id": id, "method": "eth_gasPrice"});
    let fails_over = |request: &mut Request| {
        request.envoy.respond("503", "");
        request.down.dispatched(1, true, 0);
        let answer =
            json!([{"jsonrpc": "2.0", "id": 0, "result": "0x1"}, {"jsonrpc": "2.0", "id": 1, "result": "0x1"}]);
        request.envoy.respond("200", &answer.to_string());
        request.down.dispatched(2, true, answer.to_string().len());
    };
    check(&json!([item(1), item(2)]).to_string(), fails_over, "selected 1, failover 1", "started 1, answered 1");
}
