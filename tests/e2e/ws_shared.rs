//! Clients' sockets that share connections between Envoy and the hub: nobody notices.

use std::collections::BTreeSet;

use lasso_tests::{MADE_LOGS, MadeChain, Mesh, Socket, wait};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::ws_stand::{SECOND, Stand};

/// Connections from Envoy to the hub, and clients' sockets on them.
async fn shared(mesh: &Mesh) -> (u64, u64) {
    let stats = mesh.envoy().stats().await.unwrap();
    let of_hub = |name: &str| stats.get(&format!("cluster.lasso-hub.{name}")).copied().unwrap_or_default();
    (of_hub("upstream_cx_active"), of_hub("upstream_rq_active"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_sockets_need_a_connection_for_each_worker_at_most() {
    let chain = MadeChain::new(1);
    let stand = Stand::on_chain(&chain, 1).await;
    let mut clients = Vec::new();
    for number in 0..100 {
        let url = stand.mesh.ws_url("ethereum");
        let opened = if number % 10 == 0 { Socket::open_http2(&url).await } else { Socket::open(&url).await };
        let socket = opened.unwrap();
        let heads = socket.subscribe(json!(["newHeads"])).await.unwrap();
        clients.push((socket, heads));
    }
    let (connections, sockets) = shared(&stand.mesh).await;
    assert!(sockets >= 100 && connections <= 2, "{connections} connections for {sockets} sockets");
    chain.grow(0);
    for (socket, heads) in &clients {
        socket.until_events(heads, 1, 5 * SECOND).await.unwrap();
    }
    // Half of them go without a word, and the others stay.
    let rest = clients.split_off(50);
    drop(clients);
    let gone = || async { (shared(&stand.mesh).await.1 <= 50).then_some(()) };
    wait::until("half of them to be gone", 10 * SECOND, gone).await.unwrap();
    chain.grow(0);
    for (socket, heads) in &rest {
        socket.until_events(heads, 2, 5 * SECOND).await.unwrap();
    }
}

/// Of 640 KiB, for who does not read.
const BLOCKS: usize = 52;
const LOGS: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_ends_and_its_neighbours_on_the_connection_miss_nothing() {
    let chain = MadeChain::new(1);
    let stand = Stand::on_chain(&chain, 1).await;
    let mut neighbours = Vec::new();
    for _ in 0..30 {
        let socket = stand.socket().await;
        let heads = socket.subscribe(json!(["newHeads"])).await.unwrap();
        neighbours.push((socket, heads));
    }
    let swift = stand.socket().await;
    let logs = swift.subscribe(json!(["logs", {"address": MADE_LOGS}])).await.unwrap();
    let slow = Socket::open_narrow(&stand.mesh.ws_url("ethereum"), 8 << 10).await.unwrap();
    slow.subscribe(json!(["logs", {"address": MADE_LOGS}])).await.unwrap();
    slow.stop_reading();
    let (connections, sockets) = shared(&stand.mesh).await;
    assert!(connections <= 2, "{connections} connections for {sockets} sockets");
    for block in 1..=BLOCKS {
        chain.grow_heavy(LOGS as u64, 16 << 10);
        swift.until_count(&logs, block * LOGS, 20 * SECOND).await.unwrap();
        // Not one of them waits for the slow one.
        for (socket, heads) in &neighbours {
            socket.until_count(heads, block, 5 * SECOND).await.unwrap();
        }
    }
    slow.read_again();
    assert_eq!(slow.end(60 * SECOND).await.unwrap().code(), 1013);
    let told: BTreeSet<_> =
        swift.events(&logs).iter().map(|log| (log.number("blockNumber"), log.number("logIndex"))).collect();
    assert_eq!(told.len(), BLOCKS * LOGS);
    chain.grow(0);
    for (socket, heads) in &neighbours {
        socket.until_count(heads, BLOCKS + 1, 5 * SECOND).await.unwrap();
        assert_eq!((socket.events(heads).len(), socket.ended()), (BLOCKS + 1, None));
    }
}

/// What an upgrade is answered with: the status, and the body.
async fn answered(url: &str, path: &str, version: u8) -> (String, String) {
    let host = url.trim_start_matches("ws://").split('/').next().unwrap();
    let mut stream = TcpStream::connect(host).await.unwrap();
    let upgrade = format!(
        "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: {version}\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(upgrade.as_bytes()).await.unwrap();
    let mut text = Vec::new();
    let whole = |text: &[u8]| {
        let text = String::from_utf8_lossy(text).into_owned();
        let (head, body) = text.split_once("\r\n\r\n")?;
        let length =
            head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        (body.len() >= length.unwrap_or(0))
            .then(|| (head.lines().next().unwrap_or_default().to_owned(), body.to_owned()))
    };
    loop {
        if let Some((status, body)) = whole(&text) {
            return (status, body);
        }
        assert!(stream.read_buf(&mut text).await.unwrap() > 0, "{}", String::from_utf8_lossy(&text));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_is_the_hubs_own() {
    let stand = Stand::on_chain(&MadeChain::new(1), 1).await;
    for (path, version, status) in [
        ("/ws/rpc/atlantis", 13, "400"),
        ("/ws/rpc/ethereum/nobody", 13, "400"),
        ("/ws/rpc/profile/nobody/ethereum", 13, "404"),
        ("/ws/rpc/ethereum", 8, "426"),
    ] {
        let through = answered(&stand.mesh.ws_url("ethereum"), path, version).await;
        let direct = answered(&stand.mesh.hub_url("ethereum"), path, version).await;
        assert!(through.0.contains(status) && direct.0.contains(status), "{through:?} {direct:?}");
        assert_eq!(through.1, direct.1, "{path}");
    }
}

/// No socket has a timer of its own in Envoy: a connection on which nobody answers pings ends with all that are on it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sockets_of_a_hub_that_hangs_end_and_come_back_when_it_goes_on() {
    let chain = MadeChain::new(1);
    let stand = Stand::on_chain(&chain, 1).await;
    let clients = [stand.socket().await, stand.socket().await];
    for socket in &clients {
        socket.subscribe(json!(["newHeads"])).await.unwrap();
    }
    let hub = stand.mesh.control_plane().unwrap();
    hub.signal("STOP").unwrap();
    for socket in &clients {
        assert_eq!(socket.end(60 * SECOND).await.unwrap().code(), 1006);
    }
    hub.signal("CONT").unwrap();
    stand.serves().await;
    let socket = stand.socket().await;
    let heads = socket.subscribe(json!(["newHeads"])).await.unwrap();
    chain.grow(0);
    socket.until_events(&heads, 1, 5 * SECOND).await.unwrap();
}
