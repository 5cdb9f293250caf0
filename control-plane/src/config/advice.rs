//! What is allowed, and does less than it seems.
//!
//! Duty: one sentence for each setting that another one takes away, or that rests on a number nobody gave.
//! Invariant: nothing here is a mistake: the same configuration runs.
//! Leaves to others: printing (`main`), mistakes (`decode`).

use std::collections::BTreeMap;

use lasso_routing::catalog::spec::TransportSpec;

use super::{Chain, Config, Profile};

/// The sentences.
pub(crate) fn advice(config: &Config) -> Vec<String> {
    let mut advice = Vec::new();
    advice.extend(unknown_workers(config));
    advice.extend(ignored_breakers(config));
    advice
}

fn chains(config: &Config) -> impl Iterator<Item = (&Profile, &Chain)> {
    config.profiles.iter().flat_map(|profile| profile.chains.iter().map(move |chain| (profile, chain)))
}

fn path(profile: &Profile, chain: &Chain) -> String {
    format!("profiles.{}.chains.{}", profile.id, chain.id)
}

fn unknown_workers(config: &Config) -> Option<String> {
    if config.workers.is_some() {
        return None;
    }
    let (profile, chain, provider) = chains(config).find_map(|(profile, chain)| {
        let limited = chain.providers.iter().find(|provider| provider.requests_per_second.is_some())?;
        Some((profile, chain, limited))
    })?;
    Some(format!(
        "{}.providers[{}].rate_limit is what each Envoy worker may send, because nobody says how many there are; set `workers` or \
         --workers to Envoy's --concurrency times the number of Envoys",
        path(profile, chain),
        provider.id
    ))
}

/// The first chain that names a channel says how its breaker behaves.
fn ignored_breakers(config: &Config) -> Vec<String> {
    let mut first = BTreeMap::new();
    let mut advice = Vec::new();
    for (profile, chain) in chains(config) {
        for provider in &chain.providers {
            let physical =
                [TransportSpec::Http, TransportSpec::Ws].map(|transport| provider.physical(chain, transport));
            let owners =
                physical.into_iter().flatten().map(|channel| *first.entry(channel).or_insert((profile, chain)));
            let other = owners.collect::<Vec<_>>().into_iter().find(|(_, rules)| rules.breaker != chain.breaker);
            if let Some((owner, rules)) = other.filter(|_| chain.sets_breaker) {
                advice.push(format!(
                    "{}.breaker does not hold for the provider `{}`: its channel is shared with {}, whose breaker does",
                    path(profile, chain),
                    provider.id,
                    path(owner, rules)
                ));
            }
        }
    }
    advice
}

#[cfg(test)]
mod tests {
    use super::advice;
    use crate::testing::load_text;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        assert_eq!(advice(&load_text(text).unwrap().config), expected, "{text}");
    }

    #[test]
    fn a_rate_limit_needs_the_number_of_workers() {
        let text = "profiles: {public: {chains: {ethereum: {chain_id: 1, providers: [{id: a, url: 'https://a.example', rate_limit: \
                    {requests_per_second: 5}}]}}}}";
        let told = "profiles.public.chains.ethereum.providers[a].rate_limit is what each Envoy worker may send, because nobody says how \
                    many there are; set `workers` or --workers to Envoy's --concurrency times the number of Envoys";
        check(text, &[told]);
        check(&format!("workers: 1\n{text}"), &[]);
        check(&text.replace("rate_limit: {requests_per_second: 5}", "priority: 1"), &[]);
    }

    fn two_profiles(public: &str, beta: &str) -> String {
        let chain = |breaker: &str| {
            format!(
                "{{chains: {{ethereum: {{chain_id: 1, {breaker} providers: [{{id: a, url: 'https://a.example'}}]}}}}}}"
            )
        };
        format!("profiles: {{beta: {}, public: {}}}", chain(beta), chain(public))
    }

    #[test]
    fn a_breaker_of_a_shared_channel_is_the_first_profiles() {
        let told = "profiles.beta.chains.ethereum.breaker does not hold for the provider `a`: its channel is shared with \
                    profiles.public.chains.ethereum, whose breaker does";
        let (seven, five) = ("breaker: {failures: 7},", "breaker: {failures: 5},");
        check(&two_profiles("", seven), &[told]);
        check(&two_profiles(seven, five), &[told]);
        check(&two_profiles(seven, seven), &[]);
        check(&two_profiles(seven, ""), &[]);
        check(&two_profiles(seven, five).replacen("a.example", "b.example", 1), &[]);
    }
}
