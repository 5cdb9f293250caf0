//! One JSON object on one line, written field by field.
//!
//! Duty: what a line needs of JSON, without a formatter between: a line is written for nearly every request, in WebAssembly, and a general
//! serialiser looks for something to escape in each key and goes through `core::fmt` for each number.
//! Invariant: valid JSON and no line break inside, whatever the texts are. Keys are literals that need no escaping.
//! Leaves to others: which fields there are.

/// What most lines fit into.
const USUAL_LENGTH: usize = 768;

/// A line as it grows.
#[derive(Debug)]
pub(super) struct Line {
    bytes: Vec<u8>,
}

impl Line {
    pub(super) fn new() -> Self {
        Self { bytes: Vec::with_capacity(USUAL_LENGTH) }
    }

    /// The bytes, end of line included.
    pub(super) fn finished(mut self) -> Vec<u8> {
        if self.bytes.is_empty() {
            self.bytes.push(b'{');
        }
        self.bytes.extend_from_slice(b"}\n");
        self.bytes
    }

    pub(super) fn text(&mut self, key: &'static str, value: &str) {
        self.key(key);
        self.quoted(value);
    }

    pub(super) fn maybe_text(&mut self, key: &'static str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(key, value);
        }
    }

    pub(super) fn number(&mut self, key: &'static str, value: u64) {
        self.key(key);
        self.digits(value, 1);
    }

    pub(super) fn flag(&mut self, key: &'static str, value: bool) {
        self.key(key);
        self.bytes.extend_from_slice(if value { b"true" } else { b"false" });
    }

    /// Microseconds, as milliseconds.
    pub(super) fn millis(&mut self, key: &'static str, micros: u64) {
        self.key(key);
        self.thousandths(micros);
    }

    /// Sixteen digits, base 16, as text.
    pub(super) fn hex(&mut self, key: &'static str, value: u64) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        self.key(key);
        self.bytes.push(b'"');
        for shift in (0..16).rev() {
            let digit = (value >> (4 * shift)) & 0xf;
            self.bytes.extend(DIGITS.get(digit as usize));
        }
        self.bytes.push(b'"');
    }

    /// A time as RFC 3339 has it, in UTC.
    pub(super) fn time(&mut self, key: &'static str, wall_ms: u64) {
        self.key(key);
        self.bytes.push(b'"');
        self.utc(wall_ms);
        self.bytes.push(b'"');
    }

    /// A list; without items there is no field.
    pub(super) fn list<T>(
        &mut self,
        key: &'static str,
        items: impl IntoIterator<Item = T>,
        write: impl Fn(&mut Self, T),
    ) {
        let mut items = items.into_iter();
        let Some(first) = items.next() else { return };
        self.key(key);
        self.bytes.push(b'[');
        write(self, first);
        for item in items {
            self.bytes.push(b',');
            write(self, item);
        }
        self.bytes.push(b']');
    }

    pub(super) fn object(&mut self, write: impl FnOnce(&mut Self)) {
        self.bytes.push(b'{');
        write(self);
        self.bytes.push(b'}');
    }

    pub(super) fn key(&mut self, key: &'static str) {
        let first = self.bytes.last().is_none_or(|last| *last == b'{');
        let start: &[u8] = match (self.bytes.is_empty(), first) {
            (true, _) => b"{\"",
            (false, true) => b"\"",
            (false, false) => b",\"",
        };
        self.bytes.extend_from_slice(start);
        self.bytes.extend_from_slice(key.as_bytes());
        self.bytes.extend_from_slice(b"\":");
    }

    pub(super) fn quoted(&mut self, text: &str) {
        self.bytes.push(b'"');
        let mut rest = text;
        while let Some(at) = rest.bytes().position(|byte| byte < 0x20 || byte == b'"' || byte == b'\\') {
            // Such a byte is a character of its own.
            let (clean, odd) = rest.split_at(at);
            self.bytes.extend_from_slice(clean.as_bytes());
            let (odd, after) = odd.split_at(1);
            odd.bytes().for_each(|byte| self.escaped(byte));
            rest = after;
        }
        self.bytes.extend_from_slice(rest.as_bytes());
        self.bytes.push(b'"');
    }

    pub(super) fn signed(&mut self, key: &'static str, value: i64) {
        self.key(key);
        if value < 0 {
            self.bytes.push(b'-');
        }
        self.digits(value.unsigned_abs(), 1);
    }

    fn escaped(&mut self, byte: u8) {
        match byte {
            b'"' | b'\\' => self.bytes.extend_from_slice(&[b'\\', byte]),
            b'\n' => self.bytes.extend_from_slice(b"\\n"),
            b'\r' => self.bytes.extend_from_slice(b"\\r"),
            b'\t' => self.bytes.extend_from_slice(b"\\t"),
            _ => self.bytes.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
        }
    }

    /// At least `width` digits.
    fn digits(&mut self, value: u64, width: usize) {
        let mut digits = [b'0'; 20];
        let (mut left, mut used) = (value, 0);
        for digit in digits.iter_mut().rev() {
            if left == 0 && used >= width {
                break;
            }
            *digit = b'0' + (left % 10) as u8;
            (left, used) = (left / 10, used + 1);
        }
        self.bytes.extend(digits.iter().skip(digits.len() - used));
    }

    /// With a point before the last three digits, and no more of them than needed, but one.
    fn thousandths(&mut self, value: u64) {
        self.digits(value / 1_000, 1);
        self.bytes.push(b'.');
        let fraction = value % 1_000;
        match (fraction % 10, fraction / 10 % 10) {
            (0, 0) => self.digits(fraction / 100, 1),
            (0, _) => self.digits(fraction / 10, 2),
            _ => self.digits(fraction, 3),
        }
    }

    fn utc(&mut self, wall_ms: u64) {
        let (days, of_day) = (wall_ms / 86_400_000, wall_ms % 86_400_000);
        // Days are counted from the first of March of the year 0, so that leap days come last: H. Hinnant's `civil_from_days`.
        let shifted = days + 719_468;
        let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * march_month + 2) / 5 + 1;
        let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
        let year = era * 400 + year_of_era + u64::from(month <= 2);
        let (hour, minute, second) = (of_day / 3_600_000, of_day / 60_000 % 60, of_day / 1_000 % 60);
        let parts = [(year, 4, b'-'), (month, 2, b'-'), (day, 2, b'T'), (hour, 2, b':'), (minute, 2, b':')];
        for (value, width, end) in parts.into_iter().chain([(second, 2, b'.'), (of_day % 1_000, 3, b'Z')]) {
            self.digits(value, width);
            self.bytes.push(end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// What a field is, as JSON and as it stands there.
    #[track_caller]
    fn check(write: impl FnOnce(&mut Line), expected: &str) {
        let mut line = Line::new();
        write(&mut line);
        let text = String::from_utf8(line.finished()).unwrap();
        assert_eq!(text, format!("{{\"k\":{expected}}}\n"));
        let _: Value = serde_json::from_str(&text).unwrap();
    }

    #[test]
    fn numbers_are_written_as_people_write_them() {
        for (value, text) in [(0, "0"), (7, "7"), (10, "10"), (u64::MAX, "18446744073709551615")] {
            check(|line| line.number("k", value), text);
        }
        for (micros, text) in
            [(0, "0.0"), (5_000, "5.0"), (4_608, "4.608"), (30, "0.03"), (100, "0.1"), (12_340, "12.34")]
        {
            check(|line| line.millis("k", micros), text);
        }
        for (value, text) in [(-32_000, "-32000"), (3, "3"), (i64::MIN, "-9223372036854775808")] {
            check(|line| line.signed("k", value), text);
        }
        check(|line| line.hex("k", 0xabc), "\"0000000000000abc\"");
        check(|line| line.flag("k", true), "true");
    }

    #[test]
    fn a_text_is_what_it_was_after_it_is_read() {
        for text in ["", "eth_call", "a\"b\\c", "\n\r\t\u{0}\u{1f}", "äöü €\u{2028}", "\"", "x\u{7f}"] {
            let mut line = Line::new();
            line.text("k", text);
            let bytes = line.finished();
            assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), 1);
            assert_eq!(serde_json::from_slice::<Value>(&bytes).unwrap(), json!({"k": text}));
        }
    }

    #[test]
    fn lists_and_objects_nest_and_empty_lists_are_left_out() {
        check(|line| line.list("k", ["a", "b"], Line::quoted), r#"["a","b"]"#);
        let two = |line: &mut Line, value: u64| {
            line.object(|line| {
                line.number("x", value);
                line.number("y", value);
            });
        };
        check(|line| line.list("k", [1, 2], two), r#"[{"x":1,"y":1},{"x":2,"y":2}]"#);
        let mut line = Line::new();
        line.list("k", [""; 0], Line::quoted);
        line.maybe_text("k", None);
        assert_eq!(line.finished(), b"{}\n");
    }

    #[test]
    fn a_time_is_written_as_rfc_3339() {
        for (wall_ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_767_225_599_001, "2025-12-31T23:59:59.001Z"),
        ] {
            check(|line| line.time("k", wall_ms), &format!("{text:?}"));
        }
    }
}
