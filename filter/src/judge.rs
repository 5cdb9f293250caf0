//! From a provider's reply to an outcome and to what the client would get.
//!
//! Duty: read the reply, compare its id, ask the classification table, prepare the client's body where the provider's cannot pass as it is.
//! Invariant: a plain result with the right id costs one scan and nothing else: status and headers are read only for what is not.
//! Leaves to others: the table itself, and whether another attempt may follow.

use lasso_jsonrpc::block::{BlockRef, Blocks, Tag};
use lasso_jsonrpc::id::Id;
use lasso_jsonrpc::method::{FilterOp, Method};
use lasso_jsonrpc::response::{ErrorObject, Reply, block_number_in, read};
use lasso_routing::catalog::{Channel, ChannelIdx, Provider};
use lasso_routing::ledger::Ledger;
use lasso_routing::outcome::{Failure, Held, Observed, Verdict, classify};
use lasso_routing::sticky;
use lasso_routing::target::Meta;
use lasso_routing::time::Timestamp;

use crate::exchange::{Exchange, Fate};
use crate::reply;

/// HTTP status and the one header that matters, read only when the body is not a plain result.
#[derive(Debug, Clone, Default)]
pub struct Envelope {
    /// HTTP status.
    pub status: u16,
    /// `Retry-After`.
    pub retry_after: Option<String>,
}

/// A provider's response.
pub struct Answer<'a> {
    /// Its body, or the first 64 KiB.
    pub body: &'a [u8],
    /// Whether `body` is all of it.
    pub complete: bool,
    /// Reads status and headers.
    pub envelope: &'a dyn Fn() -> Envelope,
}

impl std::fmt::Debug for Answer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer")
            .field("bytes", &self.body.len())
            .field("complete", &self.complete)
            .finish_non_exhaustive()
    }
}

/// What an attempt's end means.
#[derive(Debug)]
pub struct Judged {
    /// The table's word.
    pub verdict: Verdict,
    /// What the client gets if this is the answer.
    pub fate: Fate,
    /// The provider's error object, kept in case no attempt does better.
    pub error: Option<Vec<u8>>,
    /// The block number the reply shows.
    pub head: Option<u64>,
}

/// Judges a response.
#[must_use]
pub fn judge(exchange: &Exchange, ledger: &Ledger, now: Timestamp, answer: &Answer<'_>) -> Judged {
    let ask = &exchange.ask;
    let reply = read(answer.body, answer.complete);
    let method = Method::of(&ask.method);
    let ours = Id::of_raw(&ask.id).is_none_or(|id| reply.answers(&id));
    let plain = ours && matches!(reply, Reply::Result { null: false, .. });
    let envelope = if plain { Envelope { status: 200, retry_after: None } } else { (answer.envelope)() };
    let rules =
        exchange.last_channel().and_then(|channel| provider(exchange, channel)).map_or(&[][..], Provider::error_rules);
    let verdict = classify(&Observed {
        method: &method,
        status: envelope.status,
        held: Held::Reply(&reply),
        retry_after: envelope.retry_after.as_deref(),
        wrong_id: !ours && !matches!(reply, Reply::Malformed(_)),
        best_head: if plain { None } else { ledger.best_head_for(&exchange.plan, now) },
        blocks: &ask.blocks,
        confirms_null: !plain && confirms_null(exchange, &method),
        rules,
    });
    let error = match &reply {
        Reply::Error { error, .. } if ours && !error.raw.is_empty() => Some(error.raw.as_bytes().to_vec()),
        Reply::Error { .. } | Reply::Result { .. } | Reply::Malformed(_) => None,
    };
    let head = if plain { shown_head(&ask.blocks, &method, &reply) } else { None };
    let fate = if ours { fate_of(exchange, &reply, &verdict, envelope.status, answer) } else { Fate::Open };
    Judged { verdict, fate, error, head }
}

/// Judges an attempt that ended without a response.
#[must_use]
pub fn unanswered(exchange: &Exchange, failure: Failure) -> Judged {
    let verdict = classify(&Observed {
        method: &Method::of(&exchange.ask.method),
        status: 0,
        held: Held::NoResponse(failure),
        retry_after: None,
        wrong_id: false,
        best_head: None,
        blocks: &exchange.ask.blocks,
        confirms_null: false,
        rules: &[],
    });
    Judged { verdict, fate: Fate::Open, error: None, head: None }
}

fn provider(exchange: &Exchange, channel: ChannelIdx) -> Option<&Provider> {
    let chain = exchange.catalog.chain(exchange.plan.chain)?;
    chain.providers().get(chain.provider_of(channel)?)
}

fn confirms_null(exchange: &Exchange, method: &Method<'_>) -> bool {
    let profile = exchange.catalog.profile(exchange.ask.target.profile);
    profile.is_some_and(|profile| profile.method(method).confirms_null)
}

/// The newest block that a reply shows.
pub(crate) fn shown_head(blocks: &Blocks, method: &Method<'_>, reply: &Reply<'_>) -> Option<u64> {
    let at_latest = matches!(blocks, Blocks::At(BlockRef::Tag(Tag::Latest)));
    match reply {
        Reply::Result { raw: Some(raw), .. } if method.reads_head() || at_latest => block_number_in(method, raw),
        Reply::Result { .. } | Reply::Error { .. } | Reply::Malformed(_) => None,
    }
}

fn fate_of(exchange: &Exchange, reply: &Reply<'_>, verdict: &Verdict, status: u16, answer: &Answer<'_>) -> Fate {
    let ask = &exchange.ask;
    match reply {
        Reply::Result { raw: Some(raw), .. } if matches!(ask.filter, Some(FilterOp::Create)) => {
            let channel = exchange.last_channel().and_then(|channel| exchange.catalog.channel(channel));
            Fate::Replaced(reply::result(&ask.id, &sticky::tag(channel.map_or("", Channel::id), raw)))
        }
        Reply::Result { .. } if ask.target.include_meta == Meta::Body && answer.complete => {
            Fate::Replaced(answer.body.to_vec())
        }
        Reply::Result { .. } if status == 200 => Fate::Passed,
        Reply::Result { .. } => Fate::PassedAsOk,
        Reply::Error { id, error } => error_fate(exchange, *id, error, verdict, status, answer),
        Reply::Malformed(_) => Fate::Open,
    }
}

fn error_fate(
    exchange: &Exchange,
    id: Option<&str>,
    error: &ErrorObject<'_>,
    verdict: &Verdict,
    status: u16,
    answer: &Answer<'_>,
) -> Fate {
    let ask = &exchange.ask;
    if verdict.hash_is_result
        && let Some(hash) = ask.params.as_deref().and_then(reply::transaction_hash)
    {
        return Fate::Replaced(reply::result(&ask.id, &hash));
    }
    let as_asked = id.is_some_and(|id| id == ask.id);
    if !error.raw.is_empty() && (!as_asked || ask.target.include_meta == Meta::Body) {
        return Fate::Replaced(reply::error_object(&ask.id, error.raw));
    }
    if status == 200 && answer.complete { Fate::Passed } else { Fate::PassedAsOk }
}
