//! How sockets end: frames that are none, silence, slowness, drains; and what does not end them.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, Frame};
use tokio_tungstenite::tungstenite::protocol::{Message, Role};

use super::PATH;
use crate::fixture::{Client, LIMITS, World, confirm, tell};
use crate::outlet::MOST_WAITING;
use crate::{Close, Notice};

const SUBSCRIBE: &str = r#"{"id":1,"method":"eth_subscribe","params":["newHeads"]}"#;

/// A socket after its upgrade, without anybody who speaks WebSocket.
async fn raw(world: &World, socket: TcpSocket) -> TcpStream {
    let mut stream = socket.connect(world.address.parse().unwrap()).await.unwrap();
    let upgrade = "GET /ws/rpc/ethereum HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(upgrade.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
    stream
}

async fn raw_client(world: &World) -> TcpStream {
    raw(world, TcpSocket::new_v4().unwrap()).await
}

fn way(close: Close) -> usize {
    Close::ALL.iter().position(|way| *way == close).unwrap()
}

/// A masked frame, its mask all zeros.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first, 0x80 | u8::try_from(payload.len()).unwrap(), 0, 0, 0, 0];
    frame.extend_from_slice(payload);
    frame
}

/// What is sent closes the socket with this code, and whatever else the client sends does not eat it.
async fn check(what: &str, frames: &[Vec<u8>], close: Close) {
    let world = World::new().await;
    let mut stream = raw_client(&world).await;
    for frame in frames {
        stream.write_all(frame).await.unwrap();
    }
    // The client has more to say, and may not be heard.
    let _ = stream.write_all(&[0; 65_536]).await;
    let mut answer = Vec::new();
    timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    assert_eq!(answer.first(), Some(&0x88), "{what}: {answer:?}");
    assert_eq!(answer[2..4], close.code().unwrap().to_be_bytes(), "{what}");
    drop(stream);
    world.until(what, |counts| counts.sockets == 0 && counts.closed[way(close)] == 1).await;
}

#[tokio::test]
async fn a_frame_that_is_none_closes_with_the_right_code() {
    check("not masked", &[vec![0x81, 0x02, b'{', b'}']], Close::Protocol).await;
    check("reserved bit", &[masked(0xc1, b"{}")], Close::Protocol).await;
    check("unknown opcode", &[masked(0x83, b"{}")], Close::Protocol).await;
    check("unknown control", &[masked(0x8b, b"")], Close::Protocol).await;
    check("fragmented ping", &[masked(0x09, b"")], Close::Protocol).await;
    check("nothing to continue", &[masked(0x80, b"{}")], Close::Protocol).await;
    check("a message within a message", &[masked(0x01, b"{"), masked(0x81, b"}")], Close::Protocol).await;
    check("a close of one byte", &[masked(0x88, b"x")], Close::Protocol).await;
    check("a text that is none", &[masked(0x81, b"\xff")], Close::NotText).await;
    check("half a letter", &[masked(0x01, b"\xc3"), masked(0x80, b"x")], Close::NotText).await;
    let length = (LIMITS.message_bytes as u64 + 1).to_be_bytes();
    check("too long", &[[&[0x81, 0xff][..], &length].concat()], Close::TooLarge).await;
    let length = u64::MAX.to_be_bytes();
    check("longest", &[[&[0x81, 0xff][..], &length].concat()], Close::TooLarge).await;
}

#[tokio::test]
async fn fragments_are_one_message_and_pings_may_come_between() {
    let world = World::new().await;
    let mut client = world.client(PATH).await;
    let fragment = |text: &str, code, last| Message::Frame(Frame::message(text.to_owned(), OpCode::Data(code), last));
    client.socket.feed(fragment(r#"{"id":1,"#, Data::Text, false)).await.unwrap();
    client.socket.send(Message::Ping("p".into())).await.unwrap();
    client.socket.feed(fragment(r#""meth"#, Data::Continue, false)).await.unwrap();
    client.socket.send(fragment(r#"od":"a"}"#, Data::Continue, true)).await.unwrap();
    assert_eq!(client.next().await, Message::Pong("p".into()));
    assert!(client.hear().await.contains(r#""result":"a""#));
}

#[tokio::test]
async fn fragments_together_may_not_be_longer_than_a_message() {
    let world = World::new().await;
    let mut client = world.client(PATH).await;
    let half = " ".repeat(LIMITS.message_bytes / 2 + 1);
    for code in [Data::Text, Data::Continue] {
        client.socket.send(Message::Frame(Frame::message(half.clone(), OpCode::Data(code), false))).await.unwrap();
    }
    assert_eq!(client.closed().await, 1009);
}

#[tokio::test]
async fn the_longest_message_is_taken() {
    let world = World::new().await;
    let mut client = world.client(PATH).await;
    let call = format!(r#"{{"id":1,"method":"a"{}}}"#, " ".repeat(LIMITS.message_bytes - 21));
    assert_eq!(call.len(), LIMITS.message_bytes);
    assert!(client.ask(&call).await.contains(r#""result":"a""#));
    client.say(r#"{"id":1,"method":"long","params":[5000000]}"#).await;
    assert_eq!(client.hear().await.len(), 5_000_002);
}

#[tokio::test]
async fn a_client_that_closes_is_answered_with_its_code() {
    let world = World::new().await;
    let mut client = world.client(PATH).await;
    client.socket.close(Some(CloseFrame { code: 4_001.into(), reason: "bye".into() })).await.unwrap();
    assert_eq!(client.closed().await, 4_001);
    assert!(client.socket.next().await.is_none());
    world.until("it closed", |counts| counts.sockets == 0 && counts.closed[way(Close::ByClient)] == 1).await;
    let mut client = world.client(PATH).await;
    client.socket.close(None).await.unwrap();
    assert_eq!(client.next().await, Message::Close(None));
}

#[tokio::test]
async fn who_goes_without_a_word_is_gone() {
    let world = World::new().await;
    let mut client = world.client(PATH).await;
    client.say(r#"{"id":1,"method":"hold"}"#).await;
    world.until("it asks", |counts| counts.calls == 1).await;
    drop(client);
    world.until("its call goes with it", |counts| counts.sockets == 0 && counts.calls == 0).await;
    assert_eq!(world.counts().closed[way(Close::Lost)], 1);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_answers_no_pings_is_closed() {
    let world = World::new().await;
    let mut stream = raw_client(&world).await;
    let began = Instant::now();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer[..6], [0x89, 0, 0x89, 0, 0x88, 2 + 18], "{answer:?}");
    assert_eq!(answer[6..8], 1011_u16.to_be_bytes());
    assert!(began.elapsed() < Duration::from_secs(50), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_answers_pings_stays() {
    let world = World::new().await;
    let mut client = world.client(PATH).await;
    for _ in 0..20 {
        assert_eq!(client.socket.next().await.unwrap().unwrap(), Message::Ping("".into()));
    }
    assert_eq!(world.counts().sockets, 1);
}

#[tokio::test]
async fn pings_go_on_whatever_is_under_way() {
    let world = World::new().await;
    let mut client = world.client(PATH).await;
    for id in 0..40 {
        client.say(&format!(r#"{{"id":{id},"method":"hold"}}"#)).await;
    }
    // All there may be are under way, the next one waits, and those behind it are not read: nor are the client's pongs.
    world.until("no room", |counts| counts.calls == 32 && counts.heard == 33).await;
    tokio::time::pause();
    let began = Instant::now();
    for _ in 0..8 {
        assert_eq!(client.socket.next().await.unwrap().unwrap(), Message::Ping("".into()));
    }
    assert!(began.elapsed() <= 8 * Duration::from_secs(15), "{:?}", began.elapsed());
    assert_eq!(world.counts().sockets, 1);
    tokio::time::resume();
    world.envoy.gate.add_permits(40);
    for _ in 0..40 {
        assert!(client.hear().await.contains(r#""result":"hold""#));
    }
}

#[tokio::test]
async fn a_client_that_falls_behind_is_closed_and_others_are_not() {
    let mut world = World::new().await;
    let (mut slow, mut other) = (world.client(PATH).await, world.client(PATH).await);
    let mut wanted = Vec::new();
    for client in [&mut slow, &mut other] {
        client.say(SUBSCRIBE).await;
        wanted.push(world.wanted().await);
    }
    for (client, wanted) in [&mut slow, &mut other].into_iter().zip(&wanted) {
        confirm(wanted);
        client.hear().await;
    }
    let [flooded, quiet] = wanted.as_slice() else { unreachable!() };
    // More than its socket and its outlet hold, and all at once: nobody has a turn to read it.
    let payload = format!("\"{}\"", "x".repeat(64 * 1024));
    for _ in 0..1_000 {
        tell(flooded, &payload);
    }
    tell(quiet, "2");
    assert_eq!(slow.closed().await, 1013);
    assert!(other.hear().await.contains(r#""result":2"#));
    assert_eq!(world.leaver().await, flooded.subscription);
    assert_eq!(world.notices.recv().await.unwrap(), Notice::ClientClosed { code: 1013, because: "too slow" });
}

#[tokio::test]
async fn a_frame_that_was_begun_is_finished_before_the_close() {
    let mut world = World::new().await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let stream = raw(&world, socket).await;
    let mut client = Client { socket: WebSocketStream::from_raw_socket(stream, Role::Client, None).await };
    client.say(SUBSCRIBE).await;
    let wanted = world.wanted().await;
    confirm(&wanted);
    client.hear().await;
    tell(&wanted, &format!("\"{}\"", "x".repeat(7 * 1024 * 1024)));
    world.until("it is being written", |counts| counts.events == 1).await;
    for _ in 0..=MOST_WAITING {
        tell(&wanted, "1");
    }
    assert!(client.hear().await.len() > 7 * 1024 * 1024);
    assert_eq!(client.closed().await, 1013);
}

#[tokio::test]
async fn pings_of_a_client_that_does_not_read_are_not_kept() {
    let mut world = World::new().await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let stream = raw(&world, socket).await;
    let mut client = Client { socket: WebSocketStream::from_raw_socket(stream, Role::Client, None).await };
    client.say(SUBSCRIBE).await;
    let wanted = world.wanted().await;
    confirm(&wanted);
    client.hear().await;
    tell(&wanted, &format!("\"{}\"", "x".repeat(7 * 1024 * 1024)));
    world.until("it is being written", |counts| counts.events == 1).await;
    for ping in 0..100_u8 {
        client.socket.send(Message::Ping(vec![ping].into())).await.unwrap();
    }
    client.say("7").await;
    world.until("all were heard", |counts| counts.heard == 2).await;
    assert!(client.hear().await.len() > 7 * 1024 * 1024);
    assert_eq!(client.next().await, Message::Pong(vec![99].into()));
    assert!(client.hear().await.contains("-32600"));
}

#[tokio::test]
async fn a_client_that_never_reads_again_is_dropped() {
    let mut world = World::new().await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let stream = raw(&world, socket).await;
    let mut client = Client { socket: WebSocketStream::from_raw_socket(stream, Role::Client, None).await };
    client.say(SUBSCRIBE).await;
    let wanted = world.wanted().await;
    confirm(&wanted);
    let payload = format!("\"{}\"", "x".repeat(1024 * 1024));
    let began = Instant::now();
    while world.counts().sockets > 0 {
        tell(&wanted, &payload);
        tokio::task::yield_now().await;
        assert!(began.elapsed() < Duration::from_secs(10), "still there");
    }
    assert_eq!(world.counts().closed[way(Close::Slow)], 1);
    drop(client);
}

#[tokio::test]
async fn a_drain_ends_what_is_under_way_and_closes() {
    let mut world = World::new().await;
    let (mut busy, mut idle) = (world.client(PATH).await, world.client(PATH).await);
    busy.say(r#"{"id":1,"method":"hold"}"#).await;
    world.until("it asks", |counts| counts.calls == 1).await;
    let began = Instant::now();
    world.drain.send_replace(true);
    assert_eq!(idle.closed().await, 1001);
    world.envoy.gate.add_permits(1);
    assert!(busy.hear().await.contains(r#""id":1"#));
    assert_eq!(busy.closed().await, 1001);
    assert!(began.elapsed() < Duration::from_secs(6));
    drop((idle, busy));
    timeout(Duration::from_secs(10), &mut world.task).await.unwrap().unwrap();
    assert_eq!(world.counts().sockets, 0);
}

#[tokio::test]
async fn a_drain_does_not_wait_for_ever() {
    let mut world = World::new().await;
    let mut client = world.client(PATH).await;
    client.say(r#"{"id":1,"method":"hold"}"#).await;
    world.until("it asks", |counts| counts.calls == 1).await;
    let began = Instant::now();
    world.drain.send_replace(true);
    // The client neither reads nor closes.
    (&mut world.task).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
}
