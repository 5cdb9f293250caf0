//! What a provider says about itself, without what is secret about it.
//!
//! Duty: take paths, keys and header values out of a text that may quote them, and whatever follows the host of any URL.
//! Invariant: the longest secret goes first: a shorter one inside it would leave the rest to be read.
//! Leaves to others: cutting the text, which comes after: half a secret is not recognised.

use lasso_routing::catalog::Channel;

/// In the place of a secret.
const MASK: &str = "***";
/// A part of a path, a query or a header this long may be a key; shorter ones are words like `v2`.
const SHORTEST_PART: usize = 8;

/// The text without what is secret about these channels.
pub(crate) fn masked<'a>(text: &str, channels: impl Iterator<Item = &'a Channel>) -> String {
    let mut secrets: Vec<&str> = channels.flat_map(secrets_of).collect();
    secrets.sort_unstable_by_key(|secret| std::cmp::Reverse(secret.len()));
    let text = secrets
        .into_iter()
        .fold(text.to_owned(), |text, secret| if text.contains(secret) { text.replace(secret, MASK) } else { text });
    without_paths(text)
}

fn secrets_of(channel: &Channel) -> impl Iterator<Item = &str> {
    let whole = channel.headers().map(|(_, value)| value).filter(|value| value.len() > 1);
    let whole = whole.chain(Some(channel.path()).filter(|path| path.len() > 1));
    let words = channel.headers().flat_map(|(_, value)| value.split(' '));
    let parts = channel.path().split(['/', '?', '&', '=']).chain(words);
    whole.chain(parts.filter(|part| part.len() >= SHORTEST_PART))
}

/// URLs, each up to its host: what follows is no business of a log, whoever wrote it.
fn without_paths(text: String) -> String {
    const SCHEME: &str = "://";
    if !text.contains(SCHEME) {
        return text;
    }
    let is_end = |letter: char| letter.is_whitespace() || matches!(letter, '"' | '\'' | '<' | '>' | ')' | '`' | ',');
    let mut parts = text.split(SCHEME);
    let mut masked = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        masked.push_str(SCHEME);
        let (url, rest) = part.split_at(part.find(is_end).unwrap_or(part.len()));
        // A name and a password may stand before the host.
        let (authority, path) = url.split_at(url.find(['/', '?', '#']).unwrap_or(url.len()));
        let host = authority.rsplit_once('@').map(|(_, host)| host);
        if host.is_some() {
            masked.push_str(MASK);
            masked.push('@');
        }
        masked.push_str(host.unwrap_or(authority));
        if path.len() > 1 {
            masked.push('/');
            masked.push_str(MASK);
        } else {
            masked.push_str(path);
        }
        masked.push_str(rest);
    }
    masked
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test that indexes out of bounds has failed")]
mod tests {
    use super::*;
    use crate::fake::catalog_with;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let bytes = catalog_with(&|spec| {
            spec["channels"][0]["path"] = "/v2/canary-path-key/sub?key=canary%2Dquery&n=1".into();
            spec["channels"][0]["headers"] =
                serde_json::json!({"authorization": "Bearer canary-token", "x-key": "key"});
        });
        let catalog = lasso_routing::Catalog::try_from(lasso_proto::catalog::decode(&bytes).unwrap()).unwrap();
        assert_eq!(masked(text, catalog.channels().map(|(_, channel)| channel)), expected);
    }

    #[test]
    fn what_is_secret_about_a_channel_is_masked_whole_or_in_part() {
        check("bad path /v2/canary-path-key/sub?key=canary%2Dquery&n=1", "bad path ***");
        check("project canary-path-key is over its limit", "project *** is over its limit");
        check("canary%2Dquery, canary-token, Bearer canary-token", "***, ***, ***");
    }

    #[test]
    fn urls_end_at_their_host() {
        check("see https://a.example/plans/upgrade?u=1, please", "see https://a.example/***, please");
        check("(https://a.example/) or wss://u:p@b.example/x", "(https://a.example/) or wss://***@b.example/***");
    }

    #[test]
    fn words_stay_readable() {
        check("execution reverted: v2 sub", "execution reverted: v2 sub");
    }
}
