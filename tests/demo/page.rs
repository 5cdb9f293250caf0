//! What the demo prints.

use std::{io::Write as _, path::Path};

use crate::chains::{Chain, Chains};

const BODY: &str = r#"'{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber"}'"#;

const SUBSCRIBE: &str = r#"'{"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["newHeads"]}'"#;

/// One line on standard output.
pub(crate) fn line(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{text}")?;
    Ok(out.flush()?)
}

/// The local chains are up.
pub(crate) fn demo(rpc: &str, http: &str, chains: &Chains, workers: u32, folder: &Path) -> anyhow::Result<()> {
    let providers: usize = chains.chains.iter().map(|chain| chain.providers.len()).sum();
    line(&format!("Lasso is up: {} chains, {providers} providers, {workers} Envoy worker(s).\n", chains.chains.len()))?;
    for chain in &chains.chains {
        let named: Vec<String> = chain
            .providers
            .iter()
            .map(|provider| format!("{} ({} ms)", provider.name, provider.milliseconds))
            .collect();
        line(&format!("  http://{rpc}/rpc/{:<9} chain id {}: {}", chain.name, chain.chain_id, named.join(", ")))?;
    }
    line("\nAsk each chain; the second question shows who answered, and why:")?;
    for chain in &chains.chains {
        line(&format!("  curl -s http://{rpc}/rpc/{} -d {BODY}", chain.name))?;
        line(&format!("  curl -s 'http://{rpc}/rpc/{}?include_meta=body' -d {BODY}", chain.name))?;
    }
    line("\nListen on one socket (any WebSocket client will do); it survives the kills below:")?;
    for chain in &chains.chains {
        line(&subscribe(rpc, chain.name))?;
    }
    for chain in chains.chains.iter().take(1) {
        kill(rpc, chain)?;
    }
    line(
        "\nWho is fast at what, as the control plane sees it (/api/openapi.json names the rest, /metrics is for Prometheus):",
    )?;
    for chain in chains.chains.iter().take(1) {
        line(&format!("  curl -s http://{http}/api/leaderboard/{}", chain.name))?;
    }
    line(&format!("\nConfiguration and logs are in {}. Ctrl-c stops everything.", folder.display()))
}

/// Node.js is there for the test clients; npx asks before it fetches wscat.
fn subscribe(rpc: &str, chain: &str) -> String {
    format!("  npx -y wscat -c ws://{rpc}/ws/rpc/{chain} -w 600 -x {SUBSCRIBE}")
}

fn kill(rpc: &str, chain: &Chain) -> anyhow::Result<()> {
    line(&format!("\nKill a provider of {} while asking; all 300 answers still come:", chain.name))?;
    for provider in &chain.providers {
        let base = format!("http://127.0.0.1:{}", provider.faults);
        line(&format!(
            "  curl -s -X POST {base}/down    # {} refuses connections; /up heals it, GET {base}/stats counts",
            provider.name
        ))?;
    }
    if let Some(first) = chain.providers.first() {
        let base = format!("http://127.0.0.1:{}", first.faults);
        line(&format!("  curl -s -X POST {base}/sockets/reset    # {}'s open sockets only", first.name))?;
    }
    line(&format!(
        "  for i in $(seq 300); do curl -s http://{rpc}/rpc/{} -d {BODY}; echo; done | grep -c '\"result\"'",
        chain.name
    ))
}

/// The user's own configuration is up.
pub(crate) fn own(rpc: &str, config: &Path, workers: u32, folder: &Path) -> anyhow::Result<()> {
    line(&format!("Lasso is up with {}: {workers} Envoy worker(s).\n", config.display()))?;
    line(&format!("  http://{rpc}/rpc/CHAIN\n\nAsk, with the name of one of your chains:"))?;
    line(&format!("  curl -s http://{rpc}/rpc/CHAIN -d {BODY}"))?;
    line(&subscribe(rpc, "CHAIN"))?;
    line(&format!("\nLogs are in {}. Ctrl-c stops everything.", folder.display()))
}
