//! A connection that speaks HTTP/2: Envoy's, with many clients' sockets (RFC 8441), or with requests for channels.
//!
//! Duty: hand each stream to a task of its own; notice a peer that is gone.
//! Invariant: bounded: [`MOST_STREAMS`] streams; what came on one and is not read, [`STREAM_WINDOW`] bytes, and all of them together may have as much, so that
//! no stream waits for another; what is to go out on a socket and was not written, [`MOST_UNSENT`] bytes; an answer for a channel
//! is handed over whole. A stream that fails ends by itself.
//! Drain: no more streams, those that are there end ([`DRAIN_PATIENCE`]).
//! Leaves to others: who gets a socket ([`upgrade`](super::upgrade)), what is said on it (`session`).

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::ext::Protocol;
use h2::server::{Builder, Connection, SendResponse};
use h2::{Ping, PingPong, Reason, RecvStream};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame};
use hyper::header::{CONNECTION, CONTENT_LENGTH, HeaderValue, UPGRADE};
use hyper::{Method, Request, Response};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};
use tracing::debug;

use super::gathered::Gathered;
use super::{Answer, BrokenOff, Fault, HEAD_PATIENCE, Hall, MOST_HEAD, upgrade};

/// At once, on one connection.
const MOST_STREAMS: u32 = 1_024;
/// Bytes. What comes is small: calls.
const STREAM_WINDOW: u32 = 32 * 1_024;
const CONNECTION_WINDOW: u32 = MOST_STREAMS * STREAM_WINDOW;
/// Bytes, for each stream.
const MOST_UNSENT: usize = 64 * 1_024;
/// Between pings.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// For the answer to a ping.
const PING_PATIENCE: Duration = Duration::from_secs(20);
/// For everything on a connection when we drain: as long as a session has for what is under way, and for its farewell.
const DRAIN_PATIENCE: Duration = Duration::from_secs(8);

/// Serves a connection until it ends.
pub(super) async fn serve(hall: &Hall, socket: TcpStream) {
    let io = Gathered::new(socket);
    // The peer speaks first, and what we say to it goes with our first answer.
    let h2 = match super::at_first(hall, builder().handshake(io.clone())).await {
        Some(Ok(h2)) => h2,
        Some(Err(error)) => return debug!(%error, "listen.hub: no handshake"),
        None => return,
    };
    Streams { h2, io }.run(hall).await;
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder
        .enable_connect_protocol()
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(MOST_STREAMS)
        .max_header_list_size(u32::try_from(MOST_HEAD).unwrap_or(u32::MAX))
        .max_send_buffer_size(MOST_UNSENT)
        // Clients that come and go at once are no attack of Envoy's, and what they did in a week must not end the others' sockets.
        .max_pending_accept_reset_streams(MOST_STREAMS as usize)
        .max_local_error_reset_streams(None);
    builder
}

struct Streams {
    h2: Connection<Gathered, Bytes>,
    io: Gathered,
}

type Stream = (Request<RecvStream>, SendResponse<Bytes>);

impl Streams {
    async fn run(mut self, hall: &Hall) {
        let mut drain = hall.shared.drain.clone();
        let mut gone = std::pin::pin!(until_gone(self.h2.ping_pong()));
        // For the first request; then for the drain.
        let mut patience = std::pin::pin!(sleep(HEAD_PATIENCE));
        let (mut asked, mut draining) = (false, false);
        loop {
            tokio::select! {
                stream = self.next() => match stream {
                    Some(stream) => {
                        asked = true;
                        take(hall, stream);
                    }
                    None => return,
                },
                () = &mut gone => return,
                () = &mut patience, if !asked || draining => return,
                _ = drain.wait_for(|drain| *drain), if !draining => {
                    draining = true;
                    self.h2.graceful_shutdown();
                    patience.as_mut().reset(Instant::now() + DRAIN_PATIENCE);
                }
            }
        }
    }

    async fn next(&mut self) -> Option<Stream> {
        match poll_fn(|cx| self.poll_next(cx)).await {
            Some(Ok(stream)) => Some(stream),
            Some(Err(error)) => {
                debug!(%error, "listen.hub: connection broke");
                None
            }
            None => None,
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Stream, h2::Error>>> {
        let next = self.h2.poll_accept(cx);
        if next.is_ready() {
            return next;
        }
        // Whatever all streams had to say since the last time goes out at once. A socket that is broken is found by reading, too.
        match self.io.poll_send(cx) {
            Poll::Ready(Err(_)) => Poll::Ready(None),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
        }
    }
}

/// Ends when the peer does not answer pings.
async fn until_gone(pings: Option<PingPong>) {
    let Some(mut pings) = pings else { return std::future::pending().await };
    loop {
        sleep(KEEP_ALIVE).await;
        if !matches!(timeout(PING_PATIENCE, pings.ping(Ping::opaque())).await, Ok(Ok(_))) {
            return;
        }
    }
}

/// A stream becomes a task.
fn take(hall: &Hall, (request, respond): Stream) {
    let supervisor = &hall.supervisor;
    let websocket = |protocol: &Protocol| protocol.as_str().eq_ignore_ascii_case("websocket");
    let task = if request.method() == Method::CONNECT && request.extensions().get().is_some_and(websocket) {
        supervisor.outlive("client session", Box::pin(upgrade::connect(hall.clone(), request, respond)))
    } else {
        supervisor.outlive("hub request", Box::pin(answer(hall.clone(), request, respond)))
    };
    tokio::spawn(task);
}

async fn answer(hall: Hall, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
    let request = request.map(|body| Asked(body).boxed_unsync());
    let answer = tokio::select! {
        answer = super::answer(hall, request) => answer,
        // Nobody waits for it any more.
        _ = poll_fn(|cx| respond.poll_reset(cx)) => return,
    };
    reply(answer, respond).await;
}

/// Sends an answer, or resets the stream for the reason of what went wrong.
pub(super) async fn reply(answer: Answer, mut respond: SendResponse<Bytes>) {
    let response = match answer {
        Ok(response) => response,
        Err(fault) => return respond.send_reset(reason(&fault)),
    };
    let (mut head, body) = response.into_parts();
    // HTTP/2 has no such headers.
    for name in [CONNECTION, UPGRADE] {
        head.headers.remove(name);
    }
    // It is there already.
    let Ok(body) = body.collect().await.map(http_body_util::Collected::to_bytes);
    head.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    if let Ok(mut stream) = respond.send_response(Response::from_parts(head, ()), body.is_empty())
        && !body.is_empty()
    {
        // It goes as there is room for it. The peer may have reset the stream.
        let _ = stream.send_data(body, true);
    }
}

fn reason(fault: &Fault) -> Reason {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&**fault);
    while let Some(error) = cause {
        if let Some(reason) = error.downcast_ref::<h2::Error>().and_then(h2::Error::reason) {
            return reason;
        }
        cause = error.source();
    }
    Reason::INTERNAL_ERROR
}

/// The body of a request.
struct Asked(RecvStream);

impl Body for Asked {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        self.0.poll_data(cx).map(|data| {
            data.map(|data| {
                let data = data.map_err(|_| BrokenOff)?;
                // It fails only for more than came.
                let _ = self.0.flow_control().release_capacity(data.len());
                Ok(Frame::data(data))
            })
        })
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }
}

#[cfg(test)]
mod tests;
