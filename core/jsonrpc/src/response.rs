//! What kind of answer a body is, found by looking at as little of it as is safe.
//!
//! Invariant: a body of up to [`WHOLE_BYTES`] that was held to its end is checked in every byte, so no truncated or foreign body
//! passes for an answer. Longer ones are judged by their head and last byte (their middle is the client's to check: holding and
//! scanning megabytes would cost every client what one bad provider should). Errors are read whole up to what was held.
//!
//! What an error means, and whose fault it is, is not decided here.

mod error_object;
mod long;
mod parts;

use std::borrow::Cow;

use crate::block;
use crate::id::Id;
use crate::method::Method;
use crate::scan::{Fault, Scanner};
use parts::Parts;

/// Bodies up to this many bytes are scanned whole.
pub const WHOLE_BYTES: usize = 8 * 1024;

/// A reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply<'a> {
    /// It has a result.
    Result {
        /// Its id, raw. `None` when it has none, or none in the part that was looked at (then `raw` is `None` too).
        id: Option<&'a str>,
        /// Whether the result is `null`.
        null: bool,
        /// The result, raw, when all of it was looked at.
        raw: Option<&'a str>,
    },
    /// It has an error object.
    Error {
        /// Its id, raw, if it has one.
        id: Option<&'a str>,
        /// The error.
        error: ErrorObject<'a>,
    },
    /// It is no JSON-RPC reply.
    Malformed(Malformed),
}

/// A provider's error object, read with tolerance: nodes forget the code, quote it, or send a message that is no string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorObject<'a> {
    /// The code; 0 when there is none.
    pub code: i64,
    /// The message; empty when there is none, raw JSON when it is not a string.
    pub message: Cow<'a, str>,
    /// The data as raw JSON; `None` when absent or null.
    pub data: Option<&'a str>,
    /// The whole object as raw JSON; empty when only its beginning was held.
    pub raw: &'a str,
}

/// Why a body is no JSON-RPC reply. `Display` is a short text for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Nothing, or whitespace.
    #[error("empty body")]
    Empty,
    /// Markup.
    #[error("an HTML page")]
    Html,
    /// Not JSON, or not UTF-8.
    #[error("not JSON")]
    NotJson,
    /// The beginning of JSON.
    #[error("truncated JSON")]
    Truncated,
    /// JSON, and then something else.
    #[error("bytes after the reply")]
    Trailing,
    /// JSON, but no object.
    #[error("not an object")]
    NotObject,
    /// JSON, but no array: an object may be an error that speaks of the whole batch, see [`read`].
    #[error("not an array")]
    NotArray,
    /// An object with neither a result nor an error object.
    #[error("neither result nor error")]
    Neither,
    /// An object with a result and an error.
    #[error("both result and error")]
    Both,
    /// `jsonrpc` is present and not `"2.0"`.
    #[error("not JSON-RPC 2.0")]
    Version,
}

impl<'a> Reply<'a> {
    /// The reply's id, raw, if it was seen.
    pub fn id(&self) -> Option<&'a str> {
        match self {
            Self::Result { id, .. } | Self::Error { id, .. } => *id,
            Self::Malformed(_) => None,
        }
    }

    /// Whether this may be the reply to the request with that id. An error may also have none or null: its sender could not, or did
    /// not care to, read ours. A result must carry it, unless the part of the body where it stands was not looked at.
    pub fn answers(&self, asked: &Id<'_>) -> bool {
        match self {
            Self::Result { id: Some(id), .. } => asked.matches(id),
            Self::Result { id: None, raw, .. } => raw.is_none(),
            Self::Error { id, .. } => id.is_none_or(|id| id == "null" || asked.matches(id)),
            Self::Malformed(_) => false,
        }
    }
}

/// Reads a reply. Does not allocate, but for an error message with escapes.
///
/// `complete` says that the body ended there; without it, more was to come when `body` was taken.
pub fn read(body: &[u8], complete: bool) -> Reply<'_> {
    let mut scanner = Scanner::new(body);
    let reply = match scanner.peek() {
        Err(_) => Err(Malformed::Empty),
        Ok(b'<') => Err(Malformed::Html),
        Ok(b'{') if complete && body.len() <= WHOLE_BYTES => whole(body, &mut scanner),
        Ok(b'{') => long::read(body, &mut scanner, complete),
        Ok(_) => Err(foreign(body, &mut scanner, complete, Malformed::NotObject)),
    };
    reply.unwrap_or_else(Reply::Malformed)
}

/// Reads the replies to a batch, in the order they came, from a body that is complete. Every byte is checked.
///
/// # Errors
/// When the body is no well-formed array. An item that is no reply is a [`Reply::Malformed`] in the list.
pub fn read_batch(body: &[u8]) -> Result<Vec<Reply<'_>>, Malformed> {
    let mut scanner = Scanner::new(body);
    match scanner.peek() {
        Err(_) => return Err(Malformed::Empty),
        Ok(b'<') => return Err(Malformed::Html),
        Ok(b'[') => {}
        Ok(b'{') => return Err(Malformed::NotArray),
        Ok(_) => return Err(foreign(body, &mut scanner, true, Malformed::NotArray)),
    }
    let text = std::str::from_utf8(body).map_err(|_| Malformed::NotJson)?;
    let replies = items(text, &mut scanner).map_err(malformed)?;
    if scanner.at_end() { Ok(replies) } else { Err(Malformed::Trailing) }
}

/// The number of a block that a provider must have to give this answer: that of `eth_blockNumber`, or of a block or header.
///
/// An answer for the tag `pending` is a block that nobody has yet; the caller leaves those out.
pub fn block_number_in(method: &Method<'_>, reply_result_raw: &str) -> Option<u64> {
    if method.name() == "eth_blockNumber" {
        return block::quantity(reply_result_raw);
    }
    if !method.answers_block() {
        return None;
    }
    let mut scanner = Scanner::new(reply_result_raw.as_bytes());
    let mut members = scanner.members().ok()?;
    while let Some(key) = members.next(&mut scanner).ok()? {
        let value = scanner.value().ok()?;
        if key.of(reply_result_raw) == "number" {
            return block::quantity(value.of(reply_result_raw));
        }
    }
    None
}

fn malformed(fault: Fault) -> Malformed {
    match fault {
        Fault::Eof => Malformed::Truncated,
        Fault::Syntax => Malformed::NotJson,
    }
}

/// What a body is that begins like nothing expected: `other` if it is JSON at all.
fn foreign(body: &[u8], scanner: &mut Scanner<'_>, complete: bool, other: Malformed) -> Malformed {
    match scanner.value() {
        Ok(_) if complete && !scanner.at_end() => Malformed::NotJson,
        Ok(_) if complete && std::str::from_utf8(body).is_err() => Malformed::NotJson,
        Ok(_) => other,
        Err(Fault::Eof) if !complete => other,
        Err(fault) => malformed(fault),
    }
}

fn whole<'a>(body: &'a [u8], scanner: &mut Scanner<'_>) -> Result<Reply<'a>, Malformed> {
    let text = std::str::from_utf8(body).map_err(|_| Malformed::NotJson)?;
    let parts = Parts::of(text, scanner).map_err(malformed)?;
    if !scanner.at_end() {
        return Err(Malformed::Trailing);
    }
    parts.judge()
}

fn items<'a>(text: &'a str, scanner: &mut Scanner<'_>) -> Result<Vec<Reply<'a>>, Fault> {
    let mut replies = Vec::new();
    let mut elements = scanner.elements()?;
    while elements.next(scanner)? {
        let reply = if scanner.peek()? == b'{' {
            Parts::of(text, scanner)?.judge()
        } else {
            scanner.value()?;
            Err(Malformed::NotObject)
        };
        replies.push(reply.unwrap_or_else(Reply::Malformed));
    }
    Ok(replies)
}

#[cfg(test)]
mod tests;
