//! Which scope a wish belongs to.
//!
//! Duty: find or start the scope of a wish, take leaves there, and tell the scopes when the site is another.
//! Invariant: a scope's place is its identity: profile, chain and the providers that a client named or excluded. Profiles whose channels are the same set
//! share the place of the first of them. After a reload a scope has the channels of its place, and whoever shared it and has others now is ended: it
//! subscribes again, and comes to its own.
//! Bounds: a scope for each chain, and for each set of providers that clients named or excluded, [`MOST_SCOPES`] in all; one without members is dropped
//! when there is no room. A scope's inbox holds one word for each subscription that was let in.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lasso_jsonrpc::RpcError;
use lasso_routing::catalog::{Catalog, ChainIdx, ProfileIdx, Transport};
use lasso_subscription::{Settings, SubscriptionId};
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::timeout;

use super::gateway::Gateway;
use super::members::Members;
use super::scope::{Channel, Scope, Word};
use super::{Wanted, Wish, Wishes};
use crate::outlet::Outgoing;
use crate::upstream::Upstream;
use crate::{FeedRow, Notice, Site, Standings, Supervise};

/// Scopes at once.
const MOST_SCOPES: usize = 4_096;
/// How long the view waits for one scope.
const VIEW_PATIENCE: Duration = Duration::from_secs(1);

/// What a scope is known by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) profile: Arc<str>,
    pub(super) chain: Arc<str>,
    /// The only provider.
    pub(super) provider: Option<Arc<str>>,
    /// Providers that may not be used, in order.
    pub(super) exclude: Vec<Arc<str>>,
}

/// What every scope works with.
#[derive(Clone)]
pub(crate) struct Means {
    pub(crate) site: watch::Receiver<Arc<Site>>,
    pub(crate) standings: watch::Receiver<Arc<Standings>>,
    pub(crate) upstream: Upstream,
    pub(crate) gateway: Arc<dyn Gateway>,
    pub(crate) notices: broadcast::Sender<Notice>,
    pub(crate) supervisor: Arc<dyn Supervise>,
    /// Machines that there were, over all scopes and all restarts, of this task too: bindings are named by them, and a scope that ends closes its own.
    pub(crate) machines: Arc<AtomicU64>,
}

/// A scope, from here.
struct Running {
    words: mpsc::UnboundedSender<Word>,
    members: Arc<Members>,
}

/// The task that knows the scopes.
pub(crate) struct Dispatch {
    means: Means,
    scopes: BTreeMap<Place, Running>,
    /// Where each subscription is.
    members: BTreeMap<SubscriptionId, Place>,
}

impl Dispatch {
    pub(crate) fn new(means: Means) -> Self {
        Self { means, scopes: BTreeMap::new(), members: BTreeMap::new() }
    }

    /// Works until nobody can wish any more.
    pub(crate) async fn run(&mut self, wishes: &mut Wishes) {
        let mut site = self.means.site.clone();
        loop {
            tokio::select! {
                // In this order: a leave that is there was wished for before.
                biased;
                wish = wishes.wishes.recv() => match wish {
                    Some(Wish::Subscribe(wanted)) => self.subscribe(*wanted),
                    Some(Wish::View(reply)) => self.view(reply),
                    None => return,
                },
                Some(subscription) = wishes.leaving.recv() => self.leave(subscription),
                Ok(()) = site.changed() => {
                    let now = Arc::clone(&site.borrow_and_update());
                    self.adopt(&now);
                }
            }
        }
    }

    fn subscribe(&mut self, wanted: Wanted) {
        // Its leave may have come before: there are two ways in.
        if wanted.outlet.is_gone() {
            return;
        }
        let site = Arc::clone(&self.means.site.borrow());
        let Some((place, channels, settings)) = place_of(&site, &wanted) else {
            let error = RpcError::unavailable("the configuration has changed; connect again");
            wanted.outlet.put(Outgoing::Refused { request: wanted.request, error });
            return;
        };
        if channels.is_empty() {
            let error = RpcError::unavailable("none of the providers that may be used here has a ws_url");
            wanted.outlet.put(Outgoing::Refused { request: wanted.request, error });
            return;
        }
        if !self.scopes.contains_key(&place) && self.scopes.len() >= MOST_SCOPES {
            self.scopes.retain(|_, running| !running.members.is_empty());
        }
        if !self.scopes.contains_key(&place) && self.scopes.len() >= MOST_SCOPES {
            let error = RpcError::unavailable("too many different sets of providers are subscribed to");
            wanted.outlet.put(Outgoing::Refused { request: wanted.request, error });
            return;
        }
        let means = &self.means;
        let running =
            self.scopes.entry(place.clone()).or_insert_with(|| start(means.clone(), place.clone(), channels, settings));
        self.members.insert(wanted.subscription, place);
        // It ends only with this task.
        let _ = running.words.send(Word::Subscribe(Box::new(wanted)));
    }

    fn leave(&mut self, subscription: SubscriptionId) {
        let place = self.members.remove(&subscription);
        if let Some(running) = place.and_then(|place| self.scopes.get(&place)) {
            let _ = running.words.send(Word::Leave(subscription));
        }
    }

    fn adopt(&mut self, site: &Site) {
        self.scopes.retain(|place, running| {
            let Some((channels, settings)) = channels_at(site, place) else { return false };
            let mut ids: Vec<Arc<str>> = channels.iter().map(|channel| Arc::clone(&channel.id)).collect();
            ids.sort();
            let at = |profile: &str| ids_at(site, &Place { profile: profile.into(), ..place.clone() });
            let profiles = site.catalog.profiles().iter().map(|profile| profile.id());
            let staying = profiles.filter(|profile| at(profile).as_ref() == Some(&ids)).map(Into::into).collect();
            // The scope ends the others: some may still be on their way there.
            let _ = running.words.send(Word::Channels { channels, settings, staying });
            true
        });
    }

    fn view(&self, reply: oneshot::Sender<Vec<FeedRow>>) {
        let scopes: Vec<_> = self.scopes.values().map(|running| running.words.clone()).collect();
        tokio::spawn(async move {
            let mut rows = Vec::new();
            for words in scopes {
                let (reply, replied) = oneshot::channel();
                if words.send(Word::View(reply)).is_ok()
                    && let Ok(Ok(more)) = timeout(VIEW_PATIENCE, replied).await
                {
                    rows.extend(more);
                }
            }
            // Who asked may be gone.
            let _ = reply.send(rows);
        });
    }
}

fn start(means: Means, place: Place, channels: Vec<Channel>, settings: Settings) -> Running {
    let (words, inbox) = mpsc::unbounded_channel();
    let members = Arc::new(Members::default());
    let supervisor = Arc::clone(&means.supervisor);
    let known = Arc::new(Mutex::new((channels, settings)));
    let inbox = Arc::new(tokio::sync::Mutex::new(inbox));
    let its = Arc::clone(&members);
    let task = supervisor.keep_up(
        "feeds",
        Box::new(move || {
            let number = means.machines.fetch_add(1, Ordering::Relaxed);
            let scope = Scope::new(means.clone(), place.clone(), Arc::clone(&known), Arc::clone(&its), number);
            let inbox = Arc::clone(&inbox);
            Box::pin(async move { scope.run(&mut *inbox.lock().await).await })
        }),
    );
    tokio::spawn(task);
    Running { words, members }
}

/// Where a wish belongs; `None` when what it names is not there any more.
fn place_of(site: &Site, wanted: &Wanted) -> Option<(Place, Vec<Channel>, Settings)> {
    let (profile, chain) = (wanted.catalog.profile(wanted.profile)?, wanted.catalog.chain(wanted.chain)?);
    let named = |place: usize| chain.providers().get(place).map(|provider| Arc::from(provider.id()));
    let mut exclude: Vec<Arc<str>> = wanted.exclude.iter().filter_map(|place| named(*place)).collect();
    exclude.sort();
    exclude.dedup();
    let provider = match wanted.provider {
        Some(place) => Some(named(place)?),
        None => None,
    };
    let own = Place { profile: profile.id().into(), chain: chain.id().into(), provider, exclude };
    let ids = ids_at(site, &own)?;
    let (_, index) = found(&site.catalog, &own)?;
    let providers = site.catalog.chain(index)?.providers();
    if own.provider.as_deref().is_some_and(|only| !providers.iter().any(|provider| provider.id() == only)) {
        return None;
    }
    let sharing = site.catalog.profiles().iter().map(|profile| Place { profile: profile.id().into(), ..own.clone() });
    let place = sharing.into_iter().find(|place| ids_at(site, place).as_ref() == Some(&ids)).unwrap_or(own);
    let (channels, settings) = channels_at(site, &place)?;
    Some((place, channels, settings))
}

fn ids_at(site: &Site, place: &Place) -> Option<Vec<Arc<str>>> {
    let mut ids: Vec<Arc<str>> = channels_at(site, place)?.0.into_iter().map(|channel| channel.id).collect();
    ids.sort();
    Some(ids)
}

/// The channels of a place, and how its chain deals with subscriptions.
fn channels_at(site: &Site, place: &Place) -> Option<(Vec<Channel>, Settings)> {
    let catalog = &site.catalog;
    let (_, index) = found(catalog, place)?;
    let chain = catalog.chain(index)?;
    let fits = |provider: &str| {
        place.provider.as_deref().is_none_or(|only| only == provider)
            && !place.exclude.iter().any(|excluded| &**excluded == provider)
    };
    let providers = chain.providers().iter().filter(|provider| fits(provider.id()));
    let ids = providers.flat_map(|provider| provider.channels()).filter_map(|channel| catalog.channel(*channel));
    let ids = ids.filter(|channel| channel.transport() == Transport::Ws);
    let channels = ids.filter_map(|channel| {
        let known = site.channels.iter().find(|known| *known.id == *channel.id())?;
        Some(Channel { id: Arc::clone(&known.id), priority: known.priority, kinds: known.kinds.clone() })
    });
    Some((channels.collect(), site.subscriptions.get(&index).cloned().unwrap_or_default()))
}

pub(super) fn found(catalog: &Catalog, place: &Place) -> Option<(ProfileIdx, ChainIdx)> {
    let profile = catalog.profile_named(&place.profile)?;
    Some((profile, catalog.chain_named(profile, &place.chain)?))
}

#[cfg(test)]
mod tests;
