//! What a person may change: `POST /api/admin/...`.
//!
//! Invariant: nothing here runs before the guard has admitted it; what a person did is logged, who it was is not known here.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use lasso_routing::fleet::event::Manual;
use serde::Serialize;
use tracing::info;
use utoipa::ToSchema;

use super::Api;
use super::facts::Reloaded;
use super::fleet::Answer;
use super::problem::{ErrorBody, Problem};

/// What came of a reload.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReloadAnswer {
    /// Now in force, or on its way to the Envoys: `GET /api/envoys` shows how far.
    generation: String,
    /// Whether it is another one than before.
    changed: bool,
}

/// Reads the configuration again. One with a mistake changes nothing, and the answer names the mistakes.
#[utoipa::path(post, path = "/api/admin/reload", tag = "admin", security(("token" = [])),
    responses((status = 200, body = ReloadAnswer), (status = 401, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(super) async fn reload(State(api): State<Api>, headers: HeaderMap) -> Answer<ReloadAnswer> {
    api.guard.admit_admin(&headers)?;
    info!("reload asked for by the admin API");
    match api.facts.reload().await {
        Reloaded::Accepted { generation, changed } => Ok(Json(ReloadAnswer { generation, changed })),
        Reloaded::Refused { problems } => Err(Problem::config_refused(&problems)),
    }
}

/// What is now said about a breaker.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BreakerAnswer {
    channel: String,
    /// `open`, `close` or `auto`.
    manual: &'static str,
}

/// Opens or closes a breaker until told otherwise, or leaves it to outcomes again (`auto`). The channel's id stands in the path as it is,
/// with its slashes (`/api/admin/breakers/ethereum/alchemy/http/open`), or with `%2F` for each.
#[utoipa::path(post, path = "/api/admin/breakers/{channel}/{decision}", tag = "admin", security(("token" = [])),
    params(("channel" = String, Path, description = "Channel, by its id; slashes stay as they are"),
           ("decision" = String, Path, description = "open, close or auto")),
    responses((status = 200, body = BreakerAnswer), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(super) async fn breaker(
    State(api): State<Api>,
    Path(path): Path<String>,
    headers: HeaderMap,
) -> Answer<BreakerAnswer> {
    api.guard.admit_admin(&headers)?;
    let (channel, word) = path.rsplit_once('/').unwrap_or((&path, ""));
    let decisions = [Manual::Open, Manual::Close, Manual::Auto];
    let decision = decisions.into_iter().find(|decision| decision.name() == word);
    let decision = decision.ok_or_else(|| Problem::unknown("unknown_decision", word, decisions.map(Manual::name)))?;
    let view = api.view().await?;
    if !view.channels.iter().any(|status| *status.channel == *channel) {
        return Err(Problem::unknown("unknown_channel", channel, view.channels.iter().map(|status| &*status.channel)));
    }
    info!(channel, decision = decision.name(), "breaker decided by the admin API");
    if !api.facts.decide(channel.into(), decision).await {
        return Err(Problem::unavailable());
    }
    Ok(Json(BreakerAnswer { channel: channel.to_owned(), manual: decision.name() }))
}
