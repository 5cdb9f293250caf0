//! Which part of the past a request asks for.
//!
//! Duty: the query. Invariant: a chain that the configuration does not have is an error that says what there is.
//! Leaves to others: the rows and their bounds (`history`).

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use lasso_routing::catalog::Catalog;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::history::{History, Question};
use crate::http::Api;
use crate::http::problem::Problem;
use crate::http::query::query;

/// Which part of the past.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// A chain, by its name or its number.
    chain: String,
    /// A profile; `public` without it.
    profile: Option<String>,
    /// A method, or a method class such as `eth_getLogs<=10`.
    method: Option<String>,
    /// Seconds since 1970; a day ago without it.
    from: Option<u64>,
    /// Seconds since 1970; now without it.
    to: Option<u64>,
    /// Seconds that a row sums up; a minute without it, and at least. Leaderboards have none.
    resolution: Option<u64>,
}

impl<S: Send + Sync> FromRequestParts<S> for Wanted {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        query(parts, state, "chain, profile, method, from, to and resolution (times in seconds)").await
    }
}

impl Wanted {
    pub(super) async fn question(self, api: &Api) -> Result<(History, Question), Problem> {
        let history = api.facts.history().ok_or_else(Problem::unavailable)?;
        let view = api.view().await?;
        let profile = self.profile.unwrap_or_else(|| Catalog::PUBLIC.to_owned());
        let chains = || view.chains.iter().filter(|chain| *chain.profile == *profile);
        let named = self.chain;
        let found = chains().find(|chain| *chain.chain == *named || chain.chain_id.to_string() == named);
        let Some(chain) = found.map(|chain| chain.chain.to_string()) else {
            return Err(match chains().next() {
                Some(_) => Problem::unknown("unknown_chain", &named, chains().map(|chain| &*chain.chain)),
                None => Problem::unknown("unknown_profile", &profile, view.chains.iter().map(|chain| &*chain.profile)),
            });
        };
        let (from, to, resolution) = (self.from, self.to, self.resolution);
        Ok((history, Question { profile, chain, method: self.method, from, to, resolution }))
    }
}
