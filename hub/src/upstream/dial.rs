//! From an address to an open socket.
//!
//! Duty: TCP, TLS and the upgrade, within [`PATIENCE`] together.
//! Invariant: at most [`MOST_DIALS`] are under way over all channels, so that a restart of everything is no storm.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hyper::header::{HeaderName, HeaderValue, RETRY_AFTER};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Error};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::cause::Cause;
use super::meter::{Io, Meter, Metered};
use crate::WsChannel;

/// For one dial.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// At once.
const MOST_DIALS: usize = 32;
/// Of a provider's message: answers to `eth_getLogs` are large.
const MOST_BYTES: usize = 64 * 1024 * 1024;

/// Dials.
#[derive(Debug)]
pub(super) struct Dialler {
    tls: watch::Receiver<Arc<ClientConfig>>,
    dials: Semaphore,
}

/// Why there is no socket.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) cause: Cause,
    /// How long the provider asked us to stay away.
    pub(super) asked: Option<Duration>,
}

impl From<Cause> for Failed {
    fn from(cause: Cause) -> Self {
        Self { cause, asked: None }
    }
}

impl Dialler {
    pub(super) fn new(tls: watch::Receiver<Arc<ClientConfig>>) -> Self {
        Self { tls, dials: Semaphore::new(MOST_DIALS) }
    }

    /// Waits for its turn, then dials.
    pub(super) async fn dial(&self, channel: &WsChannel) -> Result<(WebSocketStream<Metered>, Meter), Failed> {
        // The semaphore is never closed.
        let _turn = self.dials.acquire().await;
        timeout(PATIENCE, self.upgrade(channel)).await.unwrap_or(Err(Cause::ConnectTimeout.into()))
    }

    async fn upgrade(&self, channel: &WsChannel) -> Result<(WebSocketStream<Metered>, Meter), Failed> {
        let request = request(channel)?;
        let (io, meter) = Metered::new(self.connect(channel).await?);
        let config = WebSocketConfig::default()
            .read_buffer_size(4_096)
            .write_buffer_size(0)
            .max_message_size(Some(MOST_BYTES))
            .max_frame_size(Some(MOST_BYTES));
        let (socket, _) =
            client_async_with_config(request, io, Some(config)).await.map_err(|error| rejected(&error))?;
        Ok((socket, meter))
    }

    async fn connect(&self, channel: &WsChannel) -> Result<Box<dyn Io>, Cause> {
        let host = channel.url.host_str().ok_or(Cause::Unusable)?.trim_matches(['[', ']']);
        let port = channel.url.port_or_known_default().ok_or(Cause::Unusable)?;
        let addresses: Vec<_> = lookup_host((host, port)).await.map_err(|_| Cause::NoHost)?.collect();
        let tcp = TcpStream::connect(&addresses[..]).await.map_err(|error| Cause::of_io(&error))?;
        tcp.set_nodelay(true).map_err(|error| Cause::of_io(&error))?;
        if channel.url.scheme() != "wss" {
            return Ok(Box::new(tcp));
        }
        let name = ServerName::try_from(host.to_owned()).map_err(|_| Cause::Unusable)?;
        let mut tls = ClientConfig::clone(&self.tls.borrow());
        // WebSockets are upgraded from HTTP/1.1 only.
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let tls = TlsConnector::from(Arc::new(tls)).connect(name, tcp).await;
        Ok(Box::new(tls.map_err(|error| Cause::of_io(&error))?))
    }
}

fn request(channel: &WsChannel) -> Result<Request, Cause> {
    let mut request = channel.url.as_str().into_client_request().map_err(|_| Cause::Unusable)?;
    for (name, value) in &channel.headers {
        let name = HeaderName::try_from(name).map_err(|_| Cause::Unusable)?;
        let mut value = HeaderValue::try_from(value).map_err(|_| Cause::Unusable)?;
        value.set_sensitive(true);
        request.headers_mut().insert(name, value);
    }
    Ok(request)
}

fn rejected(error: &Error) -> Failed {
    let asked = match error {
        Error::Http(response) => asked(response, SystemTime::now()),
        Error::ConnectionClosed
        | Error::AlreadyClosed
        | Error::Io(_)
        | Error::Tls(_)
        | Error::Capacity(_)
        | Error::Protocol(_)
        | Error::WriteBufferFull(_)
        | Error::Utf8(_)
        | Error::AttackAttempt
        | Error::Url(_)
        | Error::HttpFormat(_) => None,
    };
    Failed { cause: Cause::of(error), asked }
}

/// `Retry-After`, in seconds or as a date.
fn asked<B>(response: &tungstenite::http::Response<B>, now: SystemTime) -> Option<Duration> {
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    httpdate::parse_http_date(text).ok()?.duration_since(now).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(header: &str, expected: Option<u64>) {
        let response = tungstenite::http::Response::builder().header(RETRY_AFTER, header).body(()).unwrap();
        // 1994-11-06 08:49:37
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        assert_eq!(asked(&response, now), expected.map(Duration::from_secs), "{header}");
    }

    #[test]
    fn retry_after_is_read_in_both_forms() {
        check("120", Some(120));
        check(" 0 ", Some(0));
        check("Sun, 06 Nov 1994 08:50:37 GMT", Some(60));
        check("Sun, 06 Nov 1994 08:48:37 GMT", None);
        check("soon", None);
        check("-1", None);
    }
}
