use crate::fixture::{Client, LIMITS, World, site};

mod endings;
mod subscriptions;

const PATH: &str = "/ws/rpc/ethereum";

#[track_caller]
fn check(what: &str, heard: &str, expected: &str) {
    assert_eq!(heard, expected, "{what}");
}

#[tokio::test]
async fn what_is_wrong_is_answered_as_over_http() {
    let world = World::new().await;
    let mut client = world.client(PATH).await;
    for (said, expected) in [
        ("{", r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Parse error"}}"#),
        (
            "7",
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"Invalid request: neither an object nor an array"}}"#,
        ),
        ("[]", r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"Invalid request: empty batch"}}"#),
        (
            r#"{"id":"ä\u0041"}"#,
            r#"{"jsonrpc":"2.0","id":"ä\u0041","error":{"code":-32600,"message":"Invalid request: method must be a string"}}"#,
        ),
        (
            "[1,1,1,1,1,1]",
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"Invalid request: batch of 6 calls, at most 5 are allowed","data":{"max_batch":5}}}"#,
        ),
    ] {
        check(said, &client.ask(said).await, expected);
    }
    assert_eq!(world.envoy.count(), 0);
}

#[tokio::test]
async fn calls_and_batches_go_on_as_they_came() {
    let world = World::new().await;
    let mut client = world.client(PATH).await;
    for (said, expected) in [
        (
            r#"{"id":123456789012345678901, "method":"eth_x","params":[1]}"#,
            r#"{"jsonrpc":"2.0","id":123456789012345678901,"result":"eth_x"}"#,
        ),
        (
            r#"[{"id":1,"method":"a"},{"method":"b"},{"id":2,"method":"c"}]"#,
            r#"[{"id":1,"jsonrpc":"2.0","result":"a"},{"id":2,"jsonrpc":"2.0","result":"c"}]"#,
        ),
    ] {
        let heard: serde_json::Value = serde_json::from_str(&client.ask(said).await).unwrap();
        if !said.contains("123456789012345678901") {
            assert_eq!(heard, serde_json::from_str::<serde_json::Value>(expected).unwrap(), "{said}");
        }
        check("the body", &world.envoy.last().body, said);
    }
    let raw = r#"{ "jsonrpc" : "2.0", "id":  1e3,"result":null }"#;
    let said = serde_json::json!({ "id": 1, "method": "raw", "params": [raw] }).to_string();
    check("an answer's bytes", &client.ask(&said).await, raw);
}

#[tokio::test]
async fn a_binary_message_is_a_message() {
    use futures_util::SinkExt;
    let world = World::new().await;
    let mut client = world.client(PATH).await;
    let message = tokio_tungstenite::tungstenite::Message::binary(&br#"{"id":1,"method":"a"}"#[..]);
    client.socket.send(message).await.unwrap();
    assert!(client.hear().await.contains(r#""result":"a""#));
}

#[tokio::test]
async fn a_notification_goes_on_and_nothing_comes_back() {
    let world = World::new().await;
    let mut client = world.client(PATH).await;
    client.say(r#"{"method":"note"}"#).await;
    client.say(r#"[{"method":"note"},{"method":"note"}]"#).await;
    assert!(client.ask(r#"{"id":1,"method":"a"}"#).await.contains(r#""result":"a""#));
    world.until("all went on", |counts| counts.called == 3).await;
}

#[tokio::test]
async fn a_calls_head_is_the_upgrades() {
    let world = World::new().await;
    let headers = [
        ("authorization", "Bearer x"),
        ("x-lasso-exclude", "a"),
        ("x-lasso-probe", "word"),
        ("x-forwarded-for", "10.0.0.1"),
        ("x-envoy-max-retries", "9"),
        ("accept-encoding", "gzip"),
        ("content-encoding", "gzip"),
    ];
    let mut client = world.client_with("/ws/rpc/fastest/ethereum?max_lag_blocks=3", &headers).await.unwrap();
    client.ask(r#"{"id":1,"method":"a"}"#).await;
    let asked = world.envoy.last();
    check("the path", &asked.path, "/rpc/fastest/ethereum?max_lag_blocks=3");
    let mut heard: Vec<_> = asked.headers.keys().map(|name| name.as_str()).collect();
    heard.sort_unstable();
    let expected = ["authorization", "content-length", "content-type", "host", "x-forwarded-for", "x-lasso-exclude"];
    assert_eq!(heard, expected);
    assert_eq!(asked.headers["host"], world.address.as_str());
    assert_eq!(asked.headers["x-forwarded-for"], "10.0.0.1");
}

#[test]
fn what_belongs_to_the_connection_stays_with_it() {
    let mut headers = hyper::HeaderMap::new();
    for (name, value) in [
        ("connection", "keep-alive, X-Hop"),
        ("connection", "upgrade"),
        ("x-hop", "1"),
        ("keep-alive", "5"),
        ("te", "trailers"),
        ("sec-websocket-protocol", "p"),
        ("x-request-id", "u"),
        ("x-lasso-include-meta", "body"),
        ("cookie", "a=b"),
        ("cookie", "c=d"),
    ] {
        headers.append(name, value.parse().unwrap());
    }
    let head = super::Head::new("h", "/ws/rpc/ethereum", &headers);
    let kept: Vec<_> = head.headers().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    assert_eq!(kept, [("x-lasso-include-meta", "body"), ("cookie", "a=b"), ("cookie", "c=d")]);
}

#[tokio::test]
async fn a_mapped_hosts_root_stays_its_root() {
    let world = World::new().await;
    let socket = tokio::net::TcpStream::connect(&world.address).await.unwrap();
    let (socket, _) = tokio_tungstenite::client_async("ws://eth.example/", socket).await.unwrap();
    let mut client = Client { socket };
    client.ask(r#"{"id":1,"method":"a"}"#).await;
    let asked = world.envoy.last();
    check("the path", &asked.path, "/");
    assert_eq!(asked.headers["host"], "eth.example");
}

#[tokio::test]
async fn what_envoy_does_not_answer_is_answered_under_the_clients_id() {
    let world = World::new().await;
    let mut client = world.client(PATH).await;
    let gateway = |reason: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","id":"x","error":{{"code":-32603,"message":"the gateway's own listener {reason}"}}}}"#
        )
    };
    let call = |method: &str, params: &str| format!(r#"{{"id":"x","method":"{method}","params":{params}}}"#);
    check("503", &client.ask(&call("status", "[503]")).await, &gateway("answered with HTTP 503"));
    check("a read", &client.ask(&call("eth_getBalance", "[]")).await, &gateway("broke off"));
    let indeterminate =
        r#"{"jsonrpc":"2.0","id":"x","error":{"code":-32000,"message":"dispatch outcome is indeterminate"}}"#;
    check("a write", &client.ask(&call("eth_sendRawTransaction", "[]")).await, indeterminate);
    check("no one knows", &client.ask(&call("cut", "[]")).await, indeterminate);
    let too_long = client.ask(&call("long", &format!("[{}]", crate::calls::MOST_BYTES))).await;
    assert!(too_long.contains("indeterminate"), "{too_long}");
    check("not UTF-8", &client.ask(&call("broken", "[]")).await, "{\"a\":\"\u{fffd}\"}");

    world.site.send_replace(site(Some("127.0.0.1:1".into()), LIMITS, &[]));
    check("nobody", &client.ask(&call("eth_call", "[]")).await, &gateway("could not be reached"));
    let batch = client.ask(r#"[{"id":"x","method":"a"},{"method":"b"},7]"#).await;
    let invalid = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"Invalid request: not an object"}}"#;
    check("a batch", &batch, &format!("[{},{invalid}]", gateway("could not be reached")));
    world.site.send_replace(site(None, LIMITS, &[]));
    let nowhere = client.ask(&call("eth_call", "[]")).await;
    assert!(nowhere.contains(r#""code":-32000,"message":"calls cannot be served"#), "{nowhere}");
}

#[tokio::test]
async fn thirty_two_calls_are_under_way_and_the_next_waits() {
    let world = World::new().await;
    let mut client = world.client(PATH).await;
    for id in 0..40 {
        client.say(&format!(r#"{{"id":{id},"method":"hold"}}"#)).await;
    }
    world.until("32 at once", |counts| counts.calls == 32).await;
    // The 33rd was heard, and waits.
    world.until("one more was heard", |counts| counts.heard == 33).await;
    assert_eq!(world.counts().called, 32);
    world.envoy.gate.add_permits(1);
    client.hear().await;
    world.until("the next goes", |counts| counts.called == 33).await;
    world.envoy.gate.add_permits(39);
    for _ in 1..40 {
        client.hear().await;
    }
    world.until("all are answered", |counts| counts.calls == 0).await;
}

#[tokio::test]
async fn calls_are_answered_as_they_end() {
    let world = World::new().await;
    let mut client = world.client(PATH).await;
    client.say(r#"{"id":1,"method":"hold"}"#).await;
    assert!(client.ask(r#"{"id":2,"method":"a"}"#).await.contains(r#""id":2"#));
    world.envoy.gate.add_permits(1);
    assert!(client.hear().await.contains(r#""id":1"#));
}

#[tokio::test]
async fn a_client_may_ask_how_its_call_was_served() {
    let world = World::new().await;
    let mut client = world.client("/ws/rpc/ethereum?include_meta=body&strategy=fastest").await;
    client.say(r#"{"id":"m","method":"meta","params":[1],"lasso_meta":"notify"}"#).await;
    assert!(client.hear().await.contains(r#""result":"meta""#));
    let told = r#"{"jsonrpc":"2.0","method":"lasso_meta","params":{"id":"m","meta":{"version":"1.0"}}}"#;
    check("the notification", &client.hear().await, told);
    let asked = world.envoy.last();
    check("its path", &asked.path, "/rpc/ethereum?include_meta=headers&include_meta=body&strategy=fastest");
    check("its body", &asked.body, r#"{"jsonrpc":"2.0","id":"m","method":"meta","params":[1]}"#);

    client.ask(r#"{"id":1,"method":"a","lasso_meta":"body"}"#).await;
    check("its path", &world.envoy.last().path, "/rpc/ethereum?include_meta=body&include_meta=body&strategy=fastest");
    client.ask(r#"{"id":1,"method":"a","params":[{"lasso_meta":"further in"}]}"#).await;
    check("its body", &world.envoy.last().body, r#"{"id":1,"method":"a","params":[{"lasso_meta":"further in"}]}"#);
    for wrong in [r#""headers""#, "7", r#""body","lasso_meta":"body""#] {
        let heard = client.ask(&format!(r#"{{"id":1,"method":"a","lasso_meta":{wrong}}}"#)).await;
        assert!(heard.contains(r#""id":1,"error":{"code":-32602"#), "{heard}");
    }
}
