//! All feeds of one scope: one chain, one set of ws channels.
//!
//! Duty: bring events to their feeds, and what one feed finds out to the others; open feeds for keys, close them when nobody listens.
//! Invariant: pure, one owner. One feed for each key; every binding and fetch has one owner; an event of a binding that is not in
//! force is nothing. At most [`MOST_FEEDS`] feeds and [`MOST_SUBSCRIPTIONS`] subscriptions.
//! Leaves to others: sockets, calls, clocks; subscriptions' ids as clients see them; slow clients (the shell).
//!
//! Feeds of logs go by the feed of heads, which is bound while there is any of them, whether clients listen to it or not: only the
//! chain tells which logs are missing and in which order they are told. Where no channel has heads, logs are told as they come
//! (`plain`).

mod life;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use lasso_routing::time::Timestamp;

use crate::branch::Change;
use crate::desk::{Desk, FeedId};
use crate::event::{Action, ChannelId, Event, SubscriptionId};
use crate::feed::{Content, Feed};
use crate::key::{Key, Kind};
use crate::notice::{Ended, Moved, Notice};
use crate::roster::Nobody;
use crate::settings::Settings;
use crate::side::{News, Side};
use crate::view::FeedView;

/// Feeds of one scope; more are refused.
pub const MOST_FEEDS: usize = 1_024;
/// Subscriptions of one scope; more are refused.
pub const MOST_SUBSCRIPTIONS: usize = 262_144;

/// All feeds of one scope. One writer: the task that owns it.
#[derive(Debug)]
pub struct Hub {
    desk: Desk,
    feeds: BTreeMap<FeedId, Feed>,
    keys: BTreeMap<Arc<Key>, FeedId>,
    subscriptions: BTreeMap<SubscriptionId, FeedId>,
    numbered: u32,
}

impl Hub {
    /// A hub without channels.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            desk: Desk::new(settings),
            feeds: BTreeMap::new(),
            keys: BTreeMap::new(),
            subscriptions: BTreeMap::new(),
            numbered: 0,
        }
    }

    /// Something happened.
    pub fn handle_event(&mut self, event: Event, now: Timestamp) {
        match event {
            Event::Subscribe { subscription, key } => self.subscribe(subscription, key, now),
            Event::Unsubscribe { subscription } => self.unsubscribe(subscription, now),
            Event::Channels(standings) => {
                let fresh = self.desk.roster.replace(standings);
                self.channels_changed(&fresh, now);
            }
            Event::Accepted { binding } => {
                if let Some(feed) = self.desk.owner(binding) {
                    self.accepted(feed, binding, now);
                }
            }
            Event::Refused { binding, error, unsupported } => {
                let owner = self.desk.owner(binding);
                if let Some(feed) = owner.and_then(|id| self.feeds.get_mut(&id)) {
                    feed.line.refused(binding, error, unsupported, &mut self.desk, now);
                    self.without_heads(now);
                }
            }
            Event::Arrived { binding, payload } => {
                let Some(id) = self.desk.owner(binding) else { return };
                let Some(channel) = self.feeds.get_mut(&id).and_then(|feed| feed.line.arrived(binding, now)) else {
                    return;
                };
                self.on(id, now, |content, side| content.arrived(&payload, channel, side));
            }
            Event::Lost { binding } => {
                let Some(id) = self.desk.owner(binding) else { return };
                if self.feeds.get_mut(&id).is_some_and(|feed| feed.line.lost(binding, &mut self.desk, now)) {
                    self.on(id, now, Content::doubted);
                }
            }
            Event::Fetched { fetch, answer } => {
                if let Some(id) = self.desk.answered(fetch) {
                    self.on(id, now, |content, side| content.fetched(fetch, answer, side));
                }
            }
            Event::Settings(settings) => {
                self.desk.pace.configure(settings.block_time);
                self.desk.settings = settings;
            }
        }
        self.refuse_in_vain(now);
        self.close_idle(now);
    }

    /// It is later.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        for id in self.ids() {
            if let Some(feed) = self.feeds.get_mut(&id) {
                feed.line.handle_timeout(&mut self.desk, now);
            }
            self.on(id, now, Content::handle_timeout);
        }
        self.refuse_in_vain(now);
        self.close_idle(now);
    }

    /// When [`Hub::handle_timeout`] is due; `None` while there is nothing to do.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let feeds = self.feeds.values();
        feeds.flat_map(|feed| [feed.poll_timeout(&self.desk), self.closes_at(feed)]).flatten().min()
    }

    /// What is to be done next.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.desk.next_action()
    }

    /// Every feed.
    #[must_use]
    pub fn view(&self) -> Vec<FeedView> {
        self.feeds.values().map(|feed| feed.view(self.closes_at(feed).is_some())).collect()
    }

    fn ids(&self) -> Vec<FeedId> {
        self.feeds.keys().copied().collect()
    }

    fn heads_id(&self) -> Option<FeedId> {
        self.keys.get(&Key::NewHeads).copied()
    }

    /// Lets one feed's content work, then tells the others.
    fn on(&mut self, id: FeedId, now: Timestamp, act: impl FnOnce(&mut Content, &mut Side<'_>)) {
        let mut news = News::default();
        let Some(feed) = self.feeds.get_mut(&id) else { return };
        let (content, mut side) = feed.open(&mut self.desk, &mut news, now);
        act(content, &mut side);
        self.spread(id, news, now);
    }

    fn spread(&mut self, id: FeedId, news: News, now: Timestamp) {
        let News { steps, seen, hint, fault, ended } = news;
        if !steps.is_empty() || seen.is_some() {
            let linked = self.feeds.get(&id).and_then(Feed::heads).is_none_or(|heads| !heads.is_filling());
            for logs in self.following_heads() {
                self.on(logs, now, |content, side| {
                    content.chain_changed(&Change { steps: &steps, seen, linked }, side)
                });
            }
        }
        if let Some((number, heads)) = hint.zip(self.heads_id()) {
            self.on(heads, now, |content, side| content.hint(number, side));
        }
        if let Some((channel, because)) = fault {
            self.leave(channel, because, now);
        }
        if let Some(because) = ended {
            self.end(id, because, now);
        }
    }

    /// Feeds that go by the feed of heads.
    fn following_heads(&self) -> Vec<FeedId> {
        self.feeds.iter().filter(|(_, feed)| feed.needs_heads()).map(|(id, _)| *id).collect()
    }

    /// Every feed leaves a channel that is at fault, if there is a better one.
    fn leave(&mut self, channel: ChannelId, because: Moved, now: Timestamp) {
        for id in self.ids() {
            let Some(feed) = self.feeds.get_mut(&id).filter(|feed| feed.line.channel() == Some(channel)) else {
                continue;
            };
            feed.line.leave(because, &mut self.desk, now);
            self.on(id, now, Content::doubted);
        }
    }

    fn channels_changed(&mut self, fresh: &[ChannelId], now: Timestamp) {
        for id in self.ids() {
            let Some(feed) = self.feeds.get_mut(&id) else { continue };
            if feed.line.channels_changed(fresh, &mut self.desk, now) {
                self.on(id, now, Content::doubted);
            }
            self.on(id, now, Content::channels_changed);
        }
        self.without_heads(now);
    }

    /// Where no channel has heads, logs are told as they come.
    fn without_heads(&mut self, now: Timestamp) {
        let heads = self.heads_id().and_then(|id| self.feeds.get(&id));
        if heads.is_some_and(|heads| heads.line.bound().is_some())
            || matches!(self.desk.roster.nobody_for(Kind::NewHeads, now), Nobody::Now)
        {
            return;
        }
        // Who has them may be away for a moment only, and a chain that was followed cannot be taken up again without them.
        let followed = heads.and_then(Feed::heads).is_some_and(|heads| heads.branch().last().is_some());
        if followed && self.desk.roster.anyone_has(Kind::NewHeads, now) {
            return;
        }
        for id in self.following_heads() {
            if let Some(feed) = self.feeds.get_mut(&id) {
                feed.go_without_heads();
            }
            self.on(id, now, Content::released);
        }
    }

    /// Continuity is lost: whoever hears is told, and the feed starts anew.
    fn end(&mut self, id: FeedId, because: Ended, now: Timestamp) {
        let Some(feed) = self.feeds.get_mut(&id) else { return };
        let kind = feed.key.kind();
        let subscriptions = feed.fanout.end();
        if feed.fanout.is_empty() {
            feed.idle_since.get_or_insert(now);
        }
        if !subscriptions.is_empty() {
            subscriptions.iter().for_each(|subscription| {
                self.subscriptions.remove(subscription);
            });
            let told = subscriptions.len();
            self.desk.act(Action::End { subscriptions, because });
            self.desk.tell(Notice::ContinuityLost { kind, because, subscriptions: told });
        }
        self.start_anew(id, now);
        if kind == Kind::NewHeads {
            for logs in self.following_heads() {
                self.end(logs, Ended::HeadsEnded, now);
            }
        }
    }
}
