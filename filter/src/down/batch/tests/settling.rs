//! What the ledger and the counters hear of a batch.

use super::*;
use crate::fake::catalog_with;

const READ: &str = "eth_blockNumber";

#[test]
fn refusals_for_the_rate_limit_are_no_success_and_leave_their_mark() {
    let shared = worker();
    let mut request = Request::with(Rc::clone(&shared), &batch(&[READ, "eth_gasPrice"]));
    request.replied(1, &json!([error(0, -32005, "rate limit"), error(1, -32005, "rate limit")]));
    assert_eq!(request.asked(), "a b");
    assert!(limited(&shared, "a").is_some());
    let counted = counted(&shared);
    assert_eq!((counted(Counter::RateLimited), counted(Counter::Failovers)), (1, 1));
    assert_eq!((counted(Counter::Attempts), counted(Counter::BlamedFailures)), (2, 0));
    // Demoted: the next batch goes to another.
    assert_eq!(Request::with(shared, &batch(&[READ])).asked(), "b");
}

#[test]
fn a_mark_is_kept_beside_other_items_successes() {
    let mut request = Request::new(&batch(&[READ, "eth_gasPrice"]));
    request.replied(1, &json!([result(0, "0x1"), error(1, -32005, "rate limit")]));
    assert!(limited(&request.worker, "a").is_some());
}

#[test]
fn answers_that_are_no_success_do_not_end_a_run_of_failures() {
    let shared = worker();
    let mut micros = 0;
    for round in 0..12 {
        let mut request = Request::later(&shared, "/rpc/ethereum/a", micros, &batch(&[READ]));
        request.envoy.pass(100);
        if round % 2 == 0 {
            request.answered(1, "503", REFUSED);
        } else {
            request.replied(1, &json!([error(0, -32000, "something else")]));
        }
        micros = request.envoy.0.micros.get();
        if request.breaker("a") == "open" {
            return;
        }
    }
    panic!("the breaker never opened");
}

#[test]
fn a_silent_channel_is_blamed_only_if_another_answered() {
    #[track_caller]
    fn check(answered: bool, state: &str) {
        let shared = worker();
        let mut micros = 0;
        for _ in 0..6 {
            let mut request = Request::later(&shared, "/rpc/ethereum", micros, &batch(&[READ]));
            if request.asked() != "a" {
                break;
            }
            request.envoy.pass(900);
            request.answered(1, "504", TIMEOUT);
            for token in 2..=3 {
                if !request.is_open() {
                    break;
                }
                request.envoy.pass(900);
                if answered {
                    request.replied(token, &json!([result(0, "0x1")]));
                } else {
                    request.answered(token, "504", TIMEOUT);
                }
            }
            assert!(!request.is_open());
            micros = request.envoy.0.micros.get();
        }
        let channel = channel(&shared, "a");
        let now = Timestamp::from_millis(1_000_000 + micros / 1_000);
        assert_eq!(shared.borrow_mut().ledger().breaker_state(channel, now).name(), state);
    }
    check(true, "open");
    check(false, "closed");
}

#[test]
fn a_write_is_nobodys_trial_and_a_batch_is_one() {
    #[track_caller]
    fn check(methods: &[&str], asked: &str) {
        let shared = worker();
        let mut micros = 0;
        for _ in 0..6 {
            let mut request = Request::later(&shared, "/rpc/ethereum/a", micros, &batch(&[READ]));
            request.envoy.pass(120);
            request.answered(1, "503", REFUSED);
            micros = request.envoy.0.micros.get();
        }
        assert_eq!(
            Request::later(&shared, "/rpc/ethereum", micros, &batch(&[READ])).asked(),
            "b",
            "a's breaker is open"
        );
        let request = Request::later(&shared, "/rpc/ethereum", micros + 2_000_000, &batch(methods));
        assert_eq!(request.breaker("a"), "half-open");
        assert_eq!(request.asked(), asked, "{methods:?}");
    }
    check(&[READ, "eth_gasPrice", "eth_getBalance"], "a");
    check(&[READ, "eth_sendRawTransaction"], "b");
    check(&["eth_sendRawTransaction", READ], "b");
}

#[test]
fn a_rotation_turns_once_for_a_batch() {
    let shared = worker_with(&|spec| spec["profiles"][0]["chains"][0]["strategy"] = json!("round-robin"));
    let methods = [READ, "eth_gasPrice", "eth_syncing", "eth_getBlockByNumber", "net_peerCount"];
    let mut firsts: Vec<String> = (0..3).map(|_| Request::with(Rc::clone(&shared), &batch(&methods)).asked()).collect();
    assert!(firsts.iter().all(|asked| asked.len() == 1), "one view of the chain: {firsts:?}");
    firsts.sort();
    assert_eq!(firsts, ["a", "b", "c"]);
}

#[test]
fn a_catalog_that_comes_while_a_batch_is_under_way_stays_in_force() {
    let shared = worker();
    let mut request = Request::with(Rc::clone(&shared), &batch(&[READ]));
    // The new one lacks a and has the others at other places.
    let bytes = catalog_with(&|spec| {
        spec["generation"] = json!("0002");
        spec["channels"].as_array_mut().unwrap().remove(0);
        spec["profiles"][0]["chains"][0]["providers"].as_array_mut().unwrap().remove(0);
    });
    shared.borrow_mut().configure(&bytes, Timestamp::from_millis(1_000_000)).unwrap();
    request.replied(1, &json!([error(0, -32603, "internal error")]));
    assert_eq!(request.asked(), "a b", "what it may still be asked of is known");
    let in_flight = |name: &str| {
        let channel = channel(&shared, name);
        shared.borrow_mut().ledger().in_flight(channel)
    };
    assert_eq!((in_flight("b"), in_flight("c")), (1, 0), "the ledger is the new catalog's");
    request.replied(2, &json!([result(0, "0x1")]));
    assert_eq!((in_flight("b"), in_flight("c")), (0, 0));
    assert_eq!(request.reply(), json!([result(1, "0x1")]));
}

#[test]
fn heads_are_learned_from_batches() {
    let shared = worker();
    for name in ["a", "b"] {
        let mut request =
            Request::to(Rc::clone(&shared), &format!("/rpc/ethereum/{name}"), &batch(&["eth_gasPrice", READ]));
        request.replied(1, &json!([result(0, "0x1"), result(1, "0x64")]));
    }
    let catalog = shared.borrow().catalog().unwrap();
    let chain = catalog.chains().next().unwrap().0;
    assert_eq!(shared.borrow_mut().ledger().best_head(chain, Timestamp::from_millis(1_000_001)), Some(100));
}

#[test]
fn a_batch_tells_in_headers_how_it_was_routed() {
    for place in ["headers", "body"] {
        let path = format!("/rpc/ethereum?include_meta={place}");
        let mut request = Request::to(worker(), &path, &batch(&[READ]));
        request.replied(1, &json!([error(0, -32603, "internal error")]));
        request.replied(2, &json!([result(0, "0x1")]));
        let sent = request.envoy.last_sent();
        assert_eq!(request.reply(), json!([result(1, "0x1")]));
        let header = |name: &str| sent.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.clone());
        assert_eq!(header("x-lasso-request-id").unwrap().len(), 16);
        let engine = &base64::engine::general_purpose::URL_SAFE_NO_PAD;
        let meta = base64::Engine::decode(engine, header("x-lasso-meta").unwrap()).unwrap();
        let meta: Value = serde_json::from_slice(&meta).unwrap();
        assert_eq!((&meta["selected_provider"]["id"], &meta["retries"]), (&json!("b"), &json!(1)));
    }
}
