use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::Limits;
use crate::fixture::{LIMITS, World};

/// Says it, and hears until the end of the connection or of patience.
async fn said(world: &World, text: &str) -> String {
    let mut stream = TcpStream::connect(&world.address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut heard = Vec::new();
    let _ = timeout(Duration::from_millis(300), stream.read_to_end(&mut heard)).await;
    // A ping may come behind the head, and is no text.
    String::from_utf8_lossy(&heard).into_owned()
}

fn upgrade(path: &str, host: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: keep-alive, Upgrade\r\nupgrade: WebSocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-protocol: p\r\n\
         sec-websocket-extensions: permessage-deflate\r\n\r\n"
    )
}

#[track_caller]
fn check(heard: &str, status: &str, part: &str) {
    assert!(heard.starts_with(&format!("HTTP/1.1 {status}")) && heard.contains(part), "{status} {part}: {heard}");
}

#[tokio::test]
async fn an_upgrade_is_taken_without_extensions() {
    let world = World::new().await;
    let heard = said(&world, &upgrade("/ws/rpc/ethereum", "x")).await;
    check(&heard, "101", "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert!(!heard.contains("extensions") && !heard.contains("protocol"), "{heard}");
}

#[tokio::test]
async fn an_upgrade_that_envoy_made_of_http_2_has_no_key() {
    let world = World::new().await;
    let upgrade = "GET /ws/rpc/ethereum HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n";
    for rest in ["content-length: 0\r\n\r\n", "sec-websocket-version: 13\r\n\r\n"] {
        let heard = said(&world, &format!("{upgrade}{rest}")).await;
        check(&heard, "101", "");
        assert!(!heard.contains("sec-websocket-accept"), "{heard}");
    }
}

#[tokio::test]
async fn what_does_not_exist_is_refused_before_the_upgrade() {
    let world = World::new().await;
    for (path, host, status, part) in [
        ("/ws/rpc/base", "x", "400", r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32602,"message":"unknown chain"#),
        ("/ws/rpc/profile/p/ethereum", "x", "404", "unknown profile"),
        ("/ws/rpc/ethereum/z", "x", "400", "unknown provider"),
        ("/ws/rpc/best/ethereum", "x", "400", "unknown strategy"),
        ("/ws/rpc/ethereum?max_lag_blocks=-1", "x", "400", "max_lag_blocks"),
        ("/rpc/ethereum", "x", "404", "-32602"),
        ("/other", "x", "404", "-32602"),
        ("/", "x", "404", "-32602"),
    ] {
        check(&said(&world, &upgrade(path, host)).await, status, part);
    }
    check(&said(&world, &upgrade("/", "eth.example:8545")).await, "101", "");
    assert_eq!(world.counts().refused, 8);
    assert_eq!(world.counts().opened, 1);
}

#[tokio::test]
async fn an_upgrade_that_is_none_is_refused() {
    let world = World::new().await;
    let good = upgrade("/ws/rpc/ethereum", "x");
    check(&said(&world, &good.replace("version: 13", "version: 8")).await, "426", "sec-websocket-version: 13");
    check(&said(&world, &good.replace("dGhlIHNhbXBsZSBub25jZQ==", "short")).await, "400", "");
    check(&said(&world, &good.replace("keep-alive, Upgrade", "keep-alive")).await, "400", "");
    let plain = "GET /ws/rpc/ethereum HTTP/1.1\r\nhost: x\r\n\r\n";
    check(&said(&world, plain).await, "426", "upgrade: websocket");
    check(&said(&world, &plain.replace("/ws/rpc/ethereum", "/elsewhere")).await, "404", "");
    check(&said(&world, &plain.replace("GET", "POST")).await, "404", "");
}

#[tokio::test]
async fn there_are_so_many_sockets_and_no_more() {
    let world = World::with(Limits { sockets: 1, ..LIMITS }).await;
    let client = world.client("/ws/rpc/ethereum").await;
    check(&said(&world, &upgrade("/ws/rpc/ethereum", "x")).await, "503", "");
    drop(client);
    world.until("its place is free", |counts| counts.sockets == 0).await;
    world.client("/ws/rpc/ethereum").await;
}

#[tokio::test]
async fn a_request_for_a_channel_is_the_bridges() {
    let world = World::new().await;
    let post = "POST /channel/ethereum/a/ws HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}";
    check(&said(&world, post).await, "200", "/channel/ethereum/a/ws");
}

#[tokio::test]
async fn http_2_is_spoken_by_prior_knowledge() {
    use bytes::Bytes;
    use http_body_util::{BodyExt, Full};
    use hyper::Request;
    use hyper_util::rt::{TokioExecutor, TokioIo};
    let world = World::new().await;
    let socket = TcpStream::connect(&world.address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(socket)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::post("http://hub/channel/ethereum/a/ws").body(Full::<Bytes>::from("{}")).unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "/channel/ethereum/a/ws");
}

#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_come_ends_its_connection() {
    let world = World::new().await;
    for begun in ["", "G", "PRI * HTTP/2.0\r\n", "GET / HTTP/1.1\r\nhost:"] {
        let mut stream = TcpStream::connect(&world.address).await.unwrap();
        stream.write_all(begun.as_bytes()).await.unwrap();
        let began = Instant::now();
        let mut heard = Vec::new();
        let _ = stream.read_to_end(&mut heard).await;
        assert!(began.elapsed() < Duration::from_secs(21), "{begun:?}: {:?}", began.elapsed());
    }
}

#[tokio::test]
async fn a_head_has_a_longest_length() {
    let world = World::new().await;
    let long = upgrade("/ws/rpc/ethereum", "x").replace("host:", &format!("x-long: {}\r\nhost:", "x".repeat(20_000)));
    check(&said(&world, &long).await, "431", "");
}

#[tokio::test]
async fn who_has_said_nothing_holds_up_no_drain() {
    let world = World::new().await;
    let silent = TcpStream::connect(&world.address).await.unwrap();
    let mut beginning = TcpStream::connect(&world.address).await.unwrap();
    beginning.write_all(b"PRI * HTTP/2.0\r\n\r\n").await.unwrap();
    // Connections are accepted in their order.
    check(&said(&world, "GET /x HTTP/1.1\r\nhost: x\r\n\r\n").await, "404", "");
    world.drain.send_replace(true);
    // Sooner than patience with them would end.
    timeout(Duration::from_secs(5), world.task).await.unwrap().unwrap();
    drop((silent, beginning));
}

#[tokio::test]
async fn nobody_is_let_in_while_we_drain() {
    let world = World::new().await;
    let mut stream = TcpStream::connect(&world.address).await.unwrap();
    // It is accepted, and its first request is answered, before the drain.
    stream.write_all(b"GET /x HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut heard = [0; 12];
    stream.read_exact(&mut heard).await.unwrap();
    world.drain.send_replace(true);
    timeout(Duration::from_secs(9), world.task).await.unwrap().unwrap();
    assert!(TcpStream::connect(&world.address).await.is_err());
}
