//! What exists: channels, profiles, chains, providers, and the rules by method.
//!
//! Duty: turn a [`CatalogSpec`] into tables that a request can be routed with, once, by `TryFrom`; answer look-ups by name.
//! Invariant: everything in a catalog is checked: names are unique, every index points at something, every number is in range.
//! What depends only on (profile, known method) is computed here and not for each request.
//! Leaves to others: what we learn ([`crate::ledger`]), what a client named ([`crate::target`]).

mod build;
mod error;
mod index;
mod observe;
mod rules;
pub mod spec;

use std::collections::BTreeMap;
use std::fmt;

pub use error::{CatalogError, Mistake};
pub use index::{ChainIdx, ChannelIdx, ProfileIdx, Transport};
use lasso_jsonrpc::method::Method;
pub use observe::RequestLog;
pub use rules::MethodRule;
use rules::{Costs, MethodRules, MethodSet};
pub(crate) use rules::{Keyed, name_of};
pub use spec::{CatalogSpec, Token};

use crate::breaker::Policy;
use crate::outcome::ErrorRule;
use crate::strategy::Strategy;
use crate::time::Millis;

/// One physical channel. Its path and headers are secrets: `Debug` leaves them out.
#[derive(Clone)]
pub struct Channel {
    pub(crate) id: Box<str>,
    pub(crate) transport: Transport,
    pub(crate) cluster: Box<str>,
    pub(crate) authority: Box<str>,
    pub(crate) path: Box<str>,
    pub(crate) headers: Vec<(Box<str>, Box<str>)>,
    pub(crate) breaker: Policy,
    /// Which budget it draws on; siblings of one provider share theirs.
    pub(crate) budget: Option<u16>,
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").field("id", &self.id).field("cluster", &self.cluster).finish_non_exhaustive()
    }
}

impl Channel {
    /// Unique name, `chain/provider/transport`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// HTTP or WebSocket.
    #[must_use]
    pub const fn transport(&self) -> Transport {
        self.transport
    }

    /// Envoy's cluster that reaches it.
    #[must_use]
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// `:authority` of its requests.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// `:path` of its requests: a secret.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Headers of its requests, names in lower case: secrets.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Another number when the way in is another: authority, path (a key is often in it) or headers. Not shown to anybody.
    pub(crate) fn way_in(&self) -> u64 {
        let headers = self.headers.iter().flat_map(|(name, value)| [name, value]);
        let parts = [&self.authority, &self.path].into_iter().chain(headers);
        // A byte that is in none of them keeps them apart.
        let bytes = parts.flat_map(|part| part.bytes().chain([0]));
        bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
    }

    /// When its breaker opens, and for how long.
    #[must_use]
    pub const fn breaker(&self) -> &Policy {
        &self.breaker
    }
}

/// A profile: its own chains and rules.
#[derive(Debug, Clone)]
pub struct Profile {
    pub(crate) id: Box<str>,
    pub(crate) explore: bool,
    pub(crate) broadcast: u32,
    pub(crate) rules: MethodRules,
    /// Every name of every chain of it: id, aliases, decimal chain id.
    pub(crate) names: BTreeMap<Box<str>, ChainIdx>,
    pub(crate) chains: Vec<ChainIdx>,
}

impl Profile {
    /// Name in the path.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether channels that nobody asked for a while may be tried.
    #[must_use]
    pub const fn explore(&self) -> bool {
        self.explore
    }

    /// To how many channels `eth_sendRawTransaction` goes at once; 1 is once.
    #[must_use]
    pub const fn broadcast(&self) -> u32 {
        self.broadcast
    }

    /// Its chains, in the order of the configuration.
    #[must_use]
    pub fn chains(&self) -> &[ChainIdx] {
        &self.chains
    }

    /// What holds for a method here: blocked, deadline, strategy, whether a `null` is confirmed.
    #[must_use]
    pub fn method(&self, method: &Method<'_>) -> MethodRule {
        self.rules.of(method)
    }
}

/// A chain in a profile.
#[derive(Debug, Clone)]
pub struct Chain {
    pub(crate) id: Box<str>,
    pub(crate) profile: ProfileIdx,
    pub(crate) chain_id: u64,
    pub(crate) network: u16,
    pub(crate) strategy: Strategy,
    pub(crate) block_time: Option<Millis>,
    pub(crate) max_lag_blocks: Option<u32>,
    pub(crate) archival_after_blocks: u32,
    pub(crate) providers: Vec<Provider>,
    pub(crate) members: Vec<Member>,
}

/// A channel as a chain sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Member {
    pub(crate) channel: ChannelIdx,
    pub(crate) provider: u16,
    pub(crate) transport: Transport,
}

impl Chain {
    /// Name in the path.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The profile it belongs to.
    #[must_use]
    pub const fn profile(&self) -> ProfileIdx {
        self.profile
    }

    /// EIP-155 id.
    #[must_use]
    pub const fn chain_id(&self) -> u64 {
        self.chain_id
    }

    /// Strategy when neither the request nor a method rule names one.
    #[must_use]
    pub const fn strategy(&self) -> Strategy {
        self.strategy
    }

    /// Who may answer, in the order of the configuration.
    #[must_use]
    pub fn providers(&self) -> &[Provider] {
        &self.providers
    }

    /// Its channels, provider by provider.
    pub fn channels(&self) -> impl ExactSizeIterator<Item = ChannelIdx> + '_ {
        self.members.iter().map(|member| member.channel)
    }

    /// The provider that a channel of this chain belongs to, as an index of [`Self::providers`].
    #[must_use]
    pub fn provider_of(&self, channel: ChannelIdx) -> Option<usize> {
        self.members.iter().find(|member| member.channel == channel).map(|member| usize::from(member.provider))
    }

    /// The index of a provider by its id.
    #[must_use]
    pub fn provider_named(&self, id: &str) -> Option<usize> {
        self.providers.iter().position(|provider| &*provider.id == id)
    }
}

/// A provider as a chain sees it.
#[derive(Debug, Clone)]
pub struct Provider {
    pub(crate) id: Box<str>,
    pub(crate) channels: Vec<ChannelIdx>,
    pub(crate) priority: u32,
    pub(crate) costs: Costs,
    pub(crate) archival: bool,
    pub(crate) unsupported: MethodSet,
    pub(crate) max_block_range: Option<u64>,
    pub(crate) max_block_age: Option<u64>,
    pub(crate) max_batch: Option<u32>,
    pub(crate) error_rules: Vec<ErrorRule>,
}

impl Provider {
    /// Name in paths, headers and reports.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Lower is preferred.
    #[must_use]
    pub const fn priority(&self) -> u32 {
        self.priority
    }

    /// Its channels, at most one for each transport.
    #[must_use]
    pub fn channels(&self) -> &[ChannelIdx] {
        &self.channels
    }

    /// Most items in a batch it takes, when declared.
    #[must_use]
    pub const fn max_batch(&self) -> Option<u32> {
        self.max_batch
    }

    /// Its own error dialect.
    #[must_use]
    pub fn error_rules(&self) -> &[ErrorRule] {
        &self.error_rules
    }
}

/// Everything that exists.
#[derive(Debug, Clone)]
pub struct Catalog {
    pub(crate) generation: Box<str>,
    pub(crate) workers: u32,
    pub(crate) max_body_bytes: u32,
    pub(crate) max_batch: u32,
    pub(crate) max_meta_header_bytes: u32,
    pub(crate) sync: Option<Box<str>>,
    pub(crate) request_log: Option<RequestLog>,
    pub(crate) probe_token: Option<Token>,
    pub(crate) channels: Vec<Channel>,
    pub(crate) channels_by_id: BTreeMap<Box<str>, ChannelIdx>,
    pub(crate) profiles: Vec<Profile>,
    pub(crate) chains: Vec<Chain>,
    pub(crate) hosts: BTreeMap<Box<str>, ChainIdx>,
    /// Requests per second that one worker may send, by budget.
    pub(crate) budgets: Vec<f64>,
    /// EIP-155 ids, by [`Chain::network`].
    pub(crate) networks: Vec<u64>,
}

impl Catalog {
    /// Name of the profile without a name in the path.
    pub const PUBLIC: &'static str = "public";

    /// Content hash of the configuration.
    #[must_use]
    pub fn generation(&self) -> &str {
        &self.generation
    }

    /// How many filter VMs share a provider's budget.
    #[must_use]
    pub const fn workers(&self) -> u32 {
        self.workers
    }

    /// Largest request body, in bytes.
    #[must_use]
    pub const fn max_body_bytes(&self) -> u32 {
        self.max_body_bytes
    }

    /// Most items in a batch.
    #[must_use]
    pub const fn max_batch(&self) -> u32 {
        self.max_batch
    }

    /// Longest value of the meta header, in bytes.
    #[must_use]
    pub const fn max_meta_header_bytes(&self) -> u32 {
        self.max_meta_header_bytes
    }

    /// Whether that is the word that marks a probe.
    #[must_use]
    pub fn is_probe_token(&self, given: &str) -> bool {
        self.probe_token.as_ref().is_some_and(|token| token.is(given))
    }

    /// A channel. `None` only for an index of another catalog.
    #[must_use]
    pub fn channel(&self, channel: ChannelIdx) -> Option<&Channel> {
        self.channels.get(channel.index())
    }

    /// A chain. `None` only for an index of another catalog.
    #[must_use]
    pub fn chain(&self, chain: ChainIdx) -> Option<&Chain> {
        self.chains.get(chain.index())
    }

    /// A profile. `None` only for an index of another catalog.
    #[must_use]
    pub fn profile(&self, profile: ProfileIdx) -> Option<&Profile> {
        self.profiles.get(profile.index())
    }

    /// Every channel with its index.
    pub fn channels(&self) -> impl Iterator<Item = (ChannelIdx, &Channel)> {
        self.channels.iter().zip(0_u16..).map(|(channel, index)| (ChannelIdx(index), channel))
    }

    /// Every chain of every profile with its index.
    pub fn chains(&self) -> impl Iterator<Item = (ChainIdx, &Chain)> {
        self.chains.iter().zip(0_u16..).map(|(chain, index)| (ChainIdx(index), chain))
    }

    /// The profiles, in the order of the configuration.
    #[must_use]
    pub fn profiles(&self) -> &[Profile] {
        &self.profiles
    }

    /// A channel by its id.
    #[must_use]
    pub fn channel_named(&self, id: &str) -> Option<ChannelIdx> {
        self.channels_by_id.get(id).copied()
    }

    /// A profile by its name in the path; `default` is another name of `public` unless a profile is called so.
    #[must_use]
    pub fn profile_named(&self, name: &str) -> Option<ProfileIdx> {
        let find = |name: &str| self.profiles.iter().zip(0_u16..).find(|(profile, _)| &*profile.id == name);
        let found = find(name).or_else(|| if name == "default" { find(Self::PUBLIC) } else { None });
        found.map(|(_, index)| ProfileIdx(index))
    }

    /// A chain of a profile by its id, an alias or its decimal chain id.
    #[must_use]
    pub fn chain_named(&self, profile: ProfileIdx, name: &str) -> Option<ChainIdx> {
        self.profile(profile)?.names.get(name).copied()
    }

    /// Whether any hostname stands for a chain, so that `/` is an RPC path.
    #[must_use]
    pub fn has_hosts(&self) -> bool {
        !self.hosts.is_empty()
    }

    /// The chain that a hostname (with or without a port, in any case) stands for.
    #[must_use]
    pub fn chain_at_host(&self, host: &str) -> Option<ChainIdx> {
        if self.hosts.is_empty() {
            return None;
        }
        let bare = match host.rsplit_once(':') {
            Some((name, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            Some(_) | None => host,
        };
        self.hosts.get(bare.trim_end_matches('.').to_ascii_lowercase().as_str()).copied()
    }
}

#[cfg(test)]
mod tests;
