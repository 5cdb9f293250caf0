//! DOWN and UP against a fake Envoy: one request, its attempts, what the client gets.

mod counts;
mod last_resorts;
mod log;
mod pages;
mod probes;
mod writes;

use crate::Flow;
use crate::down::Down;
use crate::fake::{FakeEnvoy, Sent, worker, worker_with};
use crate::up::Up;
use lasso_routing::header::RETRY;
use std::cell::RefCell;
use std::rc::Rc;

use crate::stats::{COUNTERS, Counter};
use crate::worker::Worker;

const CALL: &str = r#"{"jsonrpc":"2.0","id":7,"method":"eth_getBalance","params":["0x00000000000000000000000000000000000000aa","latest"]}"#;
const OK: &str = r#"{"jsonrpc":"2.0","id":7,"result":"0x1"}"#;
const FAULT: &str = r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32603,"message":"internal error"}}"#;

fn counted(worker: &Rc<RefCell<Worker>>, counter: Counter) -> i64 {
    let mut worker = worker.borrow_mut();
    worker.stats().take().find(|(index, _)| COUNTERS[*index].0 == counter).map_or(0, |(_, count)| count)
}

struct Request {
    envoy: FakeEnvoy,
    worker: Rc<RefCell<Worker>>,
    down: Down<FakeEnvoy>,
}

impl Request {
    fn new(path: &str, body: &str) -> Self {
        Self::with(worker(), path, body)
    }

    fn with(worker: Rc<RefCell<Worker>>, path: &str, body: &str) -> Self {
        let envoy = FakeEnvoy::post(path, body);
        let down = Down::new(envoy.clone(), Rc::clone(&worker));
        Self { envoy, worker, down }
    }

    fn send(&mut self) -> Flow {
        assert_eq!(self.down.request_headers(false), Flow::Pause);
        let size = self.envoy.0.request_body.borrow().len();
        self.down.request_body(size, true)
    }

    /// One attempt that is answered with this.
    fn attempt(&mut self, status: &str, body: &str) {
        let mut up = Up::new(self.envoy.clone(), Rc::clone(&self.worker));
        assert_eq!(up.request_headers(), Flow::Continue);
        self.envoy.pass(5);
        self.envoy.respond(status, body);
        assert_eq!(up.response_headers(body.is_empty()), if body.is_empty() { Flow::Continue } else { Flow::Pause });
        if !body.is_empty() {
            assert_eq!(up.response_body(body.len(), true), Flow::Continue);
        }
        up.done();
    }

    /// One attempt whose connection breaks.
    fn broken_attempt(&mut self) {
        self.broken_after(5);
    }

    /// One attempt whose connection breaks late.
    fn slow_attempt(&mut self) {
        self.broken_after(200);
    }

    fn broken_after(&mut self, millis: u64) {
        let mut up = Up::new(self.envoy.clone(), Rc::clone(&self.worker));
        assert_eq!(up.request_headers(), Flow::Continue);
        self.envoy.pass(millis);
        up.done();
    }

    fn retried(&self) -> bool {
        self.envoy.0.response.borrow().contains_key(RETRY.0)
    }

    fn answer(&self) -> Sent {
        self.envoy.last_sent()
    }
}

#[test]
fn a_call_goes_to_the_first_channel_with_its_path_and_key() {
    let mut request = Request::new("/rpc/ethereum?strategy=priority", CALL);
    assert_eq!(request.send(), Flow::Continue);
    assert!(request.envoy.plan().starts_with("lasso/ethereum/a/http\x7f"), "{}", request.envoy.plan());
    assert_eq!(request.envoy.header("x-envoy-original-path").as_deref(), Some("/rpc/ethereum"));
    assert_eq!(request.envoy.header(":path").as_deref(), Some("/rpc/ethereum?strategy=priority"));
    request.attempt("200", OK);
    assert_eq!(request.envoy.header(":path").as_deref(), Some("/v2/a-key"));
    assert_eq!(request.envoy.header(":authority").as_deref(), Some("a.example"));
    assert!(!request.retried());
    assert_eq!(request.down.response_headers(), Flow::Continue);
    assert!(request.envoy.0.sent.borrow().is_empty());
}

#[test]
fn a_faulty_answer_is_retried_on_the_next_channel_without_the_first_ones_headers() {
    let mut request = Request::new("/rpc/ethereum", CALL);
    request.send();
    request.attempt("200", FAULT);
    assert!(request.retried());
    assert!(request.envoy.plan().starts_with("lasso/ethereum/b/http\x7f"));
    request.attempt("200", OK);
    assert_eq!(request.envoy.header("x-a"), None);
    assert_eq!(request.envoy.header("x-b").as_deref(), Some("secret"));
    assert_eq!(request.down.response_headers(), Flow::Continue);
}

#[test]
fn a_broken_connection_publishes_the_next_channel() {
    let mut request = Request::new("/rpc/ethereum", CALL);
    request.send();
    request.broken_attempt();
    assert!(request.envoy.plan().starts_with("lasso/ethereum/b/http\x7f"));
}

#[test]
fn when_all_fail_the_client_gets_the_providers_own_error_with_status_200() {
    let mut request = Request::new("/rpc/ethereum", CALL);
    request.send();
    for _ in 0..3 {
        request.attempt("500", FAULT);
    }
    assert!(!request.retried());
    assert_eq!(request.down.response_headers(), Flow::Pause);
    assert_eq!((request.answer().status, request.answer().body.as_str()), (200, FAULT));
}

#[test]
fn an_earlier_error_is_the_answer_when_the_last_attempts_break() {
    let mut request = Request::new("/rpc/ethereum", CALL);
    request.send();
    request.attempt("200", FAULT);
    request.broken_attempt();
    request.broken_attempt();
    assert_eq!(request.down.response_headers(), Flow::Pause);
    assert_eq!(request.answer().body, FAULT);
}

#[test]
fn a_revert_is_one_attempt_and_passes_as_it_is() {
    let revert = r#"{"jsonrpc":"2.0","id":7,"error":{"code":3,"message":"execution reverted: deposit limit exceeded","data":"0x08c379a0"}}"#;
    let mut request = Request::new("/rpc/ethereum", CALL);
    request.send();
    request.attempt("500", revert);
    assert!(!request.retried());
    assert_eq!(request.down.response_headers(), Flow::Continue);
    assert_eq!(request.envoy.0.response.borrow().get(":status").map(String::as_str), Some("200"));
}

#[test]
fn an_attempt_after_the_answer_is_refused_and_another_channel_asked() {
    let mut request = Request::new("/rpc/ethereum", CALL);
    request.send();
    // The provider sent our mark itself.
    request.attempt("200", OK);
    let mut up = Up::new(request.envoy.clone(), Rc::clone(&request.worker));
    assert_eq!(up.request_headers(), Flow::Pause);
    assert_eq!(request.answer().status, 503);
    assert_eq!(request.envoy.header(":authority").as_deref(), Some("a.example"), "nothing of b goes to a");
    assert_eq!(request.down.response_headers(), Flow::Pause);
    assert_eq!(request.envoy.0.dispatched.borrow()[0].cluster, "lasso/ethereum/b/http");
}

#[test]
fn an_attempt_after_the_last_candidate_is_refused() {
    let mut request = Request::new("/rpc/ethereum", CALL);
    request.send();
    for _ in 0..3 {
        request.broken_attempt();
    }
    let mut up = Up::new(request.envoy.clone(), Rc::clone(&request.worker));
    assert_eq!(up.request_headers(), Flow::Pause);
    assert_eq!(request.answer().status, 503);
}

#[test]
fn attempts_end_with_the_plan_although_channels_are_left() {
    let heavy = r#"{"jsonrpc":"2.0","id":7,"method":"eth_estimateGas","params":[{}]}"#;
    let mut request = Request::new("/rpc/ethereum", heavy);
    request.send();
    for _ in 0..2 {
        request.slow_attempt();
    }
    let mut up = Up::new(request.envoy.clone(), Rc::clone(&request.worker));
    assert_eq!(up.request_headers(), Flow::Pause);
    assert_eq!(request.down.response_headers(), Flow::Pause);
    let said = request.answer().body;
    let reasons = r#""data":{"reasons":{"ethereum/a/http":"not_reached","ethereum/b/http":"not_reached"}}"#;
    assert!(said.contains("all 2 attempts failed") && said.contains(reasons), "{said}");
    assert!(request.envoy.0.dispatched.borrow().is_empty());
}

#[test]
fn an_error_under_a_foreign_id_is_nobodys_answer() {
    let foreign = r#"{"jsonrpc":"2.0","id":99,"error":{"code":3,"message":"reverted: somebody else's"}}"#;
    let mut request = Request::new("/rpc/ethereum", CALL);
    request.send();
    for _ in 0..3 {
        request.attempt("200", foreign);
    }
    assert_eq!(request.down.response_headers(), Flow::Pause);
    assert!(!request.answer().body.contains("somebody else"), "{}", request.answer().body);
}

#[test]
fn a_retry_that_envoy_did_not_make_is_made_here() {
    let mut request = Request::new("/rpc/ethereum", CALL);
    request.send();
    request.attempt("200", FAULT);
    // The response reaches DOWN although it was marked: Envoy had no room for a retry.
    assert_eq!(request.down.response_headers(), Flow::Pause);
    let dispatched = request.envoy.0.dispatched.borrow().clone();
    assert_eq!(dispatched[0].cluster, "lasso/ethereum/b/http");
}

#[test]
fn an_error_without_an_id_gets_the_clients() {
    let mut request = Request::new("/rpc/ethereum", CALL);
    request.send();
    request.attempt("400", r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32602,"message":"invalid params"}}"#);
    assert_eq!(request.down.response_headers(), Flow::Pause);
    assert_eq!(request.answer().body, r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32602,"message":"invalid params"}}"#);
}

#[test]
fn a_cluster_without_hosts_is_passed_over_by_a_sub_request() {
    let mut request = Request::new("/rpc/ethereum", CALL);
    request.send();
    // The router answers 503 by itself: UP never ran.
    request.envoy.0.properties.borrow_mut().insert("response.flags".into(), 2_u64.to_le_bytes().to_vec());
    assert_eq!(request.down.response_headers(), Flow::Pause);
    assert_eq!(request.down.response_body(), Flow::Pause, "the local reply's body would let its head go");
    let dispatched = request.envoy.0.dispatched.borrow().clone();
    assert_eq!((dispatched[0].cluster.as_str(), dispatched[0].path.as_str()), ("lasso/ethereum/b/http", "/v2/b-key"));
    request.envoy.respond("200", OK);
    request.down.dispatched(1, true, OK.len());
    assert_eq!((request.answer().status, request.answer().body.as_str()), (200, OK));
}

#[test]
fn a_null_is_confirmed_by_one_more_channel() {
    let null = r#"{"jsonrpc":"2.0","id":1,"result":null}"#;
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"eth_getTransactionReceipt","params":["0xabababababababababababababababababababababababababababababababab"]}"#;
    let mut request = Request::new("/rpc/ethereum", body);
    request.send();
    request.attempt("200", null);
    assert!(request.retried());
    request.attempt("200", null);
    assert!(!request.retried());
    assert_eq!(request.down.response_headers(), Flow::Continue);

    let mut request = Request::new("/rpc/ethereum", body);
    request.send();
    request.attempt("200", null);
    request.broken_attempt();
    assert_eq!(request.down.response_headers(), Flow::Pause);
    assert_eq!(request.answer().body, null);
    assert_eq!(counted(&request.worker, Counter::Exhausted), 0, "a null that is believed is an answer");
}

#[test]
fn filters_stay_on_their_channel() {
    let shared = worker();
    let create = r#"{"jsonrpc":"2.0","id":1,"method":"eth_newBlockFilter","params":[]}"#;
    let mut request = Request::with(Rc::clone(&shared), "/rpc/ethereum/c", create);
    request.send();
    request.attempt("200", r#"{"jsonrpc":"2.0","id":1,"result":"0x1f"}"#);
    assert_eq!(request.down.response_headers(), Flow::Pause);
    let reply: serde_json::Value = serde_json::from_str(&request.answer().body).unwrap();
    let id = reply["result"].as_str().unwrap().to_owned();
    assert_ne!(id, "0x1f");

    let poll = format!(r#"{{"jsonrpc":"2.0","id":2,"method":"eth_getFilterChanges","params":["{id}"]}}"#);
    let mut request = Request::with(shared, "/rpc/ethereum", &poll);
    request.send();
    assert!(request.envoy.plan().starts_with("lasso/ethereum/c/http\x7f"), "{}", request.envoy.plan());
    let sent = String::from_utf8(request.envoy.0.request_body.borrow().clone()).unwrap();
    assert!(sent.contains(r#"["0x1f"]"#), "{sent}");
}

#[test]
fn refusals_carry_the_clients_id_byte_by_byte() {
    #[track_caller]
    fn check(path: &str, body: &str, status: u32, code: &str, id: &str) {
        let mut request = Request::new(path, body);
        assert_eq!(request.send(), Flow::Pause);
        let answer = request.answer();
        assert_eq!(answer.status, status, "{}", answer.body);
        assert!(answer.body.contains(&format!("\"code\":{code}")), "{}", answer.body);
        assert!(answer.body.contains(&format!("\"id\":{id},")), "{}", answer.body);
    }
    let call = |id: &str, method: &str| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":[]}}"#);
    check("/rpc/ethereum", "{", 400, "-32700", "null");
    check("/rpc/ethereum", "[]", 200, "-32600", "null");
    check("/rpc/ethereum", r#"{"jsonrpc":"1.0","id":5,"method":"x"}"#, 200, "-32600", "5");
    check(
        "/rpc/nowhere",
        &call("123456789012345678901234567890", "eth_blockNumber"),
        400,
        "-32602",
        "123456789012345678901234567890",
    );
    check("/rpc/ethereum/nobody", &call(r#""\u0061""#, "eth_blockNumber"), 400, "-32602", r#""\u0061""#);
    check("/rpc/profile/none/ethereum", &call("1", "eth_blockNumber"), 404, "-32602", "1");
    check("/rpc/ethereum", &call("1.50", "personal_sign"), 200, "-32601", "1.50");
    check("/rpc/ethereum", &call("null", "eth_subscribe"), 200, "-32601", "null");
}

#[test]
fn chain_ids_are_answered_here_unless_a_provider_is_pinned() {
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[]}"#;
    let mut request = Request::new("/rpc/ethereum", body);
    assert_eq!(request.send(), Flow::Pause);
    assert_eq!(request.answer().body, r#"{"jsonrpc":"2.0","id":1,"result":"0x1"}"#);
    let mut request = Request::new("/rpc/ethereum/b", body);
    assert_eq!(request.send(), Flow::Continue);
    assert!(request.envoy.plan().starts_with("lasso/ethereum/b/http\x7f"));
}

#[test]
fn a_notification_is_executed_and_answered_with_nothing() {
    let mut request = Request::new("/rpc/ethereum", r#"{"jsonrpc":"2.0","method":"eth_blockNumber","params":[]}"#);
    request.send();
    request.attempt("200", r#"{"jsonrpc":"2.0","id":0,"result":"0x10"}"#);
    assert_eq!(request.down.response_headers(), Flow::Pause);
    assert_eq!((request.answer().status, request.answer().body.as_str()), (204, ""));
}

#[test]
fn a_batch_is_one_sub_request_and_keeps_its_order_and_ids() {
    let body = r#"[{"jsonrpc":"2.0","id":"x","method":"eth_blockNumber","params":[]},{"jsonrpc":"2.0","id":1,"method":"eth_chainId"},
        {"jsonrpc":"2.0","method":"eth_gasPrice","params":[]},7,{"jsonrpc":"2.0","id":9,"method":"eth_gasPrice","params":[]}]"#;
    let mut request = Request::new("/rpc/ethereum", body);
    assert_eq!(request.send(), Flow::Pause);
    assert_eq!(request.envoy.0.dispatched.borrow().len(), 1);
    let replies = r#"[{"jsonrpc":"2.0","id":2,"result":"0x3"},{"jsonrpc":"2.0","id":0,"result":"0x1"},{"jsonrpc":"2.0","id":1,"result":"0x2"}]"#;
    request.envoy.respond("200", replies);
    request.down.dispatched(1, true, replies.len());
    let reply: serde_json::Value = serde_json::from_str(&request.answer().body).unwrap();
    let ids: Vec<String> = reply.as_array().unwrap().iter().map(|reply| reply["id"].to_string()).collect();
    assert_eq!(ids, ["\"x\"", "1", "null", "9"]);
    assert_eq!(reply[0]["result"], "0x1");
    assert_eq!(reply[3]["result"], "0x3");
}

#[test]
fn a_batchs_faulty_items_go_to_the_next_channel_alone() {
    let body = r#"[{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber","params":[]},{"jsonrpc":"2.0","id":2,"method":"eth_gasPrice","params":[]}]"#;
    let mut request = Request::new("/rpc/ethereum", body);
    request.send();
    let replies = r#"[{"jsonrpc":"2.0","id":0,"result":"0x1"},{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"internal"}}]"#;
    request.envoy.respond("200", replies);
    request.down.dispatched(1, true, replies.len());
    let second = request.envoy.0.dispatched.borrow().last().cloned().unwrap();
    assert_eq!(second.cluster, "lasso/ethereum/b/http");
    assert!(!second.body.contains("eth_blockNumber") && second.body.contains("eth_gasPrice"), "{}", second.body);
    let replies = r#"[{"jsonrpc":"2.0","id":0,"result":"0x2"}]"#;
    request.envoy.respond("200", replies);
    request.down.dispatched(2, true, replies.len());
    assert_eq!(
        request.answer().body,
        r#"[{"jsonrpc":"2.0","id":1,"result":"0x1"},{"jsonrpc":"2.0","id":2,"result":"0x2"}]"#
    );
}

#[test]
fn a_batch_too_large_for_a_provider_is_halved() {
    let body = r#"[{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber","params":[]},{"jsonrpc":"2.0","id":2,"method":"eth_gasPrice","params":[]}]"#;
    let mut request = Request::new("/rpc/ethereum", body);
    request.send();
    let refusal = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"batch too large, max 1"}}"#;
    request.envoy.respond("200", refusal);
    request.down.dispatched(1, true, refusal.len());
    assert_eq!(request.envoy.0.dispatched.borrow().len(), 3);
    for token in [2, 3] {
        let reply = r#"[{"jsonrpc":"2.0","id":0,"result":"0x5"}]"#;
        request.envoy.respond("200", reply);
        request.down.dispatched(token, true, reply.len());
    }
    assert_eq!(
        request.answer().body,
        r#"[{"jsonrpc":"2.0","id":1,"result":"0x5"},{"jsonrpc":"2.0","id":2,"result":"0x5"}]"#
    );
}

#[test]
fn meta_is_told_in_headers_or_in_the_body_when_asked_for() {
    let mut request = Request::new("/rpc/ethereum?include_meta=headers", CALL);
    request.send();
    request.attempt("200", OK);
    assert_eq!(request.down.response_headers(), Flow::Continue);
    assert!(request.envoy.0.response.borrow().contains_key("x-lasso-meta"));

    let mut request = Request::new("/rpc/ethereum?include_meta=body", CALL);
    request.send();
    request.attempt("200", FAULT);
    request.attempt("200", OK);
    assert_eq!(request.down.response_headers(), Flow::Pause);
    let reply: serde_json::Value = serde_json::from_str(&request.answer().body).unwrap();
    assert_eq!(reply["result"], "0x1");
    assert_eq!(reply["lasso_meta"]["selected_provider"]["id"], "b");
    assert_eq!(reply["lasso_meta"]["retries"], 1);
}
