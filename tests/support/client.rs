//! A JSON-RPC client that hides nothing.
//!
//! Duty: send these bytes, give back status, headers and bytes as they came; pooled like a real client.
//! Invariant: every exchange ends within a minute. Leaves to others: what the bytes should have been.

use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Method, Request};
use hyper_util::{
    client::legacy::{Client as Pool, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};

const LONGEST: Duration = Duration::from_secs(60);

/// A client; clones share its connections.
#[derive(Debug, Clone)]
pub struct Client {
    pool: Pool<HttpConnector, Full<Bytes>>,
    agent: Option<&'static str>,
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Answered {
    /// HTTP status.
    pub status: u16,
    /// All headers.
    pub headers: HeaderMap,
    /// The body, byte for byte.
    pub body: Bytes,
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

impl Client {
    /// Speaks HTTP/1.1.
    pub fn new() -> Self {
        Self { pool: Pool::builder(TokioExecutor::new()).build_http(), agent: None }
    }

    /// Speaks HTTP/2 without TLS from the first byte.
    pub fn http2() -> Self {
        Self { pool: Pool::builder(TokioExecutor::new()).http2_only(true).build_http(), agent: None }
    }

    /// Names itself, so that a provider can tell it from others ([`crate::Fault::for_agent`]).
    #[must_use]
    pub fn named(mut self, agent: &'static str) -> Self {
        self.agent = Some(agent);
        self
    }

    /// Any request.
    pub async fn send(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> anyhow::Result<Answered> {
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers.iter().copied().chain(self.agent.map(|agent| ("user-agent", agent))) {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(body.into()))?;
        let exchange = async {
            let response = self.pool.request(request).await?;
            let (head, body) = response.into_parts();
            let body = body.collect().await?.to_bytes();
            anyhow::Ok(Answered { status: head.status.as_u16(), headers: head.headers, body })
        };
        tokio::time::timeout(LONGEST, exchange)
            .await
            .with_context(|| format!("{url} did not answer within {LONGEST:?}"))?
            .with_context(|| format!("no whole answer from {url}"))
    }

    /// A JSON body as it stands.
    pub async fn post(&self, url: &str, body: impl Into<Bytes>) -> anyhow::Result<Answered> {
        self.send(Method::POST, url, &[("content-type", "application/json")], body).await
    }

    /// One call with id 1.
    pub async fn call(&self, url: &str, method: &str, params: Value) -> anyhow::Result<Answered> {
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        self.post(url, call.to_string()).await
    }

    /// A page by GET.
    pub async fn read(&self, url: &str) -> anyhow::Result<Answered> {
        self.send(Method::GET, url, &[], Bytes::new()).await
    }
}

impl Answered {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; `null` when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// `result` of a single reply.
    pub fn result(&self) -> Option<Value> {
        self.json().get("result").cloned()
    }

    /// `error` of a single reply.
    pub fn error(&self) -> Option<Value> {
        self.json().get("error").cloned()
    }

    /// `error.code` of a single reply.
    pub fn code(&self) -> Option<i64> {
        self.error()?.get("code")?.as_i64()
    }

    /// One header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}
