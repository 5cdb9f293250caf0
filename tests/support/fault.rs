//! Ways of misbehaving, as data.
//!
//! Duty: say what a provider answers, how it delivers it, and to which calls. The same words serve tests (builders) and the admin
//! port of the demo (JSON).
//! Invariant: a fault is inert; [`crate::FaultProxy`] acts on it. `$ID` in a text stands for the id of the call.
//! Leaves to others: what concerns whole connections ([`crate::Door`]).

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// One way of misbehaving, and to which calls.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Fault {
    /// What is said instead of the node's answer.
    pub answer: Answer,
    /// How it is put on the wire.
    pub delivery: Delivery,
    /// How long it takes before the first byte, in milliseconds.
    pub latency_ms: u64,
    /// Methods it applies to; none named: all.
    pub methods: Vec<String>,
    /// `user-agent` of the clients it applies to; absent: all.
    pub agent: Option<Box<str>>,
    /// How often it strikes, 0 to 1; absent: always.
    pub probability: Option<f64>,
    /// After so many times it is gone; absent: it stays.
    pub times: Option<u32>,
    /// The transport whose calls it applies to; absent: both.
    pub over: Option<Over>,
    /// What its sockets do. Such a fault strikes no call.
    pub socket: Option<SocketFault>,
    /// So many blocks behind the node, in what calls are told of the head, blocks and logs and in events. Such a fault strikes no call either.
    pub behind: u64,
}

/// How a call came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Over {
    /// As an HTTP request.
    Http,
    /// As a message on a socket.
    Ws,
}

/// Ways in which sockets misbehave, beside the answers to calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum SocketFault {
    /// Upgrades are refused.
    Refuse {
        /// HTTP status.
        status: u16,
        /// Seconds of `Retry-After`.
        #[serde(default)]
        retry_after: Option<u64>,
    },
    /// Sockets stay open and calls are answered, events are not sent.
    Stall,
    /// Sockets stay open; not a byte is read or written, not even a pong.
    Freeze,
    /// Every so manyth event is lost.
    LoseEvery(u64),
    /// Logs are lost, heads come.
    LoseLogs,
    /// After so many more events, on whichever sockets, a socket is reset; then the fault is gone.
    BreakAfter(u64),
    /// Each event comes twice.
    Twice,
    /// Neighbouring events change places.
    Swap,
    /// Events come so many milliseconds late.
    LateMs(u64),
    /// Before each event this text, which is no JSON-RPC.
    Garbage(String),
}

/// What is said.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Answer {
    /// Whatever the node says.
    #[default]
    Node,
    /// These very bytes, after `$ID` was filled in.
    Text {
        /// HTTP status.
        status: u16,
        /// Headers beside content-length, or instead of the default content-type.
        #[serde(default)]
        headers: Vec<(String, String)>,
        /// Body.
        #[serde(default)]
        body: String,
    },
    /// A JSON-RPC error; in a batch, for each item that the fault applies to (the others have no answer where there is no node).
    Error {
        /// HTTP status.
        status: u16,
        /// The error object.
        error: Value,
    },
    /// A fixed result; in a batch, for each item that the fault applies to.
    Result(Value),
    /// A string result of about so many bytes, made while it is sent.
    Large(usize),
    /// The request is read and never answered.
    Hang,
    /// The connection is reset before a byte of the answer.
    Reset,
}

/// How it is put on the wire.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Delivery {
    /// `transfer-encoding: chunked` instead of content-length.
    pub chunked: bool,
    /// Compressed, whether or not the other side asked for it.
    pub gzip: bool,
    /// In two parts, with so many milliseconds between them.
    pub pause_ms: Option<u64>,
    /// Only so many bytes of the body are kept, and the headers agree: the damage shows in the JSON only.
    pub keep: Option<usize>,
    /// After so many bytes of the body the connection is reset.
    pub reset_after: Option<usize>,
    /// After so many bytes of the body the connection is closed in peace, though the headers promised more.
    pub close_after: Option<usize>,
}

impl Fault {
    /// Slow, otherwise honest.
    pub fn latency(milliseconds: u64) -> Self {
        Self { latency_ms: milliseconds, ..Self::default() }
    }

    /// Honest content, odd delivery.
    pub fn delivered(delivery: Delivery) -> Self {
        Self { delivery, ..Self::default() }
    }

    /// What sockets do.
    pub fn socket(fault: SocketFault) -> Self {
        Self { socket: Some(fault), ..Self::default() }
    }

    /// Honest, but of a while ago.
    pub fn behind(blocks: u64) -> Self {
        Self { behind: blocks, ..Self::default() }
    }

    /// Any answer.
    pub fn answer(answer: Answer) -> Self {
        Self { answer, ..Self::default() }
    }

    /// A text with a status; `content-type` is guessed from its first character.
    pub fn text(status: u16, body: &str) -> Self {
        Self::answer(Answer::Text { status, headers: Vec::new(), body: body.to_owned() })
    }

    /// A JSON-RPC error under HTTP 200.
    pub fn rpc(code: i64, message: &str) -> Self {
        Self::rpc_under(200, code, message)
    }

    /// A JSON-RPC error under another HTTP status.
    pub fn rpc_under(status: u16, code: i64, message: &str) -> Self {
        Self::answer(Answer::Error { status, error: json!({"code": code, "message": message}) })
    }

    /// A JSON-RPC error with data under HTTP 200.
    pub fn rpc_with_data(code: i64, message: &str, data: Value) -> Self {
        Self::answer(Answer::Error { status: 200, error: json!({"code": code, "message": message, "data": data}) })
    }

    /// A fixed result.
    pub fn result(value: Value) -> Self {
        Self::answer(Answer::Result(value))
    }

    /// One more header. Only texts have headers of their own.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if let Answer::Text { headers, .. } = &mut self.answer {
            headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    /// Delivered so.
    #[must_use]
    pub fn sent(mut self, delivery: Delivery) -> Self {
        self.delivery = delivery;
        self
    }

    /// Only for this method; may be said again for more.
    #[must_use]
    pub fn on(mut self, method: &str) -> Self {
        self.methods.push(method.to_owned());
        self
    }

    /// Only for calls that come as HTTP requests.
    #[must_use]
    pub fn over_http(mut self) -> Self {
        self.over = Some(Over::Http);
        self
    }

    /// Only for calls that come on sockets.
    #[must_use]
    pub fn over_ws(mut self) -> Self {
        self.over = Some(Over::Ws);
        self
    }

    /// Only for calls of this client: what one Envoy cannot reach and another can.
    #[must_use]
    pub fn for_agent(mut self, agent: &str) -> Self {
        self.agent = Some(agent.into());
        self
    }

    /// So many times, then no more.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// Slower by so many milliseconds.
    #[must_use]
    pub fn after(mut self, milliseconds: u64) -> Self {
        self.latency_ms = milliseconds;
        self
    }

    /// Whether it is about calls at all.
    pub(crate) fn strikes_calls(&self) -> bool {
        self.socket.is_none() && self.behind == 0
    }

    /// Whether it applies to a method.
    pub(crate) fn applies_to(&self, method: &str) -> bool {
        self.methods.is_empty() || self.methods.iter().any(|named| named == method)
    }
}

impl Delivery {
    /// Chunked.
    pub fn chunked() -> Self {
        Self { chunked: true, ..Self::default() }
    }

    /// Compressed unasked.
    pub fn gzip() -> Self {
        Self { gzip: true, ..Self::default() }
    }

    /// In two parts.
    pub fn two_parts(milliseconds: u64) -> Self {
        Self { pause_ms: Some(milliseconds), ..Self::default() }
    }

    /// Cut, with headers that agree with the cut.
    pub fn keep(bytes: usize) -> Self {
        Self { keep: Some(bytes), ..Self::default() }
    }

    /// Reset in the body.
    pub fn reset_after(bytes: usize) -> Self {
        Self { reset_after: Some(bytes), ..Self::default() }
    }

    /// Closed in the body.
    pub fn close_after(bytes: usize) -> Self {
        Self { close_after: Some(bytes), ..Self::default() }
    }
}
