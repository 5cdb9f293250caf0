//! The catalog as it is written: plain data, nothing checked.
//!
//! Duty: name every field of the plugin configuration that the control plane (or a person) hands to the filter. It is JSON in a
//! `google.protobuf.Struct`, so it can be written by hand in Envoy YAML. Unknown keys are errors.
//! Invariant: a spec is never routed with; [`super::Catalog`] is made from it by `TryFrom` and is the only thing the rest trusts.
//! Leaves to others: reading `lasso.yaml` (control-plane `config`), protobuf (`lasso-proto`).

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The only `version` this build understands.
pub const CATALOG_VERSION: u32 = 1;

/// Everything that exists: channels, and the profiles that may use them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogSpec {
    /// Shape of this document; must be [`CATALOG_VERSION`].
    pub version: u32,
    /// Content hash of the configuration, 16 hex digits. Requests in flight keep the generation they started with.
    pub generation: String,
    /// How many filter VMs share a provider's budget when no control plane splits it. At least 1.
    #[serde(default = "one")]
    pub workers: u32,
    /// Largest request body in bytes; longer ones get HTTP 413 and -32600.
    #[serde(default = "default_max_body_bytes")]
    pub max_body_bytes: u32,
    /// Most items in a batch.
    #[serde(default = "default_max_batch")]
    pub max_batch: u32,
    /// Longest `X-Lasso-Meta` header value in bytes; a longer one is left out.
    #[serde(default = "default_max_meta_header_bytes")]
    pub max_meta_header_bytes: u32,
    /// Who takes reports and sends routing tables; absent: nobody, and each worker goes by what it sees itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync: Option<SyncSpec>,
    /// What Envoy's access log is to say of requests; absent: nothing is prepared for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_log: Option<RequestLogSpec>,
    /// What marks a request as a probe of the control plane's. A secret; absent: there are no probes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe_token: Option<Token>,
    /// Physical channels: provider x chain x transport, one Envoy cluster each. Profiles share them by id.
    pub channels: Vec<ChannelSpec>,
    /// What clients may name under `/rpc/profile/{profile}`; `public` is the one without a name in the path.
    pub profiles: Vec<ProfileSpec>,
}

/// The control plane, as a worker reaches it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyncSpec {
    /// Envoy cluster that leads to `listen.xds`; HTTP/2.
    pub cluster: String,
}

/// The request log. Errors are always in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestLogSpec {
    /// Share of successful requests in it, 0 to 1. A number, or the same as text: see [`CostSpec`].
    #[serde(default = "all", deserialize_with = "amount::one")]
    pub sampling: f64,
    /// Whether it has a SHA-256 of the params.
    #[serde(default)]
    pub include_params_digest: bool,
    /// Where error messages are cut.
    #[serde(default = "default_max_error_message_chars")]
    pub max_error_message_chars: u32,
}

impl Default for RequestLogSpec {
    fn default() -> Self {
        Self {
            sampling: all(),
            include_params_digest: false,
            max_error_message_chars: default_max_error_message_chars(),
        }
    }
}

/// A word that nobody can guess. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(String);

impl Token {
    /// As it stands in the header of a probe.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `given` is this word. Every byte is looked at, so that the time it takes says nothing about where they differ.
    #[must_use]
    pub fn is(&self, given: &str) -> bool {
        let differences = self.0.bytes().zip(given.bytes()).fold(0, |seen, (own, given)| seen | (own ^ given));
        !self.0.is_empty() && self.0.len() == given.len() && differences == 0
    }
}

impl From<[u8; 16]> for Token {
    fn from(random: [u8; 16]) -> Self {
        Self(format!("{:032x}", u128::from_be_bytes(random)))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(***)")
    }
}

/// One physical channel. `Debug` leaves its secrets out.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelSpec {
    /// Unique, `chain/provider/transport` as written in the configuration that named it first.
    pub id: String,
    /// `http` or `ws`.
    pub transport: TransportSpec,
    /// Envoy cluster that reaches it.
    pub cluster: String,
    /// Value of `:authority` for its requests.
    pub authority: String,
    /// Value of `:path` for its requests, query included. A secret: providers put their keys here.
    pub path: String,
    /// Headers its requests carry, names in lower case. Secrets.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
}

impl fmt::Debug for ChannelSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChannelSpec").field("id", &self.id).field("cluster", &self.cluster).finish_non_exhaustive()
    }
}

/// Transport of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TransportSpec {
    /// JSON-RPC over HTTP POST.
    Http,
    /// JSON-RPC over WebSocket.
    Ws,
}

/// A profile: its own chains, strategies and method lists.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileSpec {
    /// Name in the path.
    pub id: String,
    /// Method rules of this profile.
    #[serde(default)]
    pub methods: MethodRulesSpec,
    /// Whether channels that nobody asked for a while may be tried with cheap replay-safe calls.
    #[serde(default = "yes")]
    pub explore: bool,
    /// Its chains.
    pub chains: Vec<ChainSpec>,
}

/// Rules by method glob (`*` matches any run of characters). The longest matching pattern wins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MethodRulesSpec {
    /// Blocked in addition to the built-in list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub block: Vec<String>,
    /// Allowed although the built-in list or `block` blocks them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
    /// Total deadline in milliseconds.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub timeouts_ms: BTreeMap<String, u32>,
    /// Strategy instead of the chain's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub strategies: BTreeMap<String, String>,
    /// Methods whose `null` is confirmed by one more channel, in addition to row 24 of the classification table; `!name` takes one out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub confirm_null: Vec<String>,
    /// To how many channels `eth_sendRawTransaction` goes at once. 1 is once.
    #[serde(default = "one")]
    pub broadcast: u32,
}

impl Default for MethodRulesSpec {
    fn default() -> Self {
        Self {
            block: Vec::new(),
            allow: Vec::new(),
            timeouts_ms: BTreeMap::new(),
            strategies: BTreeMap::new(),
            confirm_null: Vec::new(),
            broadcast: one(),
        }
    }
}

/// A chain in a profile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChainSpec {
    /// Name in the path.
    pub id: String,
    /// EIP-155 id. Integers over 2^53 do not survive a protobuf `Struct`: then a decimal string.
    #[serde(with = "wide_integer")]
    pub chain_id: u64,
    /// Other names in the path.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// Hostnames on which `/` means this chain.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// Default strategy: `fastest`, `latency-weighted`, `load-balanced`, `round-robin`, `priority` or `cheapest`.
    pub strategy: String,
    /// Expected time between blocks in milliseconds; absent: 12,000 until measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block_time_ms: Option<u32>,
    /// Out when it lags by more; absent: max(2, ceil(3 s / block time)).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_lag_blocks: Option<u32>,
    /// A block this far behind the head needs an archival provider.
    #[serde(default = "default_archival_after_blocks")]
    pub archival_after_blocks: u32,
    /// Breaker policy of its channels.
    #[serde(default)]
    pub breaker: BreakerSpec,
    /// Who may answer, in the order of the configuration.
    pub providers: Vec<ProviderSpec>,
}

/// Breaker policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BreakerSpec {
    /// Blamed failures in a row that open it.
    pub failures: u32,
    /// First opening, in milliseconds; doubles with each opening in a row.
    pub recovery_min_ms: u32,
    /// Longest opening, in milliseconds.
    pub recovery_max_ms: u32,
    /// Successes in a row that close it from half-open.
    pub successes: u32,
}

impl Default for BreakerSpec {
    fn default() -> Self {
        Self { failures: 5, recovery_min_ms: 1_000, recovery_max_ms: 60_000, successes: 2 }
    }
}

/// A provider as a profile's chain sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderSpec {
    /// Name in paths, headers and reports.
    pub id: String,
    /// Ids of its channels in [`CatalogSpec::channels`], at most one for each transport.
    pub channels: Vec<String>,
    /// Lower is asked first by `priority`.
    #[serde(default = "default_priority")]
    pub priority: u32,
    /// Price in money per million calls; absent: unknown, after all known ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<CostSpec>,
    /// Whether it has state older than `archival_after_blocks`.
    #[serde(default = "yes")]
    pub archival: bool,
    /// We stay under this many requests per second. A number, or the same as text: see [`CostSpec`].
    #[serde(default, deserialize_with = "amount::optional", skip_serializing_if = "Option::is_none")]
    pub requests_per_second: Option<f64>,
    /// What it cannot do.
    #[serde(default)]
    pub capabilities: CapabilitiesSpec,
}

/// One price, or one for each method glob (the longest matching pattern wins). A price may be text: in a `Struct` that was written as
/// YAML, Envoy hands fractions on as text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum CostSpec {
    /// The same for all methods.
    Flat(#[serde(deserialize_with = "amount::one")] f64),
    /// By method glob.
    ByMethod(#[serde(deserialize_with = "amount::table")] BTreeMap<String, f64>),
}

/// Declared limits of a provider.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CapabilitiesSpec {
    /// Method globs it does not serve.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unsupported_methods: Vec<String>,
    /// Most blocks in one `eth_getLogs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_block_range: Option<u32>,
    /// Oldest block it has state for, in blocks behind the head.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_block_age: Option<u32>,
    /// Most items in a batch it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_batch: Option<u32>,
    /// Its own error dialect; these come before the built-in table.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub error_rules: Vec<ErrorRuleSpec>,
}

/// One row of a provider's own error table. At least one of `code` and `message`; all that are given must match.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorRuleSpec {
    /// JSON-RPC error code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i64>,
    /// Substring of the message, in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Category: see `docs/configuration.md`.
    pub category: String,
}

mod wide_integer {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    const EXACT_IN_F64: u64 = 1 << 53;

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(u64),
        Text(String),
    }

    pub(super) fn serialize<S: Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        if *value < EXACT_IN_F64 { serializer.serialize_u64(*value) } else { serializer.collect_str(value) }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        match Either::deserialize(deserializer)? {
            Either::Number(number) => Ok(number),
            Either::Text(text) => text.parse().map_err(|_| D::Error::custom(format!("`{text}` is not a whole number"))),
        }
    }
}

mod amount {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, de::Error};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(f64),
        Text(String),
    }

    impl Either {
        fn value<E: Error>(self) -> Result<f64, E> {
            match self {
                Self::Number(number) => Ok(number),
                Self::Text(text) => text.parse().map_err(|_| E::custom(format!("`{text}` is not a number"))),
            }
        }
    }

    pub(super) fn one<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        Either::deserialize(deserializer)?.value()
    }

    pub(super) fn optional<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
        Option::<Either>::deserialize(deserializer)?.map(Either::value).transpose()
    }

    pub(super) fn table<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, f64>, D::Error> {
        let table = BTreeMap::<String, Either>::deserialize(deserializer)?;
        table.into_iter().map(|(key, value)| Ok((key, value.value()?))).collect()
    }
}

const fn one() -> u32 {
    1
}
const fn yes() -> bool {
    true
}
const fn default_priority() -> u32 {
    100
}
const fn default_archival_after_blocks() -> u32 {
    128
}
const fn default_max_body_bytes() -> u32 {
    8_000_000
}
const fn default_max_batch() -> u32 {
    1_000
}
const fn all() -> f64 {
    1.0
}
const fn default_max_error_message_chars() -> u32 {
    256
}
const fn default_max_meta_header_bytes() -> u32 {
    4_096
}
