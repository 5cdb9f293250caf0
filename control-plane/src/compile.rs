//! From the configuration to what the data path is made of: the catalog and its channels.
//!
//! Duty: name channels and clusters, share what profiles have in common, stamp the generation.
//! Invariant: the same configuration and the same names gone before give the same bytes; the same URL and headers in two profiles are
//! one channel, named by the profile that comes first (`public` always does).
//! Leaves to others: Envoy's resources (`xds::resources`), what a catalog must satisfy (`lasso_routing::catalog`).

pub(crate) mod names;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;

use lasso_routing::catalog::spec::{
    CATALOG_VERSION, ChainSpec, ChannelSpec, ProfileSpec, ProviderSpec, SyncSpec, TransportSpec,
};
use lasso_routing::catalog::{Catalog, CatalogSpec, Token};
use sha2::{Digest, Sha256};

use crate::config::{Chain, Config, Location, Profile, Provider};
use crate::xds::resources::CONTROL;
use names::{Identity, Names};

/// A compiled configuration.
#[derive(Debug, Clone)]
pub(crate) struct Deployment {
    pub(crate) catalog: CatalogSpec,
    /// One for each channel, in the order of the catalog's.
    pub(crate) clusters: Vec<ClusterPlan>,
    /// One for each ws channel: where the hub dials. Envoy is told nothing of it.
    pub(crate) sockets: Vec<SocketPlan>,
}

/// A cluster to be made, and where it leads.
#[derive(Debug, Clone)]
pub(crate) struct ClusterPlan {
    pub(crate) name: String,
    pub(crate) leads_to: Destination,
    /// What the name stands for.
    pub(crate) identity: Identity,
}

/// Where a cluster leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Destination {
    Provider(Location),
    /// The hub, which has sockets to the provider.
    Hub(SocketAddr),
}

/// How a ws channel's provider is dialled. `Debug` leaves its secrets out.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SocketPlan {
    /// The channel, by its id.
    pub(crate) channel: String,
    pub(crate) location: Location,
    pub(crate) headers: Vec<(String, String)>,
    /// Kinds of `eth_subscribe` that it serves.
    pub(crate) subscriptions: Vec<String>,
}

impl fmt::Debug for SocketPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SocketPlan").field("channel", &self.channel).finish_non_exhaustive()
    }
}

/// Words of this control plane's, which every deployment gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tokens {
    /// By which filters know its probes.
    pub(crate) probe: Token,
    /// By which its hub knows that Envoy asks.
    pub(crate) hub: Token,
}

/// The header by which the hub knows that Envoy asks on the filter's behalf.
pub(crate) const HUB_HEADER: &str = "x-lasso-hub";
/// `:authority` of what Envoy asks the hub.
const HUB_AUTHORITY: &str = "lasso-hub";
/// In front of a channel's id: the hub's path for its calls. Ids have nothing in them that a path must not have.
const HUB_PATH: &str = "/channel/";

/// Compiles a configuration that nothing came before.
#[cfg(test)]
pub(crate) fn compile(config: &Config) -> anyhow::Result<Deployment> {
    compile_as(config, &Names::default())
}

/// Compiles a configuration, with other names for what moved. The error is the catalog's own, and a mistake of ours: `config` lets nothing through that it refuses.
pub(crate) fn compile_as(config: &Config, names: &Names) -> anyhow::Result<Deployment> {
    let mut channels = Channels {
        names,
        hub: config.listen_hub,
        specs: Vec::new(),
        clusters: Vec::new(),
        sockets: Vec::new(),
        known: BTreeMap::new(),
    };
    let profiles = config.profiles.iter().map(|profile| self::profile(profile, &mut channels));
    // A profile of which nothing can be used was warned about, and a catalog has no empty ones.
    let profiles = profiles.filter(|profile| !profile.chains.is_empty()).collect();
    let mut catalog = CatalogSpec {
        version: CATALOG_VERSION,
        generation: String::new(),
        workers: config.workers.unwrap_or(1),
        max_body_bytes: config.max_body_bytes,
        max_batch: config.max_batch,
        max_meta_header_bytes: config.max_meta_header_bytes,
        sync: Some(SyncSpec { cluster: CONTROL.to_owned() }),
        request_log: Some(config.request_log.clone()),
        probe_token: None,
        channels: channels.specs,
        profiles,
    };
    stamp(&mut catalog)?;
    Catalog::try_from(catalog.clone())?;
    Ok(Deployment { catalog, clusters: channels.clusters, sockets: channels.sockets })
}

impl Deployment {
    /// The same, with the words by which filters know the control plane's probes, and the hub Envoys. They are part of the content, so the
    /// generation is another.
    pub(crate) fn with_tokens(mut self, tokens: &Tokens) -> anyhow::Result<Self> {
        self.catalog.probe_token = Some(tokens.probe.clone());
        for channel in self.catalog.channels.iter_mut().filter(|channel| channel.transport == TransportSpec::Ws) {
            channel.headers.insert(HUB_HEADER.to_owned(), tokens.hub.as_str().to_owned());
        }
        stamp(&mut self.catalog)?;
        Ok(self)
    }

    /// The same without ws channels: for an Envoy that may run without a control plane, and so without its hub.
    pub(crate) fn without_sockets(mut self) -> anyhow::Result<Self> {
        let over_ws = |plan: &&ClusterPlan| matches!(plan.leads_to, Destination::Hub(_));
        let clusters = self.clusters.iter().filter(over_ws).map(|plan| plan.name.clone()).collect();
        if let Some(catalog) = without(&self.catalog, &clusters)? {
            self.catalog = catalog;
            self.clusters.retain(|plan| !clusters.contains(&plan.name));
            self.sockets.clear();
        }
        Ok(self)
    }
}

/// The same catalog for an Envoy that does not have these clusters, under a generation of its own. Nothing when a chain would have
/// nobody left: then the catalog from before serves it better.
pub(crate) fn without(catalog: &CatalogSpec, clusters: &BTreeSet<String>) -> anyhow::Result<Option<CatalogSpec>> {
    let mut reduced = catalog.clone();
    reduced.channels.retain(|channel| !clusters.contains(&channel.cluster));
    let left: BTreeSet<&str> = reduced.channels.iter().map(|channel| channel.id.as_str()).collect();
    for chain in reduced.profiles.iter_mut().flat_map(|profile| &mut profile.chains) {
        for provider in &mut chain.providers {
            provider.channels.retain(|channel| left.contains(channel.as_str()));
        }
        chain.providers.retain(|provider| !provider.channels.is_empty());
        if chain.providers.is_empty() {
            return Ok(None);
        }
    }
    stamp(&mut reduced)?;
    Catalog::try_from(reduced.clone())?;
    Ok(Some(reduced))
}

/// Names a catalog by its content.
fn stamp(catalog: &mut CatalogSpec) -> serde_json::Result<()> {
    catalog.generation = "0".repeat(GENERATION_DIGITS);
    let content = serde_json::to_vec(catalog)?;
    catalog.generation = digest(&content, GENERATION_DIGITS);
    Ok(())
}

const GENERATION_DIGITS: usize = 16;

/// The first hex digits of a SHA-256.
pub(crate) fn digest(content: &[u8], digits: usize) -> String {
    let mut hex: String = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
    hex.truncate(digits);
    hex
}

struct Channels<'a> {
    names: &'a Names,
    hub: SocketAddr,
    specs: Vec<ChannelSpec>,
    clusters: Vec<ClusterPlan>,
    sockets: Vec<SocketPlan>,
    known: BTreeMap<String, String>,
}

impl Channels<'_> {
    /// The id of the channel that reaches this provider over that transport, new or shared; `None` when it is not to be reached so.
    fn channel(
        &mut self,
        profile: &Profile,
        chain: &Chain,
        provider: &Provider,
        transport: TransportSpec,
    ) -> Option<String> {
        let physical = provider.physical(chain, transport)?;
        if let Some(id) = self.known.get(&physical) {
            return Some(id.clone());
        }
        let location = provider.location_over(transport)?;
        let scope = if profile.id == "public" { String::new() } else { format!("{}:", profile.id) };
        let name = match transport {
            TransportSpec::Http => "http",
            TransportSpec::Ws => "ws",
        };
        let plain = format!("{scope}{}/{}/{name}", chain.id, provider.id);
        let identity = Identity::of(chain, location);
        let id = format!("{plain}{}", self.names.suffix(&format!("lasso/{plain}"), &identity));
        let (spec, leads_to) = match transport {
            TransportSpec::Http => (over_http(&id, provider), Destination::Provider(location.clone())),
            TransportSpec::Ws => {
                self.sockets.push(SocketPlan {
                    channel: id.clone(),
                    location: location.clone(),
                    headers: provider.headers.clone(),
                    subscriptions: provider.subscriptions.clone(),
                });
                (over_ws(&id), Destination::Hub(self.hub))
            }
        };
        self.clusters.push(ClusterPlan { name: spec.cluster.clone(), leads_to, identity });
        self.specs.push(spec);
        self.known.insert(physical, id.clone());
        Some(id)
    }
}

fn over_http(id: &str, provider: &Provider) -> ChannelSpec {
    ChannelSpec {
        id: id.to_owned(),
        transport: TransportSpec::Http,
        cluster: format!("lasso/{id}"),
        authority: provider.location.authority.clone(),
        path: provider.location.path.clone(),
        headers: provider.headers.iter().cloned().collect(),
    }
}

/// What the provider's own path and headers are is the hub's to know.
fn over_ws(id: &str) -> ChannelSpec {
    ChannelSpec {
        id: id.to_owned(),
        transport: TransportSpec::Ws,
        cluster: format!("lasso/{id}"),
        authority: HUB_AUTHORITY.to_owned(),
        path: format!("{HUB_PATH}{id}"),
        headers: BTreeMap::new(),
    }
}

fn profile(profile: &Profile, channels: &mut Channels<'_>) -> ProfileSpec {
    // A chain of which no provider can be used was warned about; a call for it is told that there is no such chain.
    let usable = profile.chains.iter().filter(|chain| !chain.providers.is_empty());
    ProfileSpec {
        id: profile.id.clone(),
        methods: profile.methods.clone(),
        explore: profile.explore,
        chains: usable.map(|chain| self::chain(profile, chain, channels)).collect(),
    }
}

fn chain(profile: &Profile, chain: &Chain, channels: &mut Channels<'_>) -> ChainSpec {
    let provider = |provider: &Provider| ProviderSpec {
        id: provider.id.clone(),
        channels: [TransportSpec::Http, TransportSpec::Ws]
            .into_iter()
            .filter_map(|transport| channels.channel(profile, chain, provider, transport))
            .collect(),
        priority: provider.priority,
        cost: provider.cost.clone(),
        archival: provider.archival,
        requests_per_second: provider.requests_per_second,
        capabilities: provider.capabilities.clone(),
    };
    ChainSpec {
        id: chain.id.clone(),
        chain_id: chain.chain_id,
        aliases: chain.aliases.clone(),
        hosts: chain.hosts.clone(),
        strategy: chain.strategy.clone(),
        block_time_ms: chain.block_time_ms,
        max_lag_blocks: chain.max_lag_blocks,
        archival_after_blocks: chain.archival_after_blocks,
        breaker: chain.breaker,
        providers: chain.providers.iter().map(provider).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Destination, compile, without};
    use crate::testing::{SMALL, SOCKETS, load_text, tokens};

    #[test]
    fn one_url_in_two_profiles_is_one_channel_named_by_public() {
        let deployment = compile(&load_text(SMALL).unwrap().config).unwrap();
        let clusters: Vec<_> = deployment.clusters.iter().map(|plan| plan.name.as_str()).collect();
        assert_eq!(clusters, ["lasso/ethereum/a/http", "lasso/ethereum/b/http", "lasso/beta:ethereum/own/http"]);
        let beta = &deployment.catalog.profiles[1].chains[0].providers;
        let channels: Vec<_> = beta.iter().flat_map(|provider| &provider.channels).collect();
        assert_eq!(channels, ["ethereum/a/http", "beta:ethereum/own/http"]);
    }

    #[test]
    fn the_order_and_case_of_headers_do_not_make_a_channel_another() {
        let text = SMALL.replace("canary?key=canary'}", "canary?key=canary', headers: {x-b: '2', X-A: '1'}}");
        let text = text.replacen("{x-b: '2', X-A: '1'}", "{x-a: '1', X-B: '2'}", 1);
        assert_eq!(compile(&load_text(&text).unwrap().config).unwrap().clusters.len(), 3);
    }

    #[test]
    fn the_generation_is_the_content() {
        let generation = |text: &str| compile(&load_text(text).unwrap().config).unwrap().catalog.generation;
        assert_eq!(generation(SMALL), generation(&format!("# a comment\n{SMALL}")));
        assert_ne!(generation(SMALL), generation(&SMALL.replace("debug_*: 2m", "debug_*: 3m")));
    }

    #[test]
    fn the_probe_token_is_part_of_the_generation_and_nowhere_shown() {
        let deployment = |token: u8| {
            let deployment = compile(&load_text(SMALL).unwrap().config).unwrap();
            deployment.with_tokens(&tokens([token; 16])).unwrap()
        };
        assert_eq!(deployment(7).catalog.generation, deployment(7).catalog.generation);
        assert_ne!(deployment(7).catalog.generation, deployment(8).catalog.generation);
        assert!(!format!("{:?}", deployment(7)).contains("0707"));
    }

    #[test]
    fn the_catalog_is_what_the_filter_is_told() {
        insta::assert_yaml_snapshot!(compile(&load_text(SMALL).unwrap().config).unwrap().catalog);
    }

    #[test]
    fn a_ws_url_is_a_second_channel_that_leads_to_the_hub() {
        let deployment = compile(&load_text(SOCKETS).unwrap().config).unwrap();
        let of_ethereum = &deployment.catalog.profiles[0].chains[0].providers;
        let channels: Vec<_> = of_ethereum.iter().map(|provider| provider.channels.join(" ")).collect();
        assert_eq!(channels, ["ethereum/a/http ethereum/a/ws", "ethereum/b/http"]);
        let beta = &deployment.catalog.profiles[1].chains[0].providers;
        let channels: Vec<_> = beta.iter().map(|provider| provider.channels.join(" ")).collect();
        assert_eq!(channels, ["ethereum/a/http ethereum/a/ws", "beta:ethereum/own/http beta:ethereum/own/ws"]);
        let over_ws =
            deployment.catalog.channels.iter().zip(&deployment.clusters).filter(|(spec, _)| spec.id.ends_with("/ws"));
        for (spec, cluster) in over_ws {
            assert_eq!(spec.path, format!("/channel/{}", spec.id));
            assert_eq!((spec.authority.as_str(), spec.headers.len()), ("lasso-hub", 0));
            assert_eq!(cluster.name, format!("lasso/{}", spec.id));
            assert_eq!(cluster.leads_to, Destination::Hub("127.0.0.1:18001".parse().unwrap()));
        }
    }

    #[test]
    fn the_hub_is_told_where_to_dial_and_the_filter_only_how_to_ask_it() {
        let deployment = compile(&load_text(SOCKETS).unwrap().config).unwrap().with_tokens(&tokens([7; 16])).unwrap();
        let dialled = |plan: &super::SocketPlan| (plan.channel.clone(), plan.location.path.clone(), plan.headers.len());
        let sockets: Vec<_> = deployment.sockets.iter().map(dialled).collect();
        let expected = [
            ("ethereum/a/ws".to_owned(), "/v2/wscanary".to_owned(), 0),
            ("beta:ethereum/own/ws".to_owned(), "/wscanary".to_owned(), 1),
        ];
        assert_eq!(sockets, expected);
        let told = serde_json::to_string(&deployment.catalog).unwrap();
        assert!(!told.contains("wscanary") && told.matches(&"08".repeat(16)).count() == 2, "{told}");
        assert!(!format!("{deployment:?}").contains("headers: [(\"x-key\""), "{deployment:?}");
    }

    #[test]
    fn an_address_of_http_and_of_ws_are_two_channels() {
        let text = "profiles: {public: {chains: {ethereum: {chain_id: 1, providers: [{id: a, url: 'http://a.example:8545', ws_url: \
                    'ws://a.example:8545'}]}}}}";
        let deployment = compile(&load_text(text).unwrap().config).unwrap();
        let ids: Vec<_> = deployment.catalog.channels.iter().map(|channel| channel.id.as_str()).collect();
        assert_eq!(ids, ["ethereum/a/http", "ethereum/a/ws"]);
    }

    #[test]
    fn a_file_for_envoy_alone_has_no_ws_channels() {
        let deployment = compile(&load_text(SOCKETS).unwrap().config).unwrap();
        let generation = deployment.catalog.generation.clone();
        let alone = deployment.without_sockets().unwrap();
        let ids: Vec<_> = alone.catalog.channels.iter().map(|channel| channel.id.as_str()).collect();
        assert_eq!(ids, ["ethereum/a/http", "ethereum/b/http", "beta:ethereum/own/http"]);
        assert_eq!((alone.clusters.len(), alone.sockets.len()), (3, 0));
        assert_ne!(alone.catalog.generation, generation);
    }

    #[track_caller]
    fn check_without(clusters: &[&str], expected: Option<&[&str]>) {
        let catalog = compile(&load_text(SMALL).unwrap().config).unwrap().catalog;
        let reduced = without(&catalog, &clusters.iter().map(|name| (*name).to_owned()).collect()).unwrap();
        let left = reduced.as_ref().map(|reduced| reduced.channels.iter().map(|channel| channel.id.as_str()).collect());
        assert_eq!(left, expected.map(<[_]>::to_vec), "{clusters:?}");
        assert!(reduced.is_none_or(|reduced| (reduced.generation == catalog.generation) == clusters.is_empty()));
    }

    #[test]
    fn a_catalog_without_a_cluster_is_whole_where_every_chain_has_somebody_left() {
        check_without(&[], Some(&["ethereum/a/http", "ethereum/b/http", "beta:ethereum/own/http"]));
        check_without(&["lasso/ethereum/a/http"], Some(&["ethereum/b/http", "beta:ethereum/own/http"]));
        check_without(&["lasso/ethereum/a/http", "lasso/ethereum/b/http"], None);
        check_without(&["lasso/ethereum/a/http", "lasso/beta:ethereum/own/http"], None);
    }
}
