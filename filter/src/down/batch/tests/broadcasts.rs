//! One transaction to several channels.

use super::*;

fn broadcasting(copies: u32) -> Rc<RefCell<Worker>> {
    worker_with(&move |spec| {
        add_two(spec);
        spec["profiles"][0]["methods"] = json!({"broadcast": copies});
    })
}

fn transaction() -> Value {
    batch(&["eth_sendRawTransaction"])[0].clone()
}

#[test]
fn while_a_copy_may_have_arrived_no_refusal_is_the_answer() {
    #[track_caller]
    fn check(ends: [&str; 2]) {
        let mut request = Request::with(broadcasting(2), &transaction());
        assert_eq!(request.asked(), "a b");
        for (token, end) in (1..).zip(ends) {
            assert!(request.is_open());
            request.answered(token, if end.starts_with('{') { "200" } else { "503" }, end);
        }
        assert_eq!(request.reply()["error"]["message"], "dispatch outcome is indeterminate");
        assert_eq!(counted(&request.worker)(Counter::Indeterminate), 1);
    }
    let limit = error(1, -32005, "rate limit").to_string();
    check([RESET, &limit]);
    check([&limit, TIMEOUT]);
    check(["<html></html>", &limit]);
}

#[test]
fn a_refusal_by_everybody_is_the_answer() {
    let mut request = Request::with(broadcasting(2), &transaction());
    request.answered(1, "200", &error(1, -32000, "nonce too low").to_string());
    request.answered(2, "200", &error(1, -32000, "nonce too low").to_string());
    assert_eq!(request.reply(), error(1, -32000, "nonce too low"));
}

#[test]
fn a_copy_that_never_left_goes_to_the_next_channel() {
    let mut request = Request::without_hosts(broadcasting(2), &["a", "c"], &transaction());
    assert_eq!(request.asked(), "b d");
    request.answered(1, "503", REFUSED);
    assert_eq!(request.asked(), "b d e");
    request.answered(3, "200", &result(1, "0xbc").to_string());
    assert_eq!(request.reply(), result(1, "0xbc"));
}

#[test]
fn a_refused_copy_does_not_hide_one_that_may_have_arrived() {
    let mut request = Request::without_hosts(broadcasting(1 + 1), &["c", "d", "e"], &transaction());
    request.answered(1, "503", REFUSED);
    request.answered(2, "503", RESET);
    assert_eq!(request.reply()["error"]["message"], "dispatch outcome is indeterminate");
}

#[test]
fn when_nobody_can_be_reached_the_transaction_was_not_sent() {
    let request = Request::without_hosts(broadcasting(2), &["a", "b", "c", "d", "e"], &transaction());
    let message = request.reply()["error"]["message"].clone();
    assert_eq!(message, "all 5 attempts failed for eth_sendRawTransaction on ethereum");
    assert_eq!(counted(&request.worker)(Counter::Exhausted), 1);
}

#[test]
fn copies_go_to_last_resorts_one_by_one_when_no_other_got_its_own() {
    let worker = broadcasting(5);
    opened(&worker, &["a", "b"]);
    let mut request = Request::with(worker, &transaction());
    assert_eq!(request.asked(), "c d e");
    for (token, asked) in [(1, "c d e"), (2, "c d e"), (3, "c d e a"), (4, "c d e a b")] {
        request.answered(token, "503", REFUSED);
        assert_eq!(request.asked(), asked);
    }
}

#[test]
fn a_broadcast_that_finds_no_room_is_not_sent() {
    let shared = broadcasting(2);
    assert!(shared.borrow_mut().reserve(64 * 1024 * 1024));
    let request = Request::with(Rc::clone(&shared), &transaction());
    assert_eq!(request.asked(), "");
    assert_eq!(request.reply()["error"]["code"], -32603);
}

#[test]
fn another_copy_has_what_is_left_of_the_deadline() {
    let mut request = Request::with(broadcasting(2), &transaction());
    request.envoy.pass(4_900);
    request.answered(1, "503", REFUSED);
    assert_eq!(request.dispatched()[2].timeout_ms, 100);
}
