//! What the client named: profile, chain, strategy, provider and wishes, out of host, path, query and headers.
//!
//! Duty: the whole route table; every bad name or value is an error that says what exists.
//! Invariant: a [`Target`] points into the catalog that it was resolved with.
//! Precedence: query over path over header.
//! Leaves to others: methods and bodies (`lasso-jsonrpc`), who can serve ([`crate::candidate`]).

mod error;
mod query;
mod route;

pub use error::TargetError;
pub use query::{HEADERS, PROBE};

use crate::catalog::{Catalog, ChainIdx, ProfileIdx, Transport};
use crate::strategy::Strategy;

/// Where the client wants to read how its request was served.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Meta {
    /// Nowhere.
    #[default]
    None,
    /// In `X-Lasso-Request-ID` and `X-Lasso-Meta`.
    Headers,
    /// In the response object's `lasso_meta`.
    Body,
}

impl Meta {
    /// Whether it is to be told at all.
    #[must_use]
    pub const fn wanted(self) -> bool {
        match self {
            Self::None => false,
            Self::Headers | Self::Body => true,
        }
    }
}

/// What the client named, resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The profile.
    pub profile: ProfileIdx,
    /// The chain, in that profile.
    pub chain: ChainIdx,
    /// Strategy instead of the configured one.
    pub strategy: Option<Strategy>,
    /// Only this one: index in [`crate::catalog::Chain::providers`].
    pub provider: Option<usize>,
    /// Only channels of this transport.
    pub transport: Option<Transport>,
    /// Not these: indices in [`crate::catalog::Chain::providers`].
    pub exclude: Vec<usize>,
    /// Lag limit instead of the configured one.
    pub max_lag_blocks: Option<u32>,
    /// With `provider`: others may answer when it does not.
    pub allow_failover: bool,
    /// Where to tell how it was served.
    pub include_meta: Meta,
    /// The path was of the `/ws/rpc` tree.
    pub websocket: bool,
    /// It is a probe of the control plane's: the provider is asked whatever speaks against it, once, and nothing of it is recorded.
    pub probe: bool,
}

/// Resolves a request's names. `path_and_query` is `:path` as the client sent it; `header` looks up a request header by its lower-case
/// name.
///
/// # Errors
/// What the client named does not exist, or the path is not ours at all.
pub fn resolve<'h>(
    catalog: &Catalog,
    host: &str,
    path_and_query: &'h str,
    header: &dyn Fn(&str) -> Option<&'h str>,
) -> Result<Target, TargetError> {
    let (path, raw_query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
    let raw_query = raw_query.split('#').next().unwrap_or_default();
    let named = route::named(catalog, host, path)?;
    let wishes = query::wishes(raw_query, header)?;
    let mut target = named.with(catalog, wishes)?;
    // Without a provider there is nothing to probe: then, as with a wrong word, it is a client's request like any other.
    if target.provider.is_some() && header(PROBE).is_some_and(|given| catalog.is_probe_token(given)) {
        target.probe = true;
        target.allow_failover = false;
    }
    Ok(target)
}

#[cfg(test)]
mod tests;
