//! The OpenAPI document, made from the handlers and the types of their answers.
//!
//! Invariant: it names every route and every event's payload; tests compare it with the routes.

use axum::Json;
use utoipa::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};

use super::{admin, feeds, fleet, live, past, process};
use crate::events;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Lasso control plane",
        description = "What the fleet knows, and what a person may change. Errors are `{\"error\": {\"code\", \"message\"}}`.",
        license(name = "Apache-2.0")
    ),
    paths(
        admin::breaker,
        admin::reload,
        feeds::feeds,
        fleet::breakers,
        fleet::chain,
        fleet::chains,
        fleet::heads,
        fleet::leaderboard,
        fleet::leaderboards,
        fleet::provider,
        live::events,
        openapi,
        past::history,
        past::leaderboard,
        process::config,
        process::envoys,
        process::health,
        process::metrics,
        process::ready,
    ),
    components(schemas(events::Told)),
    modifiers(&Token)
)]
struct Document;

struct Token;

impl utoipa::Modify for Token {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("LASSO_ADMIN_TOKEN; not needed where none is set and the listener is loopback"));
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(scheme.build()));
    }
}

/// The whole document.
pub(crate) fn document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

/// This document.
#[utoipa::path(get, path = "/api/openapi.json", tag = "process",
    responses((status = 200, content_type = "application/json", body = Object)))]
pub(super) async fn openapi() -> Json<utoipa::openapi::OpenApi> {
    Json(document())
}
