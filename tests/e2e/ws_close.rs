//! How sockets end: wrong frames, slow readers, a hub that stops, a hub that is killed.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use lasso_tests::{
    ACCOUNT, Fault, FaultProxy, Inbox, MADE_LOGS, MadeChain, Socket,
    frame::{Frame, opcode},
    wait,
};
use serde_json::json;
use tokio::{sync::watch, task::JoinSet, time::MissedTickBehavior};

use crate::{
    load::Load,
    ws_stand::{SECOND, Stand, Wanted, config},
};

const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_frames_close_their_socket_with_the_right_code() {
    let chain = MadeChain::new(1);
    let stand = Stand::on_chain(&chain, 1).await;
    let bystander = stand.socket().await;
    let heads = bystander.subscribe(json!(["newHeads"])).await.unwrap();
    let huge = [&[0x81, 0xff][..], &(512_u64 << 20).to_be_bytes(), &[0; 4]].concat();
    let table = [
        ("unmasked", Frame::text(CALL).unmasked(), 1002),
        ("a reserved bit", Frame::text(CALL).reserved(4).masked(), 1002),
        ("an unknown kind", Frame::new(3, CALL).masked(), 1002),
        ("an unknown control frame", Frame::new(11, "").masked(), 1002),
        ("more of nothing", Frame::new(opcode::MORE, CALL).masked(), 1002),
        ("a ping in parts", Frame::new(opcode::PING, "a").unfinished().masked(), 1002),
        ("a ping of 126 bytes", Frame::new(opcode::PING, vec![0; 126]).masked(), 1002),
        ("a close of one byte", Frame::new(opcode::CLOSE, vec![3]).masked(), 1002),
        ("a text within a text", [Frame::text("{").unfinished().masked(), Frame::text("}").masked()].concat(), 1002),
        ("no UTF-8", Frame::new(opcode::TEXT, vec![0xff, 0xfe]).masked(), 1007),
        ("half a gigabyte", huge, 1009),
        ("too much", Frame::text("a".repeat(9 << 20)).masked(), 1009),
    ];
    for (name, bytes, code) in table {
        let socket = stand.socket().await;
        // It may be closed while we are still sending.
        let _ = socket.send_bytes(&bytes).await;
        let end = socket.end(5 * SECOND).await.unwrap_or_else(|error| panic!("{name}: {error:#}"));
        assert_eq!(end.code(), code, "{name}: {end:?}");
    }
    chain.grow(0);
    bystander.until_events(&heads, 1, 5 * SECOND).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unusual_frames_that_are_right_are_taken() {
    let stand = Stand::on_chain(&MadeChain::new(1), 1).await;
    let socket = stand.socket().await;
    let [first, second, third] = [&CALL[..1], &CALL[1..20], &CALL[20..]];
    let parts = [
        Frame::text(first).unfinished(),
        Frame::new(opcode::PING, "between"),
        Frame::new(opcode::MORE, second).unfinished(),
        Frame::new(opcode::MORE, "").unfinished(),
        Frame::new(opcode::PONG, "nobody asked"),
        Frame::new(opcode::MORE, third),
    ];
    for part in parts {
        socket.send_bytes(&part.masked()).await.unwrap();
    }
    socket.reply_to("1").await.unwrap();
    // Byte by byte.
    for byte in Frame::text(CALL.replace(":1", ":2")).masked() {
        socket.send_bytes(&[byte]).await.unwrap();
    }
    socket.reply_to("2").await.unwrap();
    let large = json!([{"to": MADE_LOGS, "data": "0x".to_owned() + &"5a".repeat(3 << 20)}, "latest"]);
    assert_eq!(socket.call("eth_call", large).await.unwrap()["result"], "0x1");
    socket.send_bytes(&Frame::close(1000, "done").masked()).await.unwrap();
    assert_eq!(socket.end(5 * SECOND).await.unwrap().code(), 1000);
}

/// Closed sockets of clients that the hub says were too slow.
async fn too_slow(stand: &Stand) -> bool {
    let page = stand.mesh.client().read(&stand.mesh.api_url("/metrics")).await.unwrap().text();
    page.lines().any(|line| line.contains("1013") && line.ends_with(" 1"))
}

/// Of 640 KiB: enough to fill what the system, Envoy and the hub hold for one client, and not many more, since the hub waits a few seconds only for who
/// may read again.
const BLOCKS: usize = 52;

/// A client that stops to read 34 MB of logs, and another that reads them as they come and must have all of them.
async fn beside_a_swift_one(until_it_reads: impl AsyncFn(&Stand), codes: &[u16]) {
    let chain = MadeChain::new(1);
    let stand = Stand::on_chain(&chain, 2).await;
    let slow = Socket::open_narrow(&stand.mesh.ws_url("ethereum"), 8 << 10).await.unwrap();
    slow.subscribe(json!(["logs", {"address": MADE_LOGS}])).await.unwrap();
    let swift = stand.socket().await;
    let logs = swift.subscribe(json!(["logs", {"address": MADE_LOGS}])).await.unwrap();
    let (resident, _) = stand.mesh.control_plane().unwrap().memory().unwrap();
    slow.stop_reading();
    let each = 20;
    for block in 1..=BLOCKS {
        chain.grow_heavy(each, 16 << 10);
        // The swift one is the pace: what is tested is a slow reader, not a slow machine.
        let all = block * usize::try_from(each).unwrap();
        swift.until_count(&logs, all, 20 * SECOND).await.unwrap();
    }
    until_it_reads(&stand).await;
    slow.read_again();
    let end = slow.end(60 * SECOND).await.unwrap();
    assert!(codes.contains(&end.code()), "{end:?} after {} replies and events", slow.heard().order.len());
    let all = BLOCKS * usize::try_from(each).unwrap();
    let places: BTreeSet<_> =
        swift.events(&logs).iter().map(|log| (log.number("blockNumber"), log.number("logIndex"))).collect();
    assert_eq!((places.len(), swift.events(&logs).len()), (all, all));
    assert_eq!(swift.ended(), None);
    let (now, _) = stand.mesh.control_plane().unwrap().memory().unwrap();
    assert!(now < resident + (64 << 20), "the hub went from {resident} to {now} bytes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_is_told_that_it_is_one_and_the_others_miss_nothing() {
    beside_a_swift_one(async |_| {}, &[1013]).await;
}

/// Who reads nothing for long cannot be told why.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_reads_nothing_is_let_go_and_the_others_miss_nothing() {
    let let_go = async |stand: &Stand| {
        let gone = || async { too_slow(stand).await.then_some(()) };
        wait::until("the hub to let it go", 60 * SECOND, gone).await.unwrap();
    };
    beside_a_swift_one(let_go, &[1006, 1013]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_tells_every_client_and_lets_calls_under_way_end() {
    let chain = MadeChain::new(1);
    let wanted = Wanted { profile: vec!["methods: {timeouts: {eth_call: 30s}}"], ..Wanted::default() };
    let mut stand = Stand::of(1, vec![FaultProxy::of_chain(&chain).await.unwrap()], &wanted).await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        let socket = stand.socket().await;
        socket.subscribe(json!(["newHeads"])).await.unwrap();
        clients.push(socket);
    }
    let caller = stand.socket().await;
    caller.call("eth_gasPrice", json!([])).await.unwrap();
    stand.providers[0].set([Fault::latency(1_000).on("eth_call")]);
    clients[0].send(r#"{"jsonrpc":"2.0","id":"last","method":"eth_call","params":[]}"#).await.unwrap();
    let provider = &stand.providers[0];
    let asked = || provider.count("eth_call") + provider.count_ws("eth_call") == 1;
    wait::until_true("the call to be under way", 5 * SECOND, asked).await.unwrap();
    let again = config(1, &stand.providers, &wanted);
    stand.mesh.restart_control_plane(&again).unwrap();
    for (index, client) in clients.iter().enumerate() {
        let end = client.end(10 * SECOND).await.unwrap();
        assert_eq!(end.code(), 1012, "client {index}: {end:?}");
    }
    // Who only calls loses nothing by it.
    assert_eq!(caller.end(10 * SECOND).await.unwrap().code(), 1001);
    clients[0].reply_to("\"last\"").await.unwrap();
    stand.serves().await;
    let back = stand.socket().await;
    let heads = back.subscribe(json!(["newHeads"])).await.unwrap();
    chain.grow(0);
    back.until_events(&heads, 1, 5 * SECOND).await.unwrap();
}

/// A client that wants heads, and comes back when its socket ends. At last it must be told of the chain's newest.
async fn faithful(
    url: String,
    chain: MadeChain,
    back: watch::Sender<usize>,
    mut stop: watch::Receiver<bool>,
    number: u64,
) {
    // Each at a pace of its own.
    let mut turns = tokio::time::interval(Duration::from_millis(100 + number * 7 % 200));
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        turns.tick().await;
        let Ok(socket) = Socket::open(&url).await else { continue };
        let Ok(id) = socket.subscribe(json!(["newHeads"])).await else { continue };
        back.send_modify(|back| *back += 1);
        let ended = tokio::select! {
            _ = socket.end(600 * SECOND) => true,
            _ = stop.changed() => false,
        };
        if ended {
            back.send_modify(|back| *back -= 1);
            continue;
        }
        let head = chain.head().1;
        let newest = |inbox: &Inbox| inbox.events.get(&id)?.iter().find(|event| event.text("hash") == head).cloned();
        socket.until(&format!("client {number} to be told of the last head"), 5 * SECOND, newest).await.unwrap();
        return;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_of_a_killed_hub_are_back_within_ten_seconds() {
    const CLIENTS: usize = 500;
    let chain = MadeChain::new(1);
    let mut stand = Stand::on_chain(&chain, 3).await;
    let ((back, there), (stop, stopped)) = (watch::channel(0), watch::channel(false));
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        let url = stand.mesh.ws_url("ethereum");
        clients.spawn(faithful(url, chain.clone(), back.clone(), stopped.clone(), number as u64));
    }
    let reach = |count: usize| {
        let there = &there;
        async move { wait::until_true(&format!("{count} clients"), 60 * SECOND, || *there.borrow() == count).await.unwrap() }
    };
    reach(CLIENTS).await;
    assert_eq!(stand.subscriptions("newHeads"), 1);
    let load = Load::start(4, &stand.mesh.url("/rpc/ethereum"), "eth_getBalance", &json!([ACCOUNT, "latest"]));
    load.more(100).await;

    stand.mesh.kill_control_plane();
    reach(0).await;
    let opened = |provider: &FaultProxy| provider.counts().sockets.opened;
    let before: Vec<u64> = stand.providers.iter().map(opened).collect();
    let returned = Instant::now();
    stand.mesh.restart_control_plane(&config(1, &stand.providers, &Wanted::default())).unwrap();
    reach(CLIENTS).await;
    let took = returned.elapsed();
    println!("{CLIENTS} clients were back after {took:?}");
    assert!(took <= 10 * SECOND, "{took:?}");
    stand.until_subscriptions("newHeads", 1).await;
    for (provider, before) in stand.providers.iter().zip(before) {
        let dials = opened(provider) - before;
        assert!(dials <= 4, "{dials} dials of one provider");
    }
    load.more(200).await;
    load.end_without_loss().await;
    chain.grow(0);
    stop.send_replace(true);
    clients.join_all().await;
}
