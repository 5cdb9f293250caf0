//! A provider for tests, and what else they need around it.
//!
//! It answers `eth_chainId` by itself; all else is the test's.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use lasso_routing::catalog::{Catalog, CatalogSpec};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};
use url::Url;

use super::meter::Io;
use super::{Parts, Upstream};
use crate::{HubToken, Limits, Notice, Site, Supervise, Task, WsChannel};

pub(crate) const CHAIN: u64 = 31_337;
pub(crate) const TOKEN: &str = "hub-word";
/// What no text may hold.
pub(crate) const SECRET: &str = "s3cr3t";
const SOON: Duration = Duration::from_secs(10);

/// How it behaves; can be changed while it runs.
#[derive(Debug, Clone)]
pub(crate) struct Manners {
    pub(crate) chain_id: u64,
    /// Status and `Retry-After` of every upgrade.
    pub(crate) rejects: Option<(u16, Option<&'static str>)>,
}

pub(crate) struct Provider {
    pub(crate) address: SocketAddr,
    pub(crate) manners: Arc<Mutex<Manners>>,
    /// When somebody knocked.
    pub(crate) dials: Arc<Mutex<Vec<Instant>>>,
    sockets: mpsc::UnboundedReceiver<Socket>,
    _task: JoinHandle<()>,
}

/// One of its sockets.
pub(crate) struct Socket {
    pub(crate) request: Request,
    heard: mpsc::UnboundedReceiver<String>,
    say: mpsc::UnboundedSender<Message>,
    task: JoinHandle<()>,
}

impl Provider {
    pub(crate) async fn start() -> Self {
        Self::behind(None).await
    }

    pub(crate) async fn behind(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let manners = Arc::new(Mutex::new(Manners { chain_id: CHAIN, rejects: None }));
        let dials = Arc::<Mutex<Vec<Instant>>>::default();
        let (opened, sockets) = mpsc::unbounded_channel();
        let task = tokio::spawn({
            let (manners, dials) = (Arc::clone(&manners), Arc::clone(&dials));
            async move {
                loop {
                    let (tcp, _) = listener.accept().await.unwrap();
                    dials.lock().unwrap().push(Instant::now());
                    tokio::spawn(welcome(tcp, tls.clone(), Arc::clone(&manners), opened.clone()));
                }
            }
        });
        Self { address, manners, dials, sockets, _task: task }
    }

    pub(crate) async fn socket(&mut self) -> Socket {
        timeout(SOON, self.sockets.recv()).await.expect("nobody dials").unwrap()
    }

    pub(crate) fn channel(&self, id: &str) -> WsChannel {
        WsChannel {
            id: id.into(),
            chain_id: CHAIN,
            url: Url::parse(&format!("ws://{}/v2/{SECRET}", self.address)).unwrap(),
            headers: vec![("x-api-key".into(), SECRET.into())],
            kinds: None,
            priority: 0,
        }
    }
}

async fn welcome(
    tcp: TcpStream,
    tls: Option<TlsAcceptor>,
    manners: Arc<Mutex<Manners>>,
    opened: mpsc::UnboundedSender<Socket>,
) {
    let io: Box<dyn Io> = match tls {
        Some(tls) => match tls.accept(tcp).await {
            Ok(stream) => Box::new(stream),
            Err(_) => return,
        },
        None => Box::new(tcp),
    };
    let mut seen = None;
    let rejects = manners.lock().unwrap().rejects;
    #[expect(clippy::result_large_err, reason = "tungstenite's own type")]
    let judge = |request: &Request, response: Response| match rejects {
        None => {
            seen = Some(request.clone());
            Ok(response)
        }
        Some((status, retry_after)) => {
            let mut response = ErrorResponse::new(Some(format!("no: {SECRET}")));
            *response.status_mut() = status.try_into().unwrap();
            retry_after.map(|after| response.headers_mut().insert("retry-after", after.parse().unwrap()));
            Err(response)
        }
    };
    let Ok(socket) = accept_hdr_async(io, judge).await else { return };
    let (told, heard) = mpsc::unbounded_channel();
    let (say, said) = mpsc::unbounded_channel();
    let task = tokio::spawn(speak(socket, manners, told, said));
    let _ = opened.send(Socket { request: seen.unwrap(), heard, say, task });
}

async fn speak(
    mut socket: WebSocketStream<Box<dyn Io>>,
    manners: Arc<Mutex<Manners>>,
    told: mpsc::UnboundedSender<String>,
    mut said: mpsc::UnboundedReceiver<Message>,
) {
    loop {
        tokio::select! {
            message = socket.next() => match message {
                Some(Ok(Message::Text(text))) if text.contains("eth_chainId") => {
                    let id = serde_json::from_str::<Value>(&text).unwrap()["id"].clone();
                    let chain_id = format!("{:#x}", manners.lock().unwrap().chain_id);
                    let _ = socket.send(Message::text(json!({ "id": id, "result": chain_id }).to_string())).await;
                }
                Some(Ok(Message::Text(text))) => drop(told.send(text.to_string())),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return,
            },
            message = said.recv() => match message {
                Some(message) => drop(socket.send(message).await),
                None => return,
            }
        }
    }
}

impl Socket {
    /// The next request.
    pub(crate) async fn heard(&mut self) -> Value {
        let text = timeout(SOON, self.heard.recv()).await.expect("no request").expect("the socket is gone");
        serde_json::from_str(&text).unwrap()
    }

    /// Nothing was asked so far.
    #[track_caller]
    pub(crate) fn heard_nothing(&mut self) {
        assert_eq!(self.heard.try_recv().ok(), None);
    }

    pub(crate) fn say(&self, text: impl Into<Utf8Bytes>) {
        self.say.send(Message::Text(text.into())).unwrap();
    }

    /// Answers a request.
    pub(crate) fn answer(&self, request: &Value, result: &str) {
        self.say(format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, request["id"]));
    }

    pub(crate) fn event(&self, subscription: &str, payload: &str) {
        let params = format!(r#"{{"subscription":{subscription},"result":{payload}}}"#);
        self.say(format!(r#"{{"jsonrpc":"2.0","method":"eth_subscription","params":{params}}}"#));
    }

    pub(crate) fn close(&self, code: u16) {
        let frame = CloseFrame { code: code.into(), reason: Utf8Bytes::from_static(SECRET) };
        self.say.send(Message::Close(Some(frame))).unwrap();
    }

    /// Breaks it off.
    pub(crate) async fn cut(self) {
        self.task.abort();
        let _ = self.task.await;
    }

    /// Waits until the other side is gone.
    pub(crate) async fn gone(mut self) {
        while timeout(SOON, self.heard.recv()).await.expect("the socket stays").is_some() {}
    }
}

/// Sockets to providers, as a test has them.
pub(crate) struct World {
    pub(crate) upstream: Upstream,
    pub(crate) site: watch::Sender<Arc<Site>>,
    pub(crate) notices: broadcast::Receiver<Notice>,
    tls: watch::Sender<Arc<ClientConfig>>,
    _task: JoinHandle<()>,
}

impl World {
    pub(crate) fn of(channels: Vec<WsChannel>) -> Self {
        Self::with(channels, Vec::new())
    }

    /// Trusting these certificates.
    pub(crate) fn with(channels: Vec<WsChannel>, trusted: Vec<CertificateDer<'static>>) -> Self {
        let (tls, trusting) = watch::channel(trusting(trusted));
        let (site, followed) = watch::channel(Arc::new(site_of(channels)));
        let (told, notices) = broadcast::channel(1_024);
        let parts = Parts { site: followed, tls: trusting, notices: told, supervisor: Arc::new(Once) };
        let (upstream, task) = Upstream::start(parts);
        Self { upstream, site, notices, tls, _task: tokio::spawn(task) }
    }

    /// From now on these certificates are trusted.
    pub(crate) fn trust(&self, trusted: Vec<CertificateDer<'static>>) {
        self.tls.send_replace(trusting(trusted));
    }

    /// The next notice that is not of a head or a socket that opened.
    pub(crate) async fn noticed(&mut self, wanted: impl Fn(&Notice) -> bool) -> Notice {
        loop {
            let notice = timeout(SOON, self.notices.recv()).await.expect("not told").unwrap();
            assert!(!format!("{notice:?}").contains(SECRET), "{notice:?}");
            if wanted(&notice) {
                return notice;
            }
        }
    }

    /// Waits until the sockets of a channel are in use.
    pub(crate) async fn up(&self, channel: &str) {
        let mut status = self.upstream.status();
        let ready =
            status.wait_for(|status| status.get(channel).is_some_and(|it| it.feeds && it.calls_since.is_some()));
        timeout(SOON, ready).await.expect("not up").unwrap();
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self._task.abort();
    }
}

fn trusting(trusted: Vec<CertificateDer<'static>>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(trusted);
    let tls = ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(tls)
}

/// Starts each task once.
struct Once;

impl Supervise for Once {
    fn keep_up(&self, _: &'static str, mut start: Box<dyn FnMut() -> Task + Send>) -> Task {
        start()
    }

    fn outlive(&self, _: &'static str, task: Task) -> Task {
        task
    }
}

/// With one socket for calls.
pub(crate) fn site_of(channels: Vec<WsChannel>) -> Site {
    // The catalog says nothing to sockets; it cannot be empty.
    let id = "dev/one/ws";
    let chain = json!({
        "id": "dev", "chain_id": CHAIN, "strategy": "priority", "providers": [{ "id": "one", "priority": 1, "channels": [id] }],
    });
    let spec = json!({
        "version": 1,
        "generation": "0123456789abcdef",
        "channels": [{ "id": id, "transport": "ws", "cluster": "lasso", "authority": "hub", "path": "/channel" }],
        "profiles": [{ "id": "public", "chains": [chain] }],
    });
    let spec: CatalogSpec = serde_json::from_value(spec).unwrap();
    Site {
        catalog: Arc::new(Catalog::try_from(spec).unwrap()),
        channels,
        subscriptions: BTreeMap::new(),
        calls: None,
        token: HubToken::new(TOKEN.into()),
        limits: Limits { sockets: 10, subscriptions: 10, provider_sockets: 1, message_bytes: 1_024, batch: 10 },
    }
}
