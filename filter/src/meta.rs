//! How a request was routed, for clients that ask.
//!
//! Duty: the meta object of `include_meta`, as headers or inside the response.
//! Invariant: names channels and providers as the configuration does; never a URL, a path or a key.
//! Bound: the header is left out when longer than the catalog's `max_meta_header_bytes`; the request id is always there.
//! Leaves to others: when to attach it (DOWN).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lasso_routing::Catalog;
use lasso_routing::ledger::Ledger;
use lasso_routing::plan::{Candidate, Plan, Why};
use lasso_routing::target::Meta;
use serde::Serialize;

use crate::down::batch::Batch;
use crate::exchange::Exchange;
use crate::host::Moment;

/// Version of the object's shape.
const VERSION: &str = "1.0";

#[derive(Debug, Serialize)]
struct Selected<'a> {
    id: &'a str,
    protocol: &'static str,
}

#[derive(Debug, Serialize)]
struct Facts<'a> {
    version: &'static str,
    request_id: String,
    strategy: &'static str,
    chain_id: u64,
    transport: &'static str,
    candidate_providers: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    last_resorts: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    selected_provider: Option<Selected<'a>>,
    selection_reason: &'static str,
    selection_latency_us: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream_latency_ms: Option<f64>,
    end_to_end_latency_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    lasso_overhead_ms: Option<f64>,
    retries: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    circuit_breaker_state: Option<&'static str>,
}

/// The request's name in answers and logs: 16 hex digits.
#[must_use]
pub fn request_id(exchange: &Exchange) -> String {
    format!("{:016x}", exchange.request_id)
}

fn facts<'a>(exchange: &'a Exchange, ledger: &Ledger, now: Moment) -> Facts<'a> {
    let chain = exchange.catalog.chain(exchange.plan.chain);
    let provider = |channel| {
        let chain = chain?;
        chain.providers().get(chain.provider_of(channel)?).map(|provider| provider.id())
    };
    let last = exchange.attempts.last();
    let end_to_end = now.since(exchange.started).0;
    let upstream: u64 = exchange.attempts.iter().map(|attempt| attempt.latency.0).sum();
    let channel = last.and_then(|attempt| exchange.catalog.channel(attempt.channel));
    Facts {
        version: VERSION,
        request_id: request_id(exchange),
        strategy: exchange.plan.strategy.name(),
        chain_id: chain.map_or(0, |chain| chain.chain_id()),
        transport: channel.map_or("http", |channel| channel.transport().name()),
        candidate_providers: candidates(&exchange.catalog, &exchange.plan),
        last_resorts: last_resorts(&exchange.catalog, &exchange.plan),
        selected_provider: last
            .and_then(|attempt| provider(attempt.channel))
            .zip(channel)
            .map(|(id, channel)| Selected { id, protocol: channel.transport().name() }),
        selection_reason: exchange.selection_reason().name(),
        selection_latency_us: exchange.selection.0,
        upstream_latency_ms: last.map(|attempt| millis(attempt.latency.0)),
        end_to_end_latency_ms: millis(end_to_end),
        lasso_overhead_ms: last.map(|_| millis(end_to_end.saturating_sub(upstream))),
        retries: exchange.attempts.len().saturating_sub(1),
        circuit_breaker_state: last
            .map(|attempt| ledger.breaker_state_for(&exchange.plan, attempt.channel, now.at).name()),
    }
}

/// Who may be asked, first to last: provider and transport, as in `alchemy:http`.
pub(crate) fn candidates(catalog: &Catalog, plan: &Plan) -> Vec<String> {
    plan.candidates.iter().filter_map(|candidate| named(catalog, plan, candidate)).collect()
}

/// Those of them that their breakers do not admit.
pub(crate) fn last_resorts(catalog: &Catalog, plan: &Plan) -> Vec<String> {
    let last = plan.candidates.iter().filter(|candidate| candidate.why == Why::LastResort);
    last.filter_map(|candidate| named(catalog, plan, candidate)).collect()
}

fn named(catalog: &Catalog, plan: &Plan, candidate: &Candidate) -> Option<String> {
    let chain = catalog.chain(plan.chain)?;
    let provider = chain.providers().get(chain.provider_of(candidate.channel)?)?;
    Some(format!("{}:{}", provider.id(), catalog.channel(candidate.channel)?.transport().name()))
}

fn millis(micros: u64) -> f64 {
    micros as f64 / 1_000.0
}

fn json(exchange: &Exchange, ledger: &Ledger, now: Moment) -> Option<String> {
    serde_json::to_string(&facts(exchange, ledger, now)).ok()
}

/// The headers to add. A response whose body passes as it streams tells in a header even when the body was asked for.
#[must_use]
pub fn headers(exchange: &Exchange, ledger: &Ledger, now: Moment, streams: bool) -> Vec<(&'static str, String)> {
    let mut headers = vec![("x-lasso-request-id", request_id(exchange))];
    if (streams || exchange.ask.target.include_meta == Meta::Headers)
        && let Some(json) = json(exchange, ledger, now)
    {
        headers.extend(encoded(&json, &exchange.catalog));
    }
    headers
}

/// The headers of a batch: of its last part, whatever was asked for, since an array has no place for it.
#[must_use]
pub fn batch_headers(batch: &Batch, ledger: &Ledger, now: Moment) -> Vec<(&'static str, String)> {
    let request_id = format!("{:016x}", batch.request_id);
    let mut headers = vec![("x-lasso-request-id", request_id.clone())];
    let (Some(chain), Some(last)) = (batch.catalog.chain(batch.target.chain), &batch.last) else { return headers };
    let provider = |channel| chain.providers().get(chain.provider_of(channel)?).map(|provider| provider.id());
    let transport = batch.catalog.channel(last.channel).map_or("http", |channel| channel.transport().name());
    let end_to_end = now.since(batch.started).0;
    let facts = Facts {
        version: VERSION,
        request_id,
        strategy: last.plan.strategy.name(),
        chain_id: chain.chain_id(),
        transport,
        candidate_providers: candidates(&batch.catalog, &last.plan),
        last_resorts: last_resorts(&batch.catalog, &last.plan),
        selected_provider: provider(last.channel).map(|id| Selected { id, protocol: transport }),
        selection_reason: last.plan.reason_for(last.channel).name(),
        selection_latency_us: batch.selection.0,
        upstream_latency_ms: Some(millis(last.latency.0)),
        end_to_end_latency_ms: millis(end_to_end),
        // Parts overlap: what they took together says nothing about us.
        lasso_overhead_ms: None,
        retries: batch.retries,
        circuit_breaker_state: Some(ledger.breaker_state_for(&last.plan, last.channel, now.at).name()),
    };
    if let Ok(json) = serde_json::to_string(&facts) {
        headers.extend(encoded(&json, &batch.catalog));
    }
    headers
}

/// The header, unless it is longer than it may be.
fn encoded(json: &str, catalog: &Catalog) -> Option<(&'static str, String)> {
    let encoded = URL_SAFE_NO_PAD.encode(json);
    (encoded.len() <= catalog.max_meta_header_bytes() as usize).then_some(("x-lasso-meta", encoded))
}

/// `body` with `lasso_meta` as its last member; `None` when it was not asked for there or `body` is no object.
#[must_use]
pub fn body(exchange: &Exchange, ledger: &Ledger, now: Moment, body: &[u8]) -> Option<Vec<u8>> {
    if exchange.ask.target.include_meta != Meta::Body {
        return None;
    }
    let end = body.iter().rposition(|byte| !byte.is_ascii_whitespace()).filter(|end| body.get(*end) == Some(&b'}'))?;
    let json = json(exchange, ledger, now)?;
    let mut with = Vec::with_capacity(end + json.len() + 16);
    with.extend_from_slice(body.get(..end)?);
    with.extend_from_slice(b",\"lasso_meta\":");
    with.extend_from_slice(json.as_bytes());
    with.push(b'}');
    Some(with)
}
