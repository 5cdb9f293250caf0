//! An error's words, in lower case, once.

use lasso_jsonrpc::response::ErrorObject;

/// This much of an error is looked at; what providers have to say they say early.
pub const TEXT_BYTES: usize = 2_048;

/// The message, and the data when it is prose, in lower case.
#[derive(Debug)]
pub(super) struct Text<'a> {
    lower: String,
    data: &'a str,
}

impl<'a> Text<'a> {
    /// Nothing was said.
    pub(super) const NONE: Self = Self { lower: String::new(), data: "" };

    /// The words of an error.
    pub(super) fn of(error: &'a ErrorObject<'_>) -> Self {
        let data = error.data.unwrap_or_default();
        let mut lower = String::new();
        push_lower(&mut lower, &error.message);
        // Hex is data for programs, and long.
        if let Some(prose) = data.strip_prefix('"')
            && !prose.starts_with("0x")
        {
            push_lower(&mut lower, "\n");
            push_lower(&mut lower, prose.trim_end_matches('"'));
        }
        Self { lower, data }
    }

    /// Whether it contains a phrase, which must be in lower case.
    pub(super) fn has(&self, phrase: &str) -> bool {
        self.lower.contains(phrase)
    }

    /// Whether the data is a hex string that starts so.
    pub(super) fn data_starts(&self, prefix: &str) -> bool {
        self.data.strip_prefix('"').is_some_and(|data| data.starts_with(prefix))
    }

    /// The words.
    pub(super) fn as_str(&self) -> &str {
        &self.lower
    }

    /// The data as raw JSON; empty when there is none.
    pub(super) fn data(&self) -> &'a str {
        self.data
    }
}

fn push_lower(lower: &mut String, words: &str) {
    let mut end = words.len().min(TEXT_BYTES.saturating_sub(lower.len()));
    while !words.is_char_boundary(end) {
        end -= 1;
    }
    let from = lower.len();
    lower.push_str(words.get(..end).unwrap_or_default());
    if let Some(added) = lower.get_mut(from..) {
        added.make_ascii_lowercase();
    }
}
