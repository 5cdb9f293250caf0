//! viem, ethers and web3.py on sockets: they read and hear what they would of the node itself, and a failover is none of their business.

use std::{path::PathBuf, process::Command, sync::Arc, time::Duration};

use lasso_tests::{ACCOUNT, FaultProxy, Node, Process, Scratch, run_within, tools, wait};
use serde_json::{Value, json};

use crate::ws_stand::{EMITTER, SECOND, Stand, emit, node, same};

/// Blocks they listen to.
const COUNT: u64 = 12;

async fn reads(url: &str, transaction: &str) -> String {
    let mut command = Command::new("node");
    command.arg(tools::client_script("viem.mjs")).args([url, EMITTER, EMITTER, transaction]);
    let out = run_within(Duration::from_secs(60), command).await.unwrap();
    let error = String::from_utf8_lossy(&out.stderr);
    assert!(error.is_empty() && !out.stdout.is_empty(), "{url}: {error}");
    String::from_utf8_lossy(&out.stdout).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn viem_reads_on_a_socket_as_over_http() {
    let scratch = Scratch::new().unwrap();
    let node = node(&scratch).await;
    let stand = Stand::on_node(&node, 2).await;
    emit(&node, 3).await;
    let sent = node.call("eth_sendTransaction", json!([{"from": ACCOUNT, "to": ACCOUNT}])).await.unwrap();
    let sent = sent.as_str().unwrap();
    // The node has words of its own for some errors on sockets; ours are those of HTTP on both.
    let (straight, through) = (reads(node.url(), sent).await, reads(&stand.mesh.ws_url("ethereum"), sent).await);
    let lines: Vec<_> = straight.lines().collect();
    same("what viem was told", &through.lines().collect::<Vec<_>>(), &lines).unwrap();
}

/// What a program heard, on whatever URL, while blocks with a log each were made and this was done to providers.
async fn heard(node: &Arc<Node>, url: &str, program: PathBuf, script: &str, kill: impl Fn()) -> Value {
    let scratch = Scratch::new().unwrap();
    let mut command = Command::new(program);
    command.arg(tools::client_script(script)).args([url, &COUNT.to_string(), EMITTER]);
    let process = Process::start(script, &mut command, &scratch).unwrap();
    let mut turns = tokio::time::interval(SECOND / 10);
    while !process.log().contains("listening") {
        turns.tick().await;
        // It gives up by itself when it hears nothing.
        process.must_live().unwrap();
        emit(node, 1).await;
    }
    for block in 0..COUNT {
        if block == COUNT / 3 {
            kill();
        }
        emit(node, 1).await;
    }
    let ends = || async { process.ended() };
    let ended = wait::until("it to have heard enough", 25 * SECOND, ends).await.unwrap();
    let log = process.log();
    assert!(ended.success(), "{script} {url}: {log}");
    serde_json::from_str(log.lines().last().unwrap()).unwrap_or_else(|error| panic!("{error}: {log}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_hear_every_block_and_log_through_a_failover() {
    let scratch = Scratch::new().unwrap();
    let node = node(&scratch).await;
    let stand = Stand::on_node(&node, 3).await;
    let url = stand.mesh.ws_url("ethereum");
    let kill =
        || stand.providers.iter().filter(|it| it.subscriptions("newHeads") > 0).for_each(FaultProxy::reset_sockets);
    let programs = [(PathBuf::from("node"), "heads.mjs"), (tools::python().unwrap(), "heads.py")];
    for (program, script) in programs {
        let told = heard(&node, &url, program, script, kill).await;
        for (name, list) in told.as_object().unwrap() {
            let Some(list) = list.as_array() else { continue };
            let number = |line: &Value| line.as_str().unwrap().split(' ').next().unwrap().parse::<u64>().unwrap();
            let numbers: Vec<u64> = list.iter().map(number).collect();
            assert!(numbers.windows(2).all(|two| two[1] == two[0] + 1), "{script} {name}: {numbers:?} {told}");
            assert!(numbers.len() >= usize::try_from(COUNT).unwrap(), "{script} {name}: {numbers:?}");
        }
    }
}

/// The programs themselves, against the node.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_programs_hear_the_node() {
    let scratch = Scratch::new().unwrap();
    let node = node(&scratch).await;
    for (program, script) in [(PathBuf::from("node"), "heads.mjs"), (tools::python().unwrap(), "heads.py")] {
        heard(&node, &node.ws_url(), program, script, || {}).await;
    }
}
