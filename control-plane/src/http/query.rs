//! What follows the question mark.
//!
//! Duty: read it as what a page takes. Invariant: what it does not take is an error that says what it does.
//! Leaves to others: what the names mean.

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::problem::Problem;

/// The query of a request, which `takes` these names.
pub(super) async fn query<T: DeserializeOwned, S: Send + Sync>(
    parts: &mut Parts,
    state: &S,
    takes: &str,
) -> Result<T, Problem> {
    let query = Query::<T>::from_request_parts(parts, state).await;
    query.map(|Query(read)| read).map_err(|wrong| Problem::bad_query(&wrong.body_text(), takes))
}
