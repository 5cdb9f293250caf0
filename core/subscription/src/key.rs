//! What a client asked to be told of: the key under which subscriptions share a feed.
//!
//! Duty: read the params of `eth_subscribe`, refuse what is wrong with a sentence, and write the params that a provider gets.
//! Invariant: keys that mean the same are equal: addresses and topic alternatives are lower-case, sorted and without repetition, an
//! alternative of anything is a wildcard, and wildcards at the end are dropped.
//! Leaves to others: which chain and which channels (each has a [`Hub`](crate::Hub) of its own).
//!
//! `fromBlock` and `toBlock` in a filter are read and dropped, as geth does for a range that is not in the past: a subscription tells
//! of what comes. A `blockHash` is refused, because it names a block that is there already.

mod filter;
#[cfg(test)]
mod tests;

use std::fmt;

use lasso_jsonrpc::RpcError;
use serde_json::Value;

pub use filter::{Address, LogFilter, MOST_ADDRESSES, MOST_ALTERNATIVES, Topic};

pub(crate) const INVALID_PARAMS: i64 = -32602;

/// What may be subscribed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Every new block's header.
    NewHeads,
    /// Logs that match a filter.
    Logs,
    /// Transactions that enter the pool.
    NewPendingTransactions,
    /// Whether the node is catching up.
    Syncing,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::NewHeads, Self::Logs, Self::NewPendingTransactions, Self::Syncing];

    /// Its name in params.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NewHeads => "newHeads",
            Self::Logs => "logs",
            Self::NewPendingTransactions => "newPendingTransactions",
            Self::Syncing => "syncing",
        }
    }

    /// The kind of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a feed is shared by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// Every new block's header.
    NewHeads,
    /// Logs that match this filter.
    Logs(LogFilter),
    /// Transactions that enter the pool.
    NewPendingTransactions {
        /// Whole transactions instead of their hashes.
        full: bool,
    },
    /// Whether the node is catching up.
    Syncing,
}

impl Key {
    /// Reads the params of `eth_subscribe`, raw JSON as the client sent it.
    ///
    /// # Errors
    /// -32602 that says what is wrong.
    pub fn parse(params: Option<&str>) -> Result<Self, RpcError> {
        let params: Vec<Value> = match params {
            Some(raw) => serde_json::from_str(raw).map_err(|_| invalid("params must be an array"))?,
            None => Vec::new(),
        };
        let mut params = params.into_iter();
        let kind = match params.next() {
            Some(Value::String(name)) => Kind::named(&name).ok_or_else(|| unknown(&format!("{name:.64?}")))?,
            Some(_) => return Err(unknown("what is not a string")),
            None => return Err(unknown("nothing")),
        };
        let argument = params.next().filter(|argument| !argument.is_null());
        if params.next().is_some() {
            return Err(invalid(&format!("{kind} takes at most one argument")));
        }
        match (kind, argument) {
            (Kind::NewHeads, None) => Ok(Self::NewHeads),
            (Kind::Syncing, None) => Ok(Self::Syncing),
            // viem and web3.js send an empty object here.
            (Kind::NewHeads | Kind::Syncing, Some(Value::Object(object))) if object.is_empty() => {
                Ok(if kind == Kind::NewHeads { Self::NewHeads } else { Self::Syncing })
            }
            (Kind::NewHeads | Kind::Syncing, Some(_)) => Err(invalid(&format!("{kind} takes no argument"))),
            (Kind::NewPendingTransactions, None) => Ok(Self::NewPendingTransactions { full: false }),
            (Kind::NewPendingTransactions, Some(Value::Bool(full))) => Ok(Self::NewPendingTransactions { full }),
            (Kind::NewPendingTransactions, Some(_)) => Err(invalid("newPendingTransactions takes true or false")),
            (Kind::Logs, argument) => LogFilter::parse(argument).map(Self::Logs).map_err(|wrong| invalid(&wrong)),
        }
    }

    /// The kind.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::NewHeads => Kind::NewHeads,
            Self::Logs(_) => Kind::Logs,
            Self::NewPendingTransactions { .. } => Kind::NewPendingTransactions,
            Self::Syncing => Kind::Syncing,
        }
    }

    /// Whether it asks for its kind and nothing else.
    pub(crate) fn is_bare(&self) -> bool {
        match self {
            Self::NewHeads | Self::Syncing => true,
            Self::NewPendingTransactions { full } => !full,
            Self::Logs(filter) => filter.addresses().is_empty() && filter.topics().is_empty(),
        }
    }

    /// The params of `eth_subscribe` that a provider gets, as JSON.
    #[must_use]
    pub fn params(&self) -> String {
        match self {
            Self::NewHeads => r#"["newHeads"]"#.to_owned(),
            Self::Logs(filter) => format!(r#"["logs",{}]"#, filter.json()),
            // Not every provider takes the argument; without one hashes are told.
            Self::NewPendingTransactions { full: false } => r#"["newPendingTransactions"]"#.to_owned(),
            Self::NewPendingTransactions { full: true } => r#"["newPendingTransactions",true]"#.to_owned(),
            Self::Syncing => r#"["syncing"]"#.to_owned(),
        }
    }
}

fn invalid(wrong: &str) -> RpcError {
    RpcError { code: INVALID_PARAMS, message: format!("invalid params: {wrong}"), data: None }
}

fn unknown(asked: &str) -> RpcError {
    let names = Kind::ALL.map(Kind::name).join(", ");
    invalid(&format!("cannot subscribe to {asked}; there are {names}"))
}
