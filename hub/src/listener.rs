//! `listen.hub`: what Envoy brings.
//!
//! Duty: take connections (HTTP/1.1, or HTTP/2 by prior knowledge); tell upgrades, which become sessions, from requests for channels, which the bridge answers.
//! Over HTTP/1.1 a client's socket is a connection, over HTTP/2 ([`http2`]) a stream.
//! Invariant: bounded: [`MOST_CONNECTIONS`] that are no client's socket, the others wait to be accepted; `limits.sockets` that are; heads of [`MOST_HEAD`]
//! bytes in [`HEAD_PATIENCE`]. A panic in an answer or a session ends that one alone.
//! Drain: nobody is accepted any more, upgrades get 503, requests under way end within [`LAST_PATIENCE`] over HTTP/1.1; over HTTP/2, see there.
//! Leaves to others: what an upgrade must be ([`upgrade`]), what is said on a socket (`session`), channels (the bridge).

mod gathered;
mod http2;
mod upgrade;

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use crate::Supervise;
use crate::session::Shared;

/// Connections that are no client's socket: upgrades on their way, and Envoy's, each of which many sockets share or which leads to a channel; some for each of its
/// workers.
const MOST_CONNECTIONS: usize = 16_384;
/// For the head of a request, the wait for it included.
const HEAD_PATIENCE: Duration = Duration::from_secs(10);
/// Longest head of a request, in bytes.
const MOST_HEAD: usize = 16 * 1_024;
/// What a connection begins with that speaks HTTP/2.
const PREFACE: &[u8] = b"PRI * HTTP/2.0";
/// For the rest of it, where the first packet has only a part.
const BREATH: Duration = Duration::from_millis(5);
/// After a connection could not be accepted: file descriptors come back when others end.
const PAUSE: Duration = Duration::from_millis(100);
/// For requests under way when we drain.
const LAST_PATIENCE: Duration = Duration::from_secs(5);

/// A body did not come whole.
#[derive(Debug, thiserror::Error)]
#[error("the request broke off")]
pub(crate) struct BrokenOff;

/// A request, whichever HTTP brought it.
pub(crate) type Asked = Request<UnsyncBoxBody<Bytes, BrokenOff>>;
/// Why there is no answer.
pub(crate) type Fault = Box<dyn Error + Send + Sync>;
/// An answer. An error whose source is an [`h2::Error`] resets the stream with its reason.
pub(crate) type Answer = Result<Response<Full<Bytes>>, Fault>;
/// An answer that is not there yet.
pub(crate) type Answering = Pin<Box<dyn Future<Output = Answer> + Send>>;
/// Who answers requests for channels.
pub(crate) type Bridge = Arc<dyn Fn(Asked) -> Answering + Send + Sync>;

/// What every connection has.
#[derive(Clone)]
struct Hall {
    shared: Arc<Shared>,
    bridge: Bridge,
    supervisor: Arc<dyn Supervise>,
    /// Held by whatever must end before the hub does.
    alive: mpsc::Sender<Infallible>,
}

/// The listener. Made again after a panic, it goes on with the same socket.
pub(crate) struct Listener {
    socket: TcpListener,
    seats: Arc<Semaphore>,
    hall: Hall,
}

impl Listener {
    /// `alive` is held until its last connection and session ended.
    pub(crate) fn new(
        socket: TcpListener,
        shared: Arc<Shared>,
        bridge: Bridge,
        supervisor: Arc<dyn Supervise>,
        alive: mpsc::Sender<Infallible>,
    ) -> Self {
        let hall = Hall { shared, bridge, supervisor, alive };
        Self { socket, seats: Arc::new(Semaphore::new(MOST_CONNECTIONS)), hall }
    }

    /// Accepts until the drain.
    pub(crate) async fn accept(&self) {
        let mut drain = self.hall.shared.drain.clone();
        tokio::select! {
            () = self.take_all() => {}
            _ = drain.wait_for(|drain| *drain) => {}
        }
    }

    async fn take_all(&self) {
        loop {
            // The semaphore is never closed.
            let Ok(seat) = Arc::clone(&self.seats).acquire_owned().await else { return };
            match self.socket.accept().await {
                Ok((socket, _)) => {
                    let connection = connection(self.hall.clone(), socket, seat);
                    tokio::spawn(self.hall.supervisor.outlive("hub connection", Box::pin(connection)));
                }
                Err(error) => {
                    warn!(%error, "listen.hub: cannot accept");
                    sleep(PAUSE).await;
                }
            }
        }
    }
}

async fn connection(hall: Hall, socket: TcpStream, seat: OwnedSemaphorePermit) {
    // Without it a small frame waits for the ack of the one before. It is only slower then.
    let _ = socket.set_nodelay(true);
    match at_first(&hall, speaks_http2(&socket)).await {
        Some(Ok(true)) => http2::serve(&hall, socket).await,
        Some(Ok(false)) => http1(hall, socket).await,
        Some(Err(error)) => debug!(%error, "listen.hub: connection broke"),
        None => {}
    }
    drop(seat);
}

/// Waits for what a peer says before it asks for anything: not for long, and not while we drain.
async fn at_first<T>(hall: &Hall, said: impl Future<Output = T>) -> Option<T> {
    let mut drain = hall.shared.drain.clone();
    tokio::select! {
        said = timeout(HEAD_PATIENCE, said) => said.ok(),
        _ = drain.wait_for(|drain| *drain) => None,
    }
}

/// Looks at how it begins, and leaves that there.
async fn speaks_http2(socket: &TcpStream) -> io::Result<bool> {
    let mut begin = [0; PREFACE.len()];
    loop {
        let seen = socket.peek(&mut begin).await?;
        match begin.get(..seen) {
            Some(PREFACE) => return Ok(true),
            Some(part) if seen > 0 && PREFACE.starts_with(part) => sleep(BREATH).await,
            Some(_) | None => return Ok(false),
        }
    }
}

async fn http1(hall: Hall, socket: TcpStream) {
    let mut drain = hall.shared.drain.clone();
    let service = service_fn(move |request| answer_or_upgrade(hall.clone(), request));
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_PATIENCE).max_buf_size(MOST_HEAD);
    let connection = builder.serve_connection(TokioIo::new(socket), service).with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        _ = drain.wait_for(|drain| *drain) => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            timeout(LAST_PATIENCE, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        debug!(%error, "listen.hub: connection broke");
    }
}

async fn answer_or_upgrade(hall: Hall, request: Request<Incoming>) -> Answer {
    if request.method() == Method::GET && upgrade::is_wanted(request.headers()) {
        return Ok(upgrade::answer(&hall, request));
    }
    answer(hall, request.map(|body| body.map_err(|_| BrokenOff).boxed_unsync())).await
}

/// Answers what is no upgrade.
async fn answer(hall: Hall, request: Asked) -> Answer {
    if request.method() == Method::POST && request.uri().path().starts_with("/channel/") {
        return (hall.bridge)(request).await;
    }
    let path = request.uri().path();
    if request.method() == Method::GET && (path == "/ws/rpc" || path.starts_with("/ws/rpc/")) {
        return Ok(upgrade::required("this path takes WebSockets only"));
    }
    Ok(plain(StatusCode::NOT_FOUND, "not found"))
}

pub(crate) fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}

#[cfg(test)]
mod tests;
