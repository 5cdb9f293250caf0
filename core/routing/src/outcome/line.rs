//! What a line of the table is made of: conditions, and what follows.
//!
//! Duty: say whether an end matches a line. Invariant: no condition allocates; words are compared in lower case.
//! Leaves to others: the lines ([`super::table`]).

use lasso_jsonrpc::method::{FilterOp, Method};

use super::text::Text;
use super::{Blame, Next, Row};

/// What came back, as far as the table cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// A JSON-RPC error.
    Error,
    /// A result, under a status that is not 2xx.
    Result,
    /// A result for another request.
    Foreign,
    /// JSON, but no reply.
    Json,
    /// HTML, half a body, none.
    NotJson,
    /// No response: refused, reset.
    Unreached,
    /// No response in time.
    Silent,
    /// Nobody waits for it any more.
    Abandoned,
}

/// Anything with an HTTP status.
pub(super) const RESPONSES: &[Shape] = &[Shape::Error, Shape::Result, Shape::Foreign, Shape::Json, Shape::NotJson];

/// Numbers that a condition asks for.
#[derive(Debug)]
pub(super) enum Numbers {
    Any,
    In(&'static [i64]),
    /// Both ends included.
    Within(i64, i64),
}

impl Numbers {
    fn has(&self, number: Option<i64>) -> bool {
        match (self, number) {
            (Self::Any, _) => true,
            (Self::In(all), Some(number)) => all.contains(&number),
            (Self::Within(low, high), Some(number)) => (*low..=*high).contains(&number),
            (Self::In(_) | Self::Within(..), None) => false,
        }
    }
}

/// Words that a condition asks for.
#[derive(Debug)]
pub(super) enum Phrase {
    /// These.
    Has(&'static str),
    /// These, and one of those.
    With(&'static str, &'static [&'static str]),
    /// These, but not those.
    Without(&'static str, &'static str),
    /// Hex data that starts so.
    Data(&'static str),
}

impl Phrase {
    fn is_in(&self, text: &Text<'_>) -> bool {
        match self {
            Self::Has(words) => text.has(words),
            Self::With(words, others) => text.has(words) && others.iter().any(|other| text.has(other)),
            Self::Without(words, other) => text.has(words) && !text.has(other),
            Self::Data(prefix) => text.data_starts(prefix),
        }
    }
}

/// Methods that a condition asks for.
#[derive(Debug)]
pub(super) enum Methods {
    Any,
    /// `eth_getLogs`, filters, `trace_*`: those that ask for ranges.
    Ranged,
    /// `trace_*`, `debug_*`: those that replay transactions, which then cannot be the client's fault.
    Replaying,
}

impl Methods {
    fn has(&self, method: &Method<'_>) -> bool {
        let name = method.name();
        match self {
            Self::Any => true,
            Self::Ranged => {
                name == "eth_getLogs"
                    || name.starts_with("trace_")
                    || matches!(method.filter_op(), Some(FilterOp::Create | FilterOp::Use))
            }
            Self::Replaying => name.starts_with("trace_") || name.starts_with("debug_"),
        }
    }
}

/// What is to be remembered, before the details are read from the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remember {
    Nothing,
    Rate,
    Ban,
    Range,
    Depth,
    Behind,
    Tag,
    Addresses,
    Sample,
}

/// What follows from a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Then {
    pub(super) row: Row,
    pub(super) next: Next,
    pub(super) blame: Blame,
    pub(super) remember: Remember,
}

/// One row.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) shapes: &'static [Shape],
    pub(super) statuses: Numbers,
    pub(super) codes: Numbers,
    pub(super) phrases: &'static [Phrase],
    pub(super) methods: Methods,
    pub(super) then: Then,
}

impl Line {
    pub(super) fn matches(
        &self,
        shape: Shape,
        status: u16,
        code: Option<i64>,
        text: &Text<'_>,
        method: &Method<'_>,
    ) -> bool {
        self.shapes.contains(&shape)
            && self.statuses.has(Some(i64::from(status)))
            && self.codes.has(code)
            && self.methods.has(method)
            && (self.phrases.is_empty() || self.phrases.iter().any(|phrase| phrase.is_in(text)))
    }
}
