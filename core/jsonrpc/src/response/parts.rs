//! The four members of a reply, collected and judged.

use super::error_object::ErrorPart;
use super::{Malformed, Reply};
use crate::scan::{Fault, Scanner};
use crate::text;

/// The members that matter, raw. Of two with the same key the last counts, as clients read them.
#[derive(Debug, Default)]
pub(super) struct Parts<'a> {
    version: Option<&'a str>,
    id: Option<&'a str>,
    result: Found<'a>,
    error: Option<ErrorPart<'a>>,
}

/// How much of a result was seen.
#[derive(Debug, Default)]
enum Found<'a> {
    #[default]
    Absent,
    Whole(&'a str),
    /// It is too long to be null.
    Beginning,
}

/// Which member a key names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Version,
    Id,
    Result,
    Error,
    Other,
}

impl Key {
    /// Reads what stands between a key's quotes.
    pub(super) fn of(content: &str) -> Self {
        let plain = |name: &str| match name {
            "jsonrpc" => Self::Version,
            "id" => Self::Id,
            "result" => Self::Result,
            "error" => Self::Error,
            _ => Self::Other,
        };
        if content.contains('\\') { plain(&text::decode(content)) } else { plain(content) }
    }
}

impl<'a> Parts<'a> {
    /// Steps over an object and collects.
    pub(super) fn of(text: &'a str, scanner: &mut Scanner<'_>) -> Result<Self, Fault> {
        let mut parts = Self::default();
        let mut members = scanner.members()?;
        while let Some(key) = members.next(scanner)? {
            let value = scanner.value()?;
            parts.put(Key::of(key.of(text)), value.of(text));
        }
        Ok(parts)
    }

    pub(super) fn put(&mut self, key: Key, value: &'a str) {
        match key {
            Key::Version => self.version = Some(value),
            Key::Id => self.id = Some(value),
            Key::Result => self.result = Found::Whole(value),
            Key::Error => self.error = Some(ErrorPart::Whole(value)),
            Key::Other => {}
        }
    }

    /// Takes a version or an id that was not met before. Of an error only `null` can be told here, and it says nothing.
    pub(super) fn put_missing(&mut self, key: Key, value: &'a str) {
        match key {
            Key::Version => self.version = self.version.or(Some(value)),
            Key::Id => self.id = self.id.or(Some(value)),
            Key::Result | Key::Error | Key::Other => {}
        }
    }

    /// There is a result, and it is long.
    pub(super) fn put_long_result(&mut self) {
        self.result = Found::Beginning;
    }

    /// There is an error, and only its beginning is here.
    pub(super) fn put_error_beginning(&mut self, beginning: &'a str) {
        self.error = Some(ErrorPart::Beginning(beginning));
    }

    pub(super) fn judge(self) -> Result<Reply<'a>, Malformed> {
        let Self { version, id, result, error } = self;
        if version.is_some_and(|raw| text::content_of(raw).is_none_or(|content| !text::same(content, "2.0"))) {
            return Err(Malformed::Version);
        }
        // Real nodes send `"error": null` beside a result and `"result": null` beside an error.
        let error = error.filter(|error| !matches!(error, ErrorPart::Whole("null")));
        match (result, error) {
            (Found::Absent | Found::Whole("null"), Some(error)) => {
                error.read().map(|error| Reply::Error { id, error }).ok_or(Malformed::Neither)
            }
            (Found::Whole(_) | Found::Beginning, Some(_)) => Err(Malformed::Both),
            (Found::Absent, None) => Err(Malformed::Neither),
            (Found::Whole(raw), None) => Ok(Reply::Result { id, null: raw == "null", raw: Some(raw) }),
            (Found::Beginning, None) => Ok(Reply::Result { id, null: false, raw: None }),
        }
    }
}
