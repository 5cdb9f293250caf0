//! The keys under which evidence is kept: a closed set of small numbers.
//!
//! Invariant: whatever a client sends maps to one of [`MethodClass::COUNT`] classes, so memory and metrics are bounded.

use super::Method;
use super::table::{KNOWN, NAMESPACES};
use crate::block::{BlockRef, Blocks};

/// A method class: a known method (`eth_getLogs` is three), a namespace, a batch, or what is left.
///
/// Indices are dense and stable within one build; between builds go by [`MethodClass::name`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MethodClass(u16);

// Known methods; the two wider classes of eth_getLogs; namespaces; batch; other.
const LOGS_THOUSAND: u16 = KNOWN.len() as u16;
const LOGS_WIDE: u16 = LOGS_THOUSAND + 1;
const FIRST_NAMESPACE: u16 = LOGS_WIDE + 1;
const BATCH: u16 = FIRST_NAMESPACE + NAMESPACES.len() as u16;
pub(super) const OTHER: u16 = BATCH + 1;

pub(super) const fn of_known(index: usize) -> u16 {
    index as u16
}

pub(super) const fn of_namespace(index: usize) -> u16 {
    FIRST_NAMESPACE + index as u16
}

impl MethodClass {
    /// How many classes there are; every index is below it.
    pub const COUNT: usize = OTHER as usize + 1;

    /// The class of batches.
    pub const BATCH: Self = Self(BATCH);

    /// The class of methods of no known namespace.
    pub const OTHER: Self = Self(OTHER);

    /// The class of a call.
    pub fn of(method: &Method<'_>, blocks: &Blocks) -> Self {
        if method.row.name != "eth_getLogs" {
            return Self(method.class);
        }
        Self(match span(blocks) {
            Some(..=10) => method.class,
            Some(..=1_000) => LOGS_THOUSAND,
            Some(_) | None => LOGS_WIDE,
        })
    }

    /// The dense index.
    pub fn index(self) -> usize {
        self.0.into()
    }

    /// All classes, in the order of their indices.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..=OTHER).map(Self)
    }

    /// The class of that name: between builds, classes go by name.
    pub fn named(name: &str) -> Option<Self> {
        Self::all().find(|class| class.name() == name)
    }

    /// The class's name, for people and for metrics: `eth_call`, `eth_getLogs<=10`, `debug_*`, `batch`, `other`.
    pub fn name(self) -> &'static str {
        match self.0 {
            LOGS_THOUSAND => "eth_getLogs<=1000",
            LOGS_WIDE => "eth_getLogs>1000",
            BATCH => "batch",
            index => {
                match (KNOWN.get(self.index()), NAMESPACES.get(usize::from(index.saturating_sub(FIRST_NAMESPACE)))) {
                    (Some(known), _) if known.name == "eth_getLogs" => "eth_getLogs<=10",
                    (Some(known), _) => known.name,
                    (None, Some(namespace)) => namespace.name,
                    (None, None) => "other",
                }
            }
        }
    }
}

/// How many blocks a log query covers, where that can be known without the head.
fn span(blocks: &Blocks) -> Option<u64> {
    match blocks {
        Blocks::At(_) => Some(1),
        Blocks::Range { from: BlockRef::Number(from), to: BlockRef::Number(to) } => {
            to.checked_sub(*from)?.checked_add(1)
        }
        Blocks::Range { from, to } => (from == to).then_some(1),
        Blocks::None => None,
    }
}
