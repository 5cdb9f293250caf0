//! A hub with real sockets on both sides, for tests: clients, an Envoy that does what the method's name says, and feeds that are the test itself.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::TokioIo;
use lasso_routing::Catalog;
use lasso_routing::catalog::CatalogSpec;
use rustls::ClientConfig;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, broadcast, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::Message;

use crate::feeds::{Feeds, SubscriptionId, Wanted, Wish, Wishes};
use crate::frame::Telling;
use crate::hub::Hub;
use crate::listener::Bridge;
use crate::outlet::Outgoing;
use crate::upstream::{Parts, Upstream};
use crate::{Counts, HubToken, Limits, Notice, Setup, Site, Supervise, Task};

/// For what must happen soon.
const SOON: Duration = Duration::from_secs(10);

/// Starts tasks again after a panic.
#[derive(Debug)]
struct Plain;

impl Supervise for Plain {
    fn keep_up(&self, _: &'static str, mut start: Box<dyn FnMut() -> Task + Send>) -> Task {
        Box::pin(async move { while tokio::spawn(start()).await.is_err() {} })
    }

    fn outlive(&self, _: &'static str, task: Task) -> Task {
        task
    }
}

/// A request as Envoy got it.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

/// An Envoy that answers by the method's name.
#[derive(Debug)]
pub(crate) struct Envoy {
    pub(crate) address: String,
    pub(crate) asked: Arc<Mutex<Vec<Asked>>>,
    /// `hold` waits for a permit.
    pub(crate) gate: Arc<Semaphore>,
}

impl Envoy {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = Arc::<Mutex<Vec<Asked>>>::default();
        let gate = Arc::new(Semaphore::new(0));
        let (told, opened) = (Arc::clone(&asked), Arc::clone(&gate));
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (told, opened) = (Arc::clone(&told), Arc::clone(&opened));
                let service = service_fn(move |request| answer(request, Arc::clone(&told), Arc::clone(&opened)));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(socket), service));
            }
        });
        Self { address, asked, gate }
    }

    pub(crate) fn last(&self) -> Asked {
        self.asked.lock().unwrap().last().expect("nothing was asked").clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

async fn answer(
    request: Request<Incoming>,
    told: Arc<Mutex<Vec<Asked>>>,
    gate: Arc<Semaphore>,
) -> Result<Response<Full<Bytes>>, std::io::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
    let path = head.uri.path_and_query().unwrap().to_string();
    let text = String::from_utf8(body.to_vec()).unwrap();
    told.lock().unwrap().push(Asked { path, headers: head.headers, body: text.clone() });
    let asked: Value = serde_json::from_str(&text).unwrap();
    let response = |status: u16, body: String| Response::builder().status(status).body(Full::from(body)).unwrap();
    let result = |call: &Value| {
        let id = call.get("id")?;
        Some(json!({ "jsonrpc": "2.0", "id": id, "result": call["method"] }))
    };
    let Some(method) = asked["method"].as_str() else {
        let answers: Vec<Value> = asked.as_array().unwrap().iter().filter_map(result).collect();
        return Ok(if answers.is_empty() {
            response(204, String::new())
        } else {
            response(200, json!(answers).to_string())
        });
    };
    let said = result(&asked).map(|answer| answer.to_string());
    Ok(match method {
        "hold" => {
            gate.acquire().await.unwrap().forget();
            response(200, said.unwrap())
        }
        "raw" => response(200, asked["params"][0].as_str().unwrap().to_owned()),
        "status" => response(asked["params"][0].as_u64().unwrap() as u16, "no healthy upstream".into()),
        "long" => response(200, "[".to_owned() + &" ".repeat(asked["params"][0].as_u64().unwrap() as usize) + "]"),
        "broken" => Response::builder().body(Full::from(Bytes::from_static(b"{\"a\":\"\xff\"}"))).unwrap(),
        "eth_sendRawTransaction" | "eth_getBalance" | "cut" => return Err(std::io::Error::other("cut")),
        "meta" => {
            let mut response = response(200, said.unwrap());
            response.headers_mut().insert("x-lasso-meta", "eyJ2ZXJzaW9uIjoiMS4wIn0".parse().unwrap());
            response
        }
        _ => said.map_or_else(|| response(204, String::new()), |said| response(200, said)),
    })
}

pub(crate) fn catalog(block: &[&str]) -> Catalog {
    let spec: CatalogSpec = serde_json::from_value(json!({
        "version": 1,
        "generation": "0000000000000001",
        "channels": [{
            "id": "ethereum/a/http", "transport": "http", "cluster": "lasso/ethereum/a/http",
            "authority": "a.example", "path": "/v2/secret",
        }],
        "profiles": [{
            "id": "public",
            "methods": { "block": block },
            "chains": [{
                "id": "ethereum", "chain_id": 1, "hosts": ["eth.example"], "strategy": "priority",
                "providers": [{ "id": "a", "channels": ["ethereum/a/http"] }],
            }],
        }],
    }))
    .unwrap();
    spec.try_into().unwrap()
}

pub(crate) const LIMITS: Limits =
    Limits { sockets: 64, subscriptions: 3, provider_sockets: 2, message_bytes: 1024 * 1024, batch: 5 };

/// A hub, and everything around it.
pub(crate) struct World {
    pub(crate) address: String,
    pub(crate) envoy: Envoy,
    pub(crate) site: watch::Sender<Arc<Site>>,
    pub(crate) drain: watch::Sender<bool>,
    pub(crate) notices: broadcast::Receiver<Notice>,
    pub(crate) task: JoinHandle<()>,
    wishes: mpsc::Receiver<Wish>,
    left: mpsc::UnboundedReceiver<SubscriptionId>,
    hub: Hub,
}

pub(crate) fn site(calls: Option<String>, limits: Limits, block: &[&str]) -> Arc<Site> {
    Arc::new(Site {
        catalog: Arc::new(catalog(block)),
        channels: Vec::new(),
        subscriptions: Default::default(),
        calls,
        token: HubToken::new("word".into()),
        limits,
    })
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(LIMITS).await
    }

    pub(crate) async fn with(limits: Limits) -> Self {
        let envoy = Envoy::start().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (site, followed) = watch::channel(site(Some(envoy.address.clone()), limits, &[]));
        let (drain, draining) = watch::channel(false);
        let (notices, noticed) = broadcast::channel(16);
        let (_, standings) = watch::channel(Arc::default());
        let roots = rustls::RootCertStore::empty();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let (_, tls) = watch::channel(Arc::new(tls.with_root_certificates(roots).with_no_client_auth()));
        let supervisor: Arc<dyn Supervise> = Arc::new(Plain);
        // Nobody dials: its task is not run.
        let (upstream, _) = Upstream::start(Parts {
            site: followed.clone(),
            tls: tls.clone(),
            notices: notices.clone(),
            supervisor: Arc::clone(&supervisor),
        });
        let setup = Setup { listener, site: followed, standings, tls, notices, supervisor, drain: draining };
        let (feeds, Wishes { wishes, leaving: left }) = Feeds::new();
        let bridge: Bridge = Arc::new(|request| {
            let path = request.uri().path().to_owned();
            Box::pin(async move { Ok(Response::new(Full::from(path))) })
        });
        let (hub, task) = Hub::serve(setup, feeds, upstream, bridge);
        let task = tokio::spawn(task);
        Self { address, envoy, site, drain, notices: noticed, task, wishes, left, hub }
    }

    pub(crate) fn counts(&self) -> Counts {
        self.hub.counts()
    }

    /// A client at a path.
    pub(crate) async fn client(&self, path: &str) -> Client {
        self.client_with(path, &[]).await.unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    pub(crate) async fn client_with(
        &self,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Client, tokio_tungstenite::tungstenite::Error> {
        let mut request = format!("ws://{}{path}", self.address).into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().append(*name, value.parse().unwrap());
        }
        let socket = TcpStream::connect(&self.address).await.unwrap();
        let (socket, _) = tokio_tungstenite::client_async(request, socket).await?;
        Ok(Client { socket })
    }

    /// The next wish.
    pub(crate) async fn wanted(&mut self) -> Wanted {
        match timeout(SOON, self.wishes.recv()).await.expect("no wish").unwrap() {
            Wish::Subscribe(wanted) => *wanted,
            Wish::View(_) => panic!("a view was asked for"),
        }
    }

    /// The next who leaves.
    pub(crate) async fn leaver(&mut self) -> SubscriptionId {
        timeout(SOON, self.left.recv()).await.expect("nobody left").unwrap()
    }

    /// Waits for a state of the counters.
    pub(crate) async fn until(&self, what: &str, is: impl Fn(&Counts) -> bool) {
        let turns = async {
            while !is(&self.counts()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if timeout(SOON, turns).await.is_err() {
            panic!("{what}: {:?}", self.counts());
        }
    }
}

/// Confirms a wish.
pub(crate) fn confirm(wanted: &Wanted) {
    wanted
        .outlet
        .put(Outgoing::Subscribed { request: Arc::clone(&wanted.request), subscription: Arc::clone(&wanted.name) });
}

/// Tells a subscription something.
pub(crate) fn tell(wanted: &Wanted, payload: &str) {
    wanted.outlet.tell(wanted.subscription, &wanted.name, &mut Telling::new(payload.into()));
}

/// A client.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) socket: WebSocketStream<TcpStream>,
}

impl Client {
    pub(crate) async fn say(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    /// The next message.
    pub(crate) async fn hear(&mut self) -> String {
        loop {
            match self.next().await {
                Message::Text(text) => return text.to_string(),
                Message::Ping(_) | Message::Pong(_) => {}
                other @ (Message::Binary(_) | Message::Close(_) | Message::Frame(_)) => panic!("{other:?}"),
            }
        }
    }

    pub(crate) async fn next(&mut self) -> Message {
        timeout(SOON, self.socket.next()).await.expect("silence").expect("the end").expect("a fault")
    }

    /// Says and hears.
    pub(crate) async fn ask(&mut self, text: &str) -> String {
        self.say(text).await;
        self.hear().await
    }

    /// The code that it is closed with, after whatever else comes.
    pub(crate) async fn closed(&mut self) -> u16 {
        loop {
            if let Message::Close(frame) = self.next().await {
                return frame.expect("a code").code.into();
            }
        }
    }
}
