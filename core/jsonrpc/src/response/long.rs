//! The reading of a long body, or of the beginning of one: from its head up to the result, and from its end backwards.
//!
//! Reading backwards is exact as long as the body is JSON: the last `}` closes the reply, so what stands before it are the reply's
//! own members, and a quote belongs to a string's content if and only if an odd number of backslashes stands before it.

use super::parts::{Key, Parts};
use super::{Malformed, Reply, malformed};
use crate::scan::{Fault, Scanner, Span};

/// A result of more than this many bytes is not stepped over.
const SHORT_BYTES: usize = 512;

/// How far back from the end members are looked for.
const TAIL_BYTES: usize = 1024;

/// Reads a body that begins with `{`.
pub(super) fn read<'a>(body: &'a [u8], scanner: &mut Scanner<'_>, complete: bool) -> Result<Reply<'a>, Malformed> {
    if complete && body.trim_ascii_end().last() != Some(&b'}') {
        return Err(Malformed::Truncated);
    }
    let mut parts = Parts::default();
    match head(body, scanner, &mut parts)? {
        Head::Closed if complete && !scanner.at_end() => return Err(Malformed::Trailing),
        Head::Ended if complete => return Err(Malformed::Truncated),
        Head::AtLongResult => {
            parts.put_long_result();
            if complete {
                tail(body, &mut parts);
            }
        }
        Head::AtError(at) => match beginning(body, at) {
            Some(text) if !complete => parts.put_error_beginning(text),
            _ => return Err(Malformed::Truncated),
        },
        Head::Closed | Head::Ended => {}
    }
    parts.judge()
}

/// Where the walk over the head stopped.
enum Head {
    /// Behind the reply's closing brace.
    Closed,
    /// Where the bytes end.
    Ended,
    /// Before a result that is not short.
    AtLongResult,
    /// Before an error, at this index, that is not all here.
    AtError(usize),
}

fn head<'a>(body: &'a [u8], scanner: &mut Scanner<'_>, parts: &mut Parts<'a>) -> Result<Head, Malformed> {
    let cut = |span: Span| span.of_bytes(body).ok_or(Malformed::NotJson);
    let mut members = scanner.members().map_err(malformed)?;
    loop {
        let key = match members.next(scanner) {
            Ok(Some(key)) => Key::of(cut(key)?),
            Ok(None) => return Ok(Head::Closed),
            Err(Fault::Eof) => return Ok(Head::Ended),
            Err(Fault::Syntax) => return Err(Malformed::NotJson),
        };
        let start = scanner.position();
        let value = match key {
            Key::Result => match scanner.short_value(SHORT_BYTES).map_err(malformed)? {
                Some(value) => value,
                None => return Ok(Head::AtLongResult),
            },
            Key::Version | Key::Id | Key::Error | Key::Other => match (scanner.value(), key) {
                (Ok(value), _) => value,
                (Err(Fault::Syntax), _) => return Err(Malformed::NotJson),
                (Err(Fault::Eof), Key::Error) => return Ok(Head::AtError(start)),
                (Err(Fault::Eof), _) => return Ok(Head::Ended),
            },
        };
        parts.put(key, cut(value)?);
    }
}

/// The text from an index on, up to where a character is cut in two.
fn beginning(body: &[u8], at: usize) -> Option<&str> {
    let bytes = body.get(at..)?;
    match std::str::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(error) => std::str::from_utf8(bytes.get(..error.valid_up_to())?).ok(),
    }
}

/// Collects the scalar members at the end of a body, last one first, until something else is met.
fn tail<'a>(body: &'a [u8], parts: &mut Parts<'a>) {
    let body = body.trim_ascii_end();
    let Some(inside) = body.strip_suffix(b"}") else { return };
    let start = inside.len().saturating_sub(TAIL_BYTES);
    let mut left = inside.get(start..).unwrap_or_default();
    while let Some((before, key, value)) = last_member(left) {
        match Key::of(key) {
            Key::Result => return,
            key @ (Key::Version | Key::Id | Key::Error | Key::Other) => parts.put_missing(key, value),
        }
        left = before;
    }
}

/// Splits the last member off, if its value is a scalar: what stands before its comma, its key, its value.
fn last_member(bytes: &[u8]) -> Option<(&[u8], &str, &str)> {
    let bytes = bytes.trim_ascii_end();
    let start = match bytes.strip_suffix(b"\"") {
        Some(content) => opening_quote(content)?,
        None => bytes.iter().rposition(|byte| !is_scalar(*byte))? + 1,
    };
    let (before, value) = bytes.split_at_checked(start)?;
    let value = std::str::from_utf8(value).ok()?;
    // The value must be one: this is what tells a scalar from the end of a list.
    let mut scanner = Scanner::new(value.as_bytes());
    if scanner.value().is_err() || !scanner.at_end() {
        return None;
    }
    let content = before.trim_ascii_end().strip_suffix(b":")?.trim_ascii_end().strip_suffix(b"\"")?;
    let quote = opening_quote(content)?;
    let key = std::str::from_utf8(content.get(quote + 1..)?).ok()?;
    let before = content.get(..quote)?.trim_ascii_end().strip_suffix(b",")?;
    Some((before, key, value))
}

/// Where the quote stands that opens the string whose content ends here.
fn opening_quote(content: &[u8]) -> Option<usize> {
    let mut left = content;
    loop {
        let at = left.iter().rposition(|byte| *byte == b'"')?;
        left = left.get(..at)?;
        let backslashes = left.iter().rev().take_while(|byte| **byte == b'\\').count();
        // At the very edge of the tail, backslashes may stand before it that were not looked at.
        if backslashes == left.len() {
            return None;
        }
        if backslashes % 2 == 0 {
            return Some(at);
        }
    }
}

fn is_scalar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.')
}
