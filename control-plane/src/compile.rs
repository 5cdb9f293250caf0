//! From the configuration to what the data path is made of: the catalog and its channels.
//!
//! Duty: name channels and clusters, share what profiles have in common, stamp the generation.
//! Invariant: the same configuration gives the same bytes; the same URL and headers in two profiles are one channel, named by the
//! profile that comes first (`public` always does).
//! Leaves to others: Envoy's resources (`xds::resources`), what a catalog must satisfy (`lasso_routing::catalog`).

use std::collections::BTreeMap;

use lasso_routing::catalog::spec::{CATALOG_VERSION, ChainSpec, ChannelSpec, ProfileSpec, ProviderSpec, TransportSpec};
use lasso_routing::catalog::{Catalog, CatalogSpec};
use sha2::{Digest, Sha256};

use crate::config::{Chain, Config, Location, Profile, Provider};

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
}

/// Compiles a configuration. The error is the catalog's own, and a mistake of ours: `config` lets nothing through that it refuses.
pub(crate) fn compile(config: &Config) -> anyhow::Result<Deployment> {
    let mut channels = Channels::default();
    let profiles = config.profiles.iter().map(|profile| self::profile(profile, &mut channels));
    // A profile of which nothing can be used was warned about, and a catalog has no empty ones.
    let profiles = profiles.filter(|profile| !profile.chains.is_empty()).collect();
    let mut catalog = CatalogSpec {
        version: CATALOG_VERSION,
        generation: "0".repeat(GENERATION_DIGITS),
        workers: config.workers.unwrap_or(1),
        max_body_bytes: config.max_body_bytes,
        max_batch: config.max_batch,
        max_meta_header_bytes: config.max_meta_header_bytes,
        channels: channels.specs,
        profiles,
    };
    let content = serde_json::to_vec(&catalog)?;
    catalog.generation = digest(&content, GENERATION_DIGITS);
    Catalog::try_from(catalog.clone())?;
    Ok(Deployment { catalog, clusters: channels.clusters })
}

const GENERATION_DIGITS: usize = 16;

/// The first hex digits of a SHA-256.
pub(crate) fn digest(content: &[u8], digits: usize) -> String {
    let mut hex: String = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
    hex.truncate(digits);
    hex
}

#[derive(Default)]
struct Channels {
    specs: Vec<ChannelSpec>,
    clusters: Vec<ClusterPlan>,
    known: BTreeMap<String, String>,
}

impl Channels {
    /// The id of the channel that reaches this provider, new or shared.
    fn channel(&mut self, profile: &Profile, chain: &Chain, provider: &Provider) -> String {
        let physical = provider.physical(chain);
        if let Some(id) = self.known.get(&physical) {
            return id.clone();
        }
        let scope = if profile.id == "public" { String::new() } else { format!("{}:", profile.id) };
        let id = format!("{scope}{}/{}/http", chain.id, provider.id);
        let cluster = format!("lasso/{id}");
        self.specs.push(ChannelSpec {
            id: id.clone(),
            transport: TransportSpec::Http,
            cluster: cluster.clone(),
            authority: provider.location.authority.clone(),
            path: provider.location.path.clone(),
            headers: provider.headers.iter().cloned().collect(),
        });
        self.clusters.push(ClusterPlan { name: cluster, location: provider.location.clone() });
        self.known.insert(physical, id.clone());
        id
    }
}

fn profile(profile: &Profile, channels: &mut Channels) -> ProfileSpec {
    // A chain of which no provider can be used was warned about; a call for it is told that there is no such chain.
    let usable = profile.chains.iter().filter(|chain| !chain.providers.is_empty());
    ProfileSpec {
        id: profile.id.clone(),
        methods: profile.methods.clone(),
        explore: profile.explore,
        chains: usable.map(|chain| self::chain(profile, chain, channels)).collect(),
    }
}

fn chain(profile: &Profile, chain: &Chain, channels: &mut Channels) -> ChainSpec {
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
    use super::compile;
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
    fn the_catalog_is_what_the_filter_is_told() {
        insta::assert_yaml_snapshot!(compile(&load_text(SMALL).unwrap().config).unwrap().catalog);
    }
}
