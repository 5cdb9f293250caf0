//! One WebSocket of a client.
//!
//! Duty: the handshake; calls answered as over HTTP, each in its own time; subscriptions made with the node and their events passed on; what the faults
//! of sockets want.
//! Invariant: a socket's subscriptions are counted while they live and not a moment longer, however it ends.
//! Leaves to others: what befalls an event (`events`), the words of an answer (`answer`).

use std::{
    collections::BTreeMap,
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use tokio::{
    io::AsyncWriteExt as _,
    net::TcpStream,
    sync::{broadcast, watch},
    task::JoinSet,
};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::{
    Door, Hangup, Recorded, Shared, Truth,
    answer::{Asked, Said, say},
    connection::reset,
    events::Events,
    http::Request,
};
use crate::{
    Fault, Over, SocketFault,
    frame::{Frame, Frames, opcode},
    made::{Block, News},
    wait,
};

/// Serves one upgraded connection to its end.
pub(super) async fn serve(shared: Arc<Shared>, mut stream: TcpStream, request: Request, held: &[u8]) {
    let accept = derive_accept_key(request.socket_key().unwrap_or_default().as_bytes());
    let Request { verb, path, headers, .. } = request;
    let recorded = Recorded { over: Over::Ws, verb, path, headers, methods: Vec::new(), body: Vec::new() };
    let refused = shared.ledger().knocked(recorded.clone());
    if let Some((status, retry_after)) = refused {
        let later = retry_after.map(|seconds| format!("retry-after: {seconds}\r\n")).unwrap_or_default();
        let head = format!("HTTP/1.1 {status} Not OK\r\nconnection: close\r\n{later}content-length: 0\r\n\r\n");
        let _ = stream.write_all(head.as_bytes()).await;
        let _ = stream.shutdown().await;
        return;
    }
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: {accept}\r\n\r\n"
    );
    let news = match &shared.truth {
        Truth::Made(chain) => Some(chain.news()),
        Truth::Node(_) | Truth::Nobody => None,
    };
    let mut session = Session {
        door: shared.door.subscribe(),
        faults: shared.faults.subscribe(),
        hangups: shared.hangups.subscribe(),
        client: Frames::new(stream, held),
        node: None,
        news,
        calls: JoinSet::new(),
        asked: BTreeMap::new(),
        live: BTreeMap::new(),
        events: Events::default(),
        recorded,
        made: 0,
        shared,
    };
    if session.client.put(head.as_bytes()).await.is_ok() {
        // A socket that breaks is gone; there is nobody to tell.
        let _ = session.run().await;
    }
}

/// What a subscription is of.
#[derive(Debug, Clone)]
struct Subscription {
    kind: String,
    filter: Value,
}

/// What the node was asked.
#[derive(Debug)]
enum Order {
    Subscribe(Subscription),
    Unsubscribe(String),
}

struct Session {
    shared: Arc<Shared>,
    door: watch::Receiver<Door>,
    faults: watch::Receiver<()>,
    hangups: broadcast::Receiver<Hangup>,
    client: Frames<TcpStream>,
    /// Dialled for the first subscription.
    node: Option<Frames<TcpStream>>,
    /// Of a chain that is made up.
    news: Option<broadcast::Receiver<News>>,
    calls: JoinSet<Act>,
    /// By the id that the client wrote.
    asked: BTreeMap<String, Order>,
    /// By the subscription's id.
    live: BTreeMap<String, Subscription>,
    events: Events,
    recorded: Recorded,
    /// Subscriptions made up so far.
    made: u64,
}

/// What becomes of a call, when its time has come.
enum Act {
    Say(String),
    /// A subscription is made or ended.
    Order(String),
    Nothing,
    Reset,
}

enum Happened {
    Client(io::Result<Option<Frame>>),
    Node(io::Result<Option<Frame>>),
    News(Result<News, broadcast::error::RecvError>),
    Call(Act),
    Hangup(Hangup),
    /// Look at door and faults again.
    Look,
}

/// Whether the socket lives on.
type Goes = io::Result<bool>;

#[derive(Deserialize)]
struct Told<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(default)]
    result: Value,
}

impl Session {
    async fn run(&mut self) -> io::Result<()> {
        loop {
            let door = *self.door.borrow_and_update();
            match door {
                Door::Open => {}
                Door::Refusing => {
                    reset(self.client.stream());
                    return Ok(());
                }
                Door::Deaf | Door::Gone => {
                    let _ = self.door.changed().await;
                    continue;
                }
            }
            self.faults.mark_unchanged();
            let (faults, behind) = self.in_force();
            if faults.contains(&SocketFault::Freeze) {
                if !self.thaws().await {
                    return Ok(());
                }
                continue;
            }
            self.events.release(&faults, behind, Instant::now());
            while let Some(event) = self.events.pop(Instant::now()) {
                let breaks = self.shared.ledger().sends_event();
                if breaks {
                    self.reset();
                    return Ok(());
                }
                self.client.put(&Frame::text(event).unmasked()).await?;
            }
            let goes = match self.next().await {
                Happened::Client(frame) => self.client_said(frame?).await?,
                Happened::Node(frame) => self.node_said(frame?).await?,
                Happened::News(news) => self.chain_grew(news),
                Happened::Call(act) => self.act(act).await?,
                Happened::Hangup(Hangup::Reset) => self.reset(),
                Happened::Hangup(Hangup::Close(code)) => self.close(code).await?,
                Happened::Look => true,
            };
            if !goes {
                return Ok(());
            }
        }
    }

    fn in_force(&self) -> (Vec<SocketFault>, u64) {
        let ledger = self.shared.ledger();
        (ledger.socket_faults(), ledger.behind())
    }

    /// Waits for the faults or the door to change; false when the socket was ended meanwhile.
    async fn thaws(&mut self) -> bool {
        tokio::select! {
            _ = self.faults.changed() => true,
            _ = self.door.changed() => true,
            _ = self.hangups.recv() => self.reset(),
        }
    }

    async fn next(&mut self) -> Happened {
        let Self { door, faults, hangups, client, node, news, calls, events, .. } = self;
        let due = events.next().map(tokio::time::Instant::from_std);
        let from_node = async {
            match node {
                Some(node) => node.message().await,
                None => std::future::pending().await,
            }
        };
        let from_chain = async {
            match news {
                Some(news) => news.recv().await,
                None => std::future::pending().await,
            }
        };
        let time = async {
            match due {
                Some(due) => drop(tokio::time::timeout_at(due, std::future::pending::<()>()).await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            hangup = hangups.recv() => hangup.map_or(Happened::Look, Happened::Hangup),
            frame = client.message() => Happened::Client(frame),
            frame = from_node => Happened::Node(frame),
            news = from_chain => Happened::News(news),
            Some(act) = calls.join_next() => Happened::Call(act.unwrap_or(Act::Nothing)),
            () = time => Happened::Look,
            _ = door.changed() => { door.mark_changed(); Happened::Look }
            _ = faults.changed() => Happened::Look,
        }
    }

    async fn client_said(&mut self, frame: Option<Frame>) -> Goes {
        let Some(frame) = frame else { return Ok(false) };
        match frame.opcode {
            opcode::PING => self.client.put(&Frame::new(opcode::PONG, frame.payload).unmasked()).await?,
            opcode::PONG => {}
            opcode::CLOSE => {
                self.client.put(&frame.unmasked()).await?;
                return Ok(false);
            }
            _ => {
                let methods = Asked::read(&frame.payload).methods();
                let recorded = Recorded { methods, body: frame.payload.clone(), ..self.recorded.clone() };
                let faults = self.shared.ledger().received(recorded);
                self.calls.spawn(perform(Arc::clone(&self.shared), frame.payload, faults));
            }
        }
        Ok(true)
    }

    async fn act(&mut self, act: Act) -> Goes {
        match act {
            Act::Nothing => {}
            Act::Reset => return Ok(self.reset()),
            Act::Say(text) => self.client.put(&Frame::text(text).unmasked()).await?,
            Act::Order(text) => {
                let call: Value = serde_json::from_str(&text).unwrap_or_default();
                let id = Asked::read(text.as_bytes()).id().to_owned();
                let order = order(&call);
                match &self.shared.truth {
                    Truth::Node(node) => {
                        if self.node.is_none() {
                            let host = node.trim_start_matches("http://").split('/').next().unwrap_or_default();
                            self.node = Some(Frames::dial(host, "/").await?);
                        }
                        self.asked.insert(id, order);
                        if let Some(node) = &mut self.node {
                            node.put(&Frame::text(text).masked()).await?;
                        }
                    }
                    Truth::Made(_) | Truth::Nobody => {
                        self.made += 1;
                        let result = match &order {
                            Order::Subscribe(_) => json!(format!("0x{:x}", self.made)),
                            Order::Unsubscribe(subscription) => json!(self.live.contains_key(subscription)),
                        };
                        let reply = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{result}}}");
                        self.done(order, &result);
                        self.client.put(&Frame::text(reply).unmasked()).await?;
                    }
                }
            }
        }
        Ok(true)
    }

    async fn node_said(&mut self, frame: Option<Frame>) -> Goes {
        let Some(frame) = frame.filter(|frame| frame.opcode != opcode::CLOSE) else {
            return self.close(1011).await;
        };
        if frame.opcode == opcode::PING {
            if let Some(node) = &mut self.node {
                node.put(&Frame::new(opcode::PONG, frame.payload).masked()).await?;
            }
            return Ok(true);
        }
        let text = String::from_utf8_lossy(&frame.payload).into_owned();
        let told = serde_json::from_str::<Told<'_>>(&text).ok().and_then(|told| Some((told.id?.get(), told.result)));
        match told.and_then(|(id, result)| Some((self.asked.remove(id)?, result))) {
            Some((order, result)) => {
                self.done(order, &result);
                self.client.put(&Frame::text(text).unmasked()).await?;
            }
            None => self.event(text),
        }
        Ok(true)
    }

    fn event(&mut self, text: String) {
        let (faults, behind) = self.in_force();
        self.events.take(text, &faults, behind, Instant::now());
    }

    fn chain_grew(&mut self, news: Result<News, broadcast::error::RecvError>) -> bool {
        let Ok(news) = news else { return true };
        let mut told = Vec::new();
        for (id, subscription) in &self.live {
            let mut tell = |result: &str| {
                told.push(format!(
                    "{{\"jsonrpc\":\"2.0\",\"method\":\"eth_subscription\",\"params\":{{\"subscription\":\"{id}\",\"result\":{result}}}}}"
                ));
            };
            match subscription.kind.as_str() {
                "newHeads" => news.grown.iter().for_each(|block| tell(&block.head)),
                "logs" => {
                    let removed = news.undone.iter().flat_map(|block| block.logs_of(&subscription.filter, true));
                    let added =
                        news.grown.iter().flat_map(|block: &Arc<Block>| block.logs_of(&subscription.filter, false));
                    removed.chain(added).for_each(|log| tell(&log.to_string()));
                }
                _ => {}
            }
        }
        for event in told {
            self.event(event);
        }
        true
    }

    fn done(&mut self, order: Order, result: &Value) {
        let mut ledger = self.shared.ledger();
        match order {
            Order::Subscribe(subscription) => {
                let Some(id) = result.as_str() else { return };
                let counts = ledger.sockets();
                *counts.subscribed.entry(subscription.kind.clone()).or_default() += 1;
                *counts.subscriptions.entry(subscription.kind.clone()).or_default() += 1;
                self.live.insert(id.to_owned(), subscription);
            }
            Order::Unsubscribe(id) => {
                if let Some(subscription) = self.live.remove(&id) {
                    *ledger.sockets().subscriptions.entry(subscription.kind).or_default() -= 1;
                }
            }
        }
    }

    fn reset(&self) -> bool {
        reset(self.client.stream());
        false
    }

    /// Says goodbye and waits a moment for the other side to say it too: data that nobody read would turn the end into a reset.
    async fn close(&mut self, code: u16) -> Goes {
        self.client.put(&Frame::close(code, "").unmasked()).await?;
        let client = &mut self.client;
        let goodbye = async {
            while client.frame().await?.is_some_and(|frame| frame.opcode != opcode::CLOSE) {}
            io::Result::Ok(())
        };
        let _ = tokio::time::timeout(Duration::from_secs(1), goodbye).await;
        Ok(false)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let mut ledger = self.shared.ledger();
        let counts = ledger.sockets();
        counts.open -= 1;
        for subscription in self.live.values() {
            *counts.subscriptions.entry(subscription.kind.clone()).or_default() -= 1;
        }
    }
}

fn order(call: &Value) -> Order {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let [first, second] = [&call["params"][0], &call["params"][1]];
    if call["method"] == "eth_unsubscribe" {
        Order::Unsubscribe(text(first))
    } else {
        Order::Subscribe(Subscription { kind: text(first), filter: second.clone() })
    }
}

/// One message of the client, from its arrival to what becomes of it.
async fn perform(shared: Arc<Shared>, body: Vec<u8>, faults: Vec<Fault>) -> Act {
    let asked = Asked::read(&body);
    let latency = faults.iter().map(|fault| fault.latency_ms).sum();
    if latency > 0 {
        wait::pass(Duration::from_millis(latency)).await;
    }
    let fault = faults.iter().find(|fault| !fault.is_only_slow());
    if let (Asked::One(call), None) = (&asked, fault)
        && matches!(call.method(), "eth_subscribe" | "eth_unsubscribe")
    {
        return Act::Order(String::from_utf8_lossy(&body).into_owned());
    }
    if fault.is_some_and(|fault| fault.delivery.reset_after.is_some()) {
        return Act::Reset;
    }
    match say(&shared, &asked, &body, fault).await {
        Said::Whole { mut body, .. } => {
            body.truncate(fault.and_then(|fault| fault.delivery.keep).unwrap_or(usize::MAX));
            // A notification has no answer, over HTTP an empty one.
            if body.is_empty() { Act::Nothing } else { Act::Say(String::from_utf8_lossy(&body).into_owned()) }
        }
        Said::Large { id, bytes } => {
            Act::Say(format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":\"0x{}\"}}", "a".repeat(bytes)))
        }
        Said::Nothing => Act::Nothing,
        Said::Reset => Act::Reset,
    }
}
