//! What an Envoy was sent and nobody may read in a log.
//!
//! Duty: take providers' paths, keys and header values out of a text that may quote them, whole or in part.
//! Invariant: the longest secret goes first: a shorter one inside it would leave the rest to be read.
//! Leaves to others: cutting, logging (`service`).

use std::collections::BTreeSet;

use lasso_routing::catalog::CatalogSpec;
use lasso_routing::catalog::spec::TransportSpec;

use crate::config::MASK;

/// A part of a path, a query or a header this long may be a key; shorter ones are words like `v2`.
const SHORTEST_PART: usize = 8;

/// The texts, longest first.
#[derive(Default)]
pub(crate) struct Secrets(Vec<String>);

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} secrets", self.0.len())
    }
}

impl Secrets {
    /// Everything secret in a catalog.
    pub(crate) fn of(catalog: &CatalogSpec) -> Self {
        let mut texts: BTreeSet<String> = catalog.probe_token.iter().map(|token| token.as_str().to_owned()).collect();
        for channel in &catalog.channels {
            let values = channel.headers.values().filter(|value| value.len() > 1);
            // A ws channel's path is its id; where its provider is, no Envoy is told.
            let path = Some(&channel.path).filter(|path| *path != "/" && channel.transport == TransportSpec::Http);
            texts.extend(values.chain(path).cloned());
            texts.extend(path.into_iter().flat_map(|path| parts_of_path(path)));
            texts.extend(channel.headers.values().flat_map(|value| long(value.split(' '))));
        }
        let mut texts: Vec<String> = texts.into_iter().collect();
        texts.sort_by_key(|text| std::cmp::Reverse(text.len()));
        Self(texts)
    }

    /// The text without them.
    pub(crate) fn masked(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| text.replace(secret, MASK))
    }
}

/// Segments of the path, and values of the query as they are written and as they are meant.
fn parts_of_path(path: &str) -> Vec<String> {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let written = query.split('&').map(|pair| pair.split_once('=').map_or(pair, |(_, value)| value));
    let mut parts = long(path.split('/').chain(written));
    let meant = url::form_urlencoded::parse(query.as_bytes()).map(|(_, value)| value.into_owned());
    parts.extend(meant.filter(|value| value.len() >= SHORTEST_PART));
    parts
}

fn long<'a>(parts: impl Iterator<Item = &'a str>) -> Vec<String> {
    parts.filter(|part| part.len() >= SHORTEST_PART).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::Secrets;
    use crate::compile::compile;
    use crate::testing::{load_text, tokens};

    #[track_caller]
    fn check(complaint: &str, expected: &str) {
        let providers = "[{id: a, url: 'https://a.example/v2/canary-path-key/sub?key=canary%2Dquery&n=1', headers: \
                         {authorization: Bearer canary-token, x-key: key}}, {id: b, url: 'https://b.example/v2/canary-path-key'}]";
        let text = format!("profiles: {{public: {{chains: {{ethereum: {{chain_id: 1, providers: {providers}}}}}}}}}");
        let secrets = Secrets::of(&compile(&load_text(&text).unwrap().config).unwrap().catalog);
        assert_eq!(secrets.masked(complaint), expected);
    }

    #[test]
    fn a_complaint_keeps_no_secret_whole_or_in_part() {
        check("bad path \"/v2/canary-path-key/sub?key=canary%2Dquery&n=1\"", "bad path \"***\"");
        check("bad segment canary-path-key in a.example", "bad segment *** in a.example");
        check("bad values canary%2Dquery, canary-query, canary-token", "bad values ***, ***, ***");
        check("bad header Bearer canary-token, or key", "bad header ***, or ***");
    }

    #[test]
    fn the_probe_token_is_one() {
        let deployment = compile(&load_text(crate::testing::SMALL).unwrap().config).unwrap();
        let secrets = Secrets::of(&deployment.with_tokens(&tokens([7; 16])).unwrap().catalog);
        assert_eq!(secrets.masked(&format!("bad value {}", "07".repeat(16))), "bad value ***");
    }

    #[test]
    fn the_longest_secret_goes_first() {
        check("/v2/canary-path-key/sub?key=canary%2Dquery&n=1", "***");
        check("/v2/canary-path-key/other", "***/other");
    }

    #[test]
    fn short_words_stay_readable() {
        check("v2, sub and n=1 of ethereum", "v2, sub and n=1 of ethereum");
    }
}
