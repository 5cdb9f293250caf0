//! What is known of chains, channels and providers: `GET /api/chains` and its like.
//!
//! Invariant: one view answers a request, so that its parts agree.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use lasso_routing::fleet::event::Health;
use lasso_routing::fleet::view::{ChainView, ChannelStatus};
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::problem::{ErrorBody, Problem};
use super::rows::{self, Breaker, Chain, Channel, Head, Standing};
use super::scope::{Checked, Scope};

/// An answer, or why there is none.
pub(super) type Answer<T> = Result<Json<T>, Problem>;

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Chains {
    /// Of the catalog in force.
    generation: String,
    region: String,
    chains: Vec<Chain>,
}

/// Every chain of every profile, with its channels.
#[utoipa::path(get, path = "/api/chains", tag = "fleet", params(Scope),
    responses((status = 200, body = Chains), (status = 404, body = ErrorBody)))]
pub(super) async fn chains(State(api): State<Api>, scope: Scope) -> Answer<Chains> {
    let view = api.view().await?;
    let scope = scope.check(&view, api.bus.region())?;
    let chains = scope.chains().map(|chain| Chain::of(&view, chain, |status| scope.has_channel(status)));
    Ok(Json(Chains {
        generation: view.generation.to_string(),
        region: api.bus.region().to_string(),
        chains: chains.collect(),
    }))
}

/// One chain, by its name or its number.
#[utoipa::path(get, path = "/api/chains/{chain}", tag = "fleet", params(Scope, ("chain" = String, Path)),
    responses((status = 200, body = Chain), (status = 404, body = ErrorBody)))]
pub(super) async fn chain(State(api): State<Api>, Path(named): Path<String>, scope: Scope) -> Answer<Chain> {
    let view = api.view().await?;
    let scope = scope.check(&view, api.bus.region())?;
    let chain = scope.chain(&named)?;
    Ok(Json(Chain::of(&view, chain, |status| scope.has_channel(status))))
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Leaderboards {
    region: String,
    chains: Vec<Leaderboard>,
}

/// Who does best at what.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Leaderboard {
    profile: String,
    chain: String,
    chain_id: u64,
    region: String,
    /// Only methods that were asked for.
    methods: Vec<MethodBoard>,
}

#[derive(Debug, Serialize, ToSchema)]
struct MethodBoard {
    /// Method class.
    method: &'static str,
    /// By rank.
    standings: Vec<Standing>,
}

/// The leaderboards of all chains.
#[utoipa::path(get, path = "/api/leaderboard", tag = "fleet", params(Scope),
    responses((status = 200, body = Leaderboards), (status = 404, body = ErrorBody)))]
pub(super) async fn leaderboards(State(api): State<Api>, scope: Scope) -> Answer<Leaderboards> {
    let view = api.view().await?;
    let scope = scope.check(&view, api.bus.region())?;
    let chains = scope.chains().map(|chain| board(&scope, chain, api.bus.region()));
    Ok(Json(Leaderboards { region: api.bus.region().to_string(), chains: chains.collect() }))
}

/// The leaderboard of one chain.
#[utoipa::path(get, path = "/api/leaderboard/{chain}", tag = "fleet", params(Scope, ("chain" = String, Path)),
    responses((status = 200, body = Leaderboard), (status = 404, body = ErrorBody)))]
pub(super) async fn leaderboard(
    State(api): State<Api>,
    Path(named): Path<String>,
    scope: Scope,
) -> Answer<Leaderboard> {
    let view = api.view().await?;
    let scope = scope.check(&view, api.bus.region())?;
    Ok(Json(board(&scope, scope.chain(&named)?, api.bus.region())))
}

fn board(scope: &Checked<'_>, chain: &ChainView, region: &str) -> Leaderboard {
    let mut methods: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for row in scope.rows(chain) {
        if let Some(status) = scope.view.channels.get(row.channel) {
            methods.entry(row.class).or_default().push((row, status));
        }
    }
    let methods = methods.into_iter().map(|(class, mut rows)| {
        rows.sort_by_key(|(row, _)| row.rank);
        let standings = rows.into_iter().map(|(row, status)| Standing::of(row, status));
        MethodBoard { method: class.name(), standings: standings.collect() }
    });
    Leaderboard {
        profile: chain.profile.to_string(),
        chain: chain.chain.to_string(),
        chain_id: chain.chain_id,
        region: region.to_owned(),
        methods: methods.collect(),
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Breakers {
    breakers: Vec<SharedBreaker>,
}

/// A channel's breaker and mark: of all profiles that use it.
#[derive(Debug, Serialize, ToSchema)]
struct SharedBreaker {
    #[serde(flatten)]
    breaker: Breaker,
    used_by: Vec<User>,
}

/// Who has a channel, and under which name.
#[derive(Debug, Serialize, ToSchema)]
struct User {
    profile: String,
    chain: String,
    provider: String,
}

/// Breakers, marks and what people said about them.
#[utoipa::path(get, path = "/api/breakers", tag = "fleet", params(Scope),
    responses((status = 200, body = Breakers), (status = 404, body = ErrorBody)))]
pub(super) async fn breakers(State(api): State<Api>, scope: Scope) -> Answer<Breakers> {
    let view = api.view().await?;
    let scope = scope.check(&view, api.bus.region())?;
    let mut users: BTreeMap<usize, Vec<User>> = BTreeMap::new();
    for chain in scope.chains() {
        for (channel, provider) in &chain.members {
            users.entry(*channel).or_default().push(User {
                profile: chain.profile.to_string(),
                chain: chain.chain.to_string(),
                provider: provider.to_string(),
            });
        }
    }
    let breakers = users.into_iter().filter_map(|(channel, used_by)| {
        let status = view.channels.get(channel).filter(|status| scope.has_channel(status))?;
        Some(SharedBreaker { breaker: Breaker::of(status), used_by })
    });
    Ok(Json(Breakers { breakers: breakers.collect() }))
}

/// Who has which block of a chain.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Heads {
    profile: String,
    chain: String,
    chain_id: u64,
    best_head: Option<u64>,
    block_time_ms: u64,
    block_time_measured: bool,
    max_lag_blocks: u64,
    channels: Vec<ChannelHead>,
}

#[derive(Debug, Serialize, ToSchema)]
struct ChannelHead {
    channel: String,
    provider: String,
    #[serde(flatten)]
    head: Head,
}

/// Heads and lag of one chain.
#[utoipa::path(get, path = "/api/heads/{chain}", tag = "fleet", params(Scope, ("chain" = String, Path)),
    responses((status = 200, body = Heads), (status = 404, body = ErrorBody)))]
pub(super) async fn heads(State(api): State<Api>, Path(named): Path<String>, scope: Scope) -> Answer<Heads> {
    let view = api.view().await?;
    let scope = scope.check(&view, api.bus.region())?;
    let chain = scope.chain(&named)?;
    let channels = rows::members(&view, chain).filter(|(status, _)| scope.has_channel(status));
    let channels = channels.map(|(status, provider)| ChannelHead {
        channel: status.channel.to_string(),
        provider: provider.to_owned(),
        head: Head::of(status),
    });
    Ok(Json(Heads {
        profile: chain.profile.to_string(),
        chain: chain.chain.to_string(),
        chain_id: chain.chain_id,
        best_head: chain.best_head,
        block_time_ms: chain.block_time.0,
        block_time_measured: chain.block_time_measured,
        max_lag_blocks: chain.max_lag,
        channels: channels.collect(),
    }))
}

/// A provider, wherever it is configured.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Provider {
    provider: String,
    /// `healthy` when all its channels are, `unhealthy` when none can serve, else `degraded`.
    health: &'static str,
    chains: Vec<ProviderChain>,
}

#[derive(Debug, Serialize, ToSchema)]
struct ProviderChain {
    profile: String,
    chain: String,
    chain_id: u64,
    channels: Vec<Channel>,
}

/// One provider, by its id.
#[utoipa::path(get, path = "/api/providers/{provider}", tag = "fleet", params(Scope, ("provider" = String, Path)),
    responses((status = 200, body = Provider), (status = 404, body = ErrorBody)))]
pub(super) async fn provider(State(api): State<Api>, Path(named): Path<String>, scope: Scope) -> Answer<Provider> {
    let view = api.view().await?;
    let scope = scope.check(&view, api.bus.region())?;
    let mut all: Vec<&ChannelStatus> = Vec::new();
    let mut chains = Vec::new();
    for chain in scope.chains() {
        let own = rows::members(&view, chain).filter(|(status, id)| *id == named && scope.has_channel(status));
        let own: Vec<_> = own.map(|(status, _)| status).collect();
        if !own.is_empty() {
            chains.push(ProviderChain {
                profile: chain.profile.to_string(),
                chain: chain.chain.to_string(),
                chain_id: chain.chain_id,
                channels: own.iter().map(|status| Channel::of(status, &named)).collect(),
            });
            all.extend(own);
        }
    }
    if all.is_empty() {
        let known = scope.chains().flat_map(|chain| rows::members(&view, chain).map(|(_, provider)| provider));
        return Err(Problem::unknown("unknown_provider", &named, known));
    }
    Ok(Json(Provider { provider: named, health: health(&all).name(), chains }))
}

fn health(channels: &[&ChannelStatus]) -> Health {
    if channels.iter().all(|status| status.health == Health::Healthy) {
        Health::Healthy
    } else if channels.iter().any(|status| rows::is_usable(status)) {
        Health::Degraded
    } else {
        Health::Unhealthy
    }
}
