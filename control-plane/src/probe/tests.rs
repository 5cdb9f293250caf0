//! Orders against a small HTTP server that plays Envoy, a provider, or nobody.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use lasso_routing::breaker::Category;
use lasso_routing::fleet::event::Ask;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::Notify;

use super::*;
use crate::compile::compile;
use crate::config::ProbeVia;
use crate::testing::{load_text, tokens};

const TOKEN: [u8; 16] = [7; 16];

/// What was asked: path, the token's header, method.
type Seen = (String, Option<String>, String);

struct Server {
    address: SocketAddr,
    seen: Arc<std::sync::Mutex<Vec<Seen>>>,
    waiting: Arc<AtomicUsize>,
    go: Arc<Notify>,
}

impl Server {
    /// Answers everything with this. `holds`: only after [`Server::let_go`].
    async fn answering(status: u16, body: &'static str, holds: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            seen: Arc::default(),
            waiting: Arc::default(),
            go: Arc::default(),
        };
        let (seen, waiting, go) = (Arc::clone(&server.seen), Arc::clone(&server.waiting), Arc::clone(&server.go));
        let answer = move |request: Request<Incoming>| {
            let (seen, waiting, go) = (Arc::clone(&seen), Arc::clone(&waiting), Arc::clone(&go));
            async move {
                let (head, content) = request.into_parts();
                let call: Value = serde_json::from_slice(&content.collect().await.unwrap().to_bytes()).unwrap();
                let token = head.headers.get("x-lasso-probe").map(|value| value.to_str().unwrap().to_owned());
                seen.lock().unwrap().push((head.uri.path().to_owned(), token, call["method"].to_string()));
                if holds {
                    let gone = go.notified();
                    waiting.fetch_add(1, Ordering::SeqCst);
                    gone.await;
                }
                let answer = Response::builder().status(status).body(Full::new(Bytes::from_static(body.as_bytes())));
                Ok::<_, std::convert::Infallible>(answer.unwrap())
            }
        };
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let serving = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer.clone()));
                tokio::spawn(serving);
            }
        });
        server
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

/// TLS that believes nobody.
fn nobody_trusted() -> rustls::ClientConfig {
    rustls::ClientConfig::clone(&crate::tls::Trust::read(Path::new("")).unwrap().client)
}

/// An address where nobody listens.
async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// `ethereum` of the profile `paid`, whose provider a lives at that address.
fn routes(provider: SocketAddr) -> Arc<Routes> {
    let text = format!(
        "profiles: {{paid: {{chains: {{ethereum: {{chain_id: 1, providers: [{{id: a, url: 'http://{provider}/key', headers: {{x-key: secret}}}}]}}}}}}}}"
    );
    let deployment = compile(&load_text(&text).unwrap().config).unwrap();
    Arc::new(Routes::of(&deployment.with_tokens(&tokens(TOKEN)).unwrap()).unwrap())
}

struct Answers(mpsc::Sender<Probe>);

impl Listener for Answers {
    async fn probed(&self, probe: Probe) {
        let _ = self.0.send(probe).await;
    }
}

struct Orders {
    orders: mpsc::Sender<Order>,
    answers: mpsc::Receiver<Probe>,
}

impl Orders {
    fn new(via: ProbeVia, routes: Arc<Routes>) -> Self {
        let (orders, ordered) = mpsc::channel(256);
        let (answer, answers) = mpsc::channel(256);
        let prober = Prober {
            orders: ordered,
            listener: Answers(answer),
            routes: watch::channel(routes).1,
            dialler: watch::channel(Arc::new(Dialler::new(via, nobody_trusted()))).1,
        };
        tokio::spawn(Prober::run(Arc::new(Mutex::new(prober))));
        Self { orders, answers }
    }

    async fn give(&self, channel: &str, ask: Ask) {
        self.orders.send(Order { channel: channel.into(), ask }).await.unwrap();
    }

    async fn found(&mut self, ask: Ask) -> Found {
        self.give("paid:ethereum/a/http", ask).await;
        self.answers.recv().await.unwrap().found
    }
}

const HEAD: &str = r#"{"jsonrpc":"2.0","id":1,"result":"0x10"}"#;

#[tokio::test]
async fn a_probe_goes_through_envoy_pinned_and_with_the_token() {
    let envoy = Server::answering(200, HEAD, false).await;
    let mut orders = Orders::new(ProbeVia::Ours(envoy.address), routes(nobody().await));
    assert_eq!(orders.found(Ask::Head).await, Found::Head(16));
    assert_eq!(orders.found(Ask::ChainId).await, Found::ChainId(16));
    let path = "/rpc/profile/paid/provider/a/ethereum".to_owned();
    let seen = |method: &str| (path.clone(), Some("07".repeat(16)), format!("\"{method}\""));
    assert_eq!(envoy.seen(), [seen("eth_blockNumber"), seen("eth_chainId")]);
}

#[tokio::test]
async fn an_envoy_in_trouble_says_nothing_about_the_provider() {
    for (status, body) in [(503, ""), (404, "nothing here"), (200, ""), (413, "too large")] {
        let envoy = Server::answering(status, body, false).await;
        let mut orders = Orders::new(ProbeVia::Named(envoy.address.to_string()), routes(nobody().await));
        assert_eq!(orders.found(Ask::Head).await, Found::NotSent, "{status} {body}");
    }
    let mut orders = Orders::new(ProbeVia::Named(nobody().await.to_string()), routes(nobody().await));
    assert_eq!(orders.found(Ask::Head).await, Found::NotSent);
}

#[tokio::test]
async fn a_channel_that_is_gone_is_not_asked() {
    let envoy = Server::answering(200, HEAD, false).await;
    let mut orders = Orders::new(ProbeVia::Ours(envoy.address), routes(nobody().await));
    orders.give("ethereum/gone/http", Ask::Head).await;
    let answer = orders.answers.recv().await.unwrap();
    assert_eq!((&*answer.channel, answer.found), ("ethereum/gone/http", Found::NotSent));
    assert!(envoy.seen().is_empty());
}

#[tokio::test]
async fn directly_a_provider_gets_its_own_path_and_no_token() {
    let provider = Server::answering(200, HEAD, false).await;
    let mut orders = Orders::new(ProbeVia::Direct, routes(provider.address));
    assert_eq!(orders.found(Ask::Head).await, Found::Head(16));
    assert_eq!(provider.seen(), [("/key".to_owned(), None, "\"eth_blockNumber\"".to_owned())]);
    let mut orders = Orders::new(ProbeVia::Direct, routes(nobody().await));
    assert_eq!(orders.found(Ask::Head).await, Found::Failed(Category::Network));
}

#[tokio::test]
async fn where_nobody_listens_providers_are_dialled_and_failures_count_once_that_way_is_known_to_work() {
    let provider = Server::answering(401, r#"{"message":"bad key"}"#, false).await;
    let mut orders = Orders::new(ProbeVia::Ours(nobody().await), routes(nobody().await));
    assert_eq!(orders.found(Ask::Head).await, Found::NotSent, "our own way out may be closed");
    let mut orders = Orders::new(ProbeVia::Ours(nobody().await), routes(provider.address));
    assert_eq!(orders.found(Ask::Head).await, Found::Failed(Category::Auth));

    let (open, dead) = (routes(provider.address), routes(nobody().await));
    let dialler = Dialler::new(ProbeVia::Ours(nobody().await), nobody_trusted());
    let channel = "paid:ethereum/a/http";
    assert_eq!(dialler.ask(open.to(channel).unwrap(), &Ask::Head).await, Found::Failed(Category::Auth));
    assert_eq!(dialler.ask(dead.to(channel).unwrap(), &Ask::Head).await, Found::Failed(Category::Network));
}

#[tokio::test(start_paused = true)]
async fn silence_is_the_providers_when_it_was_asked_itself_and_envoys_otherwise() {
    let silent = Server::answering(200, HEAD, true).await;
    let mut direct = Orders::new(ProbeVia::Direct, routes(silent.address));
    let started = tokio::time::Instant::now();
    assert_eq!(direct.found(Ask::Head).await, Found::Failed(Category::Timeout));
    assert!(started.elapsed() >= Duration::from_secs(5));
    let mut through = Orders::new(ProbeVia::Ours(silent.address), routes(nobody().await));
    assert_eq!(through.found(Ask::Head).await, Found::NotSent);
}

#[tokio::test]
async fn only_so_many_are_under_way_at_once_and_every_order_is_answered() {
    let envoy = Server::answering(200, HEAD, true).await;
    let mut orders = Orders::new(ProbeVia::Ours(envoy.address), routes(nobody().await));
    for _ in 0..MOST_PROBES + 8 {
        orders.give("paid:ethereum/a/http", Ask::Head).await;
    }
    while envoy.waiting.load(Ordering::SeqCst) < MOST_PROBES {
        tokio::task::yield_now().await;
    }
    assert_eq!(envoy.seen().len(), MOST_PROBES);
    let mut found = Vec::new();
    while found.len() < MOST_PROBES + 8 {
        envoy.go.notify_waiters();
        if let Ok(probe) = orders.answers.try_recv() {
            found.push(probe.found);
        }
        tokio::task::yield_now().await;
    }
    assert!(found.iter().all(|found| *found == Found::Head(16)));
}

#[tokio::test]
async fn a_prober_that_starts_again_goes_on_with_the_orders_that_wait() {
    let envoy = Server::answering(200, HEAD, false).await;
    let (orders, ordered) = mpsc::channel(8);
    let (answer, mut answers) = mpsc::channel(8);
    let prober = Prober {
        orders: ordered,
        listener: Answers(answer),
        routes: watch::channel(routes(nobody().await)).1,
        dialler: watch::channel(Arc::new(Dialler::new(ProbeVia::Ours(envoy.address), nobody_trusted()))).1,
    };
    let prober = Arc::new(Mutex::new(prober));
    let first = tokio::spawn(Prober::run(Arc::clone(&prober)));
    first.abort();
    let _ = first.await;
    orders.send(Order { channel: "paid:ethereum/a/http".into(), ask: Ask::Head }).await.unwrap();
    drop(orders);
    Prober::run(prober).await;
    assert_eq!(answers.recv().await.unwrap().found, Found::Head(16));
}

#[test]
fn what_is_printed_holds_no_secret() {
    let routes = routes("127.0.0.1:1".parse().unwrap());
    let printed = format!("{routes:?}");
    let secrets = BTreeSet::from(["/key", "secret", "0707"]);
    assert!(secrets.iter().all(|secret| !printed.contains(secret)), "{printed}");
}
