//! A request's id: the client's own bytes.
//!
//! Invariant: the text is one JSON string, number or null. It is never turned into a number or a string of ours, because the client
//! must get back what it sent: integers beyond 2^53, `1.0`, escapes and all.

use crate::text;

/// The id of a call, as raw JSON text. Equality is equality of bytes; [`Id::matches`] compares values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Id<'a>(&'a str);

impl<'a> Id<'a> {
    /// The id of answers to what had no readable id.
    pub const NULL: Id<'static> = Id("null");

    /// Takes a well-formed JSON value as an id, unless it is a boolean, an array or an object.
    pub fn of_raw(raw: &'a str) -> Option<Self> {
        match raw.as_bytes().first()? {
            b'"' | b'-' | b'0'..=b'9' | b'n' => Some(Self(raw)),
            _ => None,
        }
    }

    /// The raw JSON text, as the client wrote it.
    pub fn as_raw(&self) -> &'a str {
        self.0
    }

    /// Whether another raw JSON text has the same value: `1` and `1.0`, `"a"` and `"\u0061"`, never `1` and `"1"`.
    ///
    /// Numbers are compared as decimals, not as floats: a provider that rounds a big id has not answered it.
    pub fn matches(&self, other_raw: &str) -> bool {
        if self.0 == other_raw {
            return true;
        }
        match (text::content_of(self.0), text::content_of(other_raw)) {
            (Some(left), Some(right)) => text::same(left, right),
            (None, None) => match (Decimal::of(self.0), Decimal::of(other_raw)) {
                (Some(left), Some(right)) => left.equals(&right),
                _ => false,
            },
            _ => false,
        }
    }
}

/// A JSON number as `± 0.digits x 10^scale`; the digits are those of `whole` and `fraction`, without zeros at either end.
struct Decimal<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
    scale: i64,
}

impl<'a> Decimal<'a> {
    fn of(raw: &'a str) -> Option<Self> {
        let unsigned = raw.strip_prefix('-').unwrap_or(raw);
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let fraction = fraction.trim_end_matches('0');
        let significant = whole.trim_start_matches('0');
        let mut scale = i64::from(exponent) + significant.len() as i64;
        let (whole, fraction) = if significant.is_empty() {
            let digits = fraction.trim_start_matches('0');
            scale -= (fraction.len() - digits.len()) as i64;
            ("", digits)
        } else if fraction.is_empty() {
            (significant.trim_end_matches('0'), "")
        } else {
            (significant, fraction)
        };
        let zero = whole.is_empty() && fraction.is_empty();
        Some(Self { negative: raw.starts_with('-') && !zero, whole, fraction, scale: if zero { 0 } else { scale } })
    }

    fn equals(&self, other: &Self) -> bool {
        self.negative == other.negative
            && self.scale == other.scale
            && self.whole.bytes().chain(self.fraction.bytes()).eq(other.whole.bytes().chain(other.fraction.bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(left: &str, right: &str, expected: bool) {
        assert_eq!(Id::of_raw(left).unwrap().matches(right), expected, "{left} and {right}");
        assert_eq!(Id::of_raw(right).unwrap().matches(left), expected, "{right} and {left}");
    }

    #[test]
    fn matches_by_value() {
        for (left, right) in [
            ("1", "1"),
            ("null", "null"),
            (r#""a""#, r#""\u0061""#),
            ("1", "1.0"),
            ("100", "1e2"),
            ("100", "1.00E+2"),
            ("0.001", "1e-3"),
            ("0", "-0"),
            ("0", "0.000"),
            ("0e5", "0"),
            ("12.50", "1.25e1"),
            ("1000000000000000000000000000000", "1e30"),
            ("123456789012345678901234567890", "123456789012345678901234567890"),
        ] {
            check(left, right, true);
        }
    }

    #[test]
    fn tells_values_apart() {
        for (left, right) in [
            ("1", "2"),
            ("1", r#""1""#),
            ("null", r#""null""#),
            ("null", "0"),
            ("1", "-1"),
            ("10", "1"),
            ("0.1", "0.01"),
            ("9007199254740993", "9007199254740992"),
            ("1", "1e99999999999999999999"),
            (r#""a""#, r#""A""#),
            (r#""""#, "null"),
        ] {
            check(left, right, false);
        }
    }

    #[test]
    fn what_a_provider_sends_need_not_be_an_id() {
        for raw in ["", "{}", "[1]", "true", "\"", "-", "e", "é"] {
            assert!(!Id::of_raw("1").unwrap().matches(raw), "{raw}");
        }
    }

    #[test]
    fn only_strings_numbers_and_null_are_ids() {
        for raw in [r#""a""#, "1", "-1", "1.5e3", "null"] {
            assert_eq!(Id::of_raw(raw).unwrap().as_raw(), raw);
        }
        for raw in ["true", "false", "{}", "[]", ""] {
            assert_eq!(Id::of_raw(raw), None);
        }
    }
}
