//! What the hub serves, out of the configuration in effect.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context;
use lasso_hub::{HubToken, Limits, Site, WsChannel};
use lasso_routing::Catalog;
use lasso_routing::catalog::Token;
use lasso_routing::time::Millis;
use lasso_subscription::{Kind, Settings};
use url::Url;

use crate::compile::SocketPlan;
use crate::config::{Chain, Config};
use crate::reload::Current;

/// Until blocks were seen.
const BLOCK_TIME: Millis = Millis::from_secs(12);

pub(super) fn site(current: &Current, token: &Token) -> anyhow::Result<Site> {
    let (config, deployment) = (&current.loaded.config, &current.deployment);
    let catalog = Catalog::try_from(deployment.catalog.clone())?;
    let channels = deployment.sockets.iter().map(|plan| channel(&catalog, plan));
    Ok(Site {
        channels: channels.collect::<anyhow::Result<_>>()?,
        subscriptions: subscriptions(&catalog, config),
        calls: Some(config.calls_via.clone()),
        token: HubToken::new(token.as_str().to_owned()),
        limits: Limits {
            sockets: config.hub.max_sockets as usize,
            subscriptions: config.hub.max_subscriptions as usize,
            provider_sockets: config.hub.ws_sockets as usize,
            message_bytes: config.max_body_bytes as usize,
            batch: config.max_batch as usize,
        },
        catalog: Arc::new(catalog),
    })
}

fn channel(catalog: &Catalog, plan: &SocketPlan) -> anyhow::Result<WsChannel> {
    let unusable = || format!("the ws_url of {} cannot be used", plan.channel);
    let index = catalog.channel_named(&plan.channel).with_context(unusable)?;
    // The same in every profile: it is a part of what makes a channel one.
    let (chain, provider) = catalog
        .chains()
        .find_map(|(_, chain)| Some((chain, chain.providers().get(chain.provider_of(index)?)?)))
        .with_context(unusable)?;
    let (location, scheme) = (&plan.location, if plan.location.tls { "wss" } else { "ws" });
    // The error of a URL's parser may quote it.
    let url = Url::parse(&format!("{scheme}://{}{}", location.authority, location.path)).ok().with_context(unusable)?;
    Ok(WsChannel {
        id: Arc::from(&*plan.channel),
        chain_id: chain.chain_id(),
        url,
        headers: plan.headers.clone(),
        kinds: Some(plan.subscriptions.iter().filter_map(|kind| Kind::named(kind)).collect()),
        priority: provider.priority(),
    })
}

fn subscriptions(catalog: &Catalog, config: &Config) -> BTreeMap<lasso_routing::catalog::ChainIdx, Settings> {
    let mut settings = BTreeMap::new();
    for profile in &config.profiles {
        for chain in &profile.chains {
            let found = catalog.profile_named(&profile.id).and_then(|index| catalog.chain_named(index, &chain.id));
            settings.extend(found.map(|index| (index, settings_of(chain))));
        }
    }
    settings
}

fn settings_of(chain: &Chain) -> Settings {
    let given = &chain.subscriptions;
    Settings {
        fill: given.fill,
        max_fill_blocks: given.max_fill_blocks.into(),
        fill_timeout: given.fill_timeout,
        subscribe_timeout: given.subscribe_timeout,
        stale_after: given.stale_after,
        linger: given.linger,
        max_lag_blocks: chain.max_lag_blocks.map(u64::from),
        block_time: chain.block_time_ms.map_or(BLOCK_TIME, |millis| Millis(millis.into())),
    }
}
