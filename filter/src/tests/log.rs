//! What is told of a request when it is over: its line in the request log, its decision in a report.

use lasso_routing::report::Decision;
use serde_json::{Value, json};

use super::*;
use crate::host::Host;

/// A worker whose catalog has a request log that samples this share.
fn logging(sampling: f64) -> Rc<RefCell<Worker>> {
    worker_with(&move |spec| {
        spec["request_log"] = json!({"sampling": sampling, "max_error_message_chars": 64});
        spec["sync"] = json!({"cluster": "lasso-control"});
    })
}

fn request(sampling: f64, path: &str, body: &str) -> Request {
    Request::with(logging(sampling), path, body)
}

impl Request {
    /// Envoy is done: the line that its access logger finds, and the decision that the next report has.
    fn over(&mut self) -> (Option<Value>, Option<Decision>) {
        self.down.logged();
        self.down.done();
        let line = self.envoy.0.properties.borrow().get("lasso_log").map(|line| {
            assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1, "one line");
            assert_eq!(line.last(), Some(&b'\n'));
            serde_json::from_slice(line).expect("the line is JSON")
        });
        let mut worker = self.worker.borrow_mut();
        let decision = worker.ledger().report(self.envoy.now().at).and_then(|report| report.decisions.first().cloned());
        (line, decision)
    }

    fn line(&mut self) -> Value {
        self.over().0.expect("a line")
    }
}

#[test]
fn a_success_is_told_with_who_answered_and_how_long_it_took() {
    let mut request = request(1.0, "/rpc/ethereum", CALL);
    request.send();
    request.attempt("200", OK);
    request.down.response_headers();
    let (line, decision) = request.over();
    let mut line = line.unwrap();
    let id = line["request_id"].take();
    assert_eq!(id.as_str().map(str::len), Some(16));
    let expected = json!({
        "event": "rpc.request.completed", "time": "2026-01-01T00:00:00.005Z", "request_id": null,
        "profile": "public", "chain": "ethereum", "method": "eth_getBalance", "params_present": true,
        "strategy": "priority", "selection_reason": "strategy", "candidates": ["a:http", "b:http", "c:http"],
        "attempts": [{"channel": "ethereum/a/http", "outcome": "result", "ms": 5.0}], "retries": 0, "transport": "http",
        "circuit_breaker_state": "closed", "selection_us": 0, "upstream_ms": 5.0, "end_to_end_ms": 5.0,
        "status": 200, "result_type": "result",
    });
    assert_eq!(line, expected);
    let decision = decision.unwrap();
    assert!(decision.answered);
    assert_eq!((&*decision.chain, &*decision.attempts[0].1, decision.candidates), ("ethereum", "result", 3));
}

#[test]
fn errors_are_told_whatever_the_sampling_and_successes_are_not() {
    let mut good = request(0.0, "/rpc/ethereum", CALL);
    good.send();
    good.attempt("200", OK);
    assert_eq!(good.over().0, None);
    let mut bad = request(0.0, "/rpc/ethereum", CALL);
    bad.send();
    for _ in 0..3 {
        bad.attempt("200", FAULT);
    }
    bad.down.response_headers();
    let (line, decision) = bad.over();
    let line = line.unwrap();
    assert_eq!((&line["result_type"], &line["retries"]), (&json!("error"), &json!(2)));
    assert_eq!(line["error"], json!({"code": -32603, "message": "internal error"}));
    assert!(!decision.unwrap().answered);
}

#[test]
fn a_revert_is_the_clients_error_and_a_providers_answer() {
    let mut request = request(0.0, "/rpc/ethereum", CALL);
    request.send();
    request.attempt("200", r#"{"jsonrpc":"2.0","id":7,"error":{"code":3,"message":"execution reverted"}}"#);
    let (line, decision) = request.over();
    assert_eq!(line.unwrap()["error"]["code"], 3);
    assert!(decision.unwrap().answered);
}

#[test]
fn what_a_provider_says_of_its_own_secrets_is_masked_before_it_is_cut() {
    let said = format!("see https://a.example/v2/a-key and secret, {}", "x".repeat(200));
    let reply =
        json!({"jsonrpc": "2.0", "id": 7, "error": {"code": 3, "message": format!("execution reverted: {said}")}});
    let mut request = request(0.0, "/rpc/ethereum", CALL);
    request.send();
    request.attempt("200", &reply.to_string());
    let message = request.line()["error"]["message"].as_str().unwrap().to_owned();
    assert!(
        message.starts_with("execution reverted: see https://a.example***") && message.contains("***, x"),
        "{message}"
    );
    assert_eq!(message.chars().count(), 64);
}

#[test]
fn what_needs_no_provider_is_told_too() {
    let table = [
        (1.0, "/rpc/ethereum?key=token", "eth_chainId", json!("result"), 200, Value::Null),
        (0.0, "/rpc/ethereum?key=token", "eth_accounts", json!("error"), 200, json!(-32601)),
        (0.0, "/rpc/atlantis?key=token", "eth_chainId", json!("error"), 400, json!(-32602)),
    ];
    for (sampling, path, method, result, status, code) in table {
        let mut request = request(sampling, path, &json!({"jsonrpc": "2.0", "id": 1, "method": method}).to_string());
        request.send();
        let line = request.line();
        assert_eq!((&line["result_type"], &line["status"]), (&result, &json!(status)), "{method}");
        assert_eq!((&line["error"]["code"], &line["method"]), (&code, &json!(method)));
        assert!(!line.to_string().contains("token"), "{line}");
    }
}

#[test]
fn a_body_that_does_not_read_is_told_with_its_path_alone() {
    let mut request = request(0.0, "/rpc/ethereum", "{");
    request.send();
    let line = request.line();
    assert_eq!(
        (&line["path"], &line["error"]["code"], line.get("method")),
        (&json!("/rpc/ethereum"), &json!(-32700), None)
    );
}

#[test]
fn a_client_that_left_is_no_error() {
    let mut request = request(1.0, "/rpc/ethereum", CALL);
    request.send();
    let line = request.line();
    assert_eq!((&line["result_type"], line.get("status"), line.get("error")), (&json!("cancelled"), None, None));
}

#[test]
fn params_are_told_as_a_digest_or_not_at_all() {
    for wanted in [false, true] {
        let worker = worker_with(&move |spec| spec["request_log"] = json!({"include_params_digest": wanted}));
        let mut request = Request::with(worker, "/rpc/ethereum", CALL);
        request.send();
        request.attempt("200", OK);
        let line = request.line();
        assert_eq!(line.get("params_digest").and_then(Value::as_str).map(str::len), wanted.then_some(64));
        assert!(!line.to_string().contains("00000000aa"), "{line}");
    }
}

#[test]
fn a_batch_is_one_line() {
    let body = r#"[{"jsonrpc":"2.0","id":1,"method":"eth_chainId"},{"jsonrpc":"2.0","id":2,"method":"eth_accounts"}]"#;
    let mut request = request(0.0, "/rpc/ethereum", body);
    request.send();
    let line = request.line();
    assert_eq!((&line["method"], &line["items"], &line["failed_items"]), (&json!("batch"), &json!(2), &json!(1)));
    assert_eq!(line["error"]["code"], -32601);
}

#[test]
fn the_secrets_of_every_channel_that_a_batch_may_have_asked_are_masked() {
    let item = |id: u32| json!({"jsonrpc": "2.0", "id": id, "method": "eth_gasPrice"});
    let mut request = request(0.0, "/rpc/ethereum", &json!([item(1), item(2)]).to_string());
    request.send();
    // a answers one item and fails the other, which b answers in the words of everybody.
    let said = |id: u32, code: i64| json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": "execution reverted: /v2/a-key /v2/b-key"}});
    let mut replied = |token: u32, replies: Value| {
        request.envoy.respond("200", &replies.to_string());
        request.down.dispatched(token, true, replies.to_string().len());
    };
    replied(
        1,
        json!([{"jsonrpc": "2.0", "id": 0, "result": "0x1"}, {"jsonrpc": "2.0", "id": 1, "error": {"code": -32603, "message": "internal error"}}]),
    );
    replied(2, json!([said(0, 3)]));
    let line = request.line();
    assert_eq!(line["error"], json!({"code": 3, "message": "execution reverted: *** ***"}), "{line}");
}

#[test]
fn nothing_is_prepared_where_nobody_reads_it() {
    let mut request = Request::with(worker(), "/rpc/ethereum", CALL);
    request.send();
    request.attempt("200", FAULT);
    assert_eq!(request.over(), (None, None));
}

#[test]
fn who_asks_how_it_was_routed_is_always_among_the_decisions() {
    let worker = logging(0.0);
    for _ in 0..100 {
        let mut request = Request::with(Rc::clone(&worker), "/rpc/ethereum", CALL);
        request.send();
        request.attempt("200", OK);
        request.down.logged();
    }
    let mut request = Request::with(worker, "/rpc/ethereum?include_meta=headers", CALL);
    request.send();
    request.attempt("200", OK);
    request.down.response_headers();
    request.down.logged();
    let id = u64::from_str_radix(&request.envoy.0.response.borrow()["x-lasso-request-id"], 16).ok();
    let mut worker = request.worker.borrow_mut();
    let report = worker.ledger().report(request.envoy.now().at).expect("a report");
    assert_eq!(report.decisions.len(), 33, "and some of the others");
    assert!(report.decisions.iter().any(|decision| Some(decision.request_id) == id));
}
