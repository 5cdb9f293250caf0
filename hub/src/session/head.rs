//! What is kept of an upgrade: what its calls are sent on with.
//!
//! Duty: say what the client named, now and later; the head of each call.
//! Invariant: it owns its bytes, so that the buffer that the upgrade was read into is let go. Of `x-lasso-*` only what clients may say goes on.
//! `Debug` shows no header: they hold clients' secrets.

use std::fmt;

use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use lasso_routing::Catalog;
use lasso_routing::target::{HEADERS, Meta, Target, TargetError, resolve};

/// Headers that are about the connection, about the upgrade, or about a body that is not this one.
const DROPPED: [&str; 16] = [
    "accept-encoding",
    "connection",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    // A call has its own.
    "x-request-id",
    // What Envoy told the hub about the upgrade, and would believe about a call.
    "x-envoy-external-address",
    "x-envoy-original-path",
];
const DROPPED_PREFIXES: [&str; 4] = ["content-", "sec-websocket-", "x-envoy-", "x-lasso-"];

/// The head of an upgrade.
pub(crate) struct Head {
    host: Box<str>,
    path: Box<str>,
    headers: Box<[(HeaderName, HeaderValue)]>,
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Head").finish_non_exhaustive()
    }
}

impl Head {
    /// Keeps what calls need. `path` is with its query.
    pub(crate) fn new(host: &str, path: &str, headers: &HeaderMap) -> Self {
        let named = |name: &str| {
            let named = headers.get_all("connection").iter().filter_map(|value| value.to_str().ok());
            named.flat_map(|value| value.split(',')).any(|word| word.trim().eq_ignore_ascii_case(name))
        };
        let kept = headers.iter().filter(|(name, _)| goes_on(name.as_str()) && !named(name.as_str()));
        let headers = kept.filter_map(|(name, value)| Some((own_name(name)?, own_value(value)?))).collect();
        Self { host: host.into(), path: path.into(), headers }
    }

    /// What the client named, in the catalog that is in force.
    pub(crate) fn target(&self, catalog: &Catalog) -> Result<Target, TargetError> {
        let header = |name: &str| {
            let (_, value) = self.headers.iter().find(|(own, _)| own.as_str() == name)?;
            value.to_str().ok()
        };
        let target = resolve(catalog, &self.host, &self.path, &header)?;
        // `/` is the only path outside the tree that is one.
        let ours = target.websocket || self.path.split(['?', '#']).next() == Some("/");
        if ours { Ok(target) } else { Err(TargetError::NotOurs) }
    }

    /// `host` of its calls.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// Where its calls go: the same path without `/ws`.
    pub(super) fn path(&self, meta: Meta) -> String {
        let path = self.path.strip_prefix("/ws").filter(|rest| rest.starts_with("/rpc")).unwrap_or(&self.path);
        let path = path.split('#').next().unwrap_or_default();
        let wish = match meta {
            Meta::None => return path.to_owned(),
            Meta::Headers => "include_meta=headers",
            Meta::Body => "include_meta=body",
        };
        // Of a repeated key the first counts.
        match path.split_once('?') {
            Some((path, query)) => format!("{path}?{wish}&{query}"),
            None => format!("{path}?{wish}"),
        }
    }

    /// What its calls carry on.
    pub(super) fn headers(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        self.headers.iter().map(|(name, value)| (name, value))
    }
}

fn goes_on(name: &str) -> bool {
    let dropped = DROPPED.contains(&name) || DROPPED_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    !dropped || HEADERS.contains(&name)
}

fn own_name(name: &HeaderName) -> Option<HeaderName> {
    HeaderName::from_bytes(name.as_str().as_bytes()).ok()
}

fn own_value(value: &HeaderValue) -> Option<HeaderValue> {
    HeaderValue::from_bytes(value.as_bytes()).ok()
}
