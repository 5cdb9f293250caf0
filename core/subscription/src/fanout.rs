//! Who hears of a feed.
//!
//! Invariant: nobody hears anything before the confirmation; the list of those who hear is built once for each change, not for each
//! event.

use std::collections::BTreeMap;
use std::sync::Arc;

use lasso_routing::time::Timestamp;

use crate::event::SubscriptionId;

/// The subscriptions of one feed.
#[derive(Debug, Default)]
pub(crate) struct Fanout {
    /// Since when they wait for the feed to live.
    waiting: BTreeMap<SubscriptionId, Timestamp>,
    confirmed: Vec<SubscriptionId>,
    listed: Option<Arc<[SubscriptionId]>>,
}

impl Fanout {
    pub(crate) fn len(&self) -> usize {
        self.waiting.len() + self.confirmed.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether anybody hears.
    pub(crate) fn is_heard(&self) -> bool {
        !self.confirmed.is_empty()
    }

    pub(crate) fn wait(&mut self, subscription: SubscriptionId, now: Timestamp) {
        self.waiting.insert(subscription, now);
    }

    /// Ids grow in the order of arrival, so this mostly appends.
    pub(crate) fn confirm(&mut self, subscription: SubscriptionId) {
        if let Err(at) = self.confirmed.binary_search(&subscription) {
            self.confirmed.insert(at, subscription);
            self.listed = None;
        }
    }

    /// All who waited hear from now on.
    pub(crate) fn confirm_all(&mut self) -> Vec<SubscriptionId> {
        let waiting: Vec<_> = std::mem::take(&mut self.waiting).into_keys().collect();
        waiting.iter().for_each(|&subscription| self.confirm(subscription));
        waiting
    }

    pub(crate) fn remove(&mut self, subscription: SubscriptionId) {
        self.waiting.remove(&subscription);
        if let Ok(at) = self.confirmed.binary_search(&subscription) {
            self.confirmed.remove(at);
            self.listed = None;
        }
    }

    /// Those who hear.
    pub(crate) fn listed(&mut self) -> Arc<[SubscriptionId]> {
        Arc::clone(self.listed.get_or_insert_with(|| self.confirmed.as_slice().into()))
    }

    /// Nobody hears any more; those who wait go on waiting.
    pub(crate) fn end(&mut self) -> Arc<[SubscriptionId]> {
        let ended = self.listed();
        self.confirmed.clear();
        self.listed = None;
        ended
    }

    /// Takes out those who have waited since `before` or longer.
    pub(crate) fn give_up(&mut self, before: Timestamp) -> Vec<SubscriptionId> {
        let gone: Vec<_> = self.waiting.iter().filter(|(_, since)| **since <= before).map(|(id, _)| *id).collect();
        gone.iter().for_each(|id| {
            self.waiting.remove(id);
        });
        gone
    }

    /// Since when the first of them waits.
    pub(crate) fn waiting_since(&self) -> Option<Timestamp> {
        self.waiting.values().min().copied()
    }
}
