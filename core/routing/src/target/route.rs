//! The route table: host and path to names that exist.

use std::borrow::Cow;

use super::error::echo;
use super::query::{Wishes, decoded};
use super::{Target, TargetError};
use crate::catalog::{Catalog, Chain, ChainIdx, ProfileIdx};
use crate::strategy::Strategy;

/// What the path (or the host) named.
#[derive(Debug)]
pub(super) struct Named<'a> {
    profile: ProfileIdx,
    chain: ChainIdx,
    strategy: Option<Strategy>,
    provider: Option<Cow<'a, str>>,
    websocket: bool,
}

/// The two trees that a path can be in.
fn tree(path: &str) -> Option<(&str, bool)> {
    let (rest, websocket) = match path.strip_prefix("/ws/rpc") {
        Some(rest) => (rest, true),
        None => (path.strip_prefix("/rpc")?, false),
    };
    (rest.is_empty() || rest.starts_with('/')).then_some((rest, websocket))
}

pub(super) fn named<'a>(catalog: &Catalog, host: &str, path: &'a str) -> Result<Named<'a>, TargetError> {
    let Some((rest, websocket)) = tree(path) else {
        let chain = if matches!(path, "" | "/") { catalog.chain_at_host(host) } else { None };
        let chain = chain.ok_or(TargetError::NotOurs)?;
        let profile = catalog.chain(chain).ok_or(TargetError::NotOurs)?.profile();
        return Ok(Named { profile, chain, strategy: None, provider: None, websocket: false });
    };
    // No route has more than five segments; a longer path is not worth a bigger array.
    let mut segments: [Cow<'a, str>; 6] = Default::default();
    let mut count = 0;
    for segment in rest.trim_matches('/').split('/').filter(|segment| !segment.is_empty()) {
        let Some(place) = segments.get_mut(count) else { return Err(no_such_route(path)) };
        *place = decoded(segment, "path")?;
        count += 1;
    }
    let segments = &mut segments[..count];
    let (profile_name, segments) = match segments {
        [word, name, rest @ ..] if word == "profile" => (&**name, rest),
        rest => (Catalog::PUBLIC, rest),
    };
    let profile = catalog.profile_named(profile_name).ok_or_else(|| unknown_profile(catalog, profile_name))?;
    let place = Place { catalog, profile, path };
    let (chain, strategy, provider) = place.names(segments)?;
    Ok(Named { profile, chain, strategy, provider, websocket })
}

/// Where in the tree we are.
#[derive(Debug, Clone, Copy)]
struct Place<'c, 'p> {
    catalog: &'c Catalog,
    profile: ProfileIdx,
    path: &'p str,
}

type Names<'a> = (ChainIdx, Option<Strategy>, Option<Cow<'a, str>>);

impl Place<'_, '_> {
    /// The part below the profile.
    fn names<'a>(&self, segments: &mut [Cow<'a, str>]) -> Result<Names<'a>, TargetError> {
        match segments {
            [chain] => Ok((self.chain(chain)?, None, None)),
            [word, provider, chain] if word == "provider" => {
                Ok((self.chain(chain)?, None, Some(std::mem::take(provider))))
            }
            [first, second] => {
                // A strategy's name beats `/{chain}/{provider}`.
                if let Some(strategy) = Strategy::named(first) {
                    return Ok((self.chain(second)?, Some(strategy), None));
                }
                if let Some(chain) = self.catalog.chain_named(self.profile, first) {
                    return Ok((chain, None, Some(std::mem::take(second))));
                }
                // Neither: say which of the two words the client most likely meant.
                match self.catalog.chain_named(self.profile, second) {
                    Some(_) => Err(unknown_strategy(first)),
                    None => Err(self.unknown_chain(first)),
                }
            }
            _ => Err(no_such_route(self.path)),
        }
    }

    fn chain(&self, name: &str) -> Result<ChainIdx, TargetError> {
        self.catalog.chain_named(self.profile, name).ok_or_else(|| self.unknown_chain(name))
    }

    fn unknown_chain(&self, name: &str) -> TargetError {
        let chains = self.catalog.profile(self.profile).map_or(&[][..], |profile| profile.chains());
        let ids = chains.iter().filter_map(|&chain| self.catalog.chain(chain)).map(Chain::id);
        TargetError::UnknownChain { name: echo(name), exist: list(ids) }
    }
}

impl Named<'_> {
    /// Adds what query and headers wish for.
    pub(super) fn with(self, catalog: &Catalog, wishes: Wishes<'_>) -> Result<Target, TargetError> {
        let Some(chain) = catalog.chain(self.chain) else { return Err(TargetError::NotOurs) };
        let strategy = match &wishes.strategy {
            Some(name) => Some(Strategy::named(name).ok_or_else(|| unknown_strategy(name))?),
            None => self.strategy,
        };
        let provider = wishes.provider_by_query.or(self.provider).or(wishes.provider_by_header);
        let provider = match &provider {
            Some(name) => Some(provider_named(chain, name)?),
            None => None,
        };
        let mut exclude = Vec::new();
        for name in
            wishes.exclude.iter().flat_map(|list| list.split(',')).map(str::trim).filter(|name| !name.is_empty())
        {
            exclude.push(provider_named(chain, name)?);
        }
        Ok(Target {
            profile: self.profile,
            chain: self.chain,
            strategy,
            provider,
            transport: wishes.transport,
            exclude,
            max_lag_blocks: wishes.max_lag_blocks,
            allow_failover: wishes.allow_failover,
            include_meta: wishes.include_meta,
            websocket: self.websocket,
            probe: false,
        })
    }
}

fn provider_named(chain: &Chain, name: &str) -> Result<usize, TargetError> {
    chain.provider_named(name).ok_or_else(|| TargetError::UnknownProvider {
        name: echo(name),
        exist: list(chain.providers().iter().map(|provider| provider.id())),
    })
}

fn no_such_route(path: &str) -> TargetError {
    TargetError::NoSuchRoute { path: echo(path) }
}

fn unknown_strategy(name: &str) -> TargetError {
    TargetError::UnknownStrategy { name: echo(name), exist: list(Strategy::ALL.into_iter().map(Strategy::name)) }
}

fn unknown_profile(catalog: &Catalog, name: &str) -> TargetError {
    TargetError::UnknownProfile { name: echo(name), exist: list(catalog.profiles().iter().map(|profile| profile.id())) }
}

/// Most names that an error lists.
const MOST_LISTED: usize = 50;

fn list<'n>(names: impl Iterator<Item = &'n str>) -> Vec<String> {
    names.take(MOST_LISTED).map(str::to_owned).collect()
}
