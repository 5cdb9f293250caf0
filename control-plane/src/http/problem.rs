//! What the API says when it cannot do what was asked.
//!
//! Invariant: JSON, `{"error": {"code", "message"}}`, with a code that does not change and a message that names what exists.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// An error answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    status: StatusCode,
    code: &'static str,
    message: String,
}

/// The body of an error answer.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorBody {
    error: ErrorDetail,
}

#[derive(Debug, Serialize, ToSchema)]
struct ErrorDetail {
    /// Does not change between versions.
    code: &'static str,
    /// For people.
    message: String,
}

/// Most names that a message lists.
const MOST_NAMES: usize = 50;

impl Problem {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    /// Something of a kind was named that does not exist; `known` are those that do.
    pub(crate) fn unknown<'a>(code: &'static str, named: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let mut names: Vec<&str> = known.into_iter().collect();
        names.sort_unstable();
        names.dedup();
        let more = names.len().saturating_sub(MOST_NAMES);
        names.truncate(MOST_NAMES);
        let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
        let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        let what = code.trim_start_matches("unknown_").replace('_', " ");
        let named: String = named.chars().take(64).collect();
        Self::new(StatusCode::NOT_FOUND, code, format!("no {what} `{named}`; there are: {known}{rest}"))
    }

    pub(crate) fn no_such_path(path: &str) -> Self {
        let path: String = path.chars().take(128).collect();
        let message = format!("nothing at `{path}`; GET /api/openapi.json lists what there is");
        Self::new(StatusCode::NOT_FOUND, "no_such_path", message)
    }

    pub(crate) fn wrong_method() -> Self {
        let message = "this path takes another method; GET /api/openapi.json says which";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "wrong_method", message)
    }

    /// `takes`: the names that there are.
    pub(crate) fn bad_query(wrong: &str, takes: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_query", format!("{wrong}; the query takes {takes}"))
    }

    pub(crate) fn bad_host() -> Self {
        let message =
            "this listens on a loopback address and answers to loopback names only: 127.0.0.1, [::1], localhost";
        Self::new(StatusCode::FORBIDDEN, "bad_host", message)
    }

    pub(crate) fn foreign_origin() -> Self {
        Self::new(StatusCode::FORBIDDEN, "foreign_origin", "a page of another origin may not do this")
    }

    pub(crate) fn unauthorized() -> Self {
        let message = "needs `Authorization: Bearer TOKEN` with the token of LASSO_ADMIN_TOKEN";
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
    }

    pub(crate) fn too_large(most: u64) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", format!("a request has {most} bytes at most"))
    }

    pub(crate) fn too_many_viewers(most: usize) -> Self {
        let message = format!("{most} viewers listen already; close one");
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_viewers", message)
    }

    pub(crate) fn unavailable() -> Self {
        let message = "the store does not answer now; GET /api/ready says what is missing";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
    }

    pub(crate) fn timed_out() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "timed_out", "it took too long; ask again")
    }

    pub(crate) fn config_refused(problems: &[String]) -> Self {
        let message = format!("nothing changed: {}", problems.join("; "));
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "config_refused", message)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = ErrorBody { error: ErrorDetail { code: self.code, message: self.message } };
        let mut response = (self.status, Json(body)).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
