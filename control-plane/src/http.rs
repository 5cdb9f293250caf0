//! The API on `listen.http`: what the fleet knows, as JSON and for Prometheus, and what a person may change.
//!
//! Duty: routes, answers, limits.
//! Invariant: bounded: connections, the length of heads and bodies, the time of a request, viewers. Nothing here is on the request path of clients.
//! No answer holds a secret.
//! Leaves to others: knowing (`facts`), who may ask (`guard`), the wire (`connections`).

mod admin;
mod connections;
pub(crate) mod facts;
mod feeds;
mod fleet;
pub(crate) mod guard;
mod live;
mod openapi;
mod past;
mod problem;
mod process;
mod query;
mod rows;
mod scope;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Uri, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use lasso_routing::fleet::view::View;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use crate::events::Bus;
use crate::metrics::Metrics;
use facts::Facts;
use guard::Guard;
pub(crate) use openapi::document;
use problem::Problem;

/// How long the store may take to answer.
const STORE_PATIENCE: Duration = Duration::from_secs(2);
/// How long a request may take; a reload is the longest.
const PATIENCE: Duration = Duration::from_secs(30);

/// What every handler has.
#[derive(Clone)]
struct Api {
    facts: Arc<dyn Facts>,
    bus: Bus,
    guard: Guard,
    metrics: Arc<Metrics>,
    /// A permit for each viewer more.
    viewers: Arc<Semaphore>,
    /// Turns true when streams must end.
    drain: watch::Receiver<bool>,
    started: Instant,
}

impl Api {
    fn new(facts: Arc<dyn Facts>, bus: Bus, guard: Guard, drain: watch::Receiver<bool>) -> Self {
        Self {
            facts,
            bus,
            guard,
            metrics: Arc::default(),
            viewers: Arc::new(Semaphore::new(live::MOST_VIEWERS)),
            drain,
            started: Instant::now(),
        }
    }

    async fn view(&self) -> Result<Arc<View>, Problem> {
        let view = tokio::time::timeout(STORE_PATIENCE, self.facts.view()).await;
        view.ok().flatten().ok_or_else(Problem::unavailable)
    }
}

/// Serves until `drain` turns true, and then until what was asked is answered.
pub(crate) async fn serve(
    listener: TcpListener,
    facts: Arc<dyn Facts>,
    bus: Bus,
    guard: Guard,
    drain: watch::Receiver<bool>,
) {
    let api = Api::new(facts, bus, guard, drain.clone());
    connections::serve(listener, router(api), drain).await;
}

/// Every route. The OpenAPI document has the same ones.
fn routes() -> [(&'static str, MethodRouter<Api>); 19] {
    [
        ("/metrics", get(process::metrics)),
        ("/api/admin/breakers/{*path}", post(admin::breaker)),
        ("/api/admin/reload", post(admin::reload)),
        ("/api/breakers", get(fleet::breakers)),
        ("/api/chains", get(fleet::chains)),
        ("/api/chains/{chain}", get(fleet::chain)),
        ("/api/config", get(process::config)),
        ("/api/envoys", get(process::envoys)),
        ("/api/events", get(live::events)),
        ("/api/feeds", get(feeds::feeds)),
        ("/api/heads/{chain}", get(fleet::heads)),
        ("/api/health", get(process::health)),
        ("/api/history", get(past::history)),
        ("/api/history/leaderboard", get(past::leaderboard)),
        ("/api/leaderboard", get(fleet::leaderboards)),
        ("/api/leaderboard/{chain}", get(fleet::leaderboard)),
        ("/api/openapi.json", get(openapi::openapi)),
        ("/api/providers/{provider}", get(fleet::provider)),
        ("/api/ready", get(process::ready)),
    ]
}

fn router(api: Api) -> Router {
    let router = routes().into_iter().fold(Router::new(), |router, (path, route)| {
        router.route(path, route.fallback(|| async { Problem::wrong_method() }))
    });
    router
        .fallback(|uri: Uri| async move { Problem::no_such_path(uri.path()) })
        .layer(from_fn_with_state(api.clone(), admitted))
        .with_state(api)
}

/// Around every request: who asks, how long it takes, and what a browser may do with the answer.
async fn admitted(State(api): State<Api>, request: Request, next: Next) -> Response {
    let answer = match api.guard.admit(request.method(), request.headers()) {
        // The body of a stream goes on after this.
        Ok(()) => tokio::time::timeout(PATIENCE, next.run(request)).await,
        Err(problem) => Ok(problem.into_response()),
    };
    let mut response = answer.unwrap_or_else(|_| Problem::timed_out().into_response());
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests;
