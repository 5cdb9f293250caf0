//! The request log: what Envoy's access logger writes of a request when it is over.
//!
//! Duty: one line of JSON, `rpc.request.completed`, for every request that ended with an error and for a share of the others.
//! Invariant: no provider's path, key or header, whoever said it ([`mask`]); nothing that identifies the client.
//! Bound: a line has at most the attempts of its request, and its texts are cut.
//! Leaves to others: when to tell (`down/told.rs`), writing it down (Envoy, from the filter state [`LINE`]).
//!
//! DOWN leaves the line in filter state in `on_log`, which Envoy calls before its access loggers. Envoy's format is that filter state and
//! nothing else, with empty values left out, so that a request which is not logged costs no line and no condition.

mod json;
pub(crate) mod mask;

use lasso_routing::Catalog;
use lasso_routing::catalog::{Channel, Provider, RequestLog};
use lasso_routing::ledger::Ledger;
use lasso_routing::time::Micros;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::down::batch::Batch;
use crate::exchange::{Attempt, Exchange};
use crate::host::Moment;

use json::Line;

/// Filter state with the line, end of line included.
pub const LINE: &str = "lasso_log";
/// A method's name is the client's to choose: longer ones are cut.
const MOST_METHOD_CHARS: usize = 128;
/// The same for a path.
const MOST_PATH_CHARS: usize = 256;

/// What is common to all lines.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// What the log is to have.
    pub log: &'a RequestLog,
    /// Where Envoy stands; empty when nobody said.
    pub region: &'a str,
    /// Milliseconds since 1970.
    pub wall_ms: u64,
    /// When the request's head came.
    pub arrived: Moment,
    /// Now.
    pub now: Moment,
}

/// How it ended for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResultType {
    /// A result.
    Result,
    /// A JSON-RPC error, a provider's or ours.
    Error,
    /// The client went away.
    Cancelled,
}

/// A request that no provider was asked for.
#[derive(Debug)]
pub struct Own {
    /// HTTP status of the answer.
    pub status: u32,
    /// The error; `None` when the answer was a result.
    pub error: Option<(i64, String)>,
    /// The path without its query.
    pub path: String,
    /// The method, when it was read.
    pub method: Option<String>,
}

/// What there may be on a line; what is not known is left out.
#[derive(Debug, Default)]
struct Fields<'a> {
    request_id: Option<u64>,
    /// Who asked, when it was no client.
    origin: Option<&'static str>,
    profile: Option<&'a str>,
    chain: Option<&'a str>,
    path: Option<&'a str>,
    method: Option<&'a str>,
    params_present: Option<bool>,
    params_digest: Option<&'a str>,
    items: Option<usize>,
    failed_items: Option<usize>,
    strategy: Option<&'static str>,
    selection_reason: Option<&'static str>,
    candidates: Vec<String>,
    last_resorts: Vec<String>,
    attempts: Vec<Tried<'a>>,
    retries: Option<usize>,
    transport: Option<&'static str>,
    circuit_breaker_state: Option<&'static str>,
    selection: Option<Micros>,
    upstream: Option<Micros>,
    status: Option<u32>,
    result: Option<ResultType>,
    error: Option<Told>,
}

#[derive(Debug)]
struct Tried<'a> {
    channel: &'a str,
    outcome: &'static str,
    took: Micros,
}

#[derive(Debug)]
struct Told {
    code: Option<i64>,
    message: String,
}

impl ResultType {
    const fn name(self) -> &'static str {
        match self {
            Self::Result => "result",
            Self::Error => "error",
            Self::Cancelled => "cancelled",
        }
    }
}

impl Frame<'_> {
    fn told(&self, code: Option<i64>, message: &str) -> Told {
        Told { code, message: cut(message, self.log.max_error_message_chars).to_owned() }
    }

    fn line(&self, fields: &Fields<'_>) -> Vec<u8> {
        let mut line = Line::new();
        line.text("event", "rpc.request.completed");
        line.time("time", self.wall_ms);
        if let Some(id) = fields.request_id {
            line.hex("request_id", id);
        }
        line.maybe_text("origin", fields.origin);
        line.maybe_text("region", Some(self.region).filter(|region| !region.is_empty()));
        line.maybe_text("profile", fields.profile);
        line.maybe_text("chain", fields.chain);
        line.maybe_text("path", fields.path);
        line.maybe_text("method", fields.method);
        if let Some(present) = fields.params_present {
            line.flag("params_present", present);
        }
        line.maybe_text("params_digest", fields.params_digest);
        let count = |line: &mut Line, key, count: Option<usize>| {
            if let Some(count) = count {
                line.number(key, count as u64);
            }
        };
        count(&mut line, "items", fields.items);
        count(&mut line, "failed_items", fields.failed_items);
        line.maybe_text("strategy", fields.strategy);
        line.maybe_text("selection_reason", fields.selection_reason);
        line.list("candidates", &fields.candidates, |line, candidate| line.quoted(candidate));
        line.list("last_resorts", &fields.last_resorts, |line, candidate| line.quoted(candidate));
        line.list("attempts", &fields.attempts, |line, tried| {
            line.object(|line| {
                line.text("channel", tried.channel);
                line.text("outcome", tried.outcome);
                line.millis("ms", tried.took.0);
            });
        });
        count(&mut line, "retries", fields.retries);
        line.maybe_text("transport", fields.transport);
        line.maybe_text("circuit_breaker_state", fields.circuit_breaker_state);
        if let Some(selection) = fields.selection {
            line.number("selection_us", selection.0);
        }
        if let Some(upstream) = fields.upstream {
            line.millis("upstream_ms", upstream.0);
        }
        line.millis("end_to_end_ms", self.now.since(self.arrived).0);
        if let Some(status) = fields.status {
            line.number("status", status.into());
        }
        line.maybe_text("result_type", fields.result.map(ResultType::name));
        if let Some(Told { code, message }) = &fields.error {
            line.key("error");
            line.object(|line| {
                if let Some(code) = code {
                    line.signed("code", *code);
                }
                line.text("message", message);
            });
        }
        line.finished()
    }
}

/// The line of a call.
#[must_use]
pub fn of_call(exchange: &Exchange, result: ResultType, ledger: &Ledger, frame: &Frame<'_>) -> Vec<u8> {
    let catalog = &*exchange.catalog;
    let last = exchange.all_attempts().last();
    let tried = |attempt: &Attempt| Tried {
        channel: catalog.channel(attempt.channel).map_or("", Channel::id),
        outcome: attempt.outcome(),
        took: attempt.latency,
    };
    let attempts: Vec<Tried<'_>> = exchange.all_attempts().map(tried).collect();
    let error = exchange.error.as_deref().map(|error| {
        let (code, message) = read_error(error);
        let channels = exchange.all_attempts().filter_map(|attempt| catalog.channel(attempt.channel));
        frame.told(code, &mask::masked(&message, channels))
    });
    let ask = &exchange.ask;
    frame.line(&Fields {
        request_id: Some(exchange.request_id),
        origin: ask.target.probe.then_some("system"),
        profile: catalog.profile(ask.target.profile).map(|profile| profile.id()),
        chain: catalog.chain(exchange.plan.chain).map(|chain| chain.id()),
        method: Some(cut(&ask.method, MOST_METHOD_CHARS)),
        params_present: Some(ask.params_present),
        params_digest: ask.params_digest.as_deref(),
        strategy: Some(exchange.plan.strategy.name()),
        selection_reason: Some(exchange.selection_reason().name()),
        candidates: crate::meta::candidates(catalog, &exchange.plan),
        last_resorts: crate::meta::last_resorts(catalog, &exchange.plan),
        retries: Some(attempts.len().saturating_sub(1)),
        attempts,
        transport: last.and_then(|attempt| catalog.channel(attempt.channel)).map(|channel| channel.transport().name()),
        circuit_breaker_state: last
            .map(|attempt| ledger.breaker_state_for(&exchange.plan, attempt.channel, frame.now.at).name()),
        selection: Some(exchange.selection),
        upstream: last.map(|attempt| attempt.latency),
        status: match result {
            ResultType::Cancelled => None,
            ResultType::Result | ResultType::Error => Some(if ask.notification { 204 } else { 200 }),
        },
        result: Some(result),
        error,
        ..Fields::default()
    })
}

/// The line of a batch: of its last part, since parts overlap.
#[must_use]
pub fn of_batch(batch: &Batch, result: ResultType, ledger: &Ledger, frame: &Frame<'_>) -> Vec<u8> {
    let catalog = &*batch.catalog;
    let last = batch.last.as_ref();
    let channel = last.and_then(|last| catalog.channel(last.channel));
    let error = batch.end.error.as_deref().map(|error| {
        let (code, message) = read_error(error);
        // Which of them it asked is not kept; it asked no others.
        let chain = catalog.chain(batch.target.chain).into_iter();
        let channels = chain.flat_map(|chain| chain.providers()).flat_map(Provider::channels);
        frame.told(code, &mask::masked(&message, channels.filter_map(|channel| catalog.channel(*channel))))
    });
    frame.line(&Fields {
        request_id: Some(batch.request_id),
        profile: catalog.profile(batch.target.profile).map(|profile| profile.id()),
        chain: catalog.chain(batch.target.chain).map(|chain| chain.id()),
        method: Some("batch"),
        items: Some(batch.end.items),
        failed_items: Some(batch.end.failed),
        strategy: last.map(|last| last.plan.strategy.name()),
        selection_reason: last.map(|last| last.plan.reason_for(last.channel).name()),
        candidates: last.map(|last| crate::meta::candidates(catalog, &last.plan)).unwrap_or_default(),
        last_resorts: last.map(|last| crate::meta::last_resorts(catalog, &last.plan)).unwrap_or_default(),
        retries: Some(batch.retries),
        transport: channel.map(|channel| channel.transport().name()),
        circuit_breaker_state: last.map(|last| ledger.breaker_state_for(&last.plan, last.channel, frame.now.at).name()),
        selection: Some(batch.selection),
        upstream: last.map(|last| last.latency),
        status: batch.end.status,
        result: Some(result),
        error,
        ..Fields::default()
    })
}

/// The line of a request that was answered without a provider.
#[must_use]
pub fn of_own(own: &Own, frame: &Frame<'_>) -> Vec<u8> {
    frame.line(&Fields {
        path: Some(cut(&own.path, MOST_PATH_CHARS)),
        method: own.method.as_deref().map(|method| cut(method, MOST_METHOD_CHARS)),
        status: Some(own.status),
        result: Some(if own.error.is_some() { ResultType::Error } else { ResultType::Result }),
        error: own.error.as_ref().map(|(code, message)| frame.told(Some(*code), message)),
        ..Fields::default()
    })
}

/// SHA-256 of raw params, in hex.
#[must_use]
pub fn digest(params: &str) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).map_or('0', |digit| char::from(*digit));
    Sha256::digest(params).iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]).collect()
}

/// Code and message of an error object, or of a reply with one.
fn read_error(raw: &[u8]) -> (Option<i64>, String) {
    #[derive(Deserialize)]
    struct Object {
        error: Option<Body>,
        #[serde(flatten)]
        own: Body,
    }
    #[derive(Deserialize)]
    struct Body {
        code: Option<serde_json::Value>,
        message: Option<serde_json::Value>,
    }
    let Ok(Object { error, own }) = serde_json::from_slice::<Object>(raw) else {
        return (None, "an error that does not read".to_owned());
    };
    let Body { code, message } = error.unwrap_or(own);
    let message = message.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default();
    (code.as_ref().and_then(serde_json::Value::as_i64), message.to_owned())
}

fn cut(text: &str, most: usize) -> &str {
    text.char_indices().nth(most).and_then(|(end, _)| text.get(..end)).unwrap_or(text)
}

/// Whether a request that ended so is in the log.
pub(crate) fn is_logged(catalog: &Catalog, failed: bool, drawn: u64) -> bool {
    catalog.request_log().is_some_and(|log| failed || log.samples(drawn as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_the_sha_256_of_the_raw_params() {
        assert_eq!(digest("[]"), "4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945");
    }

    #[test]
    fn an_error_is_read_alone_or_out_of_a_reply() {
        let check = |raw: &str, code: Option<i64>, message: &str| {
            assert_eq!(read_error(raw.as_bytes()), (code, message.to_owned()), "{raw}");
        };
        check(r#"{"code":3,"message":"reverted"}"#, Some(3), "reverted");
        check(r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"no"}}"#, Some(-32_000), "no");
        check(r#"{"code":"x","message":7}"#, None, "");
        check("[", None, "an error that does not read");
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(cut("äöü", 2), "äö");
        assert_eq!(cut("äöü", 3), "äöü");
    }
}
