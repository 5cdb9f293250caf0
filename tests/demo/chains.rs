//! The demo's own chains: two local nodes, and providers of different speeds in front of them.

use lasso_tests::{ChainConfig, Config, Fault, FaultProxy, Node, Scratch, loopback};

use crate::{OTHER_PORTS, Ports, must_be_free};

/// A provider by name and how slow it is.
struct Plan {
    chain: &'static str,
    chain_id: u64,
    providers: &'static [(&'static str, u64)],
}

const PLANS: [Plan; 2] = [
    Plan { chain: "ethereum", chain_id: 31_337, providers: &[("swift", 2), ("steady", 15), ("distant", 60)] },
    Plan { chain: "base", chain_id: 31_338, providers: &[("near", 3), ("far", 40)] },
];

/// A running provider.
pub(crate) struct Provider {
    pub(crate) name: &'static str,
    pub(crate) milliseconds: u64,
    /// Port of its fault admin.
    pub(crate) faults: u16,
    proxy: FaultProxy,
}

/// A running chain.
pub(crate) struct Chain {
    pub(crate) name: &'static str,
    pub(crate) chain_id: u64,
    pub(crate) providers: Vec<Provider>,
    _node: Node,
}

/// All of them.
pub(crate) struct Chains {
    pub(crate) chains: Vec<Chain>,
}

impl Chains {
    pub(crate) async fn start(ports: Ports, scratch: &Scratch) -> anyhow::Result<Self> {
        let (mut chains, mut provider_port, mut faults) = (Vec::new(), ports.providers, ports.faults);
        for (plan, node_port) in PLANS.iter().zip(ports.nodes..) {
            must_be_free(loopback(node_port), &format!("the demo's node of {}", plan.chain), OTHER_PORTS)?;
            let node = Node::start_with(plan.chain_id, node_port, &["--block-time", "2"], scratch).await?;
            let mut providers = Vec::new();
            for (name, milliseconds) in plan.providers {
                must_be_free(loopback(provider_port), &format!("the demo's provider {name}"), OTHER_PORTS)?;
                must_be_free(
                    loopback(faults),
                    &format!("the fault switch of the demo's provider {name}"),
                    OTHER_PORTS,
                )?;
                let proxy = FaultProxy::start_on(provider_port, Some(node.url())).await?.with_admin(faults).await?;
                proxy.set([Fault::latency(*milliseconds)]);
                providers.push(Provider { name, milliseconds: *milliseconds, faults, proxy });
                (provider_port, faults) = (provider_port + 1, faults + 1);
            }
            chains.push(Chain { name: plan.chain, chain_id: plan.chain_id, providers, _node: node });
        }
        Ok(Self { chains })
    }

    /// What Lasso is told of them: as much as it would be told of strangers.
    pub(crate) fn config(&self) -> Config {
        let chain = |chain: &Chain| {
            let config = ChainConfig::new(chain.name, chain.chain_id).line("block_time: 2s");
            chain.providers.iter().fold(config, |config, provider| config.provider_on(provider.name, &provider.proxy))
        };
        self.chains.iter().map(chain).fold(Config::new().strategy("fastest").exploring(), Config::chain)
    }
}
