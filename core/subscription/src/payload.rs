//! What providers send, read as far as continuity needs it.
//!
//! Duty: heads and logs out of raw JSON; heads in one shape whether they arrived or were fetched; a log turned into its removal.
//! Invariant: reading never panics; what is passed on keeps its members' order and bytes.

pub(crate) mod bloom;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::hex;
use bloom::Bloom;

/// A block's or a transaction's.
pub(crate) type Hash = [u8; 32];

/// Members that a whole block has and a header has not. Some nodes tell of new heads with whole blocks; a client would see a
/// different shape from one event to the next.
const NOT_OF_A_HEADER: [&str; 5] = ["transactions", "uncles", "withdrawals", "size", "totalDifficulty"];

/// A block's header.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) number: u64,
    pub(crate) hash: Hash,
    pub(crate) parent: Hash,
    /// `None`: the chain has none, and any log may be in it.
    pub(crate) bloom: Option<Bloom>,
    /// In the shape of a header.
    pub(crate) payload: Arc<str>,
    /// It was asked for; no channel told of it.
    pub(crate) fetched: bool,
}

impl Head {
    /// Reads a header or a block.
    pub(crate) fn read(raw: &str) -> Option<Self> {
        let (mut number, mut hash, mut parent, mut bloom) = (None, None, None, None);
        let mut payload = String::with_capacity(raw.len().min(2_048));
        for (name, value) in Members::of(raw)? {
            match &*name {
                "number" => number = text(value).and_then(hex::quantity),
                "hash" => hash = text(value).and_then(hex::bytes),
                "parentHash" => parent = text(value).and_then(hex::bytes),
                "logsBloom" => bloom = text(value).and_then(Bloom::read),
                _ => {}
            }
            if !NOT_OF_A_HEADER.contains(&&*name) {
                push(&mut payload, &name, value.get());
            }
        }
        payload.push('}');
        Some(Self { number: number?, hash: hash?, parent: parent?, bloom, payload: payload.into(), fetched: false })
    }
}

/// A log.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    pub(crate) number: u64,
    pub(crate) block: Hash,
    pub(crate) index: u64,
    pub(crate) removed: bool,
}

impl Log {
    /// Reads a log.
    pub(crate) fn read(raw: &str) -> Option<Self> {
        let (mut number, mut block, mut index, mut removed) = (None, None, None, false);
        for (name, value) in Members::of(raw)? {
            match &*name {
                "blockNumber" => number = text(value).and_then(hex::quantity),
                "blockHash" => block = text(value).and_then(hex::bytes),
                "logIndex" => index = text(value).and_then(hex::quantity),
                "removed" => removed = value.get() == "true",
                _ => {}
            }
        }
        Some(Self { number: number?, block: block?, index: index?, removed })
    }
}

/// The items of a JSON array, raw.
pub(crate) fn items(raw: &str) -> Option<Vec<&str>> {
    let items: Vec<&RawValue> = serde_json::from_str(raw).ok()?;
    Some(items.into_iter().map(RawValue::get).collect())
}

/// The log as it is told when its block is not of the chain any more.
pub(crate) fn as_removed(raw: &str) -> Arc<str> {
    let Some(members) = Members::of(raw) else { return raw.into() };
    let mut payload = String::with_capacity(raw.len() + 16);
    for (name, value) in members.iter().filter(|(name, _)| name != "removed") {
        push(&mut payload, name, value.get());
    }
    push(&mut payload, "removed", "true");
    payload.push('}');
    payload.into()
}

/// The hash of a pending transaction: told by itself, or as a member of the whole.
pub(crate) fn transaction_hash(raw: &str) -> Option<Hash> {
    if raw.starts_with('"') {
        return hex::bytes(serde_json::from_str::<&str>(raw).ok()?);
    }
    Members::of(raw)?.iter().find(|(name, _)| name == "hash").and_then(|(_, value)| hex::bytes(text(value)?))
}

fn text(value: &RawValue) -> Option<&str> {
    // No value we read has an escape in it.
    value.get().strip_prefix('"')?.strip_suffix('"')
}

fn push(object: &mut String, name: &str, value: &str) {
    object.push(if object.is_empty() { '{' } else { ',' });
    // Names come from JSON and go back as JSON; one with an escape in it is written by the library.
    object.push_str(&serde_json::Value::from(name).to_string());
    object.push(':');
    object.push_str(value);
}

/// An object's members in their order.
struct Members;

type Member<'a> = (Cow<'a, str>, &'a RawValue);

impl Members {
    fn of(raw: &str) -> Option<Vec<Member<'_>>> {
        let mut reader = serde_json::Deserializer::from_str(raw);
        let members = reader.deserialize_map(Self).ok()?;
        reader.end().ok()?;
        (!members.is_empty()).then_some(members)
    }
}

impl<'de> Visitor<'de> for Members {
    type Value = Vec<Member<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::with_capacity(24);
        while let Some(Name(name)) = map.next_key()? {
            members.push((name, map.next_value()?));
        }
        Ok(members)
    }
}

/// Borrowed where the name has no escape.
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);
