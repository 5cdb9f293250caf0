//! The way out.
//!
//! Duty: one HTTP request to Envoy, or to the provider where `probe_via` says so or nobody listens at `listen.rpc` (a mesh, where the listener is the
//! operator's).
//! Invariants: a silent provider is given up after [`PATIENCE`], by the filter where there is one; a silent Envoy a little later, and then nothing is said
//! about the provider. Past Envoy without having been told to, failures count only while that way is known to work: who lets Envoy out need not let us out.
//! Bounds: [`MOST_BYTES`] of an answer; idle connections end after a minute.
//! Leaves to others: reading the answer (`found`).

use std::sync::Mutex;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{HeaderMap, Request, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use lasso_routing::fleet::event::{Ask, Found};
use lasso_routing::report::Ending;
use lasso_routing::target::PROBE;
use rustls::ClientConfig;
use tokio::time::timeout;

use super::ask::Question;
use super::found::{self, Answer};
use super::routes::Route;
use crate::config::ProbeVia;

/// How long a provider may take; the filter's deadline for probes is the same.
const PATIENCE: Duration = Duration::from_secs(5);
/// What Envoy gets beyond it.
const ENVOYS_OWN: Duration = Duration::from_secs(1);
const CONNECT: Duration = Duration::from_secs(1);
const MOST_BYTES: usize = 4 * 1024 * 1024;
/// How long an answer shows that our own way out works.
const WAY_OUT_WORKS: Duration = Duration::from_secs(60);

/// Clients of both ways.
#[derive(Debug)]
pub(crate) struct Dialler {
    via: ProbeVia,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    /// When a provider last answered us directly.
    way_out: Mutex<Option<Instant>>,
}

/// Why there is no answer.
enum Lost {
    /// Nobody took the connection.
    Unreached,
    /// It broke, or what came was no HTTP or too much.
    Broken,
    Silent,
}

struct Raw {
    status: u16,
    retry_after: Option<String>,
    body: Bytes,
}

impl Dialler {
    /// `tls`: how providers are checked, as Envoy does it.
    pub(crate) fn new(via: ProbeVia, tls: ClientConfig) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(CONNECT));
        tcp.set_nodelay(true);
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(60))
            .build(connector);
        Self { via, client, way_out: Mutex::new(None) }
    }

    /// Asks, and says what was found.
    pub(super) async fn ask(&self, route: &Route, ask: &Ask) -> Found {
        let question = Question::of(ask);
        let envoy = match &self.via {
            ProbeVia::Direct => return self.directly(route, ask, &question).await,
            ProbeVia::Ours(address) => address.to_string(),
            ProbeVia::Named(address) => address.clone(),
        };
        match self.through(&envoy, route, &question).await {
            Ok(raw) => found::through_envoy(ask, &route.channel, raw.status, &raw.body),
            Err(Lost::Unreached) if matches!(self.via, ProbeVia::Ours(_)) => self.directly(route, ask, &question).await,
            Err(Lost::Unreached | Lost::Broken | Lost::Silent) => Found::NotSent,
        }
    }

    async fn through(&self, envoy: &str, route: &Route, question: &Question) -> Result<Raw, Lost> {
        // Without the word it would be a client's request, and count as one.
        let token = route.token.as_ref().and_then(|token| HeaderValue::from_str(token.as_str()).ok());
        let mut token = token.ok_or(Lost::Broken)?;
        token.set_sensitive(true);
        let address = format!("http://{envoy}{}", route.pinned).parse().map_err(|_| Lost::Broken)?;
        let headers = HeaderMap::from_iter([(HeaderName::from_static(PROBE), token)]);
        self.post(address, headers, question, PATIENCE + ENVOYS_OWN).await
    }

    async fn directly(&self, route: &Route, ask: &Ask, question: &Question) -> Found {
        let lost = match self.post(route.address.clone(), route.headers.clone(), question, PATIENCE).await {
            Ok(raw) => {
                *self.way_out() = Some(Instant::now());
                let answer = Answer { status: raw.status, retry_after: raw.retry_after.as_deref(), body: &raw.body };
                return found::directly(ask, &question.method, &answer, &route.rules);
            }
            Err(lost) => lost,
        };
        if self.via != ProbeVia::Direct && self.way_out().is_none_or(|worked| worked.elapsed() > WAY_OUT_WORKS) {
            return Found::NotSent;
        }
        match lost {
            Lost::Unreached | Lost::Broken => found::ended(ask, Ending::Network),
            Lost::Silent => found::ended(ask, Ending::Timeout),
        }
    }

    fn way_out(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.way_out.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    async fn post(&self, to: Uri, headers: HeaderMap, question: &Question, patience: Duration) -> Result<Raw, Lost> {
        let mut request = Request::post(to).body(Full::from(question.body())).map_err(|_| Lost::Broken)?;
        *request.headers_mut() = headers;
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let exchange = async {
            let response = self.client.request(request).await.map_err(|error| lost(&error))?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, MOST_BYTES).collect().await.map_err(|_| Lost::Broken)?;
            let retry_after = head.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()).map(str::to_owned);
            Ok(Raw { status: head.status.as_u16(), retry_after, body: body.to_bytes() })
        };
        timeout(patience, exchange).await.unwrap_or(Err(Lost::Silent))
    }
}

fn lost(error: &Error) -> Lost {
    if error.is_connect() { Lost::Unreached } else { Lost::Broken }
}
