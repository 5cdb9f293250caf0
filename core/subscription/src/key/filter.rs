//! Which logs: addresses, and alternatives for each topic position.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::hex;

/// Addresses that one filter may name.
pub const MOST_ADDRESSES: usize = 1_000;
/// Alternatives that one topic position may name.
pub const MOST_ALTERNATIVES: usize = 1_000;
/// Topic positions: a log has no more topics.
const POSITIONS: usize = 4;

/// A contract.
pub type Address = [u8; 20];
/// A topic of a log.
pub type Topic = [u8; 32];

/// A filter in its one normal form.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogFilter {
    addresses: Vec<Address>,
    topics: Vec<Vec<Topic>>,
}

impl LogFilter {
    /// Reads a filter object; none at all means every log.
    pub(super) fn parse(filter: Option<Value>) -> Result<Self, String> {
        let mut fields = match filter {
            None => Map::new(),
            Some(Value::Object(fields)) => fields,
            Some(_) => return Err("the filter of logs must be an object".to_owned()),
        };
        if fields.get("blockHash").is_some_and(|hash| !hash.is_null()) {
            return Err("a subscription to logs takes no blockHash".to_owned());
        }
        let addresses = set(fields.remove("address").unwrap_or_default(), MOST_ADDRESSES, "address", "20")?;
        let topics = match fields.remove("topics").unwrap_or_default() {
            Value::Null => Vec::new(),
            Value::Array(positions) if positions.len() <= POSITIONS => positions
                .into_iter()
                .enumerate()
                .map(|(index, position)| set(position, MOST_ALTERNATIVES, &format!("topics[{index}]"), "32"))
                .collect::<Result<Vec<_>, _>>()?,
            Value::Array(_) => return Err(format!("topics has more than {POSITIONS} positions")),
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
                return Err("topics must be an array".to_owned());
            }
        };
        let used = topics.iter().rposition(|position| !position.is_empty()).map_or(0, |last| last + 1);
        Ok(Self { addresses, topics: topics.into_iter().take(used).collect() })
    }

    /// Contracts to hear of; all of them when empty.
    #[must_use]
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// What each topic position may be; anything where empty.
    #[must_use]
    pub fn topics(&self) -> &[Vec<Topic>] {
        &self.topics
    }

    /// As a JSON object.
    #[must_use]
    pub fn json(&self) -> String {
        format!("{{{}}}", self.members())
    }

    /// As a JSON object that asks for the logs of one block only.
    #[must_use]
    pub fn json_at(&self, block_hash: &[u8; 32]) -> String {
        let comma = if self.members().is_empty() { "" } else { "," };
        format!(r#"{{"blockHash":"{}"{comma}{}}}"#, hex::shown(block_hash), self.members())
    }

    /// As a JSON object that asks for the logs of these blocks, the last one included; without it, up to the newest.
    #[must_use]
    pub fn json_between(&self, from: u64, to: Option<u64>) -> String {
        let comma = if self.members().is_empty() { "" } else { "," };
        let to = to.map_or_else(|| "latest".to_owned(), |to| format!("{to:#x}"));
        format!(r#"{{"fromBlock":"{from:#x}","toBlock":"{to}"{comma}{}}}"#, self.members())
    }

    fn members(&self) -> String {
        let mut out = String::new();
        if !self.addresses.is_empty() {
            let _ = write!(out, r#""address":{}"#, listed(&self.addresses));
        }
        if !self.topics.is_empty() {
            let positions: Vec<String> = self
                .topics
                .iter()
                .map(|position| if position.is_empty() { "null".to_owned() } else { listed(position) })
                .collect();
            let comma = if out.is_empty() { "" } else { "," };
            let _ = write!(out, r#"{comma}"topics":[{}]"#, positions.join(","));
        }
        out
    }
}

fn listed<const N: usize>(values: &[[u8; N]]) -> String {
    match values {
        [one] => format!(r#""{}""#, hex::shown(one)),
        several => {
            let quoted: Vec<String> = several.iter().map(|value| format!(r#""{}""#, hex::shown(value))).collect();
            format!("[{}]", quoted.join(","))
        }
    }
}

/// One value, several, or none for anything. A wildcard among alternatives makes all of it one.
fn set<const N: usize>(value: Value, most: usize, name: &str, bytes: &str) -> Result<Vec<[u8; N]>, String> {
    let alternatives = match value {
        Value::Null => return Ok(Vec::new()),
        Value::Array(alternatives) => alternatives,
        one @ (Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_)) => vec![one],
    };
    if alternatives.len() > most {
        return Err(format!("{name} names {} values, at most {most} are allowed", alternatives.len()));
    }
    if alternatives.iter().any(Value::is_null) {
        return Ok(Vec::new());
    }
    let mut set = alternatives
        .iter()
        .map(|value| value.as_str().and_then(hex::bytes).ok_or_else(|| format!("{name} must be {bytes} bytes of hex")))
        .collect::<Result<Vec<[u8; N]>, _>>()?;
    set.sort_unstable();
    set.dedup();
    Ok(set)
}
