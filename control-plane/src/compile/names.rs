//! Which place a cluster's name stands for.
//!
//! Duty: give a provider that moved to another host another name for its channel and its cluster; leave every other name as it is written.
//! Invariant: a name that an Envoy may still have never comes to stand for another place: the path and the key that one generation's
//! requests carry must not reach the host of another. What a name stood for is remembered for the last [`MOST`] names that went.
//! Leaves to others: noticing what Envoys have from before this process (`xds::session`).

use std::collections::BTreeMap;

use super::{Deployment, digest};
use crate::config::{Chain, Location};

/// Names that are remembered beyond those in use.
const MOST: usize = 4_096;

/// Digits of a [`Identity`].
pub(crate) const IDENTITY_DIGITS: usize = 8;

/// Digits of it that stand in a name.
const IN_A_NAME: usize = 6;

/// What a channel is, whatever it is called: a host, and the chain that it is asked for. Not its path and headers, which change with a key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Identity(pub(crate) String);

impl Identity {
    pub(crate) fn of(chain: &Chain, location: &Location) -> Self {
        let place = format!("{:?}", (chain.chain_id, location.tls, &location.host, location.port));
        Self(digest(place.as_bytes(), IDENTITY_DIGITS))
    }
}

/// Names of clusters, and what they stand for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Names {
    bound: BTreeMap<String, Bound>,
    /// Counts the deployments.
    round: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Bound {
    identity: Identity,
    /// The last deployment that used the name.
    used_in: u64,
}

impl Names {
    /// What to put behind a name so that it may stand for this place.
    pub(crate) fn suffix(&self, plain: &str, identity: &Identity) -> String {
        if self.may_be(plain, identity) {
            return String::new();
        }
        let short: String = identity.0.chars().take(IN_A_NAME).collect();
        let short = format!("@{short}");
        if self.may_be(&format!("{plain}{short}"), identity) { short } else { format!("@{}", identity.0) }
    }

    fn may_be(&self, name: &str, identity: &Identity) -> bool {
        self.bound.get(name).is_none_or(|bound| bound.identity == *identity)
    }

    /// An Envoy has this cluster, and there it is that place.
    pub(crate) fn bind(&mut self, name: &str, identity: Identity) {
        self.bound.insert(name.to_owned(), Bound { identity, used_in: self.round });
    }

    /// Whether nothing in a deployment needs another name.
    pub(crate) fn allow(&self, deployment: &Deployment) -> bool {
        deployment.clusters.iter().all(|plan| self.may_be(&plan.name, &plan.identity))
    }

    /// With what a deployment uses.
    pub(crate) fn after(mut self, deployment: &Deployment) -> Self {
        self.round += 1;
        for plan in &deployment.clusters {
            self.bind(&plan.name, plan.identity.clone());
        }
        let mut gone: Vec<(u64, String)> =
            self.bound.iter().map(|(name, bound)| (bound.used_in, name.clone())).collect();
        gone.retain(|(used_in, _)| *used_in < self.round);
        gone.sort();
        for (_, name) in gone.iter().take(gone.len().saturating_sub(MOST)) {
            self.bound.remove(name);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::super::{compile, compile_as};
    use super::{Identity, MOST, Names};
    use crate::testing::load_text;

    const BEFORE: &str = "profiles: {public: {chains: {ethereum: {chain_id: 1, providers: [{id: a, url: 'https://a.example/v2/key'}]}}}}";

    /// The channel and its cluster after these changes, one generation each.
    #[track_caller]
    fn check(changes: &[(&str, &str)], expected: &str) {
        let mut text = BEFORE.to_owned();
        let deployment = compile(&load_text(&text).unwrap().config).unwrap();
        let mut names = Names::default().after(&deployment);
        let mut last = deployment;
        for (from, to) in changes {
            text = text.replace(from, to);
            last = compile_as(&load_text(&text).unwrap().config, &names).unwrap();
            names = names.after(&last);
        }
        assert_eq!(last.clusters[0].name, format!("lasso/{expected}"));
        assert_eq!(last.catalog.channels[0].cluster, last.clusters[0].name);
        assert_eq!(last.catalog.channels[0].id, expected);
        assert_eq!(last.catalog.profiles[0].chains[0].providers[0].channels, [expected]);
    }

    #[test]
    fn a_new_key_or_header_changes_no_name() {
        check(&[("v2/key", "v2/other")], "ethereum/a/http");
        check(&[("key'}", "key', headers: {x-key: other}}")], "ethereum/a/http");
        check(&[("https://a.example/v2/key", "https://a.example:443/v2/key")], "ethereum/a/http");
    }

    #[test]
    fn another_host_port_scheme_or_chain_is_another_channel() {
        check(&[("a.example", "b.example")], "ethereum/a/http@55b65e");
        check(&[("a.example", "a.example:8443")], "ethereum/a/http@defd13");
        check(&[("https", "http")], "ethereum/a/http@487ce3");
        check(&[("chain_id: 1", "chain_id: 5")], "ethereum/a/http@ebdc3e");
    }

    #[test]
    fn who_comes_back_has_the_name_from_before() {
        check(&[("a.example", "b.example"), ("b.example", "a.example")], "ethereum/a/http");
        let again = [("a.example", "b.example"), ("b.example", "a.example"), ("a.example", "b.example")];
        check(&again, "ethereum/a/http@55b65e");
    }

    #[test]
    fn a_name_that_was_given_up_stands_for_nobody_else() {
        check(&[("a.example", "b.example"), ("b.example", "c.example")], "ethereum/a/http@03f875");
        check(
            &[("id: a", "id: b"), ("{id: b, url: 'https://a.", "{id: a, url: 'https://b.")],
            "ethereum/a/http@55b65e",
        );
    }

    #[test]
    fn two_places_whose_digests_begin_alike_have_two_names() {
        let mut names = Names::default();
        let identity = |digits: &str| Identity(digits.to_owned());
        names.bind("x", identity("00000000"));
        names.bind("x@123456", identity("12345600"));
        assert_eq!(names.suffix("x", &identity("12345600")), "@123456");
        assert_eq!(names.suffix("x", &identity("12345678")), "@12345678");
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_longest_unused_goes_first() {
        let deployment = compile(&load_text(BEFORE).unwrap().config).unwrap();
        let mut names = Names::default();
        names.bind("oldest", Identity("0".to_owned()));
        names = names.after(&deployment);
        for number in 0..MOST {
            names.bind(&format!("old-{number:04}"), Identity("0".to_owned()));
        }
        names = names.after(&deployment);
        assert_eq!(names.bound.len(), MOST + 1);
        assert!(!names.bound.contains_key("oldest"));
    }
}
