//! What all feeds of a hub share: channels, numbers, and the tray for what is to be done.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use lasso_routing::time::{Millis, Timestamp};

use crate::event::{Action, Ask, BindingId, ChannelId, FetchId};
use crate::key::Key;
use crate::notice::Notice;
use crate::roster::Roster;
use crate::settings::Settings;

/// A feed of the hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FeedId(pub(crate) u32);

/// One for each hub.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) settings: Settings,
    pub(crate) roster: Roster,
    pub(crate) pace: Pace,
    actions: VecDeque<Action>,
    /// Whose is what.
    bindings: BTreeMap<BindingId, FeedId>,
    fetches: BTreeMap<FetchId, FeedId>,
    numbered: u64,
}

impl Desk {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            pace: Pace::new(settings.block_time),
            settings,
            roster: Roster::default(),
            actions: VecDeque::new(),
            bindings: BTreeMap::new(),
            fetches: BTreeMap::new(),
            numbered: 0,
        }
    }

    pub(crate) fn act(&mut self, action: Action) {
        self.actions.push_back(action);
    }

    pub(crate) fn tell(&mut self, notice: Notice) {
        self.act(Action::Tell(notice));
    }

    pub(crate) fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    pub(crate) fn open(&mut self, feed: FeedId, channel: ChannelId, key: &Arc<Key>) -> BindingId {
        let binding = BindingId(self.number());
        self.bindings.insert(binding, feed);
        self.act(Action::Open { binding, channel, key: Arc::clone(key) });
        binding
    }

    /// Ends a binding that the channel still has.
    pub(crate) fn close(&mut self, binding: BindingId) {
        if self.bindings.remove(&binding).is_some() {
            self.act(Action::Close { binding });
        }
    }

    /// The channel ended it.
    pub(crate) fn forget(&mut self, binding: BindingId) {
        self.bindings.remove(&binding);
    }

    pub(crate) fn owner(&self, binding: BindingId) -> Option<FeedId> {
        self.bindings.get(&binding).copied()
    }

    pub(crate) fn fetch(&mut self, feed: FeedId, ask: Ask) -> FetchId {
        let fetch = FetchId(self.number());
        self.fetches.insert(fetch, feed);
        self.act(Action::Fetch { fetch, ask });
        fetch
    }

    /// The feed that asked, once.
    pub(crate) fn answered(&mut self, fetch: FetchId) -> Option<FeedId> {
        self.fetches.remove(&fetch)
    }

    fn number(&mut self) -> u64 {
        self.numbered += 1;
        self.numbered
    }

    pub(crate) fn max_lag(&self) -> u64 {
        self.settings.max_lag_blocks(self.pace.block_time())
    }

    pub(crate) fn stale_after(&self) -> Millis {
        self.settings.stale_after(self.pace.block_time())
    }

    /// How long others may have blocks that a feed has not before something is done about it.
    pub(crate) fn patience(&self) -> Millis {
        Millis(self.pace.block_time().0 / 2).max(Millis::from_secs(1))
    }
}

/// How fast blocks come: as configured, then as measured.
#[derive(Debug)]
pub(crate) struct Pace {
    configured: Millis,
    /// Mean of the lengths between blocks, in eighths of a millisecond, so that the mean does not stick for short ones.
    mean: Option<u64>,
    samples: u32,
    last: Option<(u64, Timestamp)>,
}

/// Blocks before the mean counts.
const SAMPLES: u32 = 5;
/// A mean that follows a change within a few blocks: 0.15.
const WEIGHT_PERCENT: u64 = 15;

impl Pace {
    fn new(configured: Millis) -> Self {
        Self { configured, mean: None, samples: 0, last: None }
    }

    pub(crate) fn configure(&mut self, block_time: Millis) {
        self.configured = block_time;
    }

    pub(crate) fn block_time(&self) -> Millis {
        self.mean.filter(|_| self.samples >= SAMPLES).map_or(self.configured, |mean| Millis((mean / 8).max(1)))
    }

    /// A block came by itself.
    pub(crate) fn seen(&mut self, number: u64, now: Timestamp) {
        let Some((last, at)) = self.last else {
            self.last = Some((number, now));
            return;
        };
        if number <= last {
            return;
        }
        self.last = Some((number, now));
        let sample = now.since(at).0.saturating_mul(8) / (number - last);
        self.mean = Some(match self.mean {
            Some(mean) => (mean * (100 - WEIGHT_PERCENT) + sample.min(mean.saturating_mul(8)) * WEIGHT_PERCENT) / 100,
            None => sample,
        });
        self.samples = self.samples.saturating_add(1);
    }
}
