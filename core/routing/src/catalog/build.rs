//! From the document to the tables, checking everything on the way.
//!
//! Invariant: what this lets through is complete and consistent; the first mistake ends it with its path.

use std::collections::BTreeMap;

use super::error::Mistake;
use super::observe::{RequestLog, sync_cluster};
use super::rules::{Costs, MethodRules, MethodSet};
use super::spec::{
    CATALOG_VERSION, CatalogSpec, ChainSpec, ChannelSpec, CostSpec, MethodRulesSpec, ProfileSpec, ProviderSpec,
    TransportSpec,
};
use super::{
    Catalog, CatalogError, Chain, ChainIdx, Channel, ChannelIdx, Member, Profile, ProfileIdx, Provider, Transport,
};
use crate::breaker::Policy;
use crate::outcome::ErrorRule;
use crate::strategy::Strategy;
use crate::time::Millis;

/// Words that stand where a chain's name could.
const RESERVED: [&str; 2] = ["profile", "provider"];

impl TryFrom<CatalogSpec> for Catalog {
    type Error = CatalogError;

    fn try_from(spec: CatalogSpec) -> Result<Self, CatalogError> {
        let wrong = |path: &str, mistake| Err(CatalogError { path: path.to_owned(), mistake });
        if spec.version != CATALOG_VERSION {
            return wrong("version", Mistake::Version(spec.version));
        }
        if spec.generation.is_empty() {
            return wrong("generation", Mistake::Empty);
        }
        let numbers =
            [("workers", spec.workers), ("max_body_bytes", spec.max_body_bytes), ("max_batch", spec.max_batch)];
        for (name, number) in numbers {
            at_least(name, u64::from(number), 1)?;
        }
        let mut build = Build {
            catalog: Self {
                generation: spec.generation.as_str().into(),
                workers: spec.workers,
                max_body_bytes: spec.max_body_bytes,
                max_batch: spec.max_batch,
                max_meta_header_bytes: spec.max_meta_header_bytes,
                sync: spec.sync.as_ref().map(sync_cluster).transpose()?,
                request_log: spec.request_log.as_ref().map(RequestLog::try_from).transpose()?,
                probe_token: spec.probe_token,
                channels: Vec::with_capacity(spec.channels.len()),
                channels_by_id: BTreeMap::new(),
                profiles: Vec::with_capacity(spec.profiles.len()),
                chains: Vec::new(),
                hosts: BTreeMap::new(),
                budgets: Vec::new(),
                networks: Vec::new(),
            },
            uses: vec![None; spec.channels.len()],
        };
        build.channels(&spec.channels)?;
        build.profiles(&spec.profiles)?;
        Ok(build.catalog)
    }
}

struct Build {
    catalog: Catalog,
    /// By channel: the chain id that it was first used for.
    uses: Vec<Option<u64>>,
}

impl Build {
    fn channels(&mut self, specs: &[ChannelSpec]) -> Result<(), CatalogError> {
        countable("channels", specs.len(), 0)?;
        for (spec, index) in specs.iter().zip(0_u16..) {
            let path = format!("channels[{}]", if spec.id.is_empty() { index.to_string() } else { spec.id.clone() });
            name(&path, &spec.id, &[])?;
            if self.catalog.channels_by_id.insert(spec.id.as_str().into(), ChannelIdx(index)).is_some() {
                return Err(error(&path, "id", Mistake::Duplicate(spec.id.clone())));
            }
            sendable(&path, spec)?;
            self.catalog.channels.push(Channel {
                id: spec.id.as_str().into(),
                transport: match spec.transport {
                    TransportSpec::Http => Transport::Http,
                    TransportSpec::Ws => Transport::Ws,
                },
                cluster: spec.cluster.as_str().into(),
                authority: spec.authority.as_str().into(),
                path: spec.path.as_str().into(),
                headers: spec
                    .headers
                    .iter()
                    .map(|(name, value)| (name.as_str().into(), value.as_str().into()))
                    .collect(),
                breaker: Policy::default(),
                budget: None,
            });
        }
        Ok(())
    }

    fn profiles(&mut self, specs: &[ProfileSpec]) -> Result<(), CatalogError> {
        countable("profiles", specs.len(), 1)?;
        for (spec, index) in specs.iter().zip(0_u16..) {
            let path = format!("profiles[{}]", if spec.id.is_empty() { index.to_string() } else { spec.id.clone() });
            name(&path, &spec.id, &[])?;
            if self.catalog.profiles.iter().any(|other| *other.id == *spec.id) {
                return Err(error(&path, "id", Mistake::Duplicate(spec.id.clone())));
            }
            let rules = method_rules(&format!("{path}.methods"), &spec.methods)?;
            self.catalog.profiles.push(Profile {
                id: spec.id.as_str().into(),
                explore: spec.explore,
                broadcast: spec.methods.broadcast,
                rules,
                names: BTreeMap::new(),
                chains: Vec::with_capacity(spec.chains.len()),
            });
            countable(&format!("{path}.chains"), spec.chains.len(), 1)?;
            for chain in &spec.chains {
                self.chain(&format!("{path}.chains[{}]", chain.id), ProfileIdx(index), chain)?;
            }
        }
        Ok(())
    }

    fn chain(&mut self, path: &str, profile: ProfileIdx, spec: &ChainSpec) -> Result<(), CatalogError> {
        let idx =
            u16::try_from(self.catalog.chains.len()).map_err(|_| error(path, "", Mistake::TooMany(usize::MAX)))?;
        self.name_chain(path, profile, ChainIdx(idx), spec)?;
        numbers_of_chain(path, spec)?;
        let strategy = Strategy::named(&spec.strategy)
            .ok_or_else(|| error(path, "strategy", Mistake::UnknownStrategy(spec.strategy.clone())))?;
        // None at all is possible: those whose environment is missing are left out. The chain then says that nobody can serve it.
        countable(&format!("{path}.providers"), spec.providers.len(), 0)?;
        let mut providers: Vec<Provider> = Vec::with_capacity(spec.providers.len());
        let mut members = Vec::new();
        for (provider, place) in spec.providers.iter().zip(0_u16..) {
            let path = format!("{path}.providers[{}]", provider.id);
            name(&path, &provider.id, &[])?;
            if providers.iter().any(|other| *other.id == *provider.id) {
                return Err(error(&path, "id", Mistake::Duplicate(provider.id.clone())));
            }
            let provider = self.provider(&path, spec, provider)?;
            members.extend(provider.channels.iter().map(|&channel| Member {
                channel,
                provider: place,
                transport: self.catalog.channels[channel.index()].transport,
            }));
            providers.push(provider);
        }
        let network = self.network(spec.chain_id);
        self.catalog.chains.push(Chain {
            id: spec.id.as_str().into(),
            profile,
            chain_id: spec.chain_id,
            network,
            strategy,
            block_time: spec.block_time_ms.map(|ms| Millis(ms.into())),
            max_lag_blocks: spec.max_lag_blocks,
            archival_after_blocks: spec.archival_after_blocks,
            providers,
            members,
        });
        Ok(())
    }

    fn name_chain(
        &mut self,
        path: &str,
        profile: ProfileIdx,
        chain: ChainIdx,
        spec: &ChainSpec,
    ) -> Result<(), CatalogError> {
        let Some(owner) = self.catalog.profiles.get_mut(profile.index()) else { return Ok(()) };
        name(path, &spec.id, &RESERVED)?;
        let decimal = spec.chain_id.to_string();
        let aliases = spec.aliases.iter().enumerate().map(|(place, alias)| (format!("aliases[{place}]"), alias));
        let names = [("id".to_owned(), &spec.id)].into_iter().chain(aliases);
        for (field, alias) in names {
            name(&format!("{path}.{field}"), alias, &RESERVED)?;
            if owner.names.insert(alias.as_str().into(), chain).is_some() {
                return Err(error(path, &field, Mistake::Duplicate(alias.clone())));
            }
        }
        // A chain may be called by its number; another chain's number is taken.
        if owner.names.insert(decimal.as_str().into(), chain).is_some_and(|other| other != chain) {
            return Err(error(path, "chain_id", Mistake::Duplicate(decimal)));
        }
        owner.chains.push(chain);
        for (place, host) in spec.hosts.iter().enumerate() {
            let field = format!("hosts[{place}]");
            name(&format!("{path}.{field}"), host, &[])?;
            let host = host.trim_end_matches('.').to_ascii_lowercase();
            if self.catalog.hosts.insert(host.as_str().into(), chain).is_some() {
                return Err(error(path, &field, Mistake::Duplicate(host)));
            }
        }
        Ok(())
    }

    fn provider(&mut self, path: &str, chain: &ChainSpec, spec: &ProviderSpec) -> Result<Provider, CatalogError> {
        if spec.channels.is_empty() {
            return Err(error(path, "channels", Mistake::Empty));
        }
        let mut channels: Vec<ChannelIdx> = Vec::with_capacity(spec.channels.len());
        for (place, id) in spec.channels.iter().enumerate() {
            let path = format!("{path}.channels[{place}]");
            let channel =
                self.catalog.channel_named(id).ok_or_else(|| error(&path, "", Mistake::UnknownChannel(id.clone())))?;
            self.claim(&path, channel, chain)?;
            let transport = |channel: ChannelIdx| self.catalog.channels[channel.index()].transport;
            if channels.iter().any(|&other| transport(other) == transport(channel)) {
                return Err(error(&path, "", Mistake::Contradiction("a second channel of the same transport")));
            }
            channels.push(channel);
        }
        prices(path, spec.cost.as_ref())?;
        self.budget(path, &channels, spec.requests_per_second)?;
        let limits = &spec.capabilities;
        for (field, limit) in [("max_block_range", limits.max_block_range), ("max_batch", limits.max_batch)] {
            at_least(&format!("{path}.capabilities.{field}"), u64::from(limit.unwrap_or(1)), 1)?;
        }
        let mut error_rules = Vec::with_capacity(limits.error_rules.len());
        for (place, rule) in limits.error_rules.iter().enumerate() {
            let path = format!("{path}.capabilities.error_rules[{place}]");
            let rule =
                ErrorRule::try_from(rule).map_err(|wrong| error(&path, "", Mistake::ErrorRule(wrong.to_string())))?;
            error_rules.push(rule);
        }
        Ok(Provider {
            id: spec.id.as_str().into(),
            channels,
            priority: spec.priority,
            costs: Costs::new(spec.cost.as_ref()),
            archival: spec.archival,
            unsupported: MethodSet::new(&limits.unsupported_methods),
            max_block_range: limits.max_block_range.map(u64::from),
            max_block_age: limits.max_block_age.map(u64::from),
            max_batch: limits.max_batch,
            error_rules,
        })
    }

    /// A channel serves one chain id, once in each profile; the first chain that names it says how its breaker behaves.
    fn claim(&mut self, path: &str, channel: ChannelIdx, chain: &ChainSpec) -> Result<(), CatalogError> {
        match self.uses[channel.index()] {
            Some(first) if first != chain.chain_id => {
                return Err(error(path, "", Mistake::TwoChains { first, other: chain.chain_id }));
            }
            Some(_) => {}
            None => {
                self.uses[channel.index()] = Some(chain.chain_id);
                self.catalog.channels[channel.index()].breaker = Policy::from(&chain.breaker);
            }
        }
        let id = &*self.catalog.channels[channel.index()].id;
        let named = chain.providers.iter().flat_map(|provider| &provider.channels).filter(|name| **name == id).count();
        if named > 1 { Err(error(path, "", Mistake::Duplicate(id.to_owned()))) } else { Ok(()) }
    }

    /// Siblings draw on one budget; where profiles differ, the smaller holds.
    fn budget(&mut self, path: &str, channels: &[ChannelIdx], rate: Option<f64>) -> Result<(), CatalogError> {
        let Some(rate) = rate else { return Ok(()) };
        if !rate.is_finite() || rate <= 0.0 {
            return Err(error(path, "requests_per_second", Mistake::NotAnAmount(rate.to_string())));
        }
        let rate = rate / f64::from(self.catalog.workers);
        let known = channels.iter().find_map(|channel| self.catalog.channels[channel.index()].budget);
        let budget = match known {
            Some(budget) => {
                let held = &mut self.catalog.budgets[usize::from(budget)];
                *held = held.min(rate);
                budget
            }
            None => {
                // No more budgets than channels, and those were counted.
                let budget = u16::try_from(self.catalog.budgets.len()).unwrap_or(u16::MAX);
                self.catalog.budgets.push(rate);
                budget
            }
        };
        channels.iter().for_each(|channel| self.catalog.channels[channel.index()].budget = Some(budget));
        Ok(())
    }

    fn network(&mut self, chain_id: u64) -> u16 {
        let known = self.catalog.networks.iter().position(|&known| known == chain_id);
        let index = known.unwrap_or_else(|| {
            self.catalog.networks.push(chain_id);
            self.catalog.networks.len() - 1
        });
        // No more networks than chains, and those were counted.
        u16::try_from(index).unwrap_or(u16::MAX)
    }
}

fn error(path: &str, field: &str, mistake: Mistake) -> CatalogError {
    let path = if field.is_empty() { path.to_owned() } else { format!("{path}.{field}") };
    CatalogError { path, mistake }
}

fn countable(path: &str, count: usize, least: usize) -> Result<(), CatalogError> {
    if count < least {
        return Err(error(path, "", Mistake::Empty));
    }
    if count > usize::from(u16::MAX) { Err(error(path, "", Mistake::TooMany(count))) } else { Ok(()) }
}

fn at_least(path: &str, number: u64, least: u64) -> Result<(), CatalogError> {
    if number >= least {
        return Ok(());
    }
    Err(error(path, "", Mistake::TooSmall { is: number.to_string(), at_least: least }))
}

fn numbers_of_chain(path: &str, spec: &ChainSpec) -> Result<(), CatalogError> {
    at_least(&format!("{path}.chain_id"), spec.chain_id, 1)?;
    at_least(&format!("{path}.block_time_ms"), u64::from(spec.block_time_ms.unwrap_or(1)), 1)?;
    let breaker = &spec.breaker;
    at_least(&format!("{path}.breaker.failures"), u64::from(breaker.failures), 1)?;
    at_least(&format!("{path}.breaker.successes"), u64::from(breaker.successes), 1)?;
    at_least(&format!("{path}.breaker.recovery_min_ms"), u64::from(breaker.recovery_min_ms), 1)?;
    at_least(
        &format!("{path}.breaker.recovery_max_ms"),
        u64::from(breaker.recovery_max_ms),
        u64::from(breaker.recovery_min_ms),
    )
}

/// Names stand in paths, lists and logs.
fn name(path: &str, name: &str, reserved: &[&str]) -> Result<(), CatalogError> {
    if name.is_empty() {
        return Err(error(path, "", Mistake::Empty));
    }
    if reserved.contains(&name) {
        return Err(error(path, "", Mistake::Reserved(name.to_owned())));
    }
    // A channel's id has slashes; it never stands in a path.
    let slashes = !path.starts_with("channels[");
    if name
        .chars()
        .any(|c| c.is_whitespace() || c.is_control() || matches!(c, ',' | '?' | '#') || (slashes && c == '/'))
    {
        return Err(error(path, "", Mistake::BadName(name.to_owned())));
    }
    Ok(())
}

fn sendable(path: &str, spec: &ChannelSpec) -> Result<(), CatalogError> {
    let clean = |text: &str| !text.bytes().any(|byte| byte.is_ascii_control() || byte == 0x7f);
    if spec.cluster.is_empty() || !clean(&spec.cluster) {
        return Err(error(
            path,
            "cluster",
            Mistake::Unsendable("a cluster's name is needed, without control characters"),
        ));
    }
    if spec.authority.is_empty() || !clean(&spec.authority) {
        return Err(error(path, "authority", Mistake::Unsendable("a host is needed, without control characters")));
    }
    // The mistake does not repeat the path: it may hold a key.
    if !spec.path.starts_with('/') || !clean(&spec.path) || spec.path.contains(' ') {
        return Err(error(
            path,
            "path",
            Mistake::Unsendable("must start with / and have no spaces or control characters"),
        ));
    }
    for (header, value) in &spec.headers {
        let token = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.!#$&'*+^`|~%".contains(&byte);
        if header.is_empty() || !header.bytes().all(token) || !clean(value) {
            let field = format!("headers[{header}]");
            return Err(error(
                path,
                &field,
                Mistake::Unsendable("not a header: a lower-case name and a printable value"),
            ));
        }
    }
    Ok(())
}

fn method_rules(path: &str, spec: &MethodRulesSpec) -> Result<MethodRules, CatalogError> {
    at_least(&format!("{path}.broadcast"), u64::from(spec.broadcast), 1)?;
    for (glob, &timeout) in &spec.timeouts_ms {
        at_least(&format!("{path}.timeouts_ms[{glob}]"), u64::from(timeout), 1)?;
    }
    let mut strategies = Vec::with_capacity(spec.strategies.len());
    for (glob, strategy) in &spec.strategies {
        let named = Strategy::named(strategy)
            .ok_or_else(|| error(path, &format!("strategies[{glob}]"), Mistake::UnknownStrategy(strategy.clone())))?;
        strategies.push((glob.as_str().into(), named));
    }
    Ok(MethodRules::new(spec, strategies))
}

fn prices(path: &str, cost: Option<&CostSpec>) -> Result<(), CatalogError> {
    let check = |field: String, price: f64| {
        if price.is_finite() && price >= 0.0 {
            return Ok(());
        }
        Err(error(path, &field, Mistake::NotAnAmount(price.to_string())))
    };
    match cost {
        None => Ok(()),
        Some(CostSpec::Flat(price)) => check("cost".to_owned(), *price),
        Some(CostSpec::ByMethod(prices)) => {
            prices.iter().try_for_each(|(glob, &price)| check(format!("cost[{glob}]"), price))
        }
    }
}
