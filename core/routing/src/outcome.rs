//! How an attempt ended, whose fault it was, and whether another channel may be asked.
//!
//! Duty: turn what came back from one channel ([`Observed`]) into a [`Verdict`]: the row of the table it falls in, what to do **next**,
//! whom to **blame**, what to **mark**.
//! Invariant: total, and free for what is usual: a well-formed result under HTTP 2xx touches no table and allocates nothing. Errors are
//! lowercased once, at most [`TEXT_BYTES`] of them.
//! The table is data (`outcome/table.rs`); the first row that matches decides. Text comes before codes, because providers give the same code to
//! different things; reverts come before rate limits, because `execution reverted: deposit limit exceeded` is an answer.
//! Leaves to others: reading bodies (`lasso-jsonrpc`), how many attempts there are (`plan`), what a mark does (`ledger`), and blaming a
//! timeout only when another channel answered (the shell settles those at the request's end).

mod limit;
mod line;
mod row;
mod rule;
mod table;
mod text;
mod wait;

#[cfg(test)]
mod tests;

use lasso_jsonrpc::block::{BlockRef, Blocks, Tag};
use lasso_jsonrpc::method::{Method, Safety};
use lasso_jsonrpc::response::{Malformed, Reply};

pub use crate::breaker::Category;
use crate::breaker::Signal;
use crate::time::Millis;
use line::{Remember, Shape, Then};
pub use row::Row;
pub use rule::{ErrorRule, ErrorRuleError};
use table::{ELSE, NOT_JSON_RPC, TABLE};
pub use text::TEXT_BYTES;
use text::Text;

/// How long a method that a provider lacks is not sent there.
pub const BAN: Millis = Millis::from_secs(300);
/// Blocks behind the head beyond which missing state means a node without archive, not one that is behind.
pub const DEPTH_BLOCKS: u64 = 128;

/// What one attempt brought.
#[derive(Debug, Clone, Copy)]
pub struct Observed<'a> {
    /// What was asked.
    pub method: &'a Method<'a>,
    /// HTTP status; not looked at when there was no response.
    pub status: u16,
    /// The body.
    pub held: Held<'a>,
    /// Value of the `retry-after` header.
    pub retry_after: Option<&'a str>,
    /// Whether the reply's id is not the one that was sent.
    pub wrong_id: bool,
    /// The best head known of this chain.
    pub best_head: Option<u64>,
    /// The blocks that the request named.
    pub blocks: &'a Blocks,
    /// Whether this method's `null` is confirmed by another channel: the method's own trait, corrected by the profile's
    /// `methods.confirm_null`.
    pub confirms_null: bool,
    /// The provider's own error table.
    pub rules: &'a [ErrorRule],
}

/// What was held of the response.
#[derive(Debug, Clone, Copy)]
pub enum Held<'a> {
    /// All of it, or enough to know what it is.
    Reply(&'a Reply<'a>),
    /// Its beginning, which has been passed on: longer than what is held.
    Streaming,
    /// Nothing came.
    NoResponse(Failure),
}

/// Why nothing came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Nothing was sent: refused, no route, no TLS, no such name.
    Connect,
    /// Cut off after something was sent.
    Reset,
    /// Silent until the per-try timeout.
    Timeout,
    /// We stopped listening: the client went away, or another attempt won.
    Cancelled,
}

/// What is to be done about one attempt's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Where in the table.
    pub row: Row,
    /// Whether another channel may be asked. Already says [`Next::Stop`] for methods that must not be sent twice, unless nothing was sent.
    pub next: Next,
    /// Whether the breaker counts it.
    pub blame: Blame,
    /// What is to be remembered.
    pub mark: Mark,
    /// Whether the client gets what it asked for.
    pub success: bool,
    /// The node has the transaction already. That is a success, but its answer is an error: the caller answers with the hash of the
    /// transaction that was sent.
    pub hash_is_result: bool,
}

/// May another channel be asked?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// No: this is the answer.
    Stop,
    /// Yes.
    Another,
    /// Yes, but none of the same provider.
    AnotherProvider,
    /// Once, the one with the highest head; if that says the same or fails, this is the answer.
    HighestHeadOnce,
}

/// Does the breaker count it?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// No.
    None,
    /// As a failure.
    Counts(Category),
    /// As a failure that opens at once, for so long.
    Opens(Category, Millis),
    /// It never happened: neither success nor failure, not even an attempt.
    Ignored,
}

/// What is to be remembered of the channel or its provider. All but `RateLimited`, `Behind` and `Sample` only once another channel
/// answered the same request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// Nothing.
    None,
    /// It asked us to slow down, for so long if it said so.
    RateLimited(Option<Millis>),
    /// It does not serve this method; ask again after so long.
    BanMethod(Millis),
    /// The range was too long; this many blocks are allowed if it said so.
    LearnRange(Option<u64>),
    /// It has no state as old as the block that was asked for.
    LearnDepth,
    /// It may be behind: a fresh head is wanted.
    Behind,
    /// It does not know the block tag that was asked for.
    TagUnsupported,
    /// The log filter had too many addresses or topics.
    TooManyAddresses,
    /// We do not know this error; keep it for diagnosis.
    Sample,
}

/// What an attempt means to evidence: neutral ends count for neither side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weighs {
    /// Its latency and a success.
    Success,
    /// A blamed failure.
    Failure,
    /// Nothing.
    Neutral,
}

impl Verdict {
    /// What the channel's breaker is told. An answer that only a working node can give (a revert, a `null`) is a success there although
    /// it is none for the client; else a stream of reverts with a failure now and then would look like a run of failures.
    #[must_use]
    pub const fn signal(&self) -> Signal {
        match self.blame {
            Blame::Counts(category) | Blame::Opens(category, _) => Signal::Failure(category),
            Blame::Ignored => Signal::Ignore,
            Blame::None if self.success || self.row.proves_work() => Signal::Success,
            Blame::None => Signal::Ignore,
        }
    }

    /// What the channel's evidence is told. A `null` that wants confirming is neutral: quick nulls must not make a provider that is
    /// behind look fast.
    #[must_use]
    pub const fn weighs(&self) -> Weighs {
        match self.blame {
            Blame::Counts(_) | Blame::Opens(..) => Weighs::Failure,
            Blame::None if self.success && !matches!(self.row, Row::NullResult) => Weighs::Success,
            Blame::None | Blame::Ignored => Weighs::Neutral,
        }
    }
}

/// Judges the end of one attempt.
#[must_use]
pub fn classify(observed: &Observed<'_>) -> Verdict {
    let delivered = (200..300).contains(&observed.status) && !observed.wrong_id;
    match observed.held {
        Held::Reply(Reply::Result { null: false, .. }) | Held::Streaming if delivered => SUCCESS,
        Held::Reply(Reply::Result { null: true, .. }) if delivered => null_result(observed),
        Held::Reply(_) | Held::Streaming | Held::NoResponse(_) => judge(observed),
    }
}

const SUCCESS: Verdict = Verdict {
    row: Row::Result,
    next: Next::Stop,
    blame: Blame::None,
    mark: Mark::None,
    success: true,
    hash_is_result: false,
};

/// Row 24: a `null` is an answer, except where a provider that is behind would give it.
fn null_result(observed: &Observed<'_>) -> Verdict {
    let asked_by_height = match observed.blocks {
        Blocks::At(BlockRef::Number(number)) => Some(*number),
        Blocks::None | Blocks::At(BlockRef::Tag(_) | BlockRef::Hash(_)) | Blocks::Range { .. } => None,
    };
    let by_tag = matches!(observed.blocks, Blocks::At(BlockRef::Tag(_)));
    let from_the_future = asked_by_height.is_some_and(|number| observed.best_head.is_none_or(|best| number > best));
    if !observed.confirms_null || by_tag || from_the_future {
        return SUCCESS;
    }
    let mark = if asked_by_height.is_some() { Mark::Behind } else { Mark::None };
    let next = once_if_unsafe(Next::HighestHeadOnce, observed);
    Verdict { row: Row::NullResult, next, mark, ..SUCCESS }
}

fn judge(observed: &Observed<'_>) -> Verdict {
    let shape = shape_of(observed);
    let (code, text) = match observed.held {
        Held::Reply(Reply::Error { error, .. }) => (Some(error.code), Text::of(error)),
        Held::Reply(Reply::Result { .. } | Reply::Malformed(_)) | Held::Streaming | Held::NoResponse(_) => {
            (None, Text::NONE)
        }
    };
    if let Some(code) = code
        && let Some(rule) = observed.rules.iter().find(|rule| rule.matches(code, &text))
    {
        return Verdict { row: Row::ProviderRule, ..verdict(rule.then(), &text, observed) };
    }
    let line = TABLE.iter().find(|line| line.matches(shape, observed.status, code, &text, observed.method));
    let then = line.map_or(&ELSE, |line| &line.then);
    // Somebody else's error may say that the provider is in trouble, but it is not our client's answer.
    let foreign = shape == Shape::Error && observed.wrong_id && then.next == Next::Stop;
    verdict(if foreign { &NOT_JSON_RPC } else { then }, &text, observed)
}

fn shape_of(observed: &Observed<'_>) -> Shape {
    match observed.held {
        Held::Reply(Reply::Error { .. }) => Shape::Error,
        Held::Reply(Reply::Result { .. }) if observed.wrong_id => Shape::Foreign,
        Held::Reply(Reply::Result { .. }) | Held::Streaming => Shape::Result,
        Held::Reply(Reply::Malformed(malformed)) => match malformed {
            Malformed::Empty | Malformed::Html | Malformed::NotJson | Malformed::Truncated => Shape::NotJson,
            Malformed::Trailing
            | Malformed::NotObject
            | Malformed::NotArray
            | Malformed::Neither
            | Malformed::Both
            | Malformed::Version => Shape::Json,
        },
        Held::NoResponse(Failure::Connect | Failure::Reset) => Shape::Unreached,
        Held::NoResponse(Failure::Timeout) => Shape::Silent,
        Held::NoResponse(Failure::Cancelled) => Shape::Abandoned,
    }
}

fn verdict(then: &Then, text: &Text<'_>, observed: &Observed<'_>) -> Verdict {
    // A node has a transaction only if one was sent to it.
    let already_known = then.row == Row::AlreadyKnown && observed.method.safety() == Safety::Broadcast;
    Verdict {
        row: then.row,
        next: once_if_unsafe(then.next, observed),
        blame: then.blame,
        mark: mark(then.remember, text, observed),
        success: already_known,
        hash_is_result: already_known,
    }
}

/// What must not be sent twice goes on only if it was not sent once.
fn once_if_unsafe(next: Next, observed: &Observed<'_>) -> Next {
    let unsent = matches!(observed.held, Held::NoResponse(Failure::Connect));
    if observed.method.safety() == Safety::Replay || unsent { next } else { Next::Stop }
}

fn mark(remember: Remember, text: &Text<'_>, observed: &Observed<'_>) -> Mark {
    match remember {
        Remember::Nothing => Mark::None,
        Remember::Rate => Mark::RateLimited(wait::of(observed, text)),
        Remember::Ban => Mark::BanMethod(BAN),
        // What limits the answer's size says nothing about how many blocks may be asked for.
        Remember::Range if text.has("block") || text.has("range") => {
            Mark::LearnRange(limit::blocks(text, observed.blocks))
        }
        Remember::Range => Mark::None,
        Remember::Depth if is_deep(observed) => Mark::LearnDepth,
        Remember::Depth => Mark::None,
        Remember::Behind => Mark::Behind,
        Remember::Tag if asks_soft_tag(observed.blocks) => Mark::TagUnsupported,
        Remember::Tag => Mark::None,
        Remember::Addresses => Mark::TooManyAddresses,
        Remember::Sample => Mark::Sample,
    }
}

/// Whether the oldest block that was asked for is so far behind the head that only an archive has it.
fn is_deep(observed: &Observed<'_>) -> bool {
    let oldest = match observed.blocks {
        Blocks::At(block) | Blocks::Range { from: block, .. } => block,
        Blocks::None => return false,
    };
    match oldest {
        BlockRef::Number(number) => observed.best_head.is_some_and(|best| number.saturating_add(DEPTH_BLOCKS) < best),
        BlockRef::Tag(Tag::Earliest) => true,
        BlockRef::Tag(Tag::Latest | Tag::Pending | Tag::Safe | Tag::Finalized) | BlockRef::Hash(_) => false,
    }
}

/// Whether a block was asked for by a tag that not every node has.
fn asks_soft_tag(blocks: &Blocks) -> bool {
    let soft = |block: &BlockRef| match block {
        BlockRef::Tag(Tag::Pending | Tag::Safe | Tag::Finalized) => true,
        BlockRef::Tag(Tag::Latest | Tag::Earliest) | BlockRef::Number(_) | BlockRef::Hash(_) => false,
    };
    match blocks {
        Blocks::None => false,
        Blocks::At(block) => soft(block),
        Blocks::Range { from, to } => soft(from) || soft(to),
    }
}
