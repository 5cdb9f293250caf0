//! Channels that cannot be reached, are silent, or answer with something else.

use super::*;

const READ: &str = "eth_blockNumber";
const WRITE: &str = "eth_sendRawTransaction";

#[test]
fn a_channel_without_hosts_is_passed_over_once_for_writes_too() {
    for method in [READ, WRITE] {
        let mut request = Request::without_hosts(five(), &["a", "b", "c", "d"], &batch(&[method, method]));
        assert_eq!(request.asked(), "e", "{method}");
        request.replied(1, &json!([result(0, "0x1"), result(1, "0x2")]));
        assert_eq!(request.reply(), json!([result(1, "0x1"), result(2, "0x2")]), "{method}");
    }
}

#[test]
fn when_no_channel_has_hosts_the_items_say_so() {
    let request = Request::without_hosts(worker(), &["a", "b", "c"], &batch(&[READ, WRITE]));
    assert_eq!(request.asked(), "");
    let reply = request.reply();
    for item in [0, 1] {
        let message = reply[item]["error"]["message"].as_str().unwrap();
        assert!(message.starts_with("all 3 attempts failed"), "{message}");
    }
}

#[test]
fn what_envoy_says_of_an_unreachable_channel_is_no_providers_answer() {
    for text in [REFUSED, "no healthy upstream"] {
        let mut request = Request::new(&batch(&[READ, WRITE]));
        request.answered(1, "503", text);
        assert_eq!(request.asked(), "a b", "{text}");
        request.replied(2, &json!([result(0, "0x1"), result(1, "0x2")]));
        assert_eq!(request.reply(), json!([result(1, "0x1"), result(2, "0x2")]));
        assert_eq!(counted(&request.worker)(Counter::BlamedFailures), 1);
    }
}

#[test]
fn a_write_whose_connection_broke_is_indeterminate() {
    let mut request = Request::new(&batch(&[WRITE, READ]));
    request.answered(1, "503", RESET);
    assert_eq!(request.asked(), "a b");
    assert!(!request.dispatched()[1].body.contains(WRITE), "{}", request.dispatched()[1].body);
    request.replied(2, &json!([result(0, "0x1")]));
    let reply = request.reply();
    assert_eq!(reply[0]["error"]["message"], "dispatch outcome is indeterminate");
    assert_eq!(reply[1], result(2, "0x1"));
    assert_eq!(counted(&request.worker)(Counter::Indeterminate), 1);
}

#[test]
fn items_that_fail_fast_are_asked_of_five_channels_and_slow_ones_of_three() {
    #[track_caller]
    fn check(millis: u64, asked: &str) {
        let mut request = Request::with(five(), &batch(&[READ]));
        for token in 1..=5 {
            if !request.is_open() {
                break;
            }
            request.envoy.pass(millis);
            request.replied(token, &json!([error(0, -32603, "internal error")]));
        }
        assert_eq!(request.asked(), asked);
        assert_eq!(request.reply()[0]["error"]["code"], -32603);
    }
    check(10, "a b c d e");
    check(200, "a b c");
}

#[test]
fn one_reply_is_its_only_items_if_the_id_is_right() {
    let mut request = Request::new(&batch(&[READ]));
    request.replied(1, &result(0, "0x1"));
    assert_eq!(request.reply(), json!([result(1, "0x1")]));

    let mut request = Request::new(&batch(&[READ]));
    request.replied(1, &result(9, "0x1"));
    assert_eq!(request.asked(), "a b");
    assert_eq!(counted(&request.worker)(Counter::BlamedFailures), 1);

    let mut request = Request::new(&batch(&[READ, READ]));
    request.replied(1, &result(0, "0x1"));
    assert_eq!(request.asked(), "a b", "it cannot be the answer to two");
}

#[test]
fn a_providers_own_error_rules_hold_in_batches() {
    let shared = worker_with(&|spec| {
        spec["profiles"][0]["chains"][0]["providers"][0]["capabilities"] =
            json!({"error_rules": [{"code": -32999, "category": "rate_limit"}]});
    });
    let mut request = Request::with(shared, &batch(&[READ]));
    request.replied(1, &json!([error(0, -32999, "come back later")]));
    assert_eq!(request.asked(), "a b");
    assert!(limited(&request.worker, "a").is_some());
}

#[test]
fn a_null_is_an_answer_where_the_profile_says_so() {
    let shared = worker_with(&|spec| {
        spec["profiles"][0]["methods"] = json!({"confirm_null": ["!eth_getTransactionReceipt"]});
    });
    let mut request = Request::with(shared, &batch(&["eth_getTransactionReceipt"]));
    request.replied(1, &json!([result(0, Value::Null)]));
    assert_eq!(request.reply(), json!([result(1, Value::Null)]));
}

#[test]
fn a_null_is_confirmed_by_the_channel_with_the_highest_head() {
    let shared = worker();
    for (name, number) in [("a", "0x10"), ("b", "0x10"), ("c", "0x11")] {
        let mut request = Request::to(Rc::clone(&shared), &format!("/rpc/ethereum/{name}"), &batch(&[READ]));
        request.replied(1, &json!([result(0, number)]));
    }
    let mut request = Request::with(shared, &batch(&["eth_getTransactionReceipt"]));
    request.replied(1, &json!([result(0, Value::Null)]));
    assert_eq!(request.asked(), "a c");
    request.replied(2, &json!([result(0, Value::Null)]));
    assert_eq!(request.reply(), json!([result(1, Value::Null)]));
}

#[test]
fn a_provider_that_lacks_a_method_is_known_to_once_another_answered() {
    let shared = worker();
    let items = batch(&["eth_getBlockReceipts"]);
    let mut request = Request::with(Rc::clone(&shared), &items);
    request.replied(1, &json!([error(0, -32601, "the method does not exist")]));
    request.replied(2, &json!([result(0, json!([]))]));
    assert_eq!(Request::with(shared, &items).asked(), "b");
}

#[test]
fn the_words_of_a_providers_own_envoy_do_not_say_that_a_write_never_left() {
    for words in [REFUSED, "no healthy upstream", TIMEOUT] {
        let mut request = Request::new(&batch(&["eth_sendRawTransaction"]));
        request.envoy.respond("503", words);
        request.envoy.0.response.borrow_mut().insert("server".into(), "istio-envoy".into());
        request.down.dispatched(1, true, words.len());
        assert_eq!(request.asked(), "a", "{words}");
        assert_eq!(request.reply()[0]["error"]["message"], "dispatch outcome is indeterminate", "{words}");
    }
}

#[test]
fn a_named_provider_is_asked_first_for_each_item_that_it_can_serve() {
    let shared = worker_with(&|spec| {
        spec["profiles"][0]["chains"][0]["providers"][2]["capabilities"] =
            json!({"unsupported_methods": ["eth_getLogs"]});
    });
    let items = batch(&["eth_getLogs", "eth_gasPrice"]);
    let request = Request::to(shared, "/rpc/ethereum?provider=c&allow_failover=true", &items);
    let to = |method: &str| {
        let sent = request.dispatched().into_iter().find(|sent| sent.body.contains(method));
        sent.map(|sent| sent.cluster)
    };
    assert_eq!(to("eth_gasPrice"), Some(cluster("c")));
    assert_ne!(to("eth_getLogs"), Some(cluster("c")));
}
