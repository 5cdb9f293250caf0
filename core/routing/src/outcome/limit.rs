//! The number of blocks that a provider says it allows.
//!
//! Duty: find in a complaint about a range the one number that is the limit.
//! Invariant: a number that the asked range does not exceed is not its limit; neither are block numbers, hex, nor counts of anything but
//! blocks. When in doubt: none.

use lasso_jsonrpc::block::{BlockRef, Blocks};

use super::text::Text;

/// Words before a number that make it a limit.
const LIMITING: &[&str] =
    &["max", "maximum", "limit", "limited", "most", "than", "over", "exceed", "exceeds", "exceeded", "up"];
/// Words that make it the limit of something else than blocks, after it.
const OTHER_UNITS: &[&str] = &[
    "result",
    "results",
    "log",
    "logs",
    "entries",
    "event",
    "events",
    "mb",
    "kb",
    "bytes",
    "second",
    "seconds",
    "s",
    "ms",
    "requests",
    "addresses",
    "topics",
    "transactions",
];
/// How many words before a number are looked at.
const REACH: usize = 5;
/// More than any provider allows: rather a block number.
const ABSURD: u64 = 1_000_000;

/// The limit that the text states, in blocks.
pub(super) fn blocks(text: &Text<'_>, asked: &Blocks) -> Option<u64> {
    let words: Vec<&str> =
        text.as_str().split(|c: char| !is_word(c)).map(trim).filter(|word| !word.is_empty()).collect();
    let plausible = |number: &u64| (1..ABSURD).contains(number) && span(asked).is_none_or(|span| span > *number);
    let numbers =
        || words.iter().enumerate().filter_map(|(at, word)| number(word).filter(plausible).map(|number| (at, number)));
    let before = |at: usize| words.get(at.saturating_sub(REACH)..at).unwrap_or_default();
    let after = |at: usize| words.get(at + 1).copied().unwrap_or_default();
    // `up to a 2K block range`, `10,000 blocks range`: the unit says it. But `from block 5 to 9 blocks ...` does not.
    let by_unit = numbers().filter(|&(at, _)| {
        matches!(after(at), "block" | "blocks" | "range") && before(at).last().is_none_or(|word| *word != "from")
    });
    // `range: 20000, max: 10000`: the word before says it.
    let by_word = numbers()
        .filter(|&(at, _)| !OTHER_UNITS.contains(&after(at)) && before(at).iter().any(|word| LIMITING.contains(word)));
    // `exceed maximum block range 1024` has both kinds; `block range (20000)` has the asked range at best.
    by_unit.map(|(_, number)| number).min().or_else(|| by_word.map(|(_, number)| number).min())
}

/// How many blocks were asked for, where that can be known.
fn span(asked: &Blocks) -> Option<u64> {
    match asked {
        Blocks::Range { from: BlockRef::Number(from), to: BlockRef::Number(to) } => {
            Some(to.saturating_sub(*from).saturating_add(1))
        }
        Blocks::Range { .. } | Blocks::At(_) | Blocks::None => None,
    }
}

/// Part of a word or of a number with separators. `_` keeps `eth_getlogs` and `max_results` whole.
fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, ',' | '_' | '.')
}

fn trim(word: &str) -> &str {
    word.trim_matches([',', '.'])
}

/// `2048`, `10,000`, `2k`, `1m`; not hex, not `1.5`.
fn number(word: &str) -> Option<u64> {
    let (digits, factor) = match word.as_bytes() {
        [.., b'k'] => (word.trim_end_matches('k'), 1_000),
        [.., b'm'] => (word.trim_end_matches('m'), 1_000_000),
        _ => (word, 1),
    };
    let grouped = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b',');
    let number: u64 = grouped.then(|| digits.replace(',', ""))?.parse().ok()?;
    number.checked_mul(factor)
}
