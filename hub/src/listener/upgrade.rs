//! An upgrade to WebSocket: taken, or refused in words of HTTP.
//!
//! Over HTTP/1.1 it is asked for with GET, over HTTP/2 with CONNECT (RFC 8441), which has neither a key nor words about the connection. Envoy leads either to us as
//! the latter, and passes on the key that its client sent, which wants its answer.
//! Invariant: what names nothing that exists is refused before the upgrade, with the status and the error that the same path has over HTTP. A socket that
//! is taken is counted until it ended.
//! No extension is agreed on, and no subprotocol.

use std::sync::Arc;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{
    CONNECTION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::http::request::Parts;
use hyper::upgrade::OnUpgrade;
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use lasso_routing::target::TargetError;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::{Hall, http2, plain};
use crate::session::{self, Head};
use crate::stream;
use crate::tally::{Close, Tally};

const VERSION: &str = "13";
/// A key is 16 bytes in base64.
const KEY_LENGTH: usize = 24;

/// Whether the client wants a WebSocket.
pub(super) fn is_wanted(headers: &HeaderMap) -> bool {
    has_word(headers, UPGRADE, "websocket")
}

/// Takes a socket in, or refuses it.
pub(super) fn answer(hall: &Hall, mut request: Request<Incoming>) -> Response<Full<Bytes>> {
    let accept = match admit(hall, request.headers(), request.uri(), Way::Upgrade) {
        Ok(accept) => accept,
        Err(refused) => return refused.response(hall),
    };
    let upgraded = hyper::upgrade::on(&mut request);
    let serve = upgraded_to(hall.clone(), accept.head, upgraded, accept.seat);
    tokio::spawn(hall.supervisor.outlive("client session", Box::pin(serve)));
    let mut response = plain(StatusCode::SWITCHING_PROTOCOLS, "");
    let headers = response.headers_mut();
    headers.remove(CONTENT_TYPE);
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    if let Some(key) = accept.key {
        headers.insert(SEC_WEBSOCKET_ACCEPT, key);
    }
    response
}

/// Takes in a socket that is a stream, and serves it, or refuses it.
pub(super) async fn connect(hall: Hall, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
    let (Parts { headers, uri, .. }, reading) = request.into_parts();
    let Accept { key, head, mut seat } = match admit(&hall, &headers, &uri, Way::Connect) {
        Ok(accept) => accept,
        Err(refused) => return http2::reply(Ok(refused.response(&hall)), respond).await,
    };
    // A session keeps what it needs.
    drop((headers, uri));
    let mut response = Response::new(());
    if let Some(key) = key {
        response.headers_mut().insert(SEC_WEBSOCKET_ACCEPT, key);
    }
    // The client may be gone.
    let Ok(writing) = respond.send_response(response, false) else { return };
    drop(respond);
    let (reading, writing) = stream::shared(reading, writing);
    seat.ended = session::serve(hall.shared, Arc::new(head), reading, writing, Bytes::new()).await;
    drop(hall.alive);
}

/// How a socket is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Upgrade,
    Connect,
}

struct Accept {
    /// What answers the client's key. A client of Envoy's that speaks HTTP/2 has none (RFC 8441).
    key: Option<HeaderValue>,
    head: Head,
    seat: Seat,
}

/// Why a socket is not taken in.
enum Refused {
    Drained,
    Target(TargetError),
    /// Another version of the protocol is wanted.
    Version,
    /// It lacks what makes an upgrade.
    Malformed,
    Full,
}

impl Refused {
    /// What it is told, and counts it.
    fn response(self, hall: &Hall) -> Response<Full<Bytes>> {
        hall.shared.tally.refuse();
        match self {
            Self::Drained => plain(StatusCode::SERVICE_UNAVAILABLE, "going away"),
            Self::Target(error) => unknown(&error),
            Self::Version => required("WebSocket version 13 is spoken here"),
            Self::Malformed => plain(StatusCode::BAD_REQUEST, "not a WebSocket upgrade"),
            Self::Full => plain(StatusCode::SERVICE_UNAVAILABLE, "too many connections"),
        }
    }
}

fn admit(hall: &Hall, headers: &HeaderMap, uri: &Uri, way: Way) -> Result<Accept, Refused> {
    if *hall.shared.drain.borrow() {
        return Err(Refused::Drained);
    }
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let host = host.or_else(|| uri.authority().map(|authority| authority.as_str())).unwrap_or_default();
    let head = Head::new(host, path, headers);
    let site = Arc::clone(&hall.shared.site.borrow());
    head.target(&site.catalog).map_err(Refused::Target)?;
    let key = headers.get(SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes);
    let versions = key.is_some() || headers.contains_key(SEC_WEBSOCKET_VERSION);
    if versions && !has_word(headers, SEC_WEBSOCKET_VERSION, VERSION) {
        return Err(Refused::Version);
    }
    let asks = way == Way::Connect || has_word(headers, CONNECTION, "upgrade");
    if key.is_some_and(|key| key.len() != KEY_LENGTH) || !asks {
        return Err(Refused::Malformed);
    }
    let key = key.and_then(|key| HeaderValue::try_from(derive_accept_key(key)).ok());
    let seat = Seat::take(&hall.shared.tally, site.limits.sockets).ok_or(Refused::Full)?;
    Ok(Accept { key, head, seat })
}

/// A socket that is counted.
struct Seat {
    tally: Arc<Tally>,
    /// How it ended. Without a word from the session, it broke.
    ended: Close,
}

impl Seat {
    fn take(tally: &Arc<Tally>, most: usize) -> Option<Self> {
        tally.open(most).then(|| Self { tally: Arc::clone(tally), ended: Close::Lost })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.tally.close(self.ended);
    }
}

async fn upgraded_to(hall: Hall, head: Head, upgraded: OnUpgrade, mut seat: Seat) {
    // The client may be gone; and it is a connection of ours, on which nothing else is layered.
    let Ok(upgraded) = upgraded.await else { return };
    let Ok(parts) = upgraded.downcast::<TokioIo<TcpStream>>() else { return };
    let (reading, writing) = stream::own(parts.io.into_inner());
    // What must end before the hub does: this, not whoever waits for it.
    let alive = hall.alive.clone();
    seat.ended = session::serve(hall.shared, Arc::new(head), reading, writing, parts.read_buf).await;
    drop(alive);
}

/// What the client named does not exist.
fn unknown(error: &TargetError) -> Response<Full<Bytes>> {
    let mut body = Vec::new();
    error.rpc_error().write("null", &mut body);
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_REQUEST);
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// 426: come back with an upgrade that is one.
pub(super) fn required(why: &'static str) -> Response<Full<Bytes>> {
    let mut response = plain(StatusCode::UPGRADE_REQUIRED, why);
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static(VERSION));
    response
}

/// Whether a header that is a list has a word, in any case.
fn has_word(headers: &HeaderMap, name: HeaderName, word: &str) -> bool {
    let words = |value: &HeaderValue| {
        value.to_str().is_ok_and(|value| value.split(',').any(|one| one.trim().eq_ignore_ascii_case(word)))
    };
    headers.get_all(name).iter().any(words)
}
