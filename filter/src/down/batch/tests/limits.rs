//! Time, sizes and memory.

use super::*;

const READ: &str = "eth_blockNumber";
const MOST_KEPT: usize = 64 * 1024 * 1024;

#[test]
fn nothing_is_sent_after_the_deadline_nor_for_longer() {
    let mut request = Request::new(&batch(&[READ]));
    assert_eq!(request.dispatched()[0].timeout_ms, 900);
    request.envoy.pass(2_600);
    request.replied(1, &json!([error(0, -32005, "rate limit")]));
    assert_eq!(request.dispatched()[1].timeout_ms, 400, "what is left");
    request.envoy.pass(400);
    request.answered(2, "504", TIMEOUT);
    assert_eq!(request.asked(), "a b");
    assert_eq!(request.reply()[0]["error"]["code"], -32005, "the last provider's word");

    let mut request = Request::new(&batch(&[READ]));
    request.envoy.pass(3_000);
    request.answered(1, "504", TIMEOUT);
    assert_eq!(request.asked(), "a");
    assert_eq!(request.reply()[0]["error"]["message"], "deadline exhausted after 3000ms, 1 attempts");
}

#[test]
fn the_only_one_who_is_admitted_leaves_time_for_a_last_resort() {
    #[track_caller]
    fn check(open: &[&str], method: &str, timeout_ms: u32) {
        let worker = worker_with(&|_| {});
        opened(&worker, open);
        let request = Request::with(worker, &batch(&[method]));
        assert_eq!(request.dispatched()[0].timeout_ms, timeout_ms, "{method} while {open:?} are open");
    }
    check(&[], READ, 900);
    check(&["b"], READ, 900);
    check(&["b", "c"], READ, 2_100);
}

#[test]
fn parts_that_waited_past_the_deadline_are_not_sent() {
    let mut request = Request::new(&batch(&[READ; 500]));
    assert_eq!(request.dispatched().len(), 4);
    request.envoy.pass(3_000);
    for token in 1..=4 {
        request.answered(token, "504", TIMEOUT);
    }
    assert_eq!(request.dispatched().len(), 4);
    let reply = request.reply();
    assert_eq!(reply.as_array().unwrap().len(), 500);
    let told = |item: &Value| item["error"]["message"].as_str().is_some_and(|text| text.starts_with("deadline"));
    assert!(reply.as_array().unwrap().iter().all(told));
}

#[test]
fn an_answer_in_the_last_milliseconds_is_an_answer() {
    let mut request = Request::new(&batch(&[READ]));
    request.envoy.pass(899);
    request.replied(1, &json!([result(0, "0x1")]));
    assert_eq!(request.reply(), json!([result(1, "0x1")]));
}

#[test]
fn a_batch_that_was_refused_for_its_size_is_halved_once_and_not_again() {
    let shared = worker();
    let size = |sent: &Dispatched| serde_json::from_str::<Vec<Value>>(&sent.body).unwrap().len();
    let mut request = Request::with(Rc::clone(&shared), &batch(&[READ; 8]));
    request.answered(1, "200", &error(Value::Null, -32600, "batch too large").to_string());
    assert_eq!(request.asked(), "a a a");
    for token in 2..=3 {
        request.replied(token, &(0..4).map(|place| result(place, "0x1")).collect());
    }
    assert_eq!(request.reply().as_array().unwrap().len(), 8);
    let request = Request::with(Rc::clone(&shared), &batch(&[READ; 8]));
    let sizes: Vec<usize> = request.dispatched().iter().map(size).collect();
    assert_eq!(sizes, [4, 4]);
}

#[test]
fn a_body_that_is_too_large_for_a_provider_is_halved() {
    let mut request = Request::new(&batch(&[READ; 4]));
    request.answered(1, "413", "<html>too large</html>");
    assert_eq!(request.asked(), "a a a");
    assert_eq!(counted(&request.worker)(Counter::BlamedFailures), 0);
}

#[test]
fn answers_beyond_what_may_be_held_are_errors_of_their_own() {
    let shared = worker();
    assert!(shared.borrow_mut().reserve(MOST_KEPT - 20_000));
    let mut request = Request::with(Rc::clone(&shared), &batch(&[READ, "eth_gasPrice"]));
    request.replied(1, &json!([result(0, "0x1"), result(1, "x".repeat(30_000))]));
    let reply = request.reply();
    assert_eq!(reply[0], result(1, "0x1"));
    assert_eq!((&reply[1]["id"], &reply[1]["error"]["code"]), (&json!(2), &json!(-32603)));
    assert!(shared.borrow_mut().reserve(20_000), "all of it was given back");
}

#[test]
fn a_batch_that_finds_no_room_is_answered_item_by_item() {
    let shared = worker();
    assert!(shared.borrow_mut().reserve(MOST_KEPT));
    let request = Request::with(shared, &batch(&[READ, "eth_chainId"]));
    assert_eq!(request.asked(), "");
    assert_eq!(request.reply()[0]["error"]["code"], -32603);
    assert_eq!(request.reply()[1], result(2, "0x1"));
}

#[test]
fn what_was_held_is_given_back_when_the_client_goes_away() {
    let shared = worker();
    let mut request = Request::with(Rc::clone(&shared), &batch(&[READ]));
    request.down.done();
    assert!(shared.borrow_mut().reserve(MOST_KEPT));
}

#[test]
fn an_answer_over_the_bound_blames_nobody_and_is_fetched_once() {
    let shared = worker();
    for turn in 0..6 {
        let mut request = Request::later(&shared, "/rpc/ethereum", turn * 200_000, &batch(&[READ]));
        request.envoy.respond("200", "");
        request.down.dispatched(1, true, 8 * 1024 * 1024 + 1);
        assert_eq!(request.asked(), "a");
        let said = request.reply()[0]["error"]["message"].as_str().unwrap().to_owned();
        assert!(said.starts_with("the answer exceeds 8388608 bytes"), "{said}");
        assert_eq!(request.breaker("a"), "closed");
    }
}

#[test]
fn a_provider_that_takes_single_calls_only_is_given_single_calls() {
    let items = batch(&[READ; 40]);
    let mut request = Request::to(worker(), "/rpc/ethereum/a", &items);
    let mut token = 0;
    while request.is_open() {
        token += 1;
        let asked: Vec<Value> = serde_json::from_str(&request.dispatched()[token as usize - 1].body).unwrap();
        match asked.len() {
            1 => request.replied(token, &json!([result(0, "0x1")])),
            _ => request.answered(token, "200", &error(Value::Null, -32600, "batch too large").to_string()),
        }
    }
    assert!(request.reply().as_array().unwrap().iter().all(|item| item["result"] == "0x1"));
}

#[test]
fn what_became_of_a_write_is_told_although_there_is_no_room() {
    let mut request = Request::new(&batch(&["eth_sendRawTransaction"]));
    assert!(request.worker.borrow_mut().reserve(MOST_KEPT - 1_000));
    let hash = format!("0x{}", "ab".repeat(1_000));
    request.replied(1, &json!([result(0, hash.as_str())]));
    assert_eq!(request.reply(), json!([result(1, hash)]));
}
