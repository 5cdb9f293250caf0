//! What a client can name wrongly, and what it is told.

use lasso_jsonrpc::error::RpcError;

/// Why a request has no target. `Display` is the message that the client reads; it names what exists.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Neither under `/rpc` nor `/` on a mapped host: not for us.
    #[error("not an RPC path")]
    NotOurs,
    /// The path has a form that is not in the route table.
    #[error(
        "no such route `{path}`; use /rpc/{{chain}}, /rpc/{{strategy}}/{{chain}}, /rpc/{{chain}}/{{provider}}, \
         /rpc/provider/{{provider}}/{{chain}} or /rpc/profile/{{profile}}/..."
    )]
    NoSuchRoute {
        /// As the client wrote it.
        path: String,
    },
    /// No such profile.
    #[error("unknown profile `{name}`; profiles: {}", exist.join(", "))]
    UnknownProfile {
        /// As the client wrote it.
        name: String,
        /// Those that exist.
        exist: Vec<String>,
    },
    /// No such chain in the profile.
    #[error("unknown chain `{name}`; chains: {}", exist.join(", "))]
    UnknownChain {
        /// As the client wrote it.
        name: String,
        /// Those that exist.
        exist: Vec<String>,
    },
    /// No such provider on the chain.
    #[error("unknown provider `{name}`; providers: {}", exist.join(", "))]
    UnknownProvider {
        /// As the client wrote it.
        name: String,
        /// Those that exist.
        exist: Vec<String>,
    },
    /// No such strategy.
    #[error("unknown strategy `{name}`; strategies: {}", exist.join(", "))]
    UnknownStrategy {
        /// As the client wrote it.
        name: String,
        /// Those that exist.
        exist: Vec<String>,
    },
    /// A wish whose value cannot be read.
    #[error("bad value `{value}` for {key}; {expected}")]
    BadValue {
        /// Query key or header.
        key: &'static str,
        /// As the client wrote it.
        value: String,
        /// What would be right.
        expected: &'static str,
    },
}

const INVALID_PARAMS: i64 = -32602;
/// Longest echo of what the client wrote.
const LONGEST_ECHO: usize = 64;

impl TargetError {
    /// HTTP status to answer with.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::NotOurs | Self::UnknownProfile { .. } => 404,
            Self::NoSuchRoute { .. }
            | Self::UnknownChain { .. }
            | Self::UnknownProvider { .. }
            | Self::UnknownStrategy { .. }
            | Self::BadValue { .. } => 400,
        }
    }

    /// The JSON-RPC error to answer with.
    #[must_use]
    pub fn rpc_error(&self) -> RpcError {
        match self {
            Self::NotOurs | Self::NoSuchRoute { .. } => {
                RpcError { code: INVALID_PARAMS, message: self.to_string(), data: None }
            }
            Self::UnknownProfile { name, exist } => RpcError::unknown_profile(name, exist),
            Self::UnknownChain { name, exist } => RpcError::unknown_chain(name, exist),
            Self::UnknownProvider { name, exist } => RpcError::unknown_provider(name, exist),
            Self::UnknownStrategy { name, exist } => RpcError::unknown_strategy(name, exist),
            Self::BadValue { key, value, expected } => RpcError::bad_value(key, value, expected),
        }
    }
}

/// What the client wrote, cut to a length that an error may echo.
pub(super) fn echo(text: &str) -> String {
    match text.char_indices().nth(LONGEST_ECHO) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}
