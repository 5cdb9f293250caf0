//! The control plane's probes: asked whatever speaks against it, and of no consequence here.

use serde_json::json;

use super::*;

const TOKEN: &str = "00112233445566778899aabbccddeeff";
const CHAIN_ID: &str = r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[]}"#;
const MAINNET: &str = r#"{"jsonrpc":"2.0","id":1,"result":"0x1"}"#;

fn probed_worker() -> Rc<RefCell<Worker>> {
    worker_with(&|catalog| {
        catalog["probe_token"] = json!(TOKEN);
        catalog["profiles"][0]["methods"] = json!({"block": ["eth_chainId"]});
    })
}

fn with_token(worker: &Rc<RefCell<Worker>>, token: &str, path: &str, body: &str) -> Request {
    let request = Request::with(Rc::clone(worker), path, body);
    request.envoy.0.request.borrow_mut().insert("x-lasso-probe".into(), token.into());
    request
}

fn probe(worker: &Rc<RefCell<Worker>>, body: &str) -> Request {
    with_token(worker, TOKEN, "/rpc/profile/public/provider/a/ethereum", body)
}

/// A worker whose breaker of a is open.
fn with_a_open() -> Rc<RefCell<Worker>> {
    let worker = probed_worker();
    for round in 0..8 {
        let mut request = Request::with(Rc::clone(&worker), "/rpc/ethereum/a", CALL);
        request.envoy.pass(round * 150);
        if request.send() == Flow::Continue {
            request.broken_attempt();
            request.down.done();
        }
    }
    worker.borrow_mut().stats().take().for_each(drop);
    worker
}

fn is_open(worker: &Rc<RefCell<Worker>>) -> bool {
    let mut request = Request::with(Rc::clone(worker), "/rpc/ethereum", CALL);
    request.envoy.pass(1_300);
    request.send();
    let first_is_b = request.envoy.plan().starts_with("lasso/ethereum/b/http\x7f");
    request.down.done();
    worker.borrow_mut().stats().take().for_each(drop);
    first_is_b
}

fn counted(worker: &Rc<RefCell<Worker>>) -> Vec<(usize, i64)> {
    worker.borrow_mut().stats().take().collect()
}

#[test]
fn an_open_channel_is_asked_and_stays_open_when_it_answers() {
    let worker = with_a_open();
    assert!(is_open(&worker));
    for _ in 0..5 {
        let mut request = probe(&worker, CHAIN_ID);
        request.envoy.pass(1_200);
        assert_eq!(request.send(), Flow::Continue, "eth_chainId goes out, though clients may not ask it");
        assert!(request.envoy.plan().starts_with("lasso/ethereum/a/http\x7f"), "{}", request.envoy.plan());
        assert_eq!(request.envoy.header("x-lasso-probe"), None);
        request.attempt("200", MAINNET);
        assert_eq!(request.down.response_headers(), Flow::Continue);
        request.down.done();
    }
    assert_eq!(counted(&worker), []);
    assert!(is_open(&worker));
}

#[test]
fn probes_that_fail_open_nothing_and_are_asked_once() {
    let worker = probed_worker();
    for round in 0..20 {
        let mut request = probe(&worker, CHAIN_ID);
        request.envoy.pass(round * 100);
        request.send();
        request.broken_attempt();
        assert!(request.envoy.plan().starts_with('\x7f'), "{}", request.envoy.plan());
        assert_eq!(request.down.response_headers(), Flow::Pause);
        request.down.done();
    }
    assert_eq!(counted(&worker), []);
    assert!(!is_open(&worker));
}

#[test]
fn a_failed_probe_is_told_in_the_words_of_reports() {
    #[track_caller]
    fn check(fail: impl Fn(&mut Request), expected: &str) {
        let mut request = probe(&probed_worker(), CHAIN_ID);
        request.send();
        fail(&mut request);
        assert_eq!(request.down.response_headers(), Flow::Pause);
        let told: serde_json::Value = serde_json::from_str(&request.answer().body).unwrap();
        assert_eq!(told["error"]["data"]["reasons"], json!({"ethereum/a/http": expected}));
    }
    check(|request| request.broken_attempt(), "network");
    check(|request| request.broken_after(5_000), "timeout");
    check(|request| request.attempt("401", r#"{"error":"must be authenticated!"}"#), "auth");
    check(|request| request.attempt("503", "<html>down</html>"), "server");
    check(|request| request.attempt("429", ""), "rate_limited");
}

#[test]
fn a_probe_has_its_own_deadline_and_no_route_for_writes() {
    let mut request = probe(&probed_worker(), CHAIN_ID);
    request.send();
    assert_eq!(request.envoy.header("x-envoy-upstream-rq-per-try-timeout-ms").as_deref(), Some("5000"));
    assert_eq!(request.envoy.0.properties.borrow().get("lasso_once"), None);
}

#[test]
fn with_a_wrong_word_or_without_a_provider_it_is_a_clients_request_and_the_header_goes() {
    #[track_caller]
    fn check(token: &str, path: &str) {
        let worker = with_a_open();
        let mut request = with_token(&worker, token, path, CALL);
        request.envoy.pass(1_200);
        request.send();
        assert!(!request.envoy.plan().starts_with("lasso/ethereum/a/http"), "{token} {path}");
        let routed = !request.envoy.plan().is_empty();
        assert_eq!(request.envoy.header("x-lasso-probe").is_none(), routed, "{token} {path}");
    }
    check(TOKEN, "/rpc/ethereum");
    check("00112233445566778899aabbccddeef0", "/rpc/ethereum/a");
    check("00112233445566778899aabbccddeef0", "/rpc/ethereum");
    check("", "/rpc/ethereum/a");
    check(&TOKEN[..31], "/rpc/ethereum/a");
    check(&TOKEN.to_uppercase(), "/rpc/ethereum/a");
}

#[test]
fn a_catalog_without_a_word_knows_no_probes() {
    let mut request = with_token(&worker(), "", "/rpc/ethereum/a", CALL);
    request.send();
    assert_eq!(request.envoy.header("x-lasso-probe"), None);
    assert_ne!(request.worker.borrow_mut().stats().take().count(), 0);
}

#[test]
fn a_batch_is_never_a_probe() {
    let worker = with_a_open();
    let mut request = probe(&worker, &format!("[{CALL}]"));
    request.envoy.pass(1_200);
    request.send();
    assert!(request.envoy.0.dispatched.borrow().is_empty());
    assert!(request.answer().body.contains("breaker"), "{}", request.answer().body);
}
