//! A local Ethereum node.
//!
//! Invariant: a fresh chain of its own in memory; blocks are made by transactions and [`Node::mine`] only.

use std::{process::Command, time::Duration};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::{Client, Process, Scratch, free_port, tools};

/// The first account every anvil starts with: public knowledge, with money that is worth nothing.
pub const ACCOUNT: &str = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";

/// A running anvil.
#[derive(Debug)]
pub struct Node {
    url: String,
    client: Client,
    process: Process,
}

impl Node {
    /// A node with this chain id on a free port.
    pub async fn start(chain_id: u64, scratch: &Scratch) -> anyhow::Result<Self> {
        Self::start_with(chain_id, free_port(), &[], scratch).await
    }

    /// A node on this port with more arguments for anvil.
    pub async fn start_with(chain_id: u64, port: u16, arguments: &[&str], scratch: &Scratch) -> anyhow::Result<Self> {
        let mut command = Command::new(tools::anvil()?);
        command
            .args(["--host", "127.0.0.1", "--quiet", "--no-request-size-limit", "--threads", "2"])
            .args(["--port", &port.to_string(), "--chain-id", &chain_id.to_string()])
            .args(arguments);
        let process = Process::start(&format!("anvil-{chain_id}"), &mut command, scratch)?;
        let url = format!("http://127.0.0.1:{port}");
        let client = Client::new();
        let node = Self { url, client, process };
        let (client, url) = (&node.client, &node.url);
        node.process
            .until("anvil to answer", Duration::from_secs(20), || async move {
                client.call(url, "eth_chainId", json!([])).await.ok()
            })
            .await?;
        Ok(node)
    }

    /// Its URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its URL for sockets.
    pub fn ws_url(&self) -> String {
        self.url.replacen("http", "ws", 1)
    }

    /// The result of a call straight to the node.
    pub async fn call(&self, method: &str, params: Value) -> anyhow::Result<Value> {
        let answered = self.client.call(&self.url, method, params).await?;
        answered.result().with_context(|| format!("{method} said {}", answered.text()))
    }

    /// So many more blocks.
    pub async fn mine(&self, blocks: u64) -> anyhow::Result<()> {
        self.call("anvil_mine", json!([format!("0x{blocks:x}")])).await?;
        Ok(())
    }

    /// A contract with this runtime code, as if it had always been there.
    pub async fn place_code(&self, address: &str, code: &str) -> anyhow::Result<()> {
        self.call("anvil_setCode", json!([address, code])).await?;
        let there = self.call("eth_getCode", json!([address, "latest"])).await?;
        ensure!(there == code, "the code of {address} is {there}");
        Ok(())
    }
}
