//! A WebSocket client that hides nothing.
//!
//! Duty: open a socket (HTTP/1.1 or 2), send frames as they stand, keep every reply and event with the time it came, and say how the socket ended.
//! Invariant: what came is kept in order and whole; a wait is for a thing and has a deadline; pings are answered unless [`Socket::play_dead`].
//! Leaves to others: what should have come.

mod inbox;

use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, bail};
use bytes::Bytes;
use http_body_util::Empty;
use hyper::{HeaderMap, Method, Request, StatusCode, Version, client::conn, ext::Protocol, upgrade::Upgraded};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use tokio::{
    io::{AsyncWriteExt as _, ReadHalf, WriteHalf},
    net::{TcpSocket, TcpStream, lookup_host},
    sync::watch,
    task::JoinSet,
};

use crate::frame::{Frame, Frames, opcode};

pub use inbox::{Event, Inbox};

/// Longer than any deadline of the product.
const LONGEST: Duration = Duration::from_secs(20);
/// The nonce of RFC 6455, and what must come back for it.
const NONCE: (&str, &str) = ("dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");

type Stream = TokioIo<Upgraded>;

/// An open socket. Dropping it drops the connection, without a word.
#[derive(Debug)]
pub struct Socket {
    write: Arc<tokio::sync::Mutex<WriteHalf<Stream>>>,
    heard: watch::Receiver<()>,
    inbox: Arc<Mutex<Inbox>>,
    reads: watch::Sender<Reading>,
    ids: AtomicU64,
    _tasks: JoinSet<()>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    Yes,
    /// As if we were dead, though the connection lives.
    WithoutPongs,

    /// Not a byte.
    No,
}

/// How a socket ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// By a close frame.
    Closed(u16, String),
    /// Without one: reset, or the connection just ended.
    Broken(String),
}

impl End {
    /// The code of the close frame; 1006 without one, as browsers say.
    pub fn code(&self) -> u16 {
        match self {
            Self::Closed(code, _) => *code,
            Self::Broken(_) => 1006,
        }
    }
}

#[derive(Deserialize)]
struct Replied<'a> {
    #[serde(borrow)]
    id: &'a RawValue,
}

/// A handshake that was refused.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// All headers.
    pub headers: HeaderMap,
}

impl Socket {
    /// Opens `ws://...`.
    pub async fn open(url: &str) -> anyhow::Result<Self> {
        Self::open_with(url, &[]).await
    }

    /// Opens it with more headers.
    pub async fn open_with(url: &str, headers: &[(&str, &str)]) -> anyhow::Result<Self> {
        match Self::knock(url, headers, None).await? {
            Ok(socket) => Ok(socket),
            Err(refusal) => bail!("{url} refused the upgrade with {}", refusal.status),
        }
    }

    /// Opens it with so many bytes of kernel buffer for what comes: who does not read is noticed soon.
    pub async fn open_narrow(url: &str, bytes: u32) -> anyhow::Result<Self> {
        match Self::knock(url, &[], Some(bytes)).await? {
            Ok(socket) => Ok(socket),
            Err(refusal) => bail!("{url} refused the upgrade with {}", refusal.status),
        }
    }

    /// Tries to open one; a refusal is an answer too.
    pub async fn try_open(url: &str) -> anyhow::Result<Result<Self, Refusal>> {
        Self::knock(url, &[], None).await
    }

    async fn knock(url: &str, headers: &[(&str, &str)], buffer: Option<u32>) -> anyhow::Result<Result<Self, Refusal>> {
        let (host, path) = parts(url)?;
        let mut request = Request::builder().uri(path).header("host", host).header("upgrade", "websocket");
        request = request.header("connection", "Upgrade").header("sec-websocket-version", "13");
        request = request.header("sec-websocket-key", NONCE.0);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Empty::<Bytes>::new())?;
        within(url, async {
            let (mut send, connection) = conn::http1::handshake(TokioIo::new(connect(host, buffer).await?)).await?;
            let mut tasks = JoinSet::new();
            tasks.spawn(async move { drop(connection.with_upgrades().await) });
            let response = send.send_request(request).await?;
            if response.status() != StatusCode::SWITCHING_PROTOCOLS {
                return Ok(Err(Refusal { status: response.status().as_u16(), headers: response.headers().clone() }));
            }
            let accepted = response.headers().get("sec-websocket-accept").map(|value| value.as_bytes().to_vec());
            if accepted.as_deref() != Some(NONCE.1.as_bytes()) {
                bail!("{url} accepted another key than ours: {accepted:?}");
            }
            Ok(Ok(Self::over(hyper::upgrade::on(response).await?, tasks)))
        })
        .await
    }

    /// Opens it over HTTP/2 (RFC 8441).
    pub async fn open_http2(url: &str) -> anyhow::Result<Self> {
        let (host, path) = parts(url)?;
        let request = Request::builder().method(Method::CONNECT).uri(format!("http://{host}{path}"));
        let request = request.version(Version::HTTP_2).extension(Protocol::from_static("websocket"));
        let request = request.header("sec-websocket-version", "13").body(Empty::<Bytes>::new())?;
        within(url, async {
            let stream = TokioIo::new(connect(host, None).await?);
            let (mut send, connection) = conn::http2::handshake(TokioExecutor::new(), stream).await?;
            let mut tasks = JoinSet::new();
            tasks.spawn(async move { drop(connection.await) });
            // Whether the server takes it stands in its settings, which must have come.
            send.ready().await?;
            let response = send.send_request(request).await?;
            if response.status() != StatusCode::OK {
                bail!("{url} refused the extended CONNECT with {}", response.status());
            }
            Ok(Self::over(hyper::upgrade::on(response).await?, tasks))
        })
        .await
    }

    fn over(upgraded: Upgraded, mut tasks: JoinSet<()>) -> Self {
        let (read, write) = tokio::io::split(TokioIo::new(upgraded));
        let write = Arc::new(tokio::sync::Mutex::new(write));
        let inbox = Arc::new(Mutex::new(Inbox::default()));
        let (hears, heard) = watch::channel(());
        let (reads, reading) = watch::channel(Reading::Yes);
        let frames = Frames::new(read, &[]);
        tasks.spawn(listen(frames, Arc::clone(&inbox), Arc::clone(&write), hears, reading));
        Self { write, heard, inbox, reads, ids: AtomicU64::new(1), _tasks: tasks }
    }

    /// Sends a text.
    pub async fn send(&self, text: &str) -> anyhow::Result<()> {
        self.send_bytes(&Frame::text(text).masked()).await
    }

    /// Puts bytes on the wire as they stand.
    pub async fn send_bytes(&self, bytes: &[u8]) -> anyhow::Result<()> {
        let put = async {
            let mut write = self.write.lock().await;
            write.write_all(bytes).await?;
            write.flush().await
        };
        tokio::time::timeout(LONGEST, put).await.context("the other side reads nothing")?.context("cannot send")
    }

    /// One call with an id of ours; the whole reply.
    pub async fn call(&self, method: &str, params: Value) -> anyhow::Result<Value> {
        let id = self.ids.fetch_add(1, Ordering::Relaxed);
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string()).await?;
        Ok(serde_json::from_str(&self.reply_to(&id.to_string()).await?)?)
    }

    /// The reply whose id is written like this, byte for byte.
    pub async fn reply_to(&self, id: &str) -> anyhow::Result<String> {
        self.until(&format!("the reply to {id}"), LONGEST, |inbox| {
            let is = |reply: &&String| serde_json::from_str::<Replied<'_>>(reply).is_ok_and(|it| it.id.get() == id);
            inbox.replies.iter().find(is).cloned()
        })
        .await
    }

    /// Subscribes and gives the subscription's id.
    pub async fn subscribe(&self, params: Value) -> anyhow::Result<String> {
        let reply = self.call("eth_subscribe", params).await?;
        reply["result"].as_str().map(ToOwned::to_owned).with_context(|| format!("eth_subscribe said {reply}"))
    }

    /// Ends a subscription; what was said.
    pub async fn unsubscribe(&self, id: &str) -> anyhow::Result<Value> {
        Ok(self.call("eth_unsubscribe", json!([id])).await?["result"].clone())
    }

    /// Events of a subscription so far.
    pub fn events(&self, id: &str) -> Vec<Event> {
        self.inbox().events.get(id).cloned().unwrap_or_default()
    }

    /// Waits until a subscription has brought so many events.
    pub async fn until_count(&self, id: &str, count: usize, within: Duration) -> anyhow::Result<()> {
        let there = |inbox: &Inbox| inbox.events.get(id).is_some_and(|events| events.len() >= count).then_some(());
        self.until(&format!("{count} events"), within, there).await
    }

    /// Waits until a subscription has brought so many events, and gives all there are.
    pub async fn until_events(&self, id: &str, count: usize, within: Duration) -> anyhow::Result<Vec<Event>> {
        let what = format!("{count} events");
        self.until(&what, within, |inbox| inbox.events.get(id).filter(|events| events.len() >= count).cloned())
            .await
            .with_context(|| format!("{} came", self.events(id).len()))
    }

    /// Waits until what came holds a thing. A socket that has ended brings no more.
    pub async fn until<T>(
        &self,
        what: &str,
        within: Duration,
        mut thing: impl FnMut(&Inbox) -> Option<T>,
    ) -> anyhow::Result<T> {
        let mut heard = self.heard.clone();
        let look = async {
            loop {
                heard.mark_unchanged();
                let (found, end) = {
                    let inbox = self.inbox();
                    (thing(&inbox), inbox.end.clone())
                };
                if let Some(found) = found {
                    return Ok(found);
                }
                if let Some(end) = end {
                    bail!("the socket ended ({end:?}) before {what}");
                }
                heard.changed().await.context("nobody listens")?;
            }
        };
        tokio::time::timeout(within, look).await.with_context(|| format!("waited {within:?} for {what}"))?
    }

    /// Waits for its end.
    pub async fn end(&self, within: Duration) -> anyhow::Result<End> {
        self.until("its end", within, |inbox| inbox.end.clone()).await
    }

    /// How it ended, if it has.
    pub fn ended(&self) -> Option<End> {
        self.inbox().end.clone()
    }

    /// A copy of everything that came so far.
    pub fn heard(&self) -> Inbox {
        self.inbox().clone()
    }

    /// From here on not a byte is read.
    pub fn stop_reading(&self) {
        self.reads.send_replace(Reading::No);
    }

    /// From here on pings are not answered.
    pub fn play_dead(&self) {
        self.reads.send_replace(Reading::WithoutPongs);
    }

    /// Reads again, and answers pings.
    pub fn read_again(&self) {
        self.reads.send_replace(Reading::Yes);
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn listen(
    mut frames: Frames<ReadHalf<Stream>>,
    inbox: Arc<Mutex<Inbox>>,
    write: Arc<tokio::sync::Mutex<WriteHalf<Stream>>>,
    hears: watch::Sender<()>,
    mut reading: watch::Receiver<Reading>,
) {
    loop {
        if reading.wait_for(|reading| *reading != Reading::No).await.is_err() {
            return;
        }
        let message = tokio::select! {
            message = frames.message() => message,
            stopped = reading.wait_for(|reading| *reading == Reading::No) => match stopped {
                Ok(_) => continue,
                Err(_) => return,
            },
        };
        let reply = {
            let mut inbox = inbox.lock().unwrap_or_else(PoisonError::into_inner);
            match message {
                Ok(Some(frame)) => hear(&mut inbox, frame, *reading.borrow()),
                Ok(None) => {
                    inbox.end = Some(End::Broken("ended without a close".to_owned()));
                    None
                }
                Err(error) => {
                    inbox.end = Some(End::Broken(error.to_string()));
                    None
                }
            }
        };
        hears.send_replace(());
        if let Some(reply) = reply {
            // Whether it could be sent shows when reading goes on.
            let _ = write.lock().await.write_all(&reply.masked()).await;
        }
        if inbox.lock().unwrap_or_else(PoisonError::into_inner).end.is_some() {
            return;
        }
    }
}

/// What is to be said to a frame. A close frame is the end as soon as it is there: the connection may linger.
fn hear(inbox: &mut Inbox, frame: Frame, reading: Reading) -> Option<Frame> {
    match frame.opcode {
        opcode::PING => {
            inbox.pings += 1;
            (reading != Reading::WithoutPongs).then(|| Frame::new(opcode::PONG, frame.payload))
        }
        opcode::PONG => None,
        opcode::CLOSE => {
            let (code, reason) = frame.closes_with().unwrap_or((1005, String::new()));
            inbox.end = Some(End::Closed(code, reason));
            Some(frame)
        }
        _ => {
            inbox.take(&String::from_utf8_lossy(&frame.payload));
            None
        }
    }
}

fn parts(url: &str) -> anyhow::Result<(&str, &str)> {
    let rest = url.strip_prefix("ws://").with_context(|| format!("{url} is no ws:// URL"))?;
    Ok(rest.find('/').map_or((rest, "/"), |slash| rest.split_at(slash)))
}

async fn connect(host: &str, buffer: Option<u32>) -> io::Result<TcpStream> {
    let address = lookup_host(host).await?.next().ok_or_else(|| io::Error::other("nobody of that name"))?;
    let socket = TcpSocket::new_v4()?;
    if let Some(bytes) = buffer {
        socket.set_recv_buffer_size(bytes)?;
    }
    let stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn within<T>(url: &str, opening: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let opened = tokio::time::timeout(LONGEST, opening).await;
    opened
        .with_context(|| format!("{url} did not answer within {LONGEST:?}"))?
        .with_context(|| format!("opening {url}"))
}
