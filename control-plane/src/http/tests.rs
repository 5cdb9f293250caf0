mod events;
mod routes;

use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, StatusCode};
use axum::response::Response;
use serde_json::Value;
use tokio::sync::watch;
use tower::ServiceExt;

use super::*;
use crate::testing::fleet::FakeFacts;

const TOKEN: &str = "a-token-of-the-tests";

/// An API over a fleet that stands still.
struct Site {
    api: Api,
    facts: Arc<FakeFacts>,
    drain: watch::Sender<bool>,
}

impl Site {
    fn new(facts: FakeFacts, token: Option<&str>) -> Self {
        let (drain, draining) = watch::channel(false);
        let guard = Guard::new("127.0.0.1:18002".parse().unwrap(), token).unwrap();
        let facts = Arc::new(facts);
        let api = Api::new(Arc::clone(&facts) as Arc<dyn Facts>, Bus::new("eu"), guard, draining);
        Self { api, facts, drain }
    }

    async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Response {
        let request = Request::builder().method(method).uri(path).header("host", "localhost:18002");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        router(self.api.clone()).oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    async fn read(&self, path: &str) -> (StatusCode, Value) {
        json(self.ask(Method::GET, path, &[]).await).await
    }
}

async fn json(response: Response) -> (StatusCode, Value) {
    let status = response.status();
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or_else(|_| panic!("no JSON: {body:?}")))
}
