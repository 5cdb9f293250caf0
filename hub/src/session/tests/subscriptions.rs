//! Subscriptions on a socket: made, told, left, refused, in batches.

use std::sync::Arc;

use lasso_jsonrpc::RpcError;

use super::{PATH, check};
use crate::fixture::{LIMITS, World, confirm, site, tell};
use crate::outlet::Outgoing;

const HEADS: &str = r#"{"id":1,"method":"eth_subscribe","params":["newHeads"]}"#;

fn event(name: &str, payload: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","method":"eth_subscription","params":{{"subscription":"{name}","result":{payload}}}}}"#
    )
}

#[tokio::test]
async fn a_subscription_is_confirmed_told_and_left() {
    let mut world = World::new().await;
    let mut client = world.client("/ws/rpc/ethereum/a").await;
    client.say(HEADS).await;
    let wanted = world.wanted().await;
    check("params", wanted.params.as_deref().unwrap(), r#"["newHeads"]"#);
    assert_eq!(wanted.provider, Some(0));
    assert!(wanted.name.len() == 34 && wanted.name.starts_with("0x"), "{}", wanted.name);
    confirm(&wanted);
    tell(&wanted, r#"{"number": "0x1"}"#);
    check("the answer", &client.hear().await, &format!(r#"{{"jsonrpc":"2.0","id":1,"result":"{}"}}"#, wanted.name));
    check("the event", &client.hear().await, &event(&wanted.name, r#"{"number": "0x1"}"#));

    let leave = format!(r#"{{"id":"l","method":"eth_unsubscribe","params":["{}"]}}"#, wanted.name);
    check("left", &client.ask(&leave).await, r#"{"jsonrpc":"2.0","id":"l","result":true}"#);
    assert_eq!(world.leaver().await, wanted.subscription);
    tell(&wanted, "2");
    check("again", &client.ask(&leave).await, r#"{"jsonrpc":"2.0","id":"l","result":false}"#);
    assert_eq!(world.counts().subscriptions, 0);
    assert_eq!(world.envoy.count(), 0);
}

#[tokio::test]
async fn when_one_subscription_ends_the_others_of_its_socket_are_told_too() {
    let mut world = World::new().await;
    let mut client = world.client(PATH).await;
    let mut subscriptions = Vec::new();
    for _ in 0..3 {
        client.say(HEADS).await;
        let wanted = world.wanted().await;
        confirm(&wanted);
        assert!(client.hear().await.contains(&*wanted.name));
        subscriptions.push(wanted);
    }
    for (wanted, because) in subscriptions.iter().zip(["a gap of 9 blocks", "a gap of 7 blocks"]) {
        wanted.outlet.put(Outgoing::Ended { subscription: Arc::clone(&wanted.name), because: because.into() });
    }
    for (wanted, because) in subscriptions.iter().zip(["of 9 blocks", "of 7 blocks", "another subscription"]) {
        let heard = client.hear().await;
        assert!(heard.contains(&*wanted.name) && heard.contains(because), "{heard}");
    }
    assert_eq!(client.closed().await, 1012);
}

#[tokio::test]
async fn with_failover_allowed_no_provider_is_the_only_one() {
    let mut world = World::new().await;
    for (query, provider) in [("", Some(0)), ("?allow_failover=true", None)] {
        let mut client = world.client(&format!("/ws/rpc/ethereum/a{query}")).await;
        client.say(HEADS).await;
        assert_eq!(world.wanted().await.provider, provider, "{query}");
    }
}

#[tokio::test]
async fn who_subscribed_is_told_to_do_so_again_when_we_go() {
    let mut world = World::new().await;
    let mut client = world.client(PATH).await;
    client.say(HEADS).await;
    let wanted = world.wanted().await;
    confirm(&wanted);
    assert!(client.hear().await.contains(&*wanted.name));
    world.drain.send_replace(true);
    assert_eq!(client.closed().await, 1012);
}

#[tokio::test]
async fn params_of_unsubscribe_are_one_name() {
    let world = World::new().await;
    let mut client = world.client(PATH).await;
    for params in ["", r#","params":[]"#, r#","params":[1]"#, r#","params":{}"#, r#","params":["a","b"]"#] {
        let heard = client.ask(&format!(r#"{{"id":1,"method":"eth_unsubscribe"{params}}}"#)).await;
        assert!(heard.contains(r#""code":-32602"#), "{params}: {heard}");
    }
}

#[tokio::test]
async fn a_refusal_frees_the_subscriptions_place() {
    let mut world = World::new().await;
    let mut client = world.client(PATH).await;
    for _ in 0..2 * LIMITS.subscriptions {
        client.say(HEADS).await;
        let wanted = world.wanted().await;
        let error = RpcError::invalid_params("no such thing");
        wanted.outlet.put(Outgoing::Refused { request: Arc::clone(&wanted.request), error });
        let refused = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"no such thing"}}"#;
        check("refused", &client.hear().await, refused);
        assert_eq!(world.leaver().await, wanted.subscription, "whoever knows it forgets it");
    }
    assert_eq!(world.counts().subscriptions, 0);
}

#[tokio::test]
async fn a_socket_has_so_many_subscriptions_and_no_more() {
    let mut world = World::new().await;
    let mut client = world.client(PATH).await;
    for _ in 0..LIMITS.subscriptions {
        client.say(HEADS).await;
        confirm(&world.wanted().await);
        client.hear().await;
    }
    let expected = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32005,"message":"at most 3 subscriptions are allowed on a connection","data":{"max_subscriptions":3}}}"#;
    check("one more", &client.ask(HEADS).await, expected);
    drop(client);
    for _ in 0..LIMITS.subscriptions {
        world.leaver().await;
    }
    world.until("all are gone", |counts| counts.subscriptions == 0 && counts.sockets == 0).await;
}

#[tokio::test]
async fn a_blocked_method_is_blocked_here_too() {
    let world = World::new().await;
    let mut client = world.client(PATH).await;
    world.site.send_replace(site(None, LIMITS, &["eth_subscribe", "eth_unsubscribe"]));
    for method in ["eth_subscribe", "eth_unsubscribe"] {
        let heard = client.ask(&format!(r#"{{"id":1,"method":"{method}","params":["x"]}}"#)).await;
        assert!(heard.contains(r#""code":-32601"#), "{heard}");
    }
}

#[tokio::test]
async fn a_subscription_that_nobody_could_name_is_not_made() {
    let mut world = World::new().await;
    let mut client = world.client(PATH).await;
    client.say(r#"{"method":"eth_subscribe","params":["newHeads"]}"#).await;
    client.say(r#"{"id":2,"method":"eth_subscribe","params":["logs"]}"#).await;
    check("the first wish", &world.wanted().await.request, "2");
}

#[tokio::test]
async fn a_batch_waits_for_its_subscriptions_and_their_events_wait_for_it() {
    let mut world = World::new().await;
    let mut client = world.client(PATH).await;
    let batch = r#"[{"id":1,"method":"eth_subscribe","params":["newHeads"]},
        {"id":2,"method":"a"},
        7,
        {"method":"note"},
        {"id":3,"method":"eth_subscribe","params":["logs",{}]},
        {"id":4,"method":"eth_unsubscribe","params":["0x0"]},
        {"id":"five","method":"b","lasso_extra":1}]"#;
    let limits = crate::Limits { batch: 10, ..LIMITS };
    world.site.send_replace(site(Some(world.envoy.address.clone()), limits, &[]));
    client.say(batch).await;
    let (heads, logs) = (world.wanted().await, world.wanted().await);
    confirm(&heads);
    tell(&heads, "1");
    tell(&heads, "2");
    world.until("the calls were answered", |counts| counts.called == 1 && counts.calls == 0).await;
    confirm(&logs);
    tell(&logs, "3");
    let (one, two) = (heads.name.as_ref(), logs.name.as_ref());
    let answers: serde_json::Value = serde_json::from_str(&client.hear().await).unwrap();
    let expected = serde_json::json!([
        { "jsonrpc": "2.0", "id": 1, "result": one },
        { "jsonrpc": "2.0", "id": 2, "result": "a" },
        { "jsonrpc": "2.0", "id": null, "error": { "code": -32600, "message": "Invalid request: not an object" } },
        { "jsonrpc": "2.0", "id": 3, "result": two },
        { "jsonrpc": "2.0", "id": 4, "result": false },
        { "jsonrpc": "2.0", "id": "five", "result": "b" },
    ]);
    assert_eq!(answers, expected);
    for (name, payload) in [(one, "1"), (one, "2"), (two, "3")] {
        check("in order", &client.hear().await, &event(name, payload));
    }
    let sent = r#"[{"jsonrpc":"2.0","id":2,"method":"a","params":[]},{"jsonrpc":"2.0","method":"note","params":[]},{"jsonrpc":"2.0","id":"five","method":"b","params":[]}]"#;
    check("what went on", &world.envoy.last().body, sent);
}

#[tokio::test]
async fn of_two_requests_with_one_id_the_one_that_is_refused_is_over() {
    let mut world = World::new().await;
    let mut client = world.client(PATH).await;
    client.say(&format!("[{HEADS},{HEADS}]")).await;
    let (first, second) = (world.wanted().await, world.wanted().await);
    let error = RpcError::invalid_params("no");
    second.outlet.put(Outgoing::Refused { request: Arc::clone(&second.request), error });
    confirm(&first);
    let expected = format!(
        r#"[{{"jsonrpc":"2.0","id":1,"result":"{}"}},{{"jsonrpc":"2.0","id":1,"error":{{"code":-32602,"message":"no"}}}}]"#,
        first.name
    );
    check("the array", &client.hear().await, &expected);
    assert_eq!(world.counts().subscriptions, 1);
}

#[tokio::test]
async fn calls_of_a_mixed_batch_that_are_not_answered_have_errors_in_it() {
    let mut world = World::new().await;
    let mut client = world.client(PATH).await;
    world.site.send_replace(site(Some("127.0.0.1:1".into()), LIMITS, &[]));
    client.say(&format!(r#"[{HEADS},{{"id":2,"method":"eth_call"}}]"#)).await;
    confirm(&world.wanted().await);
    let heard = client.hear().await;
    assert!(heard.contains(r#"{"jsonrpc":"2.0","id":2,"error":{"code":-32603"#), "{heard}");
}

#[tokio::test]
async fn what_lost_its_continuity_is_told_and_the_socket_closed() {
    let mut world = World::new().await;
    let mut client = world.client(PATH).await;
    client.say(HEADS).await;
    let wanted = world.wanted().await;
    confirm(&wanted);
    client.hear().await;
    wanted.outlet.put(Outgoing::Ended { subscription: Arc::clone(&wanted.name), because: "a gap of 9 blocks".into() });
    let expected = format!(
        r#"{{"jsonrpc":"2.0","method":"eth_subscription","params":{{"subscription":"{}","error":{{"code":-32000,"message":"a gap of 9 blocks"}}}}}}"#,
        wanted.name
    );
    check("the last word", &client.hear().await, &expected);
    assert_eq!(client.closed().await, 1012);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_and_answers_that_meet_stay_whole_and_in_order() {
    const EVENTS: usize = 5_000;
    let mut world = World::new().await;
    let mut client = world.client(PATH).await;
    client.say(HEADS).await;
    let wanted = world.wanted().await;
    confirm(&wanted);
    client.hear().await;
    let name = Arc::clone(&wanted.name);
    let (progress, seen) = tokio::sync::watch::channel(0);
    let telling = tokio::spawn(async move {
        for number in 0..EVENTS {
            // Not so far ahead that the client is a slow one.
            seen.clone().wait_for(|told| told + 1_000 > number).await.unwrap();
            // Now and then one that the socket does not take at once.
            let filling = if number % 500 == 499 { 2 * 1024 * 1024 } else { 0 };
            tell(&wanted, &format!("[{number},\"{}\"]", "x".repeat(filling)));
        }
    });
    let (mut told, mut answered, mut asked) = (0, 0, 0);
    while told < EVENTS || answered < asked {
        if told < EVENTS && asked < answered + 8 {
            client.say("7").await;
            asked += 1;
        }
        let heard = client.hear().await;
        if heard.contains("-32600") {
            answered += 1;
        } else {
            let begins = event(&name, &format!("[{told},"));
            assert!(heard.starts_with(begins.trim_end_matches("}}")), "{told}: {}", &heard[..begins.len()]);
            told += 1;
            progress.send_replace(told);
        }
    }
    telling.await.unwrap();
}
