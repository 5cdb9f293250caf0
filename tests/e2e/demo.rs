//! `make run` does what it prints.

use std::{process::Command, time::Duration};

use lasso_tests::{Client, Process, Scratch, Socket, free_ports, tools, wait};
use serde_json::json;

/// How many ports in a row the demo takes at most, with `--ports-from`.
const PORTS: u16 = 30;

fn demo(scratch: &Scratch, arguments: &[&str]) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lasso-demo"));
    command.current_dir(tools::root()).arg("--folder").arg(scratch.file("run")).args(arguments);
    Process::start("demo", &mut command, scratch).unwrap()
}

async fn printed(demo: &Process, text: &str) {
    let look = || async { demo.log().contains(text).then_some(()) };
    demo.until(&format!("{text:?} to be printed"), Duration::from_secs(60), look).await.unwrap();
}

async fn interrupt(demo: &Process) -> Option<i32> {
    demo.signal("INT").unwrap();
    wait::until("the demo to end", Duration::from_secs(20), || async { demo.ended() }).await.unwrap().code()
}

#[tokio::test]
async fn the_demo_serves_two_chains_until_ctrl_c() {
    let scratch = Scratch::new().unwrap();
    let ports = free_ports(PORTS);
    let demo = demo(&scratch, &["--workers", "1", "--ports-from", &ports.to_string()]);
    printed(&demo, "Ctrl-c stops everything").await;
    let client = Client::new();
    let url = |chain: &str| format!("http://127.0.0.1:{ports}/rpc/{chain}");
    for (chain, id) in [("ethereum", "0x7a69"), ("base", "0x7a6a"), ("31338", "0x7a6a")] {
        assert_eq!(
            client.call(&url(chain), "eth_chainId", json!([])).await.unwrap().result(),
            Some(json!(id)),
            "{chain}"
        );
        assert!(client.call(&url(chain), "eth_gasPrice", json!([])).await.unwrap().result().is_some(), "{chain}");
    }
    let socket = Socket::open(&format!("ws://127.0.0.1:{ports}/ws/rpc/ethereum")).await.unwrap();
    let heads = socket.subscribe(json!(["newHeads"])).await.unwrap();
    socket.until_events(&heads, 1, Duration::from_secs(10)).await.unwrap();
    let down = format!("http://127.0.0.1:{}/down", ports + 20);
    assert!(demo.log().contains(&down), "the page does not say {down}");
    for call in 0..100 {
        if call == 20 {
            assert_eq!(client.post(&down, "").await.unwrap().status, 200);
        }
        let answered = client.call(&url("ethereum"), "eth_blockNumber", json!([])).await.unwrap();
        assert!(answered.result().is_some(), "call {call}: {}", answered.text());
    }
    let told = socket.events(&heads).len();
    socket.until_events(&heads, told + 2, Duration::from_secs(10)).await.unwrap();
    assert_eq!(interrupt(&demo).await, Some(0), "{}", demo.log());
    assert_eq!(socket.end(Duration::from_secs(1)).await.unwrap().code(), 1012, "clients are told before Envoy goes");
    assert!(demo.log().contains("stopped"), "{}", demo.log());
    assert!(client.read(&url("ethereum")).await.is_err(), "something still listens");
}

#[tokio::test]
async fn who_asks_the_demo_twice_to_end_does_not_wait_for_its_clients() {
    let scratch = Scratch::new().unwrap();
    let ports = free_ports(PORTS);
    let demo = demo(&scratch, &["--workers", "1", "--ports-from", &ports.to_string()]);
    printed(&demo, "Ctrl-c stops everything").await;
    // They would be let go one after another, over some seconds.
    let mut sockets = Vec::new();
    for _ in 0..8 {
        sockets.push(Socket::open(&format!("ws://127.0.0.1:{ports}/ws/rpc/ethereum")).await.unwrap());
    }
    demo.signal("INT").unwrap();
    printed(&demo, "ctrl-c again").await;
    assert_eq!(interrupt(&demo).await, Some(130), "{}", demo.log());
    let health = format!("http://127.0.0.1:{ports}/healthz");
    let gone = || async { Client::new().read(&health).await.is_err().then_some(()) };
    wait::until("everything to end with the demo", Duration::from_secs(10), gone).await.unwrap();
}

#[tokio::test]
async fn a_taken_port_of_the_demo_is_named_with_what_gives_others_and_the_access_log_starts_anew() {
    let scratch = Scratch::new().unwrap();
    let ports = free_ports(PORTS);
    let arguments = ["--workers", "1", "--ports-from", &ports.to_string()];
    let provider = ports + 10;
    let taken = std::net::TcpListener::bind(("127.0.0.1", provider)).unwrap();
    let refused = demo(&scratch, &arguments);
    let ended = wait::until("the demo to end", Duration::from_secs(20), || async { refused.ended() }).await.unwrap();
    let log = refused.log();
    assert_eq!(ended.code(), Some(1), "{log}");
    for said in [&format!("127.0.0.1:{provider} (the demo's provider swift)"), "make run PORTS_FROM="] {
        assert!(log.contains(said), "{log}");
    }

    drop(taken);
    let access_log = scratch.file("run").join("access.log");
    std::fs::write(&access_log, "of a run before\n").unwrap();
    let anew = demo(&scratch, &arguments);
    printed(&anew, "Ctrl-c stops everything").await;
    assert!(!std::fs::read_to_string(&access_log).unwrap().contains("of a run before"));
    assert_eq!(interrupt(&anew).await, Some(0), "{}", anew.log());
}

#[tokio::test]
async fn ones_own_file_is_served_and_a_taken_port_is_named() {
    let scratch = Scratch::new().unwrap();
    let ports = free_ports(PORTS);
    let (rpc, xds, hub) = (ports, ports + 1, ports + 8);
    let listen = format!("listen: {{rpc: \"127.0.0.1:{rpc}\", xds: \"127.0.0.1:{xds}\", hub: \"127.0.0.1:{hub}\"}}\n");
    let chain =
        "profiles: {public: {chains: {mine: {chain_id: 5, providers: [{id: a, url: \"http://127.0.0.1:9/\"}]}}}}\n";
    let file = scratch.write("own.yaml", &format!("{listen}{chain}")).unwrap();
    let taken = std::net::TcpListener::bind(("127.0.0.1", rpc)).unwrap();
    let refused = demo(&scratch, &["--config", file.to_str().unwrap(), "--ports-from", &ports.to_string()]);
    let ended = wait::until("the demo to end", Duration::from_secs(20), || async { refused.ended() }).await.unwrap();
    let log = refused.log();
    assert_eq!(ended.code(), Some(1), "{log}");
    assert!(log.contains(&format!("127.0.0.1:{rpc} (listen.rpc)")) && log.contains("set listen.rpc in "), "{log}");

    drop(taken);
    let own =
        demo(&scratch, &["--config", file.to_str().unwrap(), "--workers", "1", "--ports-from", &ports.to_string()]);
    printed(&own, "Ctrl-c stops everything").await;
    let asked =
        Client::new().call(&format!("http://127.0.0.1:{rpc}/rpc/mine"), "eth_chainId", json!([])).await.unwrap();
    assert_eq!(asked.result(), Some(json!("0x5")));
    assert_eq!(interrupt(&own).await, Some(0), "{}", own.log());
}
