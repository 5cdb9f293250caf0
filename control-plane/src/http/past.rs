//! What was: `GET /api/history`.
//!
//! Duty: the way to [`crate::history`]. Invariant: a history that is busy, or not there yet, says so.
//! Leaves to others: the rows and their bounds (`history`).

mod wanted;

use axum::Json;
use axum::extract::State;

use super::Api;
use super::fleet::Answer;
use super::problem::{ErrorBody, Problem};
use crate::history::{Hours, Past, Unanswered};
use wanted::Wanted;

impl From<Unanswered> for Problem {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::Busy => Self::timed_out(),
            Unanswered::Unreadable => Self::unavailable(),
        }
    }
}

/// What happened in the last day, minute by minute.
#[utoipa::path(get, path = "/api/history", tag = "fleet", params(Wanted),
    responses((status = 200, body = Past), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(super) async fn history(State(api): State<Api>, wanted: Wanted) -> Answer<Past> {
    let (history, question) = wanted.question(&api).await?;
    Ok(Json(history.past(question).await?))
}

/// The leaderboards of the last week, hour by hour. There are none without a `data_dir`.
#[utoipa::path(get, path = "/api/history/leaderboard", tag = "fleet", params(Wanted),
    responses((status = 200, body = Hours), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(super) async fn leaderboard(State(api): State<Api>, wanted: Wanted) -> Answer<Hours> {
    let (history, question) = wanted.question(&api).await?;
    Ok(Json(history.hours(question).await?))
}
