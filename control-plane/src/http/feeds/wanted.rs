//! Which feeds a request asks for.
//!
//! Duty: the query. Invariant: a name that nothing has is an error that says what there is. Who names nothing needs no store.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use lasso_hub::FeedRow;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::http::Api;
use crate::http::problem::Problem;
use crate::http::query::query;
use crate::http::scope::Scope;

/// Which feeds.
#[derive(Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// A profile. A feed that several share is of the first of them.
    profile: Option<String>,
    /// A region. This control plane knows its own.
    region: Option<String>,
    /// A chain, by its name or its number; of every profile that has it, unless one is named.
    chain: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Wanted {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        query(parts, state, "profile, region and chain").await
    }
}

impl Wanted {
    /// Those of the feeds that were asked for.
    pub(super) async fn of(self, feeds: Vec<FeedRow>, api: &Api) -> Result<Vec<FeedRow>, Problem> {
        if self == Self::default() {
            return Ok(feeds);
        }
        let view = api.view().await?;
        let scope = Scope::of(self.profile, self.region);
        let scope = scope.check(&view, api.bus.region())?;
        let chains: Vec<_> = match &self.chain {
            Some(named) => scope.chains_named(named)?,
            None => scope.chains().collect(),
        };
        let is_wanted =
            |feed: &FeedRow| chains.iter().any(|chain| *chain.profile == *feed.profile && *chain.chain == *feed.chain);
        Ok(feeds.into_iter().filter(is_wanted).collect())
    }
}
