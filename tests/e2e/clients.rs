//! viem, ethers and web3.py read a chain through Lasso exactly as they read it from the node.

use std::{process::Command, time::Duration};

use lasso_tests::{ACCOUNT, ChainConfig, Config, Fault, FaultProxy, Mesh, Node, Scratch, run_within, tools};
use serde_json::{Value, json};

/// Emits a log, stores the block's number and returns 42, whatever it is asked.
const CONTRACT: (&str, &str) =
    ("0x00000000000000000000000000000000000c0de1", "0x43600052600160206000a143600055602a60005260206000f3");
/// Reverts with `Error("no")`, whatever it is asked.
const REVERTER: (&str, &str) = (
    "0x00000000000000000000000000000000000c0de2",
    "0x6308c379a060e01b60005260206004526002602452616e6f60f01b60445260646000fd",
);

struct Stand {
    node: Node,
    providers: [FaultProxy; 3],
    mesh: Mesh,
    transaction: String,
    _scratch: Scratch,
}

impl Stand {
    async fn start() -> Self {
        let scratch = Scratch::new().unwrap();
        let node = Node::start(31_337, &scratch).await.unwrap();
        node.place_code(CONTRACT.0, CONTRACT.1).await.unwrap();
        node.place_code(REVERTER.0, REVERTER.1).await.unwrap();
        let mut transaction = Value::Null;
        for _ in 0..4 {
            let sent = json!([{"from": ACCOUNT, "to": CONTRACT.0, "gas": "0x30d40"}]);
            transaction = node.call("eth_sendTransaction", sent).await.unwrap();
        }
        let providers = [
            FaultProxy::start(node.url()).await.unwrap(),
            FaultProxy::start(node.url()).await.unwrap(),
            FaultProxy::start(node.url()).await.unwrap(),
        ];
        let mut chain = ChainConfig::new("local", 31_337);
        for (name, provider) in ["a", "b", "c"].into_iter().zip(&providers) {
            chain = chain.provider(name, &provider.url("/key"));
        }
        let mesh = Mesh::start(&Config::new().strategy("round-robin").chain(chain)).await.unwrap();
        Self { node, providers, mesh, transaction: transaction.as_str().unwrap().to_owned(), _scratch: scratch }
    }

    /// Runs a client against a URL and gives what it printed.
    async fn run(&self, program: &std::path::Path, script: &str, url: &str) -> String {
        let mut command = Command::new(program);
        command.arg(tools::client_script(script)).args([url, CONTRACT.0, REVERTER.0, &self.transaction]);
        let out = run_within(Duration::from_secs(120), command).await.unwrap();
        let (out, error) =
            (String::from_utf8_lossy(&out.stdout).into_owned(), String::from_utf8_lossy(&out.stderr).into_owned());
        assert!(error.is_empty() && !out.is_empty(), "{script} {url}:\n{out}{error}");
        out
    }

    async fn same(&self, program: &std::path::Path, script: &str) {
        let straight = self.run(program, script, self.node.url()).await;
        let through = self.run(program, script, &self.mesh.url("/rpc/local")).await;
        let pairs = straight.lines().zip(through.lines());
        let differing: Vec<String> = pairs
            .filter(|(node, lasso)| node != lasso)
            .map(|(node, lasso)| format!("node:  {node:.300}\nlasso: {lasso:.300}"))
            .collect();
        assert!(
            differing.is_empty() && straight.lines().count() == through.lines().count(),
            "{script}:\n{}",
            differing.join("\n")
        );
    }
}

/// All clients, with good providers and with one that fails at what may be asked twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_read_through_lasso_as_from_the_node() {
    let stand = Stand::start().await;
    let (node, python) = (std::path::PathBuf::from("node"), tools::python().unwrap());
    stand.same(&node, "viem.mjs").await;
    stand.same(&node, "ethers.mjs").await;
    stand.same(&python, "web3_reads.py").await;
    let replayed = [
        "eth_call",
        "eth_getBlockByNumber",
        "eth_getBalance",
        "eth_getLogs",
        "eth_getTransactionReceipt",
        "eth_estimateGas",
    ];
    let fault = Fault::rpc(-32603, "Internal error");
    stand.providers[0].set([replayed.into_iter().fold(fault, Fault::on)]);
    stand.same(&node, "viem.mjs").await;
    stand.same(&node, "ethers.mjs").await;
    stand.same(&python, "web3_reads.py").await;
    assert!(stand.providers[0].count("eth_call") > 0, "the failing provider was never asked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_goes_through() {
    let stand = Stand::start().await;
    let out = stand.run(std::path::Path::new("node"), "send.mjs", &stand.mesh.url("/rpc/local")).await;
    assert_eq!(out.trim(), r#"{"status":"success","same":true}"#);
    let sent: u64 = stand.providers.iter().map(|provider| provider.count("eth_sendRawTransaction")).sum();
    assert_eq!(sent, 1);
}
