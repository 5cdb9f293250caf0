//! What is known of a method: how long it may take, whether it may be asked twice, what its answer depends on.
//!
//! Invariant: all of it is data (`table`), found by name in a sorted table; a name that is not there gets its namespace's row, else
//! the row of the unknown: ten seconds and one attempt, since nobody knows what asking twice would do.
//!
//! What an operator overrides (timeouts, block lists) is the catalog's; here are the defaults.

mod class;
mod table;

pub use class::MethodClass;

use crate::block::BlockParam;
use table::{KNOWN, NAMESPACES, Row, Trait, UNKNOWN};

/// Whether a request may be sent to a second channel after a first one has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Safety {
    /// Asking again changes nothing: up to three attempts, up to five while they fail fast.
    Replay,
    /// Once: it may have an effect, or nobody knows.
    Once,
    /// `eth_sendRawTransaction`: once, or to several channels at the same time; a node that has it already says so.
    Broadcast,
    /// It makes or uses a filter, which lives in one node: once.
    Filter,
}

/// What Lasso answers by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LocalAnswer {
    /// The chain's id as a hexadecimal quantity.
    ChainId,
    /// The chain's id as a decimal string.
    NetVersion,
}

/// What a filter method does with a filter's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FilterOp {
    /// Its result is a new id.
    Create,
    /// Its first param is an id.
    Use,
}

/// A method by name. Cheap to make (a binary search) and to copy.
#[derive(Debug, Clone, Copy)]
pub struct Method<'a> {
    name: &'a str,
    row: &'static Row,
    /// Index of the class that the method has before its blocks are known.
    class: u16,
}

impl<'a> Method<'a> {
    /// Looks a name up. Names are case-sensitive, as in the nodes.
    pub fn of(name: &'a str) -> Self {
        if let Ok(index) = KNOWN.binary_search_by(|row| row.name.cmp(name))
            && let Some(row) = KNOWN.get(index)
        {
            return Self { name, row, class: class::of_known(index) };
        }
        let namespace = name.split_once('_').and_then(|(namespace, _)| {
            NAMESPACES.iter().enumerate().find(|(_, row)| row.name.strip_suffix("_*") == Some(namespace))
        });
        match namespace {
            Some((index, row)) => Self { name, row, class: class::of_namespace(index) },
            None => Self { name, row: &UNKNOWN, class: class::OTHER },
        }
    }

    /// The name as it was asked for.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// Whether the table has this very method, not only its namespace.
    pub fn is_known(&self) -> bool {
        self.class < class::of_namespace(0)
    }

    /// Whether it may be sent again.
    pub fn safety(&self) -> Safety {
        self.row.safety
    }

    /// Total deadline of a request, in milliseconds.
    pub fn deadline(&self) -> u32 {
        if !self.is_known() && self.name.starts_with("debug_traceBlock") {
            table::TRACE_BLOCK_MS
        } else {
            self.row.deadline
        }
    }

    /// Whether its time says little about the channel: a few calls take a hundred times the mean.
    pub fn heavy_tailed(&self) -> bool {
        self.row.has(Trait::HeavyTailed)
    }

    /// Whether the answer is a function of the newest block without the params saying so, as of `eth_blockNumber`. (Where the
    /// params name the block, [`crate::block::blocks_of`] says whether it is `latest`.)
    pub fn reads_head(&self) -> bool {
        self.row.has(Trait::ReadsHead)
    }

    /// Whether a channel may be tried out with it: replay-safe and light.
    pub fn cheap(&self) -> bool {
        self.row.has(Trait::Cheap)
    }

    /// Whether it is refused unless the operator allows it: what needs a node's own keys, or steers the node.
    pub fn blocked_by_default(&self) -> bool {
        !self.is_known() && table::BLOCKED.iter().any(|pattern| glob(pattern, self.name))
    }

    /// Whether it exists over WebSocket only.
    pub fn websocket_only(&self) -> bool {
        self.row.has(Trait::WebSocketOnly)
    }

    /// What Lasso answers without asking a provider.
    pub fn local_answer(&self) -> Option<LocalAnswer> {
        self.row.local
    }

    /// Whether a `null` result is what a node that is behind would say, so that a second channel is asked.
    pub fn confirms_null(&self) -> bool {
        self.row.has(Trait::ConfirmsNull)
    }

    /// What it does with a filter's id.
    pub fn filter_op(&self) -> Option<FilterOp> {
        self.row.filter
    }

    /// Whether it reads state (or runs code on it) at a block, which nodes without an archive forget.
    pub fn state_read(&self) -> bool {
        self.row.has(Trait::StateRead)
    }

    /// Whether its answer is a block or header with a `number`.
    pub(crate) fn answers_block(&self) -> bool {
        self.row.has(Trait::AnswersBlock)
    }

    pub(crate) fn block_param(&self) -> BlockParam {
        self.row.block
    }
}

/// Whether a name matches a pattern, in which `*` stands for any text, also none.
pub fn glob(pattern: &str, name: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(mut name) = name.strip_prefix(head) else {
        return false;
    };
    let mut parts = rest.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return name.ends_with(part);
        }
        // The leftmost place is as good as any other: what follows it may start as early as possible.
        match name.find(part).and_then(|at| name.get(at + part.len()..)) {
            Some(rest) => name = rest,
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests;
