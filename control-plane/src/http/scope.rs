//! Which part of the fleet a request asks for.
//!
//! Duty: the query `?profile=&region=&transport=&method=`, and the names in paths.
//! Invariant: a name that nothing has is an error that says what there is, never an empty answer.
//! Leaves to others: the rows (`rows`).

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use lasso_jsonrpc::method::{Method, MethodClass};
use lasso_routing::catalog::{Catalog, Transport};
use lasso_routing::fleet::view::{ChainView, ChannelStatus, StandingRow, View};
use serde::Deserialize;
use utoipa::IntoParams;

use super::problem::Problem;
use super::query::query;

/// Narrows an answer.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Scope {
    /// A profile. Paths that name a chain mean `public` without it.
    profile: Option<String>,
    /// A region. This control plane knows its own.
    region: Option<String>,
    /// `http` or `ws`.
    transport: Option<String>,
    /// A method, or a method class such as `eth_getLogs<=10`.
    method: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Scope {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        query(parts, state, "profile, region, transport and method").await
    }
}

/// A scope whose names all exist.
#[derive(Debug)]
pub(crate) struct Checked<'a> {
    pub(super) view: &'a View,
    profile: Option<String>,
    transport: Option<Transport>,
    classes: Option<Vec<MethodClass>>,
}

impl Scope {
    /// For queries that have more names than these, or fewer.
    pub(super) fn of(profile: Option<String>, region: Option<String>) -> Self {
        Self { profile, region, ..Self::default() }
    }

    pub(crate) fn check<'a>(&self, view: &'a View, region: &str) -> Result<Checked<'a>, Problem> {
        if let Some(named) = self.region.as_deref().filter(|named| *named != region) {
            return Err(Problem::unknown("unknown_region", named, (!region.is_empty()).then_some(region)));
        }
        let transports = [Transport::Http, Transport::Ws];
        let transport = self.transport.as_deref().map(|named| {
            let found = transports.into_iter().find(|transport| transport.name() == named);
            found.ok_or_else(|| Problem::unknown("unknown_transport", named, transports.map(Transport::name)))
        });
        let checked = Checked {
            view,
            profile: self.profile.clone(),
            transport: transport.transpose()?,
            classes: self.method.as_deref().map(classes),
        };
        match &self.profile {
            Some(named) if checked.chains().next().is_none() => {
                Err(Problem::unknown("unknown_profile", named, view.chains.iter().map(|chain| &*chain.profile)))
            }
            Some(_) | None => Ok(checked),
        }
    }
}

impl<'a> Checked<'a> {
    /// The chains of the profile, or of all.
    pub(crate) fn chains(&self) -> impl Iterator<Item = &'a ChainView> + use<'a> {
        let profile = self.profile.clone();
        self.view.chains.iter().filter(move |chain| profile.as_deref().is_none_or(|profile| *chain.profile == *profile))
    }

    /// A chain, by its name or its number, in the profile, or in each that has it.
    pub(super) fn chains_named(&self, named: &str) -> Result<Vec<&'a ChainView>, Problem> {
        let found: Vec<_> = self.chains().filter(|chain| is_named(chain, named)).collect();
        if found.is_empty() {
            return Err(Problem::unknown("unknown_chain", named, self.chains().map(|chain| &*chain.chain)));
        }
        Ok(found)
    }

    /// One chain, by its name or its number, in the profile, or in `public`.
    pub(crate) fn chain(&self, named: &str) -> Result<&'a ChainView, Problem> {
        let profile = self.profile.as_deref().unwrap_or(Catalog::PUBLIC);
        let chains = || self.view.chains.iter().filter(|chain| *chain.profile == *profile);
        let found = chains().find(|chain| is_named(chain, named));
        found.ok_or_else(|| {
            if chains().next().is_some() {
                Problem::unknown("unknown_chain", named, chains().map(|chain| &*chain.chain))
            } else {
                Problem::unknown("unknown_profile", profile, self.view.chains.iter().map(|chain| &*chain.profile))
            }
        })
    }

    pub(crate) fn has_channel(&self, status: &ChannelStatus) -> bool {
        self.transport.is_none_or(|transport| transport == status.transport)
    }

    /// The rows of a chain's leaderboard that were asked for.
    pub(crate) fn rows(&self, chain: &ChainView) -> impl Iterator<Item = &'a StandingRow> {
        let own = self.view.standings.iter().filter(|row| {
            let of = self.view.chains.get(row.chain);
            of.is_some_and(|of| of.profile == chain.profile && of.chain == chain.chain)
        });
        own.filter(|row| {
            let channel = self.view.channels.get(row.channel);
            self.classes.as_ref().is_none_or(|classes| classes.contains(&row.class))
                && channel.is_some_and(|channel| self.has_channel(channel))
        })
    }
}

fn is_named(chain: &ChainView, named: &str) -> bool {
    *chain.chain == *named || chain.chain_id.to_string() == named
}

/// The class of that name, or the classes that a method of that name may fall into.
fn classes(named: &str) -> Vec<MethodClass> {
    if let Some(class) = MethodClass::named(named) {
        return vec![class];
    }
    // A method of several classes (`eth_getLogs`) has them all.
    let parts = |class: &MethodClass| class.name().strip_prefix(named).is_some_and(|rest| rest.starts_with(['<', '>']));
    let parts: Vec<_> = MethodClass::all().filter(parts).collect();
    if parts.is_empty() {
        let found = MethodClass::of(&Method::of(named), &lasso_jsonrpc::block::Blocks::None);
        return vec![found];
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_stands_for_its_classes() {
        #[track_caller]
        fn check(named: &str, expected: &[&str]) {
            let found: Vec<_> = classes(named).into_iter().map(MethodClass::name).collect();
            assert_eq!(found, expected);
        }
        check("eth_call", &["eth_call"]);
        check("eth_getLogs", &["eth_getLogs<=10", "eth_getLogs<=1000", "eth_getLogs>1000"]);
        check("eth_getLogs>1000", &["eth_getLogs>1000"]);
        check("debug_whatever", &["debug_*"]);
        check("my_method", &["other"]);
    }
}
