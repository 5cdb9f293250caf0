//! Calls that came by WebSocket, over HTTP to Envoy's own listener: one way of routing for both.
//!
//! Duty: send a call on, give its answer back, or say why there is none.
//! Invariant: bounded: [`MOST`] under way for all clients together, the others wait; [`PATIENCE`] each, the wait included; answers of
//! [`MOST_BYTES`]. An answer longer than [`LONG`] waits for the one before it to be with its client, so that a socket holds one at most.
//! Leaves to others: what a call is (`session`), how it is served (Envoy and the filter).

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::budget::{Budget, Held};

/// Under way at once, for all clients.
const MOST: usize = 1_024;
/// Connections to Envoy that wait for the next call.
const MOST_IDLE: usize = 64;
/// They are given up before Envoy would, so that no call meets a connection that is being closed.
const IDLE: Duration = Duration::from_secs(30);
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// Longer than Envoy's: what it says of a late call is more than we know.
const PATIENCE: Duration = Duration::from_secs(180);
/// Longest answer.
pub(crate) const MOST_BYTES: usize = 64 * 1024 * 1024;
/// Longer answers go one at a time.
const LONG: usize = 1024 * 1024;

/// How calls are sent on. Clones share connections.
#[derive(Debug, Clone)]
pub(crate) struct Calls {
    client: Client<HttpConnector, Full<Bytes>>,
    seats: Arc<Semaphore>,
    budget: Budget,
}

/// A call, or a batch.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    /// `host:port` of Envoy's listener.
    pub(crate) to: &'a str,
    /// With its query.
    pub(crate) path: String,
    pub(crate) host: &'a str,
    pub(crate) body: Bytes,
    /// One permit: whoever has it may have a long answer.
    pub(crate) long: Arc<Semaphore>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Held until the client has it.
    pub(crate) kept: Kept,
}

/// What an answer takes up.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    held: Option<Held>,
    /// When it is a long one.
    long: Option<OwnedSemaphorePermit>,
}

/// Why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unanswered {
    /// It was never sent.
    #[error("could not be reached")]
    Unreached,
    /// It was sent, or may have been.
    #[error("broke off")]
    Broken,
    #[error("did not answer within {} s", PATIENCE.as_secs())]
    Late,
    #[error("gave an answer of more than {MOST_BYTES} bytes")]
    TooLong,
    /// The hub holds as much as it may.
    #[error("has no room for the answer")]
    NoRoom,
}

impl Calls {
    pub(crate) fn new(budget: Budget) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_PATIENCE));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(MOST_IDLE)
            .build(connector);
        Self { client, seats: Arc::new(Semaphore::new(MOST)), budget }
    }

    /// Sends a call on.
    pub(crate) async fn send<'a>(
        &self,
        call: Call<'_>,
        headers: impl Iterator<Item = (&'a HeaderName, &'a HeaderValue)>,
    ) -> Result<Answered, Unanswered> {
        let long = Arc::clone(&call.long);
        let request = request(call, headers).ok_or(Unanswered::Unreached)?;
        let exchange = async {
            // The semaphore is never closed.
            let _seat = self.seats.acquire().await.map_err(|_| Unanswered::Unreached)?;
            let response = self.client.request(request).await;
            let response = response
                .map_err(|error| if error.is_connect() { Unanswered::Unreached } else { Unanswered::Broken })?;
            read(response, long, &self.budget).await
        };
        timeout(PATIENCE, exchange).await.map_err(|_| Unanswered::Late)?
    }
}

fn request<'a>(
    call: Call<'_>,
    headers: impl Iterator<Item = (&'a HeaderName, &'a HeaderValue)>,
) -> Option<Request<Full<Bytes>>> {
    let mut request = Request::post(format!("http://{}{}", call.to, call.path)).header(HOST, call.host);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    request.header(CONTENT_TYPE, "application/json").body(Full::new(call.body)).ok()
}

async fn read(response: Response<Incoming>, long: Arc<Semaphore>, budget: &Budget) -> Result<Answered, Unanswered> {
    let (head, mut body) = response.into_parts();
    let told = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if told > MOST_BYTES {
        return Err(Unanswered::TooLong);
    }
    let mut kept = Kept::default();
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Unanswered::Broken)?.into_data() else { continue };
        let length = whole.len() + first.len() + data.len();
        if length > MOST_BYTES {
            return Err(Unanswered::TooLong);
        }
        if length.max(told) > LONG && kept.long.is_none() {
            kept.long = Some(Arc::clone(&long).acquire_owned().await.map_err(|_| Unanswered::Broken)?);
        }
        if !budget.add(&mut kept.held, data.len()) {
            return Err(Unanswered::NoRoom);
        }
        // Most answers are one piece, and need no copy.
        if whole.is_empty() && first.is_empty() {
            first = data;
            continue;
        }
        if whole.is_empty() {
            whole.reserve(told.max(length));
            whole.extend_from_slice(&std::mem::take(&mut first));
        }
        whole.extend_from_slice(&data);
    }
    let body = if whole.is_empty() { first } else { whole.freeze() };
    Ok(Answered { status: head.status.as_u16(), headers: head.headers, body, kept })
}
