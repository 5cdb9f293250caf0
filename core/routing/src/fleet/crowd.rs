//! Heads, block times and lessons: what many workers see of the same channel.
//!
//! Invariant: a head is told when it moves, at most once a block and once a second, unless somebody could be wrong about it for longer;
//! lessons end by themselves and are bounded by channel.
//! Leaves to others: which head to believe ([`crate::head`]), asking for proof (`probing`).

use std::collections::BTreeMap;

use super::Fleet;
use super::account::Account;
use crate::catalog::Transport;
use crate::head::{Head, best, default_max_lag};
use crate::report::{MOST_LESSONS, Report, SeenHead, Shown};
use crate::time::{Millis, Timestamp};

/// A head that moves is not told more often than this, even where blocks come faster: workers extrapolate.
const TELL_AGAIN: Millis = Millis(1_000);
/// The same head is told again after this long, so that it does not grow old.
const TELL_SAME: Millis = Millis::from_secs(3);
/// A jump of more blocks than this is told at once.
const JUMP: u64 = 3;
/// A block time that was told is told again when it is off by more than one part in so many.
const DRIFT: u64 = 32;

/// What is known of a chain's heads at one instant.
#[derive(Debug, Default)]
pub(super) struct HeadsView {
    /// Of the network's channels, in its order.
    pub(super) heads: Vec<Head>,
    pub(super) best: Option<u64>,
    pub(super) block_time: Millis,
    pub(super) max_lag: u64,
}

impl Fleet {
    pub(super) fn take_heads(&mut self, heads: &[SeenHead], now: Timestamp) {
        for seen in heads {
            match self.channels.get(&seen.channel) {
                Some(&channel) => self.saw(channel, &seen.shown, now),
                None => self.totals.unknown += 1,
            }
        }
    }

    /// Somebody saw a channel's head.
    pub(super) fn saw(&mut self, channel: usize, shown: &Shown, now: Timestamp) {
        let Some(account) = self.accounts.get(channel) else { return };
        // What answers for another chain has nothing to say about this one.
        if account.barred.is_some() {
            return;
        }
        let Some((network, index)) = account.network.zip(Some(account.index)) else { return };
        self.heads.told(index, network as u16, shown, now);
        self.head_changed(channel, now);
    }

    fn head_changed(&mut self, channel: usize, now: Timestamp) {
        let Some(account) = self.accounts.get_mut(channel) else { return };
        let Some(shown) = self.heads.shown(account.index, now) else { return };
        let (number, when) = account.told_head;
        let age = now.since(when);
        let jumped = shown.number < number || shown.number > number.saturating_add(JUMP);
        let due = if shown.number != number { age >= TELL_AGAIN } else { age >= TELL_SAME };
        if due || (jumped && age >= super::TICK) {
            account.told_head = (shown.number, now);
            self.news.heads.note(channel);
        }
    }

    /// `newHeads` brought a block. Over HTTP that provider need not be asked as often.
    pub(super) fn head_came(&mut self, channel: &str, number: u64, now: Timestamp) {
        let Some(&channel) = self.channels.get(channel) else { return };
        self.saw(channel, &Shown { number, ..Shown::default() }, now);
        let siblings = self.accounts.get(channel).map(|account| account.siblings.clone()).unwrap_or_default();
        for sibling in siblings {
            if let Some(account) = self.accounts.get_mut(sibling) {
                account.watch.head_came(now);
            }
        }
    }

    /// A block of that number could be read: at that node, whatever the way.
    pub(super) fn proved(&mut self, channel: usize, number: u64) {
        let Some(account) = self.accounts.get(channel) else { return };
        for &one in [channel].iter().chain(&account.siblings) {
            if let Some(account) = self.accounts.get(one) {
                self.heads.prove(account.index, number);
                self.news.heads.note(one);
            }
        }
    }

    /// Whose head a channel's is, for counting who says what: a provider's transports are one voice, that of HTTP.
    pub(super) fn voice(&self, channel: usize) -> usize {
        let Some(account) = self.accounts.get(channel).filter(|account| account.transport == Transport::Ws) else {
            return channel;
        };
        account.siblings.first().copied().unwrap_or(channel)
    }

    /// A channel's head now; one that was not heard of lately has its sibling's.
    pub(super) fn head_of(&self, account: &Account, block_time: Millis, now: Timestamp) -> Head {
        let of = |account: &Account| self.heads.of(account.index, block_time, now);
        let own = of(account);
        if own.number.is_some() {
            return own;
        }
        let siblings = account.siblings.iter().filter_map(|&sibling| self.accounts.get(sibling));
        siblings.map(of).find(|head| head.number.is_some()).unwrap_or(own)
    }

    pub(super) fn take_lessons(&mut self, report: &Report, now: Timestamp) {
        for lesson in report.lessons.iter().take(MOST_LESSONS) {
            let Some(&channel) = self.channels.get(&lesson.channel) else {
                self.totals.unknown += 1;
                continue;
            };
            if self.accounts.get_mut(channel).is_some_and(|account| account.learn(lesson, now)) {
                self.news.lessons.note(channel);
            }
        }
    }

    pub(super) fn tidy_lessons(&mut self, now: Timestamp) {
        self.accounts.iter_mut().for_each(|account| account.tidy(now));
    }

    /// Block times that were measured, or have drifted.
    pub(super) fn find_block_times(&mut self) {
        for (index, network) in self.networks.iter_mut().enumerate() {
            let Some(found) = self.heads.measured(index as u16) else { continue };
            let drifted = |told: Millis| told.0.abs_diff(found.0) > told.0 / DRIFT;
            if network.told_block_time.is_none_or(drifted) {
                network.told_block_time = Some(found);
                self.news.clocks.note(index);
            }
        }
    }

    /// The heads of these channels of a chain.
    pub(super) fn heads_of_channels(
        &self,
        network: usize,
        channels: impl Iterator<Item = usize>,
        block_time: Option<Millis>,
        max_lag: Option<u32>,
        now: Timestamp,
    ) -> HeadsView {
        let block_time = self.heads.block_time(network as u16, block_time);
        let head = |channel: usize| self.accounts.get(channel).map(|account| self.head_of(account, block_time, now));
        let (mut heads, mut voices): (Vec<Head>, BTreeMap<usize, Head>) = Default::default();
        for channel in channels {
            let head = head(channel).unwrap_or_default();
            heads.push(head);
            let voice = voices.entry(self.voice(channel)).or_default();
            *voice = voice.or_sibling(head);
        }
        let max_lag = max_lag.map_or_else(|| default_max_lag(block_time), u64::from);
        let best = best(voices.values().copied(), max_lag);
        HeadsView { heads, best, block_time, max_lag }
    }

    /// The heads of a chain over all profiles.
    pub(super) fn heads_of_network(&self, network: usize, now: Timestamp) -> HeadsView {
        let Some(found) = self.networks.get(network) else { return HeadsView::default() };
        self.heads_of_channels(network, found.channels.iter().copied(), found.block_time, found.max_lag_blocks, now)
    }
}

impl HeadsView {
    /// It stands above what is believed, and has not proved it.
    pub(super) fn is_unproved(&self, head: &Head) -> bool {
        // Of two that contradict each other neither is believed.
        let above = |number: u64| self.best.is_none_or(|best| number > best);
        head.number.is_some_and(above) && !head.proved
    }
}
