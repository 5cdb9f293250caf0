//! Calls that are sent once: what is known of their fate, and what is told.

use super::*;

#[test]
fn a_write_whose_connection_broke_is_not_sent_again() {
    let body = r#"{"jsonrpc":"2.0","id":"w","method":"eth_sendRawTransaction","params":["0x02"]}"#;
    let mut request = Request::new("/rpc/ethereum", body);
    request.send();
    assert_eq!(request.envoy.0.properties.borrow().get("lasso_once").map(Vec::as_slice), Some(&b"1"[..]));
    request.broken_attempt();
    assert_eq!(request.down.response_headers(), Flow::Pause);
    assert!(request.envoy.0.dispatched.borrow().is_empty());
    assert!(request.answer().body.contains("indeterminate"), "{}", request.answer().body);
    assert!(request.answer().body.contains(r#""id":"w""#));
}

#[test]
fn a_write_that_envoy_found_to_have_never_left_goes_on() {
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"eth_sendRawTransaction","params":["0x02"]}"#;
    let mut request = Request::new("/rpc/ethereum", body);
    request.send();
    // A connection that timed out gives no reason; that Envoy starts another attempt says it all.
    request.broken_attempt();
    assert!(request.envoy.plan().starts_with("lasso/ethereum/b/http\x7f"));
    request.attempt("200", r#"{"jsonrpc":"2.0","id":1,"result":"0xbc"}"#);
    assert_eq!(request.envoy.header(":authority").as_deref(), Some("b.example"));
    assert_eq!(request.down.response_headers(), Flow::Continue);
}

#[test]
fn what_a_client_sends_under_a_name_that_we_write_does_not_undo_ours() {
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"eth_sendRawTransaction","params":["0x02"]}"#;
    let mut request = Request::new("/rpc/ethereum", body);
    let name = "x-envoy-upstream-rq-per-try-timeout-ms";
    request.envoy.0.request.borrow_mut().insert(name.into(), b"1".to_vec());
    request.send();
    assert_eq!(request.envoy.header(name).as_deref(), Some("5000"));
}

#[test]
fn a_write_that_was_answered_with_nonsense_is_not_sent_again() {
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"eth_sendRawTransaction","params":["0x02"]}"#;
    let mut request = Request::new("/rpc/ethereum", body);
    request.send();
    request.attempt("502", "<html>bad gateway</html>");
    assert!(!request.retried());
    assert_eq!(request.down.response_headers(), Flow::Pause);
    assert!(request.envoy.0.dispatched.borrow().is_empty());
    assert!(request.answer().body.contains("indeterminate"), "{}", request.answer().body);
}

#[test]
fn a_write_that_never_left_goes_on() {
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"eth_sendRawTransaction","params":["0x02"]}"#;
    let mut request = Request::new("/rpc/ethereum", body);
    request.send();
    let reason = b"delayed connect error: Connection refused".to_vec();
    request.envoy.0.properties.borrow_mut().insert("upstream.transport_failure_reason".into(), reason);
    request.broken_attempt();
    assert!(request.envoy.plan().starts_with("lasso/ethereum/b/http\x7f"));
}

#[test]
fn a_transaction_that_a_node_already_knows_is_a_success() {
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"eth_sendRawTransaction","params":["0x00"]}"#;
    let mut request = Request::new("/rpc/ethereum", body);
    request.send();
    request.attempt("200", r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"already known"}}"#);
    assert_eq!(request.down.response_headers(), Flow::Pause);
    let hash = "0xbc36789e7a1e281436464229828f817d6612f7b477d66591ff96a9e064bcc98a";
    assert_eq!(request.answer().body, format!(r#"{{"jsonrpc":"2.0","id":1,"result":"{hash}"}}"#));
}

#[test]
fn a_broadcast_goes_to_several_channels_and_the_first_that_takes_it_answers() {
    let shared = worker_with(&|spec| spec["profiles"][0]["methods"] = serde_json::json!({"broadcast": 2}));
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"eth_sendRawTransaction","params":["0x00"]}"#;
    let mut request = Request::with(shared, "/rpc/ethereum", body);
    assert_eq!(request.send(), Flow::Pause);
    let clusters: Vec<String> = request.envoy.0.dispatched.borrow().iter().map(|sent| sent.cluster.clone()).collect();
    assert_eq!(clusters, ["lasso/ethereum/a/http", "lasso/ethereum/b/http"]);
    let refusal = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"internal error"}}"#;
    request.envoy.respond("200", refusal);
    request.down.dispatched(1, true, refusal.len());
    assert!(request.envoy.0.sent.borrow().is_empty(), "the other channel may still take it");
    let taken = r#"{"jsonrpc":"2.0","id":1,"result":"0xbc"}"#;
    request.envoy.respond("200", taken);
    request.down.dispatched(2, true, taken.len());
    assert_eq!(request.answer().body, taken);
}

#[test]
fn a_filter_that_was_perhaps_not_made_is_no_write_of_unknown_fate() {
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"eth_newBlockFilter","params":[]}"#;
    let mut request = Request::new("/rpc/ethereum", body);
    request.send();
    request.attempt("404", "<html>not found</html>");
    assert_eq!(request.down.response_headers(), Flow::Pause);
    assert!(request.answer().body.contains("all 1 attempts failed"), "{}", request.answer().body);
    assert!(request.envoy.0.dispatched.borrow().is_empty());
}
