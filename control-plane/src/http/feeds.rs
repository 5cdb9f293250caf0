//! The feeds of subscriptions: `GET /api/feeds`.
//!
//! Leaves to others: which of them (`wanted`).

mod wanted;

use axum::Json;
use axum::extract::State;
use lasso_hub::FeedRow;
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::fleet::Answer;
use super::problem::ErrorBody;
use wanted::Wanted;

/// Feeds, and how many clients' sockets there are.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Feeds {
    /// Clients' sockets that are open, whatever was asked for.
    sockets: u64,
    /// Subscriptions of theirs, whatever was asked for.
    subscriptions: u64,
    feeds: Vec<Feed>,
}

/// One upstream subscription that many clients share. Ages are in milliseconds.
#[derive(Debug, Serialize, ToSchema)]
struct Feed {
    /// Profile whose feed it is, the first of those that share it.
    profile: String,
    chain: String,
    /// The only provider that it may live on, when the client named one.
    provider: Option<String>,
    /// `newHeads`, `logs`, `newPendingTransactions` or `syncing`.
    kind: &'static str,
    /// The params of its `eth_subscribe`, as JSON.
    params: String,
    /// `opening`, `live`, `filling`, `lost` or `lingering`.
    state: &'static str,
    /// Where it lives.
    channel: Option<String>,
    subscribers: usize,
    /// Since when it lives there.
    bound_for_ms: Option<u64>,
    last_event_age_ms: Option<u64>,
    /// The newest block that was delivered.
    head: Option<u64>,
    /// Events that wait for something missing.
    buffered: usize,
    /// Gaps that were closed.
    fills: u64,
    /// Events that were fetched.
    filled: u64,
    /// How often it moved.
    failovers: u64,
    /// Events that had been delivered before.
    duplicates: u64,
    /// Events that were of no use.
    ignored: u64,
    /// Events that were delivered, each counted once.
    delivered: u64,
}

impl From<FeedRow> for Feed {
    fn from(row: FeedRow) -> Self {
        Self {
            profile: row.profile.to_string(),
            chain: row.chain.to_string(),
            provider: row.provider.map(|provider| provider.to_string()),
            kind: row.kind,
            params: row.params,
            state: row.state.name(),
            channel: row.channel.map(|channel| channel.to_string()),
            subscribers: row.subscribers,
            bound_for_ms: row.bound_for_ms,
            last_event_age_ms: row.last_event_age_ms,
            head: row.head,
            buffered: row.buffered,
            fills: row.fills,
            filled: row.filled,
            failovers: row.failovers,
            duplicates: row.duplicates,
            ignored: row.ignored,
            delivered: row.delivered,
        }
    }
}

/// The feeds that there are, and whom they serve.
#[utoipa::path(get, path = "/api/feeds", tag = "fleet", params(Wanted),
    responses((status = 200, body = Feeds), (status = 404, body = ErrorBody)))]
pub(super) async fn feeds(State(api): State<Api>, wanted: Wanted) -> Answer<Feeds> {
    let hub = api.facts.counters().hub;
    let feeds = wanted.of(api.facts.feeds().await, &api).await?;
    let feeds = feeds.into_iter().map(Feed::from).collect();
    Ok(Json(Feeds { sockets: hub.sockets, subscriptions: hub.subscriptions, feeds }))
}
