//! The errors Lasso itself answers with, one constructor each, and the writing of answers.
//!
//! Invariant: nothing in them names a provider's address or key; constructors take names from the configuration and from the client
//! only. The HTTP status that goes with an error is the caller's to set.

use std::fmt;

use serde_json::{Value, json};

use crate::text;

const PARSE: i64 = -32700;
const INVALID_REQUEST: i64 = -32600;
const METHOD_NOT_FOUND: i64 = -32601;
const INVALID_PARAMS: i64 = -32602;
const INTERNAL: i64 = -32603;
const LIMIT_EXCEEDED: i64 = -32005;
const SERVER: i64 = -32000;

/// A JSON-RPC error object of ours.
#[derive(Debug, Clone, PartialEq)]
pub struct RpcError {
    /// The code.
    pub code: i64,
    /// A sentence for people.
    pub message: String,
    /// Facts for programs.
    pub data: Option<Value>,
}

impl RpcError {
    fn new(code: i64, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: None }
    }

    fn with(mut self, data: Value) -> Self {
        self.data = Some(data);
        self
    }

    /// The body is not JSON. HTTP 400.
    pub fn parse_error() -> Self {
        Self::new(PARSE, "Parse error")
    }

    /// The body is JSON but not JSON-RPC, for this reason. HTTP 200.
    pub fn invalid_request(reason: &str) -> Self {
        Self::new(INVALID_REQUEST, format!("Invalid request: {reason}"))
    }

    /// A batch has more calls than allowed. HTTP 200.
    pub fn batch_too_large(len: usize, max: usize) -> Self {
        Self::invalid_request(&format!("batch of {len} calls, at most {max} are allowed"))
            .with(json!({ "max_batch": max }))
    }

    /// The body has more bytes than allowed. HTTP 413.
    pub fn too_large(max_bytes: u64) -> Self {
        Self::invalid_request(&format!("body too large, at most {max_bytes} bytes are allowed"))
            .with(json!({ "max_body_bytes": max_bytes }))
    }

    /// The method is blocked by the configuration. HTTP 200.
    pub fn method_blocked(method: &str) -> Self {
        Self::new(METHOD_NOT_FOUND, format!("the method {method} is not available"))
    }

    /// The method needs a WebSocket; this is where one is offered. HTTP 200.
    pub fn websocket_only(url: &str) -> Self {
        Self::new(METHOD_NOT_FOUND, "this method is available over WebSocket only")
            .with(json!({ "websocket_url": url }))
    }

    /// There is no such chain; these are. HTTP 400.
    pub fn unknown_chain<S: AsRef<str>>(asked: &str, known: impl IntoIterator<Item = S>) -> Self {
        Self::unknown("chain", "chains", asked, known)
    }

    /// There is no such provider of the chain; these are. HTTP 400.
    pub fn unknown_provider<S: AsRef<str>>(asked: &str, known: impl IntoIterator<Item = S>) -> Self {
        Self::unknown("provider", "providers", asked, known)
    }

    /// There is no such strategy; these are. HTTP 400.
    pub fn unknown_strategy<S: AsRef<str>>(asked: &str, known: impl IntoIterator<Item = S>) -> Self {
        Self::unknown("strategy", "strategies", asked, known)
    }

    /// There is no such profile; these are. HTTP 404.
    pub fn unknown_profile<S: AsRef<str>>(asked: &str, known: impl IntoIterator<Item = S>) -> Self {
        Self::unknown("profile", "profiles", asked, known)
    }

    /// A query parameter or header has a value that is not what it takes. HTTP 400.
    pub fn bad_value(name: &str, value: &str, expected: &str) -> Self {
        Self::new(INVALID_PARAMS, format!("{name}: {value:?} is not {expected}"))
    }

    /// The client is over its rate limit. HTTP 429, with `Retry-After`.
    pub fn rate_limited(retry_after_ms: u64) -> Self {
        Self::new(LIMIT_EXCEEDED, "rate limit exceeded").with(json!({ "retry_after_ms": retry_after_ms }))
    }

    /// Every channel of the chain is out; this is why, by channel. HTTP 200.
    pub fn no_channel<C: Into<String>, R: Into<Value>>(
        method: &str,
        chain: &str,
        reasons: impl IntoIterator<Item = (C, R)>,
        retry_after_ms: u64,
    ) -> Self {
        let reasons = by_channel(reasons);
        Self::new(SERVER, format!("no channel can serve {method} on {chain}"))
            .with(json!({ "reasons": reasons, "retry_after_ms": retry_after_ms }))
    }

    /// Every attempt failed, and none of them with an error of the provider's own that could be passed on. HTTP 200.
    pub fn all_failed(method: &str, chain: &str, attempts: u32) -> Self {
        Self::new(SERVER, format!("all {attempts} attempts failed for {method} on {chain}"))
    }

    /// The total deadline is over. HTTP 200.
    pub fn deadline(after_ms: u64, attempts: u32) -> Self {
        Self::new(SERVER, format!("deadline exhausted after {after_ms}ms, {attempts} attempts"))
    }

    /// Says why, by channel, in `data.reasons`.
    #[must_use]
    pub fn because<C: Into<String>, R: Into<Value>>(self, reasons: impl IntoIterator<Item = (C, R)>) -> Self {
        let reasons = by_channel(reasons);
        self.with(json!({ "reasons": reasons }))
    }

    /// The filter id in the call belongs to a channel that is not there any more. HTTP 200; the words are geth's, clients look for them.
    pub fn filter_not_found() -> Self {
        Self::new(SERVER, "filter not found")
    }

    /// A write was sent and no answer came: it may or may not have happened. HTTP 200.
    pub fn indeterminate() -> Self {
        Self::new(SERVER, "dispatch outcome is indeterminate")
    }

    /// It cannot be had here and now, for this reason. HTTP 200.
    pub fn unavailable(reason: &str) -> Self {
        Self::new(SERVER, reason)
    }

    /// As much is held for calls under way as may be; this one finds no room. HTTP 200.
    pub fn no_room() -> Self {
        Self::new(INTERNAL, "too many bytes are held for calls under way, try again")
    }

    /// The answer to an item of a batch is longer than an answer to a batch may be. HTTP 200.
    pub fn answer_too_large(most: usize) -> Self {
        Self::new(INTERNAL, format!("the answer exceeds {most} bytes, the most in a batch; ask for it alone"))
    }

    /// The params are not what the method takes.
    pub fn invalid_params(reason: &str) -> Self {
        Self::new(INVALID_PARAMS, reason)
    }

    /// A socket has as many subscriptions as it may have.
    pub fn too_many_subscriptions(most: usize) -> Self {
        Self::new(LIMIT_EXCEEDED, format!("at most {most} subscriptions are allowed on a connection"))
            .with(json!({ "max_subscriptions": most }))
    }

    /// Calls that come by WebSocket go on over HTTP, and there is no listener for them.
    pub fn no_calls() -> Self {
        Self::new(SERVER, "calls cannot be served on this connection: the gateway has no listener for them")
    }

    /// A call that came by WebSocket was not answered over HTTP, for this reason.
    pub fn gateway(reason: &str) -> Self {
        Self::new(INTERNAL, format!("the gateway's own listener {reason}"))
    }

    fn unknown<S: AsRef<str>>(kind: &str, plural: &str, asked: &str, known: impl IntoIterator<Item = S>) -> Self {
        let known: Vec<String> = known.into_iter().map(|name| name.as_ref().to_owned()).collect();
        let listed = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        Self::new(INVALID_PARAMS, format!("unknown {kind} {asked:?}; {plural}: {listed}"))
            .with(json!({ plural: known }))
    }

    /// Appends the answer that carries this error, under an id given as raw JSON.
    pub fn write(&self, id: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
        out.extend_from_slice(id.as_bytes());
        out.extend_from_slice(br#","error":{"code":"#);
        out.extend_from_slice(self.code.to_string().as_bytes());
        out.extend_from_slice(br#","message":"#);
        text::write_quoted(&self.message, out);
        if let Some(data) = &self.data {
            out.extend_from_slice(br#","data":"#);
            out.extend_from_slice(data.to_string().as_bytes());
        }
        out.extend_from_slice(b"}}");
    }
}

impl fmt::Display for RpcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

impl std::error::Error for RpcError {}

/// Appends an answer with a result; both id and result are raw JSON.
pub fn write_result(id: &str, result_raw: &str, out: &mut Vec<u8>) {
    out.reserve(id.len() + result_raw.len() + 36);
    out.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
    out.extend_from_slice(id.as_bytes());
    out.extend_from_slice(br#","result":"#);
    out.extend_from_slice(result_raw.as_bytes());
    out.push(b'}');
}

fn by_channel<C: Into<String>, R: Into<Value>>(reasons: impl IntoIterator<Item = (C, R)>) -> Value {
    reasons.into_iter().map(|(channel, reason)| (channel.into(), reason.into())).collect()
}

#[cfg(test)]
mod tests;
