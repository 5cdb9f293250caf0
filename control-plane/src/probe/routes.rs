//! How each channel is reached.
//!
//! Duty: for every HTTP channel of a catalog its place in the route tree, and its own address for when there is no Envoy on the way.
//! Invariant: made from one deployment, so that token, paths and rules belong together. Addresses and headers are secrets: `Debug` leaves them out.
//! Leaves to others: dialling.

use std::collections::BTreeMap;
use std::fmt;

use hyper::header::{HeaderName, HeaderValue};
use hyper::http::uri::{Authority, PathAndQuery, Scheme};
use hyper::{HeaderMap, Uri};
use lasso_routing::catalog::{Catalog, ChannelIdx, Token};
use lasso_routing::outcome::ErrorRule;

use crate::compile::{Deployment, Destination};

/// Of one catalog.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    channels: BTreeMap<Box<str>, Route>,
}

/// To one channel.
#[derive(Clone)]
pub(super) struct Route {
    pub(super) channel: Box<str>,
    /// The path that pins its provider, below Envoy's listener.
    pub(super) pinned: String,
    pub(super) token: Option<Token>,
    /// Its own address.
    pub(super) address: Uri,
    pub(super) headers: HeaderMap,
    /// Its own error dialect.
    pub(super) rules: Vec<ErrorRule>,
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Route").field("channel", &self.channel).field("pinned", &self.pinned).finish_non_exhaustive()
    }
}

impl Routes {
    /// The routes to what is deployed.
    pub(crate) fn of(deployment: &Deployment) -> anyhow::Result<Self> {
        let catalog = Catalog::try_from(deployment.catalog.clone())?;
        let mut channels = BTreeMap::new();
        for (spec, cluster) in deployment.catalog.channels.iter().zip(&deployment.clusters) {
            let pinned = catalog.channel_named(&spec.id).and_then(|channel| pin(&catalog, channel));
            let Destination::Provider(location) = &cluster.leads_to else { continue };
            let Some((pinned, rules)) = pinned else { continue };
            let scheme = if location.tls { Scheme::HTTPS } else { Scheme::HTTP };
            let address = Uri::builder()
                .scheme(scheme)
                .authority(Authority::try_from(spec.authority.as_str()).map_err(|_| unusable(&spec.id))?)
                .path_and_query(PathAndQuery::try_from(spec.path.as_str()).map_err(|_| unusable(&spec.id))?)
                .build()
                .map_err(|_| unusable(&spec.id))?;
            let route = Route {
                channel: spec.id.as_str().into(),
                pinned,
                token: deployment.catalog.probe_token.clone(),
                address,
                headers: headers(&spec.headers).ok_or_else(|| unusable(&spec.id))?,
                rules,
            };
            channels.insert(route.channel.clone(), route);
        }
        Ok(Self { channels })
    }

    pub(super) fn to(&self, channel: &str) -> Option<&Route> {
        self.channels.get(channel)
    }
}

fn headers(given: &BTreeMap<String, String>) -> Option<HeaderMap> {
    let header = |(name, value): (&String, &String)| {
        let mut value = HeaderValue::from_str(value).ok()?;
        value.set_sensitive(true);
        Some((HeaderName::from_bytes(name.as_bytes()).ok()?, value))
    };
    given.iter().map(header).collect()
}

/// Says nothing of the address, which is a secret.
fn unusable(channel: &str) -> anyhow::Error {
    anyhow::anyhow!("the address or a header of the channel {channel} cannot be used in HTTP")
}

/// The first (profile, chain, provider) that has the channel: any would do.
fn pin(catalog: &Catalog, channel: ChannelIdx) -> Option<(String, Vec<ErrorRule>)> {
    catalog.chains().find_map(|(_, chain)| {
        let provider = chain.providers().get(chain.provider_of(channel)?)?;
        let profile = catalog.profile(chain.profile())?.id();
        let path = format!("/rpc/profile/{profile}/provider/{}/{}", provider.id(), chain.id());
        Some((path, provider.error_rules().to_vec()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::compile;
    use crate::testing::{SMALL, load_text, tokens};

    #[test]
    fn a_channel_is_pinned_where_it_is_and_reached_where_it_lives() {
        let deployment = compile(&load_text(SMALL).unwrap().config).unwrap();
        let routes = Routes::of(&deployment.with_tokens(&tokens([7; 16])).unwrap()).unwrap();
        let shown: Vec<_> = routes
            .channels
            .values()
            .map(|route| (&*route.channel, route.pinned.as_str(), route.address.to_string()))
            .collect();
        let expected = [
            (
                "beta:ethereum/own/http",
                "/rpc/profile/beta/provider/own/ethereum",
                "http://127.0.0.1:8545/canary".to_owned(),
            ),
            (
                "ethereum/a/http",
                "/rpc/profile/public/provider/a/ethereum",
                "https://a.example/v2/canary?key=canary".to_owned(),
            ),
            ("ethereum/b/http", "/rpc/profile/public/provider/b/ethereum", "https://192.0.2.1:8443/canary".to_owned()),
        ];
        assert_eq!(shown, expected);
        assert_eq!(routes.to("beta:ethereum/own/http").unwrap().headers["x-key"], "canary");
        assert!(!format!("{routes:?}").contains("canary") && !format!("{routes:?}").contains("0707"));
    }
}
