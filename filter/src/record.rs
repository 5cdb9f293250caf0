//! The request log: what Envoy's access logger writes of a request when it is over.
//!
//! Duty: one line of JSON, `rpc.request.completed`, for every request that ended with an error and for a share of the others.
//! Invariant: no provider's path, key or header, whoever said it ([`mask`]); nothing that identifies the client.
//! Bound: a line has at most the attempts of its request, and its texts are cut.
//! Leaves to others: when to tell (`down/told.rs`), writing it down (Envoy, from the filter state [`LINE`]).
//!
//! DOWN leaves the line in filter state in `on_log`, which Envoy calls before its access loggers. Envoy's format is that filter state and
//! nothing else, with empty values left out, so that a request which is not logged costs no line and no condition.

pub(crate) mod mask;

use lasso_routing::Catalog;
use lasso_routing::catalog::{Channel, RequestLog};
use lasso_routing::ledger::Ledger;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::down::batch::Batch;
use crate::exchange::{Attempt, Exchange};
use crate::host::Moment;

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
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

#[derive(Debug, Default, Serialize)]
struct Line<'a> {
    event: &'static str,
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    /// Who asked, when it was no client.
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<&'static str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    region: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    chain: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    params_present: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    params_digest: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    items: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failed_items: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strategy: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    selection_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    candidates: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attempts: Vec<Tried<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retries: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transport: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    circuit_breaker_state: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    selection_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream_ms: Option<f64>,
    end_to_end_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result_type: Option<ResultType>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Told>,
}

#[derive(Debug, Serialize)]
struct Tried<'a> {
    channel: &'a str,
    outcome: &'static str,
    ms: f64,
}

#[derive(Debug, Serialize)]
struct Told {
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<i64>,
    message: String,
}

impl Frame<'_> {
    fn line(&self) -> Line<'_> {
        Line {
            event: "rpc.request.completed",
            time: utc(self.wall_ms),
            region: self.region,
            end_to_end_ms: millis(self.now.since(self.arrived).0),
            ..Line::default()
        }
    }

    fn told(&self, code: Option<i64>, message: &str) -> Told {
        Told { code, message: cut(message, self.log.max_error_message_chars).to_owned() }
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
        ms: millis(attempt.latency.0),
    };
    let attempts: Vec<Tried<'_>> = exchange.all_attempts().map(tried).collect();
    let error = exchange.error.as_deref().map(|error| {
        let (code, message) = read_error(error);
        let channels = exchange.all_attempts().filter_map(|attempt| catalog.channel(attempt.channel));
        frame.told(code, &mask::masked(&message, channels))
    });
    let ask = &exchange.ask;
    finished(&Line {
        request_id: Some(crate::meta::request_id(exchange)),
        origin: ask.target.probe.then_some("system"),
        profile: catalog.profile(ask.target.profile).map(|profile| profile.id()),
        chain: catalog.chain(exchange.plan.chain).map(|chain| chain.id()),
        method: Some(cut(&ask.method, MOST_METHOD_CHARS)),
        params_present: Some(ask.params_present),
        params_digest: ask.params_digest.as_deref(),
        strategy: Some(exchange.plan.strategy.name()),
        selection_reason: Some(exchange.plan.reason.name()),
        candidates: crate::meta::candidates(catalog, &exchange.plan),
        retries: Some(attempts.len().saturating_sub(1)),
        attempts,
        transport: last.and_then(|attempt| catalog.channel(attempt.channel)).map(|channel| channel.transport().name()),
        circuit_breaker_state: last
            .map(|attempt| ledger.breaker_state_for(&exchange.plan, attempt.channel, frame.now.at).name()),
        selection_us: Some(exchange.selection.0),
        upstream_ms: last.map(|attempt| millis(attempt.latency.0)),
        status: match result {
            ResultType::Cancelled => None,
            ResultType::Result | ResultType::Error => Some(if ask.notification { 204 } else { 200 }),
        },
        result_type: Some(result),
        error,
        ..frame.line()
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
        frame.told(code, &mask::masked(&message, catalog.channels().map(|(_, channel)| channel)))
    });
    finished(&Line {
        request_id: Some(format!("{:016x}", batch.request_id)),
        profile: catalog.profile(batch.target.profile).map(|profile| profile.id()),
        chain: catalog.chain(batch.target.chain).map(|chain| chain.id()),
        method: Some("batch"),
        items: Some(batch.end.items),
        failed_items: Some(batch.end.failed),
        strategy: last.map(|last| last.plan.strategy.name()),
        selection_reason: last.map(|last| last.plan.reason.name()),
        candidates: last.map(|last| crate::meta::candidates(catalog, &last.plan)).unwrap_or_default(),
        retries: Some(batch.retries),
        transport: channel.map(|channel| channel.transport().name()),
        circuit_breaker_state: last.map(|last| ledger.breaker_state_for(&last.plan, last.channel, frame.now.at).name()),
        selection_us: Some(batch.selection.0),
        upstream_ms: last.map(|last| millis(last.latency.0)),
        status: batch.end.status,
        result_type: Some(result),
        error,
        ..frame.line()
    })
}

/// The line of a request that was answered without a provider.
#[must_use]
pub fn of_own(own: &Own, frame: &Frame<'_>) -> Vec<u8> {
    finished(&Line {
        path: Some(cut(&own.path, MOST_PATH_CHARS)),
        method: own.method.as_deref().map(|method| cut(method, MOST_METHOD_CHARS)),
        status: Some(own.status),
        result_type: Some(if own.error.is_some() { ResultType::Error } else { ResultType::Result }),
        error: own.error.as_ref().map(|(code, message)| frame.told(Some(*code), message)),
        ..frame.line()
    })
}

/// SHA-256 of raw params, in hex.
#[must_use]
pub fn digest(params: &str) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).map_or('0', |digit| char::from(*digit));
    Sha256::digest(params).iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]).collect()
}

fn finished(line: &Line<'_>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(768);
    if serde_json::to_writer(&mut bytes, line).is_err() {
        bytes.clear();
    }
    bytes.push(b'\n');
    bytes
}

/// Code and message of an error object, or of a reply with one.
fn read_error(raw: &[u8]) -> (Option<i64>, String) {
    #[derive(Deserialize)]
    struct Object {
        error: Option<Fields>,
        #[serde(flatten)]
        own: Fields,
    }
    #[derive(Deserialize)]
    struct Fields {
        code: Option<serde_json::Value>,
        message: Option<serde_json::Value>,
    }
    let Ok(Object { error, own }) = serde_json::from_slice::<Object>(raw) else {
        return (None, "an error that does not read".to_owned());
    };
    let Fields { code, message } = error.unwrap_or(own);
    let message = message.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default();
    (code.as_ref().and_then(serde_json::Value::as_i64), message.to_owned())
}

fn cut(text: &str, most: usize) -> &str {
    text.char_indices().nth(most).and_then(|(end, _)| text.get(..end)).unwrap_or(text)
}

fn millis(micros: u64) -> f64 {
    micros as f64 / 1_000.0
}

/// A time as RFC 3339 has it, in UTC.
fn utc(wall_ms: u64) -> String {
    let (days, of_day) = (wall_ms / 86_400_000, wall_ms % 86_400_000);
    // Days are counted from the first of March of the year 0, so that leap days come last: H. Hinnant's `civil_from_days`.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (of_day / 3_600_000, of_day / 60_000 % 60, of_day / 1_000 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", of_day % 1_000)
}

/// Whether a request that ended so is in the log.
pub(crate) fn is_logged(catalog: &Catalog, failed: bool, drawn: u64) -> bool {
    catalog.request_log().is_some_and(|log| failed || log.samples(drawn as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_as_rfc_3339() {
        for (wall_ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_767_225_599_001, "2025-12-31T23:59:59.001Z"),
        ] {
            assert_eq!(utc(wall_ms), text);
        }
    }

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
