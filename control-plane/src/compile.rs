//! From the configuration to what the data path is made of: the catalog and its channels.
//!
//! Duty: name channels and clusters, share what profiles have in common, stamp the generation.
//! Invariant: the same configuration and the same names gone before give the same bytes; the same URL and headers in two profiles are
//! one channel, named by the profile that comes first (`public` always does).
//! Leaves to others: Envoy's resources (`xds::resources`), what a catalog must satisfy (`lasso_routing::catalog`).

pub(crate) mod names;

use std::collections::{BTreeMap, BTreeSet};

use lasso_routing::catalog::spec::{
    CATALOG_VERSION, ChainSpec, ChannelSpec, ProfileSpec, ProviderSpec, SyncSpec, TransportSpec,
};
use lasso_routing::catalog::{Catalog, CatalogSpec, ProbeToken};
use sha2::{Digest, Sha256};

use crate::config::{Chain, Config, Location, Profile, Provider};
use crate::xds::resources::CONTROL;
use names::{Identity, Names};

/// A compiled configuration.
#[derive(Debug)]
pub(crate) struct Deployment {
    pub(crate) catalog: CatalogSpec,
    /// One for each channel, in the order of the catalog's.
    pub(crate) clusters: Vec<ClusterPlan>,
}

/// A cluster to be made, and where it leads.
#[derive(Debug)]
pub(crate) struct ClusterPlan {
    pub(crate) name: String,
    pub(crate) location: Location,
    /// What the name stands for.
    pub(crate) identity: Identity,
}

/// Compiles a configuration that nothing came before.
#[cfg(test)]
pub(crate) fn compile(config: &Config) -> anyhow::Result<Deployment> {
    compile_as(config, &Names::default())
}

/// Compiles a configuration, with other names for what moved. The error is the catalog's own, and a mistake of ours: `config` lets nothing through that it refuses.
pub(crate) fn compile_as(config: &Config, names: &Names) -> anyhow::Result<Deployment> {
    let mut channels = Channels { names, specs: Vec::new(), clusters: Vec::new(), known: BTreeMap::new() };
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
    Ok(Deployment { catalog, clusters: channels.clusters })
}

impl Deployment {
    /// The same, with the word by which filters know the control plane's probes. It is part of the content, so the generation is another.
    pub(crate) fn with_probe_token(mut self, token: &ProbeToken) -> anyhow::Result<Self> {
        self.catalog.probe_token = Some(token.clone());
        stamp(&mut self.catalog)?;
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
    specs: Vec<ChannelSpec>,
    clusters: Vec<ClusterPlan>,
    known: BTreeMap<String, String>,
}

impl Channels<'_> {
    /// The id of the channel that reaches this provider, new or shared.
    fn channel(&mut self, profile: &Profile, chain: &Chain, provider: &Provider) -> String {
        let physical = provider.physical(chain);
        if let Some(id) = self.known.get(&physical) {
            return id.clone();
        }
        let scope = if profile.id == "public" { String::new() } else { format!("{}:", profile.id) };
        let plain = format!("{scope}{}/{}/http", chain.id, provider.id);
        let identity = Identity::of(chain, &provider.location);
        let id = format!("{plain}{}", self.names.suffix(&format!("lasso/{plain}"), &identity));
        let cluster = format!("lasso/{id}");
        self.specs.push(ChannelSpec {
            id: id.clone(),
            transport: TransportSpec::Http,
            cluster: cluster.clone(),
            authority: provider.location.authority.clone(),
            path: provider.location.path.clone(),
            headers: provider.headers.iter().cloned().collect(),
        });
        self.clusters.push(ClusterPlan { name: cluster, location: provider.location.clone(), identity });
        self.known.insert(physical, id.clone());
        id
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
        channels: vec![channels.channel(profile, chain, provider)],
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
    use super::{compile, without};
    use crate::testing::{SMALL, load_text};

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
            deployment.with_probe_token(&[token; 16].into()).unwrap()
        };
        assert_eq!(deployment(7).catalog.generation, deployment(7).catalog.generation);
        assert_ne!(deployment(7).catalog.generation, deployment(8).catalog.generation);
        assert!(!format!("{:?}", deployment(7)).contains("0707"));
    }

    #[test]
    fn the_catalog_is_what_the_filter_is_told() {
        insta::assert_yaml_snapshot!(compile(&load_text(SMALL).unwrap().config).unwrap().catalog);
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
