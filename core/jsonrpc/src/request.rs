//! What a client's body asks for: one call, or a batch of them in order.
//!
//! Invariant: a [`Call`] that comes out is well formed in every byte, and no other reader of the same bytes can see another method,
//! id or params in it: duplicate keys, and keys that a laxer decoder takes for ours (`"Method"`), are refused. `params` are
//! delimited and checked as JSON, never looked into.
//!
//! It leaves to others what the method means ([`crate::method`]) and which blocks the params name ([`crate::block`]).

use std::borrow::Cow;
use std::fmt;

use crate::RpcError;
use crate::id::Id;
use crate::scan::{Fault, Scanner, Span};
use crate::text;

/// What a body holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload<'a> {
    /// One call.
    Single(Call<'a>),
    /// A batch, in the client's order. An invalid item does not spoil the others.
    Batch(Vec<Result<Call<'a>, Invalid<'a>>>),
}

/// One call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call<'a> {
    /// The client's id; `None` is a notification, which `"id": null` is not.
    pub id: Option<Id<'a>>,
    /// The method's name, decoded. Owned only if the client wrote it with escapes.
    pub method: Cow<'a, str>,
    /// The params as raw JSON of any type; `None` when there is no such key.
    pub params: Option<&'a str>,
    /// Which version the call claims.
    pub version: Version,
}

/// The `jsonrpc` member of a call that is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// `"2.0"`.
    Two,
    /// There is none. Nodes answer such calls, so do we.
    Absent,
}

/// A call that is JSON but not JSON-RPC 2.0: -32600.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invalid<'a> {
    /// The id to answer with; null when none can be read.
    pub id: Id<'a>,
    /// What is wrong.
    pub reason: InvalidReason,
}

/// Why a call is invalid. `Display` is fit for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidReason {
    /// A batch's item is not an object.
    NotObject,
    /// `jsonrpc` is present and not `"2.0"`.
    Version,
    /// `id` is a boolean, an array or an object.
    Id,
    /// There is no `method`, or it is not a string.
    Method,
    /// One of the four keys stands there twice, or beside a spelling of it that other decoders accept.
    AmbiguousKey(&'static str),
}

/// Why a body holds no calls at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError<'a> {
    /// Not JSON, not UTF-8, or nested deeper than 4,096 levels: -32700.
    #[error("Parse error")]
    NotJson,
    /// JSON, but a scalar: -32600.
    #[error("Invalid request: neither an object nor an array")]
    NotObjectOrArray,
    /// `[]`: -32600.
    #[error("Invalid request: empty batch")]
    EmptyBatch,
    /// More items than allowed: -32600.
    #[error("Invalid request: batch of {len} calls, at most {max} are allowed")]
    BatchTooLarge {
        /// Items in the batch.
        len: usize,
        /// Items allowed.
        max: usize,
    },
    /// A single call that is not JSON-RPC 2.0: -32600.
    #[error("Invalid request: {}", .0.reason)]
    Invalid(Invalid<'a>),
}

/// Reads a body. Allocates only for a batch's list and for a method name with escapes.
///
/// # Errors
/// When there is no call to answer by itself: see [`PayloadError`]. Invalid items of a batch are in the [`Payload`] instead.
pub fn parse(body: &[u8], max_batch: usize) -> Result<Payload<'_>, PayloadError<'_>> {
    let text = std::str::from_utf8(body).map_err(|_| PayloadError::NotJson)?;
    let mut scanner = Scanner::new(body);
    let payload = match scanner.peek().map_err(not_json)? {
        b'{' => single(text, &mut scanner).map_err(not_json)?,
        b'[' => batch(text, &mut scanner, max_batch).map_err(not_json)?,
        _ => scanner.value().map(|_| Err(PayloadError::NotObjectOrArray)).map_err(not_json)?,
    };
    if !scanner.at_end() {
        return Err(PayloadError::NotJson);
    }
    payload
}

fn not_json<'a>(_: Fault) -> PayloadError<'a> {
    PayloadError::NotJson
}

type Outcome<'a> = Result<Payload<'a>, PayloadError<'a>>;

fn single<'a>(text: &'a str, scanner: &mut Scanner<'_>) -> Result<Outcome<'a>, Fault> {
    let call = call(text, scanner)?;
    Ok(call.map(Payload::Single).map_err(PayloadError::Invalid))
}

fn batch<'a>(text: &'a str, scanner: &mut Scanner<'_>, max: usize) -> Result<Outcome<'a>, Fault> {
    let mut items = Vec::new();
    let mut len = 0;
    let mut elements = scanner.elements()?;
    while elements.next(scanner)? {
        len += 1;
        // What is over the limit is only counted: the whole must still be JSON.
        if len > max {
            scanner.value()?;
        } else if scanner.peek()? == b'{' {
            items.push(call(text, scanner)?);
        } else {
            scanner.value()?;
            items.push(Err(Invalid { id: Id::NULL, reason: InvalidReason::NotObject }));
        }
    }
    Ok(match len {
        0 => Err(PayloadError::EmptyBatch),
        _ if len > max => Err(PayloadError::BatchTooLarge { len, max }),
        _ => Ok(Payload::Batch(items)),
    })
}

const JSONRPC: &str = "jsonrpc";
const ID: &str = "id";
const METHOD: &str = "method";
const PARAMS: &str = "params";

/// The four members as they stand in the text.
#[derive(Default)]
struct Members {
    jsonrpc: Option<Span>,
    id: Option<Span>,
    method: Option<Span>,
    params: Option<Span>,
    ambiguous: Option<&'static str>,
}

impl Members {
    fn put(&mut self, key: &str, value: Span) {
        let (name, slot) = match key {
            JSONRPC => (JSONRPC, &mut self.jsonrpc),
            ID => (ID, &mut self.id),
            METHOD => (METHOD, &mut self.method),
            PARAMS => (PARAMS, &mut self.params),
            other => {
                // Go's decoder takes "Method" for "method": a node would run what we have not seen.
                let lookalike = [JSONRPC, ID, METHOD, PARAMS].into_iter().find(|name| text::folds_to(other, name));
                return self.doubt(lookalike);
            }
        };
        let before = slot.replace(value);
        self.doubt(before.map(|_| name));
    }

    /// Remembers the first key in doubt, but an id above all: no answer may carry a guessed one.
    fn doubt(&mut self, name: Option<&'static str>) {
        if self.ambiguous.is_none() || name == Some(ID) {
            self.ambiguous = name.or(self.ambiguous);
        }
    }
}

fn call<'a>(text: &'a str, scanner: &mut Scanner<'_>) -> Result<Result<Call<'a>, Invalid<'a>>, Fault> {
    let mut found = Members::default();
    let mut members = scanner.members()?;
    while let Some(key) = members.next(scanner)? {
        let value = scanner.value()?;
        found.put(key.of(text), value);
    }
    Ok(judge(text, &found))
}

fn judge<'a>(text: &'a str, found: &Members) -> Result<Call<'a>, Invalid<'a>> {
    let raw = |span: Option<Span>| span.map(|span| span.of(text));
    let id = match (found.ambiguous, raw(found.id)) {
        // Which of two ids is meant nobody can say.
        (Some(ID), _) | (_, None) => None,
        (_, Some(raw)) => Some(Id::of_raw(raw).ok_or(Invalid { id: Id::NULL, reason: InvalidReason::Id })?),
    };
    let invalid = |reason| Invalid { id: id.unwrap_or(Id::NULL), reason };
    if let Some(name) = found.ambiguous {
        return Err(invalid(InvalidReason::AmbiguousKey(name)));
    }
    let version = match raw(found.jsonrpc) {
        None => Version::Absent,
        Some(raw) if text::content_of(raw).is_some_and(|content| text::same(content, "2.0")) => Version::Two,
        Some(_) => return Err(invalid(InvalidReason::Version)),
    };
    let method = raw(found.method).and_then(text::content_of).ok_or(invalid(InvalidReason::Method))?;
    Ok(Call { id, method: text::decode(method), params: raw(found.params), version })
}

impl Call<'_> {
    /// Appends the call in canonical form under another id, which is raw JSON. Members other than the four are left out; without
    /// params an empty list is written, which every node reads.
    pub fn write(&self, id: &str, out: &mut Vec<u8>) {
        let params = self.params.unwrap_or("[]");
        out.reserve(id.len() + self.method.len() + params.len() + 48);
        out.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
        out.extend_from_slice(id.as_bytes());
        out.extend_from_slice(br#","method":"#);
        text::write_quoted(&self.method, out);
        out.extend_from_slice(br#","params":"#);
        out.extend_from_slice(params.as_bytes());
        out.push(b'}');
    }
}

impl<'a> Invalid<'a> {
    /// The error to answer with.
    pub fn error(&self) -> RpcError {
        RpcError::invalid_request(&self.reason.to_string())
    }
}

impl<'a> PayloadError<'a> {
    /// The id to answer with: null, unless a single call had a readable one.
    pub fn id(&self) -> Id<'a> {
        match self {
            Self::Invalid(invalid) => invalid.id,
            Self::NotJson | Self::NotObjectOrArray | Self::EmptyBatch | Self::BatchTooLarge { .. } => Id::NULL,
        }
    }

    /// The HTTP status to answer with: 400 for what is not JSON, else 200.
    pub fn http_status(&self) -> u16 {
        match self {
            Self::NotJson => 400,
            Self::NotObjectOrArray | Self::EmptyBatch | Self::BatchTooLarge { .. } | Self::Invalid(_) => 200,
        }
    }

    /// The error to answer with.
    pub fn error(&self) -> RpcError {
        match self {
            Self::NotJson => RpcError::parse_error(),
            Self::NotObjectOrArray => RpcError::invalid_request("neither an object nor an array"),
            Self::EmptyBatch => RpcError::invalid_request("empty batch"),
            Self::BatchTooLarge { len, max } => RpcError::batch_too_large(*len, *max),
            Self::Invalid(invalid) => invalid.error(),
        }
    }
}

impl fmt::Display for InvalidReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotObject => f.write_str("not an object"),
            Self::Version => f.write_str("jsonrpc must be \"2.0\""),
            Self::Id => f.write_str("id must be a string, a number or null"),
            Self::Method => f.write_str("method must be a string"),
            Self::AmbiguousKey(name) => write!(f, "more than one \"{name}\" key"),
        }
    }
}

#[cfg(test)]
mod tests;
