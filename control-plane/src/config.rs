//! The configuration: from a file to values that the rest may trust.
//!
//! Duty: read `lasso.yaml` (or a directory of profile files), find every mistake in one pass, and hand over a [`Config`].
//! Invariant: a [`Config`] exists only when nothing was wrong; no message or masked output holds a secret.
//! Leaves to others: the catalog and Envoy's resources (`compile`, `xds::resources`).
//!
//! The way of a file: `files` -> `tree` (lines) -> `checked` along `schema` (kinds, ranges, defaults) -> `decode` (rules between keys).

mod access;
mod advice;
mod checked;
mod decode;
mod effective;
mod env;
mod files;
mod fixed;
mod problem;
mod reference;
mod scalar;
mod schema;
mod tree;
mod vendor;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

pub(crate) use advice::advice;
use lasso_routing::catalog::spec::{
    BreakerSpec, CapabilitiesSpec, CostSpec, MethodRulesSpec, RequestLogSpec, TransportSpec,
};
use lasso_routing::time::Millis;

pub(crate) use env::Lookup;
pub(crate) use files::files_at;
use fixed::Fixed;
pub(crate) use problem::{MASK, Problems};
use problem::{Place, Problem};
pub(crate) use reference::markdown as reference;
pub(crate) use scalar::{Location, LocationHost};
pub(crate) use tree::Node;
#[cfg(test)]
pub(crate) use tree::{Content, parse};

/// Everything this build acts on.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) listen_rpc: SocketAddr,
    pub(crate) listen_xds: SocketAddr,
    pub(crate) listen_hub: SocketAddr,
    pub(crate) listen_http: SocketAddr,
    /// Empty while nobody said.
    pub(crate) region: String,
    pub(crate) log_level: String,
    /// `None`: nothing survives a restart.
    pub(crate) data_dir: Option<PathBuf>,
    pub(crate) probe_via: ProbeVia,
    /// `host:port` of an Envoy listener for clients, where the hub sends calls.
    pub(crate) calls_via: String,
    pub(crate) hub: Hub,
    /// `None` while nobody said.
    pub(crate) workers: Option<u32>,
    pub(crate) max_batch: u32,
    pub(crate) max_body_bytes: u32,
    pub(crate) max_meta_header_bytes: u32,
    pub(crate) request_log: RequestLogSpec,
    /// `public` first, then as written.
    pub(crate) profiles: Vec<Profile>,
}

/// How probes reach providers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ProbeVia {
    /// Through `listen.rpc`, and past Envoy while nobody listens there.
    Ours(SocketAddr),
    /// Through the listener at this `host:port`, and in no other way.
    Named(String),
    /// Past Envoy.
    Direct,
}

/// How much the hub holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hub {
    /// Clients' sockets.
    pub(crate) max_sockets: u32,
    /// Subscriptions of one of them.
    pub(crate) max_subscriptions: u32,
    /// Sockets to each provider for calls.
    pub(crate) ws_sockets: u32,
}

#[derive(Debug)]
pub(crate) struct Profile {
    pub(crate) id: String,
    pub(crate) explore: bool,
    pub(crate) methods: MethodRulesSpec,
    pub(crate) chains: Vec<Chain>,
}

#[derive(Debug)]
pub(crate) struct Chain {
    pub(crate) id: String,
    pub(crate) chain_id: u64,
    pub(crate) aliases: Vec<String>,
    pub(crate) hosts: Vec<String>,
    pub(crate) strategy: String,
    pub(crate) block_time_ms: Option<u32>,
    pub(crate) max_lag_blocks: Option<u32>,
    pub(crate) archival_after_blocks: u32,
    pub(crate) breaker: BreakerSpec,
    /// Whether a part of `breaker` was written, default or not.
    pub(crate) sets_breaker: bool,
    pub(crate) subscriptions: Subscriptions,
    /// Only those that can be used.
    pub(crate) providers: Vec<Provider>,
}

/// How subscriptions of a chain are kept whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Subscriptions {
    /// Whether gaps are filled.
    pub(crate) fill: bool,
    pub(crate) max_fill_blocks: u32,
    pub(crate) fill_timeout: Millis,
    pub(crate) subscribe_timeout: Millis,
    /// `None`: by the block time.
    pub(crate) stale_after: Option<Millis>,
    pub(crate) linger: Millis,
}

#[derive(Debug)]
pub(crate) struct Provider {
    pub(crate) id: String,
    pub(crate) location: Location,
    /// Where it answers over WebSocket.
    pub(crate) ws: Option<Location>,
    /// Kinds of `eth_subscribe` that it serves there.
    pub(crate) subscriptions: Vec<String>,
    /// Names in lower case, sorted; the same over both transports. Secrets.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) priority: u32,
    pub(crate) cost: Option<CostSpec>,
    pub(crate) archival: bool,
    pub(crate) requests_per_second: Option<f64>,
    pub(crate) capabilities: CapabilitiesSpec,
}

impl Provider {
    /// What makes a channel one: the same in two profiles is shared. The chain id is part of it: one URL that serves two chains has two
    /// heads. `None`: it has no channel over that transport.
    pub(crate) fn physical(&self, chain: &Chain, transport: TransportSpec) -> Option<String> {
        let location = self.location_over(transport)?;
        Some(format!("{:?}", (chain.chain_id, transport, location, &self.headers)))
    }

    /// Where it is over that transport, if it is.
    pub(crate) const fn location_over(&self, transport: TransportSpec) -> Option<&Location> {
        match transport {
            TransportSpec::Http => Some(&self.location),
            TransportSpec::Ws => self.ws.as_ref(),
        }
    }
}

/// A configuration without mistakes, and what a person should know about it.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) config: Config,
    /// What was left out and why.
    pub(crate) warnings: Vec<String>,
    /// Keys that are set and do nothing yet.
    pub(crate) not_in_effect: Vec<String>,
    /// All of it with defaults, as YAML, secrets masked.
    pub(crate) effective: String,
    /// What holds for as long as `lasso serve` runs.
    fixed: Fixed,
    /// Where every section and value stands, by its path.
    places: BTreeMap<String, Place>,
}

impl Loaded {
    /// What this configuration would change and a running `lasso serve` cannot.
    pub(crate) fn fixed_since(&self, before: &Self) -> Option<Problems> {
        self.fixed.changed_since(&before.fixed, self.places.get("")?)
    }

    /// What the catalog refuses although nothing was wrong here, at the nearest place that is known.
    pub(crate) fn refusal(&self, path: &str, wrong: &str) -> Problems {
        let key = written_path(path);
        let holds = |path: &str| {
            let below = key.strip_prefix(path).filter(|_| !path.is_empty());
            path.is_empty() || below.is_some_and(|below| below.is_empty() || below.starts_with(['.', '[']))
        };
        let nearest = self.places.iter().filter(|(path, _)| holds(path)).max_by_key(|(path, _)| path.len());
        Problems::new(nearest.map(|(_, place)| Problem::new(place.clone(), &key, wrong)).into_iter().collect())
    }
}

/// Reads a file or a directory.
pub(crate) fn load(path: &Path, lookup: &Lookup<'_>) -> Result<Loaded, Problems> {
    let mut problems = Problems::none();
    let root = files::read(path, &mut problems);
    let Some(root) = root else {
        return Err(Problems::new(problems));
    };
    let on_unset = on_unset(&root, lookup);
    let mut checker = checked::Checker::new(lookup, on_unset, problems);
    let section = checker.section(&root, "", "");
    let checked::Checker { mut problems, later, .. } = checker;
    let mut warnings = Vec::new();
    let mut config = decode::config(&section, &mut problems, &mut warnings);
    if let Some(config) = config.as_mut().filter(|config| config.region.is_empty()) {
        config.region = region(&root, lookup, &mut problems);
    }
    match config {
        Some(mut config) if problems.is_empty() => {
            let data_dir = || lookup("LASSO_DATA_DIR").filter(|path| !path.is_empty()).map(PathBuf::from);
            config.data_dir = config.data_dir.or_else(data_dir);
            let effective = effective::document(&section).to_string();
            Ok(Loaded {
                config,
                warnings,
                not_in_effect: later,
                effective,
                fixed: Fixed::of(&section),
                places: section.places(),
            })
        }
        Some(_) | None => Err(Problems::new(problems)),
    }
}

/// Of whoever runs this, for files that several regions share.
const REGION_VARIABLE: &str = "LASSO_REGION";

fn region(root: &Node, lookup: &Lookup<'_>, problems: &mut Vec<Problem>) -> String {
    let region = lookup(REGION_VARIABLE).unwrap_or_default();
    if !region.is_empty()
        && let Err(wrong) = scalar::read(&schema::Kind::Name, &region)
    {
        problems.push(Problem::new(root.place.clone(), REGION_VARIABLE, wrong));
    }
    region
}

/// Needed before the rest is checked, which finds what is wrong with the key itself.
fn on_unset(root: &Node, lookup: &Lookup<'_>) -> checked::OnUnset {
    let written = root.child("on_missing_env").and_then(Node::scalar);
    match written.map(|written| env::expand(written, lookup)) {
        Some(Ok(word)) if word == "fail" => checked::OnUnset::Fail,
        Some(Ok(_) | Err(_)) | None => checked::OnUnset::DisableProvider,
    }
}

/// A path of the catalog as a file has it: `profiles[a].chains[b].providers[c]` is `profiles.a.chains.b.providers[c]`.
fn written_path(path: &str) -> String {
    let (named, rest) = path
        .split_once(".providers[")
        .map_or((path, String::new()), |(named, rest)| (named, format!(".providers[{rest}")));
    let named = named.strip_prefix("profiles[").map_or(named.to_owned(), |named| {
        let chains = named.replacen("].chains[", ".chains.", 1);
        format!("profiles.{}", chains.replacen(']', "", 1))
    });
    named + &rest
}
