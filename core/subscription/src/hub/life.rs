//! How feeds come and go, and who listens to them.

use std::sync::Arc;

use lasso_routing::time::Timestamp;

use super::{Hub, MOST_FEEDS, MOST_SUBSCRIPTIONS};
use crate::branch::Change;
use crate::desk::FeedId;
use crate::event::{Action, BindingId, SubscriptionId};
use crate::feed::{Content, Feed};
use crate::heads::told_so_far;
use crate::key::{Key, Kind};
use crate::line::Accepted;
use crate::notice::{Notice, Refusal};
use crate::roster::Nobody;

impl Hub {
    pub(super) fn subscribe(&mut self, subscription: SubscriptionId, key: Key, now: Timestamp) {
        let key = Arc::new(key);
        let new = !self.keys.contains_key(&key);
        // A new feed of logs may need one of heads.
        if (new && self.feeds.len() + 2 > MOST_FEEDS) || self.subscriptions.len() >= MOST_SUBSCRIPTIONS {
            return self.desk.act(Action::Refuse { subscription, because: Refusal::Full });
        }
        let logs = key.kind() == Kind::Logs;
        if new && logs && self.heads_id().is_none() {
            self.create(Arc::new(Key::NewHeads), now);
        }
        let id = match self.keys.get(&key) {
            Some(id) => *id,
            None => self.create(key, now),
        };
        if new && logs {
            self.without_heads(now);
        }
        let Some(feed) = self.feeds.get_mut(&id) else { return };
        self.subscriptions.insert(subscription, id);
        feed.idle_since = None;
        if feed.line.bound().is_some() {
            feed.fanout.confirm(subscription);
            self.desk.act(Action::Confirm { subscription });
        } else {
            feed.fanout.wait(subscription, now);
        }
    }

    fn create(&mut self, key: Arc<Key>, now: Timestamp) -> FeedId {
        self.numbered += 1;
        let id = FeedId(self.numbered);
        let mut feed = Feed::new(id, Arc::clone(&key), now);
        feed.line.seek(&mut self.desk, now);
        self.feeds.insert(id, feed);
        self.keys.insert(key, id);
        self.show_chain(id, now);
        id
    }

    /// Tells a feed of logs where the chain is.
    fn show_chain(&mut self, id: FeedId, now: Timestamp) {
        if !self.feeds.get(&id).is_some_and(Feed::needs_heads) {
            return;
        }
        let heads = self.heads_id().and_then(|heads| self.feeds.get(&heads)).and_then(Feed::heads);
        let steps = heads.map(|heads| told_so_far(heads.branch())).unwrap_or_default();
        self.on(id, now, |content, side| {
            content.chain_changed(&Change { steps: &steps, seen: None, linked: true }, side)
        });
    }

    /// A feed forgets what it told, and goes on from here.
    pub(super) fn start_anew(&mut self, id: FeedId, now: Timestamp) {
        let Some(feed) = self.feeds.get_mut(&id) else { return };
        feed.content.restart(now);
        feed.line.start_anew();
        let bound = feed.line.bound().is_some();
        self.show_chain(id, now);
        if bound {
            self.on(id, now, |content, side| content.accepted(Accepted::First, side));
        }
    }

    pub(super) fn unsubscribe(&mut self, subscription: SubscriptionId, now: Timestamp) {
        let Some(feed) = self.subscriptions.remove(&subscription).and_then(|id| self.feeds.get_mut(&id)) else {
            return;
        };
        feed.fanout.remove(subscription);
        if feed.fanout.is_empty() {
            feed.idle_since = Some(now);
        }
    }

    /// A channel took a feed: it is live, and who waited for it is told so.
    pub(super) fn accepted(&mut self, id: FeedId, binding: BindingId, now: Timestamp) {
        let needed = self.is_needed(id);
        let Some(feed) = self.feeds.get_mut(&id) else { return };
        let Some(mut accepted) = feed.line.accepted(binding, &mut self.desk, now) else { return };
        if accepted == Accepted::Again && !needed {
            // Nobody heard what was told before: there is no gap to fill.
            accepted = Accepted::First;
            feed.content.restart(now);
            let followers = if feed.heads().is_some() { self.following_heads() } else { Vec::new() };
            self.show_chain(id, now);
            followers.into_iter().for_each(|follower| self.start_anew(follower, now));
        }
        let Some(feed) = self.feeds.get_mut(&id) else { return };
        for subscription in feed.fanout.confirm_all() {
            self.desk.act(Action::Confirm { subscription });
        }
        self.on(id, now, |content, side| content.accepted(accepted, side));
    }

    /// Whether anybody hears what this feed tells, be it by the feeds that go by it.
    fn is_needed(&self, id: FeedId) -> bool {
        let heard = |id| self.feeds.get(&id).is_some_and(|feed: &Feed| feed.fanout.is_heard());
        heard(id) || (self.heads_id() == Some(id) && self.following_heads().into_iter().any(heard))
    }

    /// Refuses those who wait for what nobody has, or have waited too long.
    pub(super) fn refuse_in_vain(&mut self, now: Timestamp) {
        let timeout = self.desk.settings.subscribe_timeout;
        for feed in self.feeds.values_mut() {
            let Some(since) = feed.fanout.waiting_since() else { continue };
            let kind = feed.key.kind();
            let late = now.since(since) >= timeout;
            let vain = match self.desk.roster.nobody_for(kind, now) {
                Nobody::Has(error) if feed.line.bound().is_none() => Some(error),
                Nobody::Has(_) | Nobody::Now => None,
            };
            let (before, because) = match vain {
                Some(Some(error)) => (now, Refusal::Unsupported(kind, error)),
                Some(None) => (now, Refusal::Lacking(kind)),
                None if late => (now.before(timeout), Refusal::TimedOut(kind, feed.line.last_error.clone())),
                None => continue,
            };
            for subscription in feed.fanout.give_up(before) {
                self.subscriptions.remove(&subscription);
                self.desk.act(Action::Refuse { subscription, because: because.clone() });
            }
            if feed.fanout.is_empty() {
                feed.idle_since = Some(now);
            }
        }
    }

    /// Closes feeds that nobody listens to: after the linger, or at once where there is nothing to keep.
    pub(super) fn close_idle(&mut self, now: Timestamp) {
        let due = |hub: &Self| -> Vec<FeedId> {
            let closing = hub.feeds.iter().filter(|(_, feed)| hub.closes_at(feed).is_some_and(|at| now >= at));
            closing.map(|(id, _)| *id).collect()
        };
        // The feed of heads may be kept by the others only.
        for _ in 0..2 {
            for id in due(self) {
                let Some(mut feed) = self.feeds.remove(&id) else { continue };
                self.keys.remove(&feed.key);
                feed.line.close(&mut self.desk);
                self.desk.tell(Notice::FeedDown { kind: feed.key.kind() });
            }
        }
    }

    /// When a feed is closed, if nobody comes.
    pub(super) fn closes_at(&self, feed: &Feed) -> Option<Timestamp> {
        let since = feed.idle_since?;
        if feed.heads().is_some() && self.feeds.values().any(Feed::needs_heads) {
            return None;
        }
        let linger = self.desk.settings.linger;
        Some(if feed.line.bound().is_some() { since.plus(linger) } else { since })
    }
}

impl Feed {
    /// Logs in the order in which they come.
    pub(super) fn go_without_heads(&mut self) {
        if let Content::Logs(logs) = &mut self.content {
            self.content = Content::Plain(logs.without_heads());
        }
    }
}
