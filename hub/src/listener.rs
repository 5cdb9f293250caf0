//! `listen.hub`: what Envoy brings.
//!
//! Duty: take connections (HTTP/1.1, or HTTP/2 by prior knowledge); tell upgrades, which become sessions, from requests for channels, which the bridge answers.
//! Invariant: bounded: [`MOST_CONNECTIONS`] that are no client's socket, the others wait to be accepted; `limits.sockets` that are; heads of [`MOST_HEAD`]
//! bytes in [`HEAD_PATIENCE`]. A panic here ends no session.
//! Drain: nobody is accepted any more, upgrades get 503, requests under way end within [`LAST_PATIENCE`].
//! Leaves to others: what an upgrade must be ([`upgrade`]), what is said on a socket (`session`), channels (the bridge).

mod upgrade;

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use crate::Supervise;
use crate::session::Shared;

/// Connections that are no client's socket: upgrades on their way, and Envoy's to the channels, one for each of them and each of its workers.
const MOST_CONNECTIONS: usize = 16_384;
/// For the head of a request, the wait for it included.
const HEAD_PATIENCE: Duration = Duration::from_secs(10);
/// Longest head of a request, in bytes.
const MOST_HEAD: usize = 16 * 1_024;
/// Requests of one HTTP/2 connection at once.
const MOST_STREAMS: u32 = 1_024;
/// Between pings on an HTTP/2 connection.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// After a connection could not be accepted: file descriptors come back when others end.
const PAUSE: Duration = Duration::from_millis(100);
/// For requests under way when we drain.
const LAST_PATIENCE: Duration = Duration::from_secs(5);

/// An answer. An error whose source is an [`h2::Error`] resets the stream with its reason.
pub(crate) type Answer = Result<Response<Full<Bytes>>, Box<dyn Error + Send + Sync>>;
/// An answer that is not there yet.
pub(crate) type Answering = Pin<Box<dyn Future<Output = Answer> + Send>>;
/// Who answers requests for channels.
pub(crate) type Bridge = Arc<dyn Fn(Request<Incoming>) -> Answering + Send + Sync>;

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
    let mut drain = hall.shared.drain.clone();
    let asked = Arc::new(AtomicBool::new(false));
    let service = service_fn({
        let asked = Arc::clone(&asked);
        move |request| {
            asked.store(true, Ordering::Relaxed);
            answer(hall.clone(), request)
        }
    });
    let builder = builder();
    let mut connection = std::pin::pin!(builder.serve_connection_with_upgrades(TokioIo::new(socket), service));
    // Which version it speaks is found without a limit of time, so the first request has one here.
    let silence = async {
        sleep(HEAD_PATIENCE).await;
        if asked.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    };
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = silence => return,
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
    drop(seat);
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_PATIENCE).max_buf_size(MOST_HEAD);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEP_ALIVE)
        .max_concurrent_streams(MOST_STREAMS)
        .max_header_list_size(u32::try_from(MOST_HEAD).unwrap_or(u32::MAX));
    builder
}

async fn answer(hall: Hall, request: Request<Incoming>) -> Answer {
    if request.method() == Method::GET && upgrade::is_wanted(request.headers()) {
        return Ok(upgrade::answer(&hall, request));
    }
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
