//! How long a provider asks us to wait.
//!
//! Duty: read `Retry-After`, the error data's fields for it, and `try again in N`, in this order.
//! Invariant: zero and what cannot be read are no answer; so is an HTTP date, which needs a clock.

use serde_json::Value;

use super::Observed;
use super::text::Text;
use crate::time::Millis;

/// Fields of the error data (Infura nests its own under `rate`) and what one of them counts, in milliseconds.
const FIELDS: &[(&str, f64)] = &[
    ("retry_after_ms", 1.0),
    ("retryAfterMs", 1.0),
    ("retry_after", 1_000.0),
    ("retryAfter", 1_000.0),
    ("backoff_seconds", 1_000.0),
    ("try_again_in", 1_000.0),
];
/// What comes before a length of time in prose.
const PROSE: &[&str] = &["try again in ", "retry in ", "retry after ", "retry_after: "];
/// Units in prose, in milliseconds.
const UNITS: &[(&[&str], f64)] = &[
    (&["ms", "millisecond", "milliseconds"], 1.0),
    (&["s", "sec", "secs", "second", "seconds"], 1_000.0),
    (&["m", "min", "mins", "minute", "minutes"], 60_000.0),
    (&["h", "hour", "hours"], 3_600_000.0),
];

/// The wait that was asked for.
pub(super) fn of(observed: &Observed<'_>, text: &Text<'_>) -> Option<Millis> {
    let header = || millis(observed.retry_after?.trim().parse::<f64>().ok()? * 1_000.0);
    let data = || in_data(&serde_json::from_str(text.data()).ok()?);
    let prose = || PROSE.iter().find_map(|words| length(text.as_str().split_once(words)?.1));
    header().or_else(data).or_else(prose)
}

/// A field of the object or of an object in it.
fn in_data(data: &Value) -> Option<Millis> {
    let object = data.as_object()?;
    let own = FIELDS.iter().find_map(|(name, unit)| field(object.get(*name)?, *unit));
    own.or_else(|| {
        object
            .values()
            .filter_map(Value::as_object)
            .find_map(|inner| FIELDS.iter().find_map(|(name, unit)| field(inner.get(*name)?, *unit)))
    })
}

fn field(value: &Value, unit: f64) -> Option<Millis> {
    match value.as_str() {
        Some(words) => words.parse::<f64>().ok().and_then(|count| millis(count * unit)).or_else(|| length(words)),
        None => millis(value.as_f64()? * unit),
    }
}

/// A length of time at the beginning of a text: `10s`, `1.5 seconds`, `1m30s`, `300ms`; a bare number counts seconds.
fn length(text: &str) -> Option<Millis> {
    let mut rest = text;
    let mut total = 0.0;
    loop {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (digits, after) = rest.split_at(end);
        let Ok(count) = digits.trim_end_matches('.').parse::<f64>() else {
            break;
        };
        let after = after.strip_prefix(' ').unwrap_or(after);
        let end = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let factor = UNITS.iter().find(|(names, _)| names.contains(&unit)).map(|(_, factor)| *factor);
        total += count * factor.unwrap_or(1_000.0);
        if factor.is_none() {
            break;
        }
        rest = after;
    }
    millis(total)
}

fn millis(count: f64) -> Option<Millis> {
    // A cast from a float saturates, so the absurd becomes the longest.
    (count > 0.0).then(|| Millis(count.ceil() as u64))
}
