//! Connections to `listen.http`.
//!
//! Invariant: [`MOST`] at once, the others wait to be accepted; a head that does not come in [`HEAD_PATIENCE`] ends its connection.
//! Leaves to others: what is asked and answered.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tracing::{debug, warn};

/// Connections at once. Viewers are some of them.
const MOST: usize = 256;
/// How long the head of a request may take, the wait for it included.
const HEAD_PATIENCE: Duration = Duration::from_secs(60);
/// Longest head of a request, in bytes.
const MOST_HEAD: usize = 16 * 1_024;
/// How long connections may take to end when we drain.
const LAST_PATIENCE: Duration = Duration::from_secs(5);
/// After a connection could not be accepted: file descriptors come back when others end.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves until `drain` turns true.
pub(super) async fn serve(listener: TcpListener, router: Router, drain: watch::Receiver<bool>) {
    let seats = Arc::new(Semaphore::new(MOST));
    let accept = async {
        loop {
            // The semaphore is never closed.
            let Ok(seat) = Arc::clone(&seats).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((socket, _)) => {
                    let connection = connection(socket, router.clone(), drain.clone());
                    tokio::spawn(async move {
                        connection.await;
                        drop(seat);
                    });
                }
                Err(error) => {
                    warn!(%error, "listen.http: cannot accept");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    };
    let mut draining = drain.clone();
    tokio::select! {
        () = accept => {}
        _ = draining.wait_for(|drain| *drain) => {}
    }
    // Nobody new.
    drop(listener);
    let all = u32::try_from(MOST).unwrap_or(u32::MAX);
    if tokio::time::timeout(LAST_PATIENCE, seats.acquire_many(all)).await.is_err() {
        warn!("listen.http: some connections did not end");
    }
}

async fn connection(socket: TcpStream, router: Router, mut drain: watch::Receiver<bool>) {
    // Without it an event waits for the viewer's last ack. It is only slower then.
    let _ = socket.set_nodelay(true);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_buf_size(MOST_HEAD)
        .serve_connection(TokioIo::new(socket), TowerToHyperService::new(router));
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        _ = drain.wait_for(|drain| *drain) => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!(%error, "listen.http: connection broke");
    }
}
