//! Sockets that share a connection.

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use h2::client::SendRequest;
use h2::ext::Protocol;
use h2::{RecvStream, SendStream};
use hyper::{Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::TcpStream;
use tokio::time::{Duration, Instant, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Message, Role};

use super::STREAM_WINDOW;
use crate::fixture::{LIMITS, World, confirm, tell};
use crate::{Close, Limits};

const PATH: &str = "/ws/rpc/ethereum";
const KEY: (&str, &str) = ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
const VERSION: (&str, &str) = ("sec-websocket-version", "13");
const SUBSCRIBE: &str = r#"{"id":1,"method":"eth_subscribe","params":["newHeads"]}"#;
const SOON: Duration = Duration::from_secs(10);

/// A connection as Envoy opens one.
struct Envoy(SendRequest<Bytes>);

impl Envoy {
    async fn to(world: &World) -> Self {
        let socket = TcpStream::connect(&world.address).await.unwrap();
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(65_536).initial_connection_window_size(16 << 20);
        let (client, connection) = builder.handshake(socket).await.unwrap();
        tokio::spawn(connection);
        let mut client = client.ready().await.unwrap();
        while !client.is_extended_connect_protocol_enabled() {
            client = client.ready().await.unwrap();
            tokio::task::yield_now().await;
        }
        Self(client)
    }

    async fn asks(&self, path: &str, headers: &[(&str, &str)]) -> (Response<RecvStream>, SendStream<Bytes>) {
        let mut request = Request::connect(format!("http://x{path}")).extension(Protocol::from_static("websocket"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut client = self.0.clone().ready().await.unwrap();
        let (response, stream) = client.send_request(request.body(()).unwrap(), false).unwrap();
        (timeout(SOON, response).await.unwrap().unwrap(), stream)
    }

    /// A client's socket, as bytes.
    async fn raw(&self) -> (RecvStream, SendStream<Bytes>) {
        let (response, stream) = self.asks(PATH, &[VERSION]).await;
        assert_eq!(response.status(), 200);
        (response.into_body(), stream)
    }

    /// A client's socket.
    async fn client(&self) -> WebSocketStream<DuplexStream> {
        let (mut hears, mut says) = self.raw().await;
        let (ours, theirs) = duplex(1 << 16);
        let (mut from, mut to) = tokio::io::split(theirs);
        tokio::spawn(async move {
            while let Some(Ok(data)) = hears.data().await {
                hears.flow_control().release_capacity(data.len()).unwrap();
                if to.write_all(&data).await.is_err() {
                    return;
                }
            }
            let _ = to.shutdown().await;
        });
        tokio::spawn(async move {
            let mut buffer = vec![0; 4_096];
            while let Ok(read @ 1..) = from.read(&mut buffer).await {
                if says.send_data(Bytes::copy_from_slice(&buffer[..read]), false).is_err() {
                    return;
                }
            }
            says.send_reset(h2::Reason::CANCEL);
        });
        WebSocketStream::from_raw_socket(ours, Role::Client, None).await
    }
}

async fn next(client: &mut WebSocketStream<DuplexStream>) -> Message {
    loop {
        let message = timeout(SOON, client.next()).await.unwrap().unwrap().unwrap();
        if !message.is_ping() {
            return message;
        }
    }
}

async fn ask(client: &mut WebSocketStream<DuplexStream>, text: &str) -> String {
    client.send(Message::text(text)).await.unwrap();
    next(client).await.into_text().unwrap().to_string()
}

fn way(close: Close) -> usize {
    Close::ALL.iter().position(|way| *way == close).unwrap()
}

#[tokio::test]
async fn many_sockets_share_a_connection() {
    let world = World::with(Limits { sockets: 100, ..LIMITS }).await;
    let envoy = Envoy::to(&world).await;
    let mut clients = Vec::new();
    for _ in 0..100 {
        clients.push(envoy.client().await);
    }
    for client in &mut clients {
        assert!(ask(client, r#"{"id":7,"method":"a"}"#).await.contains(r#""result":"a""#));
    }
    assert_eq!(world.counts().sockets, 100);
    // One goes without a word, and the others do not hear of it.
    drop(clients.pop());
    world.until("it is gone", |counts| counts.sockets == 99 && counts.closed[way(Close::Lost)] == 1).await;
    for client in &mut clients {
        assert!(ask(client, r#"{"id":8,"method":"b"}"#).await.contains(r#""result":"b""#));
    }
}

#[tokio::test]
async fn a_key_is_answered_where_there_is_one() {
    let world = World::new().await;
    let envoy = Envoy::to(&world).await;
    let (response, _stream) = envoy.asks(PATH, &[VERSION, KEY]).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    let (response, _stream) = envoy.asks(PATH, &[]).await;
    assert_eq!(response.status(), 200);
    assert!(response.headers().is_empty(), "{response:?}");
}

#[tokio::test]
async fn what_is_refused_is_refused_as_over_http_1() {
    let world = World::with(Limits { sockets: 1, ..LIMITS }).await;
    let envoy = Envoy::to(&world).await;
    let _client = envoy.client().await;
    for (path, headers, status, part) in [
        ("/ws/rpc/base", &[VERSION][..], 400, "unknown chain"),
        ("/ws/rpc/profile/p/ethereum", &[VERSION], 404, "unknown profile"),
        ("/other", &[VERSION], 404, "-32602"),
        (PATH, &[("sec-websocket-version", "8")], 426, "version 13"),
        (PATH, &[VERSION, ("sec-websocket-key", "short")], 400, "not a WebSocket"),
        (PATH, &[VERSION], 503, "too many"),
    ] {
        let (response, _stream) = envoy.asks(path, headers).await;
        assert_eq!(response.status(), status, "{path}");
        assert!(!response.headers().contains_key("connection") && !response.headers().contains_key("upgrade"));
        let length: usize = response.headers()["content-length"].to_str().unwrap().parse().unwrap();
        let mut body = response.into_body();
        let mut text = Vec::new();
        while let Some(data) = body.data().await {
            text.extend_from_slice(&data.unwrap());
        }
        assert_eq!(text.len(), length);
        assert!(String::from_utf8_lossy(&text).contains(part), "{path}: {}", String::from_utf8_lossy(&text));
    }
    assert_eq!(world.counts().refused, 6);
}

#[tokio::test]
async fn who_does_not_read_is_closed_and_neighbours_hear_everything() {
    let mut world = World::new().await;
    let envoy = Envoy::to(&world).await;
    let (mut hears, mut says) = envoy.raw().await;
    says.send_data(
        [&[0x81, 0x80 | u8::try_from(SUBSCRIBE.len()).unwrap(), 0, 0, 0, 0], SUBSCRIBE.as_bytes()].concat().into(),
        false,
    )
    .unwrap();
    let slow = world.wanted().await;
    confirm(&slow);
    let mut swift = envoy.client().await;
    swift.send(Message::text(SUBSCRIBE)).await.unwrap();
    let wanted = world.wanted().await;
    confirm(&wanted);
    assert!(next(&mut swift).await.into_text().unwrap().contains(&*wanted.name));
    let payload = format!("\"{}\"", "x".repeat(64 * 1_024));
    for _ in 0..140 {
        tell(&slow, &payload);
        tell(&wanted, &payload);
        assert!(next(&mut swift).await.len() > 64 * 1_024);
    }
    // It reads again, and what it reads last says why.
    let mut last = Bytes::new();
    while let Some(Ok(data)) = timeout(SOON, hears.data()).await.unwrap() {
        hears.flow_control().release_capacity(data.len()).unwrap();
        last = if data.is_empty() { last } else { data };
    }
    let close = last.windows(4).rev().find(|bytes| bytes[0] == 0x88).unwrap();
    assert_eq!(close[2..4], 1013_u16.to_be_bytes());
    // As Envoy does when it has passed everything on.
    says.send_reset(h2::Reason::NO_ERROR);
    world.until("it is gone", |counts| counts.sockets == 1 && counts.closed[way(Close::Slow)] == 1).await;
    tell(&wanted, "1");
    assert!(next(&mut swift).await.into_text().unwrap().ends_with("\"result\":1}}"));
}

#[tokio::test]
async fn a_client_that_may_not_be_heard_now_holds_up_nobody() {
    let world = World::new().await;
    let envoy = Envoy::to(&world).await;
    let mut neighbour = envoy.client().await;
    let (_hears, mut says) = envoy.raw().await;
    let call = br#"{"id":1,"method":"hold"}"#;
    let frame = [&[0x81, 0x80 | u8::try_from(call.len()).unwrap(), 0, 0, 0, 0][..], call].concat();
    // As many as may be under way, one that waits for room, and then more than its window has room for, byte by byte.
    let bytes = frame.repeat(33 + STREAM_WINDOW as usize / frame.len() + 1);
    says.send_data(Bytes::copy_from_slice(&bytes[..33 * frame.len()]), false).unwrap();
    world.until("all it may", |counts| counts.calls == 32).await;
    for byte in &bytes[33 * frame.len()..] {
        says.send_data(Bytes::copy_from_slice(&[*byte]), false).unwrap();
    }
    for _ in 0..20 {
        assert!(ask(&mut neighbour, r#"{"id":7,"method":"a"}"#).await.contains(r#""result":"a""#));
    }
    assert_eq!((world.counts().sockets, world.counts().calls), (2, 32));
}

#[tokio::test]
async fn sockets_that_share_a_connection_are_told_of_a_drain() {
    let world = World::new().await;
    let envoy = Envoy::to(&world).await;
    let mut clients = [envoy.client().await, envoy.client().await, envoy.client().await];
    for client in &mut clients {
        ask(client, r#"{"id":7,"method":"a"}"#).await;
    }
    world.drain.send_replace(true);
    for client in &mut clients {
        let Message::Close(Some(close)) = next(client).await else { panic!("no close") };
        assert_eq!(u16::from(close.code), 1001);
    }
    timeout(SOON, world.task).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_answers_no_pings_is_gone() {
    let world = World::new().await;
    let mut socket = TcpStream::connect(&world.address).await.unwrap();
    // Settings, and a GET in words of the static table.
    socket.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    socket.write_all(b"\0\0\x03\x01\x05\0\0\0\x01\x82\x86\x84").await.unwrap();
    let began = Instant::now();
    let _ = socket.read_to_end(&mut Vec::new()).await;
    let lived = began.elapsed().as_secs();
    assert!((49..60).contains(&lived), "{lived} s");
}
