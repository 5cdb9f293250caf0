//! The reading of JSON strings: comparing and decoding what stands between the quotes.
//!
//! Works on contents that [`crate::scan`] has accepted; anything else is read as far as it makes sense and never panics.

use std::borrow::Cow;

/// The decoded text. Borrowed unless there is an escape in it; a lone surrogate becomes U+FFFD.
pub(crate) fn decode(content: &str) -> Cow<'_, str> {
    if !content.contains('\\') {
        return Cow::Borrowed(content);
    }
    Cow::Owned(
        CodePoints::new(content).map(|code| char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)).collect(),
    )
}

/// Whether both contents spell the same text.
pub(crate) fn same(left: &str, right: &str) -> bool {
    left == right || (left.contains('\\') || right.contains('\\')) && CodePoints::new(left).eq(CodePoints::new(right))
}

/// Whether a key is another spelling of `name` (ASCII, lower case): escaped, or in other cases, as Go's JSON decoder folds them.
pub(crate) fn folds_to(content: &str, name: &str) -> bool {
    CodePoints::new(content).map(fold).eq(name.chars().map(u32::from))
}

/// What stands between the quotes of a string's raw JSON; `None` for any other value.
pub(crate) fn content_of(raw: &str) -> Option<&str> {
    raw.strip_prefix('"')?.strip_suffix('"')
}

/// Appends a text as a JSON string, quotes included.
pub(crate) fn write_quoted(text: &str, out: &mut Vec<u8>) {
    // Names of methods hold nothing to escape; what does goes the long way.
    if text.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        out.extend_from_slice(serde_json::Value::from(text).to_string().as_bytes());
    }
}

fn fold(code: u32) -> u32 {
    const LONG_S: u32 = 0x17f;
    const KELVIN: u32 = 0x212a;
    match code {
        LONG_S => u32::from('s'),
        KELVIN => u32::from('k'),
        _ => char::from_u32(code).map_or(code, |c| u32::from(c.to_ascii_lowercase())),
    }
}

/// The code points of a JSON string. Lone surrogates come out as themselves, so two different ones stay different.
struct CodePoints<'a> {
    chars: std::str::Chars<'a>,
}

impl<'a> CodePoints<'a> {
    fn new(content: &'a str) -> Self {
        Self { chars: content.chars() }
    }

    fn unit(&mut self) -> Option<u32> {
        let digits = self.chars.as_str().get(..4)?;
        let unit = u32::from_str_radix(digits, 16).ok()?;
        self.chars = self.chars.as_str().get(4..).unwrap_or_default().chars();
        Some(unit)
    }

    /// The lower half of a surrogate pair, consumed only if it is one.
    fn low_surrogate(&mut self) -> Option<u32> {
        let mut ahead = Self { chars: self.chars.as_str().strip_prefix("\\u")?.chars() };
        let unit = ahead.unit().filter(|unit| (0xdc00..0xe000).contains(unit))?;
        self.chars = ahead.chars;
        Some(unit)
    }
}

impl Iterator for CodePoints<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let first = self.chars.next()?;
        if first != '\\' {
            return Some(first.into());
        }
        Some(match self.chars.next()? {
            'b' => 0x08,
            'f' => 0x0c,
            'n' => 0x0a,
            'r' => 0x0d,
            't' => 0x09,
            'u' => match self.unit()? {
                high @ 0xd800..=0xdbff => match self.low_surrogate() {
                    Some(low) => 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00),
                    None => high,
                },
                unit => unit,
            },
            itself => itself.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_decode(content: &str, text: &str) {
        assert_eq!(decode(content), text);
        let quoted = format!("\"{content}\"");
        assert_eq!(serde_json::from_str::<String>(&quoted).unwrap(), text, "serde_json reads it otherwise");
    }

    #[test]
    fn decodes_as_serde_json_does() {
        check_decode("eth_call", "eth_call");
        check_decode("", "");
        check_decode(r#"a\"b\\c\/d\b\f\n\r\t"#, "a\"b\\c/d\u{8}\u{c}\n\r\t");
        check_decode(r"\u0061\u00e9\ud83d\ude00", "aé😀");
        check_decode("snow ☃ man", "snow ☃ man");
    }

    #[test]
    fn lone_surrogates_are_replaced_but_stay_distinct() {
        assert_eq!(decode(r"\ud83dx"), "\u{fffd}x");
        assert_eq!(decode(r"\ud83d\u0061"), "\u{fffd}a");
        assert!(!same(r"\ud83d", r"\ud83e"));
        assert!(same(r"\ud83d", r"\uD83D"));
    }

    #[test]
    fn garbage_does_not_panic() {
        for content in ["\\", "\\u", "\\u12", "\\uzzzz", "\\ué", "\\ud83d\\", "\\ud83d\\u", "\\ud83d\\uzz"] {
            decode(content);
        }
    }

    #[test]
    fn same_compares_the_text_not_its_spelling() {
        assert!(same("a", r"\u0061"));
        assert!(same(r"\u0061", "a"));
        assert!(!same("a", "b"));
        assert!(!same("a", r"\u0062"));
        assert!(!same(r"a\\u0061", "aa"));
    }

    #[test]
    fn quotes_what_serde_json_reads_back() {
        for text in ["", "eth_call", "a\"b", "back\\slash", "line\nbreak", "\u{1}", "☃"] {
            let mut out = Vec::new();
            write_quoted(text, &mut out);
            assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
        }
    }

    #[test]
    fn folds_as_go_does() {
        for spelling in ["params", "Params", "PARAMS", r"p\u0061rams", "param\u{17f}", r"param\u017f"] {
            assert!(folds_to(spelling, "params"), "{spelling}");
        }
        for other in ["param", "paramss", "", "pàrams"] {
            assert!(!folds_to(other, "params"), "{other}");
        }
    }
}
