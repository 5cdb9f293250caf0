//! Which blocks a call speaks of.
//!
//! Invariant: reading never fails. What cannot be read is [`Blocks::None`]: the node shall say what is wrong with it, and a request
//! is not refused here for an argument we do not know.

use crate::method::Method;
use crate::scan::{Scanner, Span};
use crate::text;

/// One block, as named in the params.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BlockRef {
    /// By a word.
    Tag(Tag),
    /// By height.
    Number(u64),
    /// By hash.
    Hash([u8; 32]),
}

/// A block by its place in the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tag {
    /// The newest.
    Latest,
    /// The one being built.
    Pending,
    /// The newest that is unlikely to be reorganised.
    Safe,
    /// The newest that is final.
    Finalized,
    /// The first.
    Earliest,
}

/// The blocks a call speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Blocks {
    /// None, or unreadable.
    None,
    /// One.
    At(BlockRef),
    /// All between two, both included.
    Range {
        /// The first.
        from: BlockRef,
        /// The last.
        to: BlockRef,
    },
}

/// Where a method names its blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BlockParam {
    /// Nowhere.
    Absent,
    /// In the param of this index, which must be there.
    Required(usize),
    /// In the param of this index; `latest` when it is missing or null.
    OrLatest(usize),
    /// In the filter object of `eth_getLogs`: from `latest` to `latest` unless said otherwise.
    LogFilter,
    /// In the filter object of `trace_filter`: from `earliest` to `latest` unless said otherwise.
    TraceFilter,
}

impl Tag {
    /// The tag of this name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "latest" => Some(Self::Latest),
            "pending" => Some(Self::Pending),
            "safe" => Some(Self::Safe),
            "finalized" => Some(Self::Finalized),
            "earliest" => Some(Self::Earliest),
            _ => None,
        }
    }

    /// The tag's name in params.
    pub fn name(self) -> &'static str {
        match self {
            Self::Latest => "latest",
            Self::Pending => "pending",
            Self::Safe => "safe",
            Self::Finalized => "finalized",
            Self::Earliest => "earliest",
        }
    }
}

/// The blocks that a call's raw params name. Does not allocate.
pub fn blocks_of(method: &Method<'_>, params: Option<&str>) -> Blocks {
    let element = |index| params.and_then(|params| element(params, index));
    let at = |block: Option<BlockRef>| block.map_or(Blocks::None, Blocks::At);
    match method.block_param() {
        BlockParam::Absent => Blocks::None,
        BlockParam::Required(index) => at(element(index).and_then(block)),
        BlockParam::OrLatest(index) => match element(index) {
            // By-name params put the block where we do not look: nothing can be said of it.
            None if params.is_some_and(|params| params.starts_with('{')) => Blocks::None,
            None | Some("null") => Blocks::At(BlockRef::Tag(Tag::Latest)),
            Some(raw) => at(block(raw)),
        },
        BlockParam::LogFilter => element(0).and_then(|raw| range(raw, Tag::Latest)).unwrap_or(Blocks::None),
        BlockParam::TraceFilter => element(0).and_then(|raw| range(raw, Tag::Earliest)).unwrap_or(Blocks::None),
    }
}

/// A hexadecimal quantity (`"0x10d4f"`) given as raw JSON.
pub(crate) fn quantity(raw: &str) -> Option<u64> {
    hex(text::content_of(raw)?)
}

fn hex(text: &str) -> Option<u64> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))?;
    // `from_str_radix` would take a sign.
    let plain = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    if plain { u64::from_str_radix(digits, 16).ok() } else { None }
}

fn hash(text: &str) -> Option<[u8; 32]> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))?;
    if digits.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().as_chunks::<2>().0) {
        let [high, low] = pair.map(|digit| char::from(digit).to_digit(16));
        *byte = (high? << 4 | low?) as u8;
    }
    Some(bytes)
}

/// A block as a tag, a quantity, a hash, or an EIP-1898 object; also as a plain JSON integer, which some nodes accept.
fn block(raw: &str) -> Option<BlockRef> {
    match raw.as_bytes().first()? {
        b'"' => named(raw),
        b'{' => {
            let fields = Fields::of(raw)?;
            match (fields.block_number, fields.block_hash) {
                (Some(number), None) => named(number),
                (None, Some(hash)) => by_hash(hash),
                _ => None,
            }
        }
        b'0'..=b'9' => raw.parse().ok().map(BlockRef::Number),
        _ => None,
    }
}

fn named(raw: &str) -> Option<BlockRef> {
    let content = text::content_of(raw)?;
    let tag = Tag::named(content).map(BlockRef::Tag);
    tag.or_else(|| hash(content).map(BlockRef::Hash)).or_else(|| hex(content).map(BlockRef::Number))
}

fn by_hash(raw: &str) -> Option<BlockRef> {
    text::content_of(raw).and_then(hash).map(BlockRef::Hash)
}

fn range(raw: &str, default_from: Tag) -> Option<Blocks> {
    let fields = Fields::of(raw)?;
    let edge = |raw: Option<&str>, default: Tag| raw.map_or(Some(BlockRef::Tag(default)), block);
    match (fields.block_hash, fields.from_block, fields.to_block) {
        (Some(hash), None, None) => by_hash(hash).map(Blocks::At),
        (None, from, to) => Some(Blocks::Range { from: edge(from, default_from)?, to: edge(to, Tag::Latest)? }),
        // Nodes refuse a hash beside a range.
        _ => None,
    }
}

/// The members of a filter or of an EIP-1898 object, raw; null counts as absent, of two the last counts.
#[derive(Default)]
struct Fields<'a> {
    block_number: Option<&'a str>,
    block_hash: Option<&'a str>,
    from_block: Option<&'a str>,
    to_block: Option<&'a str>,
}

impl<'a> Fields<'a> {
    fn of(raw: &'a str) -> Option<Self> {
        let mut fields = Self::default();
        let mut scanner = Scanner::new(raw.as_bytes());
        let mut members = scanner.members().ok()?;
        while let Some(key) = members.next(&mut scanner).ok()? {
            let value = Some(scanner.value().ok()?.of(raw)).filter(|value| *value != "null");
            match key.of(raw) {
                "blockNumber" => fields.block_number = value,
                "blockHash" => fields.block_hash = value,
                "fromBlock" => fields.from_block = value,
                "toBlock" => fields.to_block = value,
                _ => {}
            }
        }
        Some(fields)
    }
}

/// The raw element of an array, by index.
fn element(array: &str, index: usize) -> Option<&str> {
    let mut scanner = Scanner::new(array.as_bytes());
    let mut elements = scanner.elements().ok()?;
    for _ in 0..index {
        elements.next(&mut scanner).ok().filter(|more| *more)?;
        scanner.value().ok()?;
    }
    elements.next(&mut scanner).ok().filter(|more| *more)?;
    scanner.value().ok().map(|span: Span| span.of(array))
}

#[cfg(test)]
mod tests;
