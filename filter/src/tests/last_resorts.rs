//! Channels that their breakers do not admit are asked when all others have failed the call, and only then.

use serde_json::Value;

use super::*;
use crate::fake::{connected, opened};

const NULL: &str = r#"{"jsonrpc":"2.0","id":1,"result":null}"#;

fn request(path: &str, body: &str) -> Request {
    let worker = worker();
    opened(&worker, &["a"]);
    let mut request = Request::with(worker, path, body);
    request.send();
    request
}

fn meta(request: &Request) -> Value {
    let reply: Value = serde_json::from_str(&request.answer().body).unwrap();
    reply["lasso_meta"].clone()
}

#[test]
fn a_call_that_all_others_failed_is_answered_by_an_open_channel() {
    let mut request = request("/rpc/ethereum", CALL);
    assert!(request.envoy.plan().starts_with("lasso/ethereum/b/http\x7f"));
    request.attempt("200", FAULT);
    request.broken_attempt();
    assert!(request.envoy.plan().starts_with("lasso/ethereum/a/http\x7f"), "{}", request.envoy.plan());
    request.attempt("200", OK);
    assert!(!request.retried());
    assert_eq!(request.down.response_headers(), Flow::Continue);
}

#[test]
fn the_meta_names_last_resorts_and_says_when_one_has_answered() {
    let mut request = request("/rpc/ethereum?include_meta=body", CALL);
    // The router has no host for b.
    request.envoy.0.properties.borrow_mut().insert("response.flags".into(), 2_u64.to_le_bytes().to_vec());
    assert_eq!(request.down.response_headers(), Flow::Pause);
    request.envoy.respond("200", FAULT);
    request.down.dispatched(1, true, FAULT.len());
    request.envoy.respond("200", OK);
    request.down.dispatched(2, true, OK.len());
    let meta = meta(&request);
    assert_eq!(meta["candidate_providers"], serde_json::json!(["b:http", "c:http", "a:http"]));
    assert_eq!(meta["last_resorts"], serde_json::json!(["a:http"]));
    assert_eq!((&meta["selection_reason"], &meta["selected_provider"]["id"]), (&"last_resort".into(), &"a".into()));
    assert_eq!(meta["circuit_breaker_state"], "half-open", "its answer is evidence");
}

#[test]
fn a_call_that_others_answer_never_reaches_an_open_channel() {
    let mut request = request("/rpc/ethereum", CALL);
    request.attempt("200", FAULT);
    request.attempt("200", OK);
    assert!(!request.retried());
    assert_eq!(counted(&request.worker, Counter::Attempts), 2);
}

#[test]
fn after_silence_whoever_is_open_is_worth_more_than_the_silent_ones_other_transport() {
    #[track_caller]
    fn check(opened_before: bool, expected: [&str; 3]) {
        // b has a socket too, and is asked before a.
        let worker = worker_with(&|spec| {
            let mut socket = spec["channels"][1].clone();
            (socket["id"], socket["transport"]) = ("ethereum/b/ws".into(), "ws".into());
            socket["authority"] = "b-ws.example".into();
            spec["channels"].as_array_mut().unwrap().push(socket);
            let providers = spec["profiles"][0]["chains"][0]["providers"].as_array_mut().unwrap();
            providers.truncate(2);
            providers[0]["priority"] = 3.into();
            providers[1]["channels"] = serde_json::json!(["ethereum/b/http", "ethereum/b/ws"]);
        });
        connected(&worker, "b");
        if opened_before {
            opened(&worker, &["a"]);
        }
        let mut request = Request::with(Rc::clone(&worker), "/rpc/ethereum", CALL);
        request.send();
        opened(&worker, &["a"]);
        let mut asked = Vec::new();
        for _ in 0..3 {
            // Each is silent until its time is over.
            request.broken_after(1_500);
            asked.push(request.envoy.header(":authority").unwrap());
        }
        assert_eq!(asked, expected, "opened before the plan: {opened_before}");
    }
    let expected = ["b.example", "a.example", "b-ws.example"];
    check(true, expected);
    check(false, expected);
}

#[test]
fn a_null_is_an_answer_that_no_last_resort_confirms() {
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"eth_getTransactionReceipt","params":["0xabababababababababababababababababababababababababababababababab"]}"#;
    let worker = worker();
    opened(&worker, &["a", "b"]);
    let mut request = Request::with(worker, "/rpc/ethereum", body);
    request.send();
    request.attempt("200", NULL);
    assert!(!request.retried());
    assert_eq!(request.down.response_headers(), Flow::Continue);
}

#[test]
fn a_write_reaches_an_open_channel_only_if_it_never_left_for_another() {
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"eth_sendRawTransaction","params":["0x02"]}"#;
    let mut refused = request("/rpc/ethereum", body);
    // Envoy starts another attempt only where the one before never left.
    refused.broken_attempt();
    refused.broken_attempt();
    let mut up = Up::new(refused.envoy.clone(), Rc::clone(&refused.worker));
    assert_eq!(up.request_headers(), Flow::Continue);
    assert_eq!(refused.envoy.header(":authority").as_deref(), Some("a.example"));

    let mut lost = request("/rpc/ethereum", body);
    lost.broken_attempt();
    assert_eq!(lost.down.response_headers(), Flow::Pause);
    assert!(lost.answer().body.contains("indeterminate"), "{}", lost.answer().body);
    assert!(lost.envoy.0.dispatched.borrow().is_empty());
}
