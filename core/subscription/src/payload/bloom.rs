//! Whether a block can hold logs that match a filter, out of its header.
//!
//! Invariant: *no* is certain, *yes* is likely. Three of 2,048 bits stand for each address and topic (yellow paper, M3:2048).

use sha3::{Digest as _, Keccak256};

use crate::hex;
use crate::key::LogFilter;

const BYTES: usize = 256;

/// A header's `logsBloom`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Bloom(Box<[u8; BYTES]>);

impl std::fmt::Debug for Bloom {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bloom({} bits)", self.0.iter().map(|byte| byte.count_ones()).sum::<u32>())
    }
}

impl Bloom {
    /// Reads it from hex.
    pub(crate) fn read(text: &str) -> Option<Self> {
        hex::bytes(text).map(|bytes| Self(Box::new(bytes)))
    }

    fn has(&self, bits: Bits) -> bool {
        bits.0.iter().all(|&bit| {
            let byte = self.0.get(BYTES - 1 - usize::from(bit / 8)).copied().unwrap_or_default();
            byte >> (bit % 8) & 1 == 1
        })
    }
}

/// Where an address or a topic leaves its marks.
#[derive(Debug, Clone, Copy)]
struct Bits([u16; 3]);

impl Bits {
    fn of(value: &[u8]) -> Self {
        let hash: [u8; 32] = Keccak256::digest(value).into();
        let pair = |high: u8, low: u8| u16::from_be_bytes([high, low]) & 2_047;
        let [a, b, c, d, e, f, ..] = hash;
        Self([pair(a, b), pair(c, d), pair(e, f)])
    }
}

/// A filter, hashed once.
#[derive(Debug, Clone)]
pub(crate) struct Matcher(Vec<Vec<Bits>>);

impl Matcher {
    pub(crate) fn new(filter: &LogFilter) -> Self {
        let addresses = filter.addresses().iter().map(|address| Bits::of(address)).collect();
        let topics = filter.topics().iter().map(|position| position.iter().map(|topic| Bits::of(topic)).collect());
        Self(std::iter::once(addresses).chain(topics).filter(|bits: &Vec<Bits>| !bits.is_empty()).collect())
    }

    /// Whether a block with this bloom may hold a match.
    pub(crate) fn may_match(&self, bloom: &Bloom) -> bool {
        // A filter of wildcards matches every log, and a block without logs has an empty bloom.
        let empty = bloom.0.iter().all(|&byte| byte == 0);
        !empty && self.0.iter().all(|alternatives| alternatives.iter().any(|&bits| bloom.has(bits)))
    }
}

#[cfg(test)]
impl Bloom {
    /// Of a block with logs of these.
    pub(crate) fn of<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut bytes = [0; BYTES];
        for bit in values.into_iter().flat_map(|value| Bits::of(value).0) {
            bytes[BYTES - 1 - usize::from(bit / 8)] |= 1 << (bit % 8);
        }
        Self(Box::new(bytes))
    }

    pub(crate) fn shown(&self) -> String {
        hex::shown(&*self.0)
    }
}
