//! Who has which block.
//!
//! Duty: remember the newest block that each channel has shown, guess where it is now, and say which head to believe.
//! Invariant: heads are compared extrapolated to the same instant: `number + min(since the last answer, 30 s) / block time`. An equal
//! number is a fresh answer; a node that keeps repeating a number for three block times gains nothing by waiting. A head that was not
//! heard of for 30 s says nothing about lag, in either direction: a channel nobody asked is not behind.
//! A head is believed when a second channel is within the lag limit of it or when it was proved by a readable block, so neither one liar
//! nor a lagging majority moves the best; two transports of one provider are one voice. With a single voice there is nobody to contradict it, and it is taken as it is.
//! Leaves to others: asking (probes), which calls need which block ([`crate::candidate`]).

use std::cmp::Ordering;

use crate::catalog::ChannelIdx;
use crate::report;
use crate::time::{Millis, Timestamp};

/// A head older than this is silence.
pub const FRESH: Millis = Millis::from_secs(30);
/// Block time when neither samples nor the configuration say.
pub const DEFAULT_BLOCK_TIME: Millis = Millis::from_secs(12);
/// Block times in which a repeated number makes a node look frozen.
const FROZEN_AFTER: u64 = 3;
/// Weight of a new sample of the block time.
const SMOOTHING: f32 = 0.15;
/// Samples before they are believed.
const SAMPLES: u8 = 5;
/// What a block time can be; what lies outside is a jump or a liar.
const POSSIBLE_BLOCK_TIME: (f32, f32) = (20.0, 120_000.0);

/// A head that stays the same is reported again when it has been confirmed for so long: it is frozen, not silent.
const CONFIRM: Millis = Millis(1_000);

/// What a channel has shown.
#[derive(Debug, Clone, Copy, Default)]
struct Shown {
    number: u64,
    /// When this number was first seen.
    first: Timestamp,
    /// When it answered last; zero before the first answer.
    last: Timestamp,
    /// Highest number it has shown as a block that can be read.
    proved: u64,
    /// Number, proof and time of the last answer that the control plane knows of.
    known: (u64, u64, Timestamp),
}

/// Time between the blocks of one chain.
#[derive(Debug, Clone, Copy, Default)]
struct Clock {
    mean: f32,
    samples: u8,
    /// As the fleet measured it.
    told: Option<Millis>,
}

/// One channel's head at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Head {
    /// Extrapolated; `None` when it never showed one or has been silent.
    pub(crate) number: Option<u64>,
    /// It has shown that block.
    pub(crate) proved: bool,
}

/// What an answer showed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sighting {
    pub(crate) number: u64,
    /// It was a block, not only a number.
    pub(crate) proof: bool,
    /// When the question left.
    pub(crate) started: Timestamp,
    pub(crate) now: Timestamp,
}

/// Heads of all channels, and the block times of their chains.
#[derive(Debug, Clone, Default)]
pub(crate) struct Heads {
    channels: Vec<Shown>,
    clocks: Vec<Clock>,
}

impl Heads {
    /// What is known moves to new places: for each new channel and chain its old one.
    pub(crate) fn moved(&self, channels: &[Option<usize>], clocks: &[Option<usize>]) -> Self {
        let shown = |from: &Option<usize>| from.and_then(|from| self.channels.get(from)).copied().unwrap_or_default();
        let clock = |from: &Option<usize>| from.and_then(|from| self.clocks.get(from)).copied().unwrap_or_default();
        Self { channels: channels.iter().map(shown).collect(), clocks: clocks.iter().map(clock).collect() }
    }

    /// A channel has shown a block's number.
    pub(crate) fn saw(&mut self, channel: ChannelIdx, network: u16, sighting: Sighting) {
        let Some(shown) = self.channels.get_mut(channel.index()) else { return };
        let Sighting { number, proof, started, now } = sighting;
        // Of two answers that crossed, the one asked for later is the newer.
        if number < shown.number && started < shown.last {
            return;
        }
        if number > shown.number
            && shown.number > 0
            && let Some(clock) = self.clocks.get_mut(usize::from(network))
        {
            clock.sample(now.since(shown.first), number - shown.number);
        }
        if number != shown.number {
            shown.first = now;
        }
        shown.number = number;
        shown.last = now;
        if proof {
            shown.proved = number;
        }
    }

    /// Somebody else saw a channel's head, and tells later.
    pub(crate) fn told(&mut self, channel: ChannelIdx, network: u16, told: &report::Shown, now: Timestamp) {
        let Some(shown) = self.channels.get_mut(channel.index()) else { return };
        let (first, last) = (now.before(told.first), now.before(told.last));
        shown.proved = shown.proved.max(told.proved.min(told.number));
        // Of two answers that crossed, the later one is the newer.
        if told.number < shown.number && last < shown.last {
            return;
        }
        if told.number > shown.number
            && shown.number > 0
            && let Some(clock) = self.clocks.get_mut(usize::from(network))
        {
            clock.sample(first.since(shown.first), told.number - shown.number);
        }
        shown.first = if told.number == shown.number { shown.first.min(first) } else { first };
        shown.number = told.number;
        shown.last = shown.last.max(last);
    }

    /// A block of that number could be read there.
    pub(crate) fn prove(&mut self, channel: ChannelIdx, number: u64) {
        if let Some(shown) = self.channels.get_mut(channel.index()) {
            shown.proved = shown.proved.max(number);
        }
    }

    /// What a channel showed is not to be believed.
    pub(crate) fn forget(&mut self, channel: ChannelIdx) {
        if let Some(shown) = self.channels.get_mut(channel.index()) {
            *shown = Shown::default();
        }
    }

    /// What a channel has shown, for others to be told; `None` before its first answer.
    pub(crate) fn shown(&self, channel: ChannelIdx, now: Timestamp) -> Option<report::Shown> {
        let shown = self.channels.get(channel.index()).filter(|shown| shown.last > Timestamp::default())?;
        Some(report::Shown {
            number: shown.number,
            proved: shown.proved,
            first: now.since(shown.first),
            last: now.since(shown.last),
        })
    }

    /// Time between blocks, if it was measured.
    pub(crate) fn measured(&self, network: u16) -> Option<Millis> {
        let clock = self.clocks.get(usize::from(network)).filter(|clock| clock.samples >= SAMPLES)?;
        Some(Millis((clock.mean as u64).max(1)))
    }

    /// A channel did not have a block that a node at the head would have.
    pub(crate) fn lacks(&mut self, channel: ChannelIdx, number: u64, now: Timestamp) {
        // Far below the head it is history that is missing, not the present.
        const NEAR: u64 = 128;
        let Some(shown) = self.channels.get_mut(channel.index()) else { return };
        if number > 0 && number <= shown.number && number + NEAR >= shown.number {
            (shown.number, shown.first, shown.last) = (number - 1, now, now);
        }
    }

    /// What the control plane does not know of a channel's head; from now on it does.
    pub(crate) fn news(&mut self, channel: ChannelIdx, now: Timestamp) -> Option<report::Shown> {
        let shown = self.channels.get_mut(channel.index()).filter(|shown| shown.last > Timestamp::default())?;
        let (number, proved, last) = shown.known;
        if (number, proved) == (shown.number, shown.proved) && shown.last.since(last) < CONFIRM {
            return None;
        }
        shown.known = (shown.number, shown.proved, shown.last);
        let (first, last) = (now.since(shown.first), now.since(shown.last));
        Some(report::Shown { number: shown.number, proved: shown.proved, first, last })
    }

    /// The fleet knows of a head; whoever heard later is right.
    pub(crate) fn follow(&mut self, channel: ChannelIdx, told: &report::Shown, now: Timestamp) {
        let Some(shown) = self.channels.get_mut(channel.index()) else { return };
        let (first, last) = (now.before(told.first), now.before(told.last));
        if last <= shown.last {
            return;
        }
        // The same number: it has been there since it was first seen by anybody.
        shown.first = if told.number == shown.number { shown.first.min(first) } else { first };
        (shown.number, shown.last) = (told.number, last);
        shown.proved = shown.proved.max(told.proved);
        shown.known = (shown.number, shown.proved, last);
    }

    /// The fleet has measured a chain's time between blocks.
    pub(crate) fn follow_block_time(&mut self, network: usize, length: Millis) {
        let possible = (POSSIBLE_BLOCK_TIME.0..=POSSIBLE_BLOCK_TIME.1).contains(&(length.0 as f32));
        if let Some(clock) = self.clocks.get_mut(network).filter(|_| possible) {
            clock.told = Some(length);
        }
    }

    /// What the fleet measured no longer counts.
    pub(crate) fn forget_fleet(&mut self) {
        self.clocks.iter_mut().for_each(|clock| clock.told = None);
    }

    /// Time between blocks: measured here, else by the fleet, else as configured, else twelve seconds.
    pub(crate) fn block_time(&self, network: u16, configured: Option<Millis>) -> Millis {
        let told = self.clocks.get(usize::from(network)).and_then(|clock| clock.told);
        self.measured(network).or(told).or(configured).unwrap_or(DEFAULT_BLOCK_TIME)
    }

    /// A channel's head now.
    pub(crate) fn of(&self, channel: ChannelIdx, block_time: Millis, now: Timestamp) -> Head {
        let Some(shown) = self.channels.get(channel.index()).filter(|shown| shown.last > Timestamp::default()) else {
            return Head::default();
        };
        let silent = now.since(shown.last);
        if silent > FRESH {
            return Head::default();
        }
        let frozen = shown.last.since(shown.first).0 > block_time.0.saturating_mul(FROZEN_AFTER);
        // The usual answer is younger than a block: then there is nothing to divide.
        let gained = if frozen || silent < block_time { 0 } else { silent.0 / block_time.0.max(1) };
        Head { number: Some(shown.number.saturating_add(gained)), proved: shown.proved >= shown.number }
    }
}

impl Clock {
    fn sample(&mut self, passed: Millis, blocks: u64) {
        let sample = passed.0 as f32 / blocks as f32;
        let (least, most) = POSSIBLE_BLOCK_TIME;
        if !(least..=most).contains(&sample) {
            return;
        }
        self.mean = if self.samples == 0 { sample } else { self.mean + SMOOTHING * (sample - self.mean) };
        self.samples = self.samples.saturating_add(1);
    }
}

/// The lag limit that holds unless one is set: three seconds of blocks, two at least.
pub(crate) const fn default_max_lag(block_time: Millis) -> u64 {
    let blocks = 3_000_u64.div_ceil(if block_time.0 == 0 { 1 } else { block_time.0 });
    if blocks > 2 { blocks } else { 2 }
}

impl Head {
    /// What a provider says over two transports.
    pub(crate) fn or_sibling(self, other: Self) -> Self {
        match self.number.cmp(&other.number) {
            Ordering::Less => other,
            Ordering::Equal => Self { number: self.number, proved: self.proved || other.proved },
            Ordering::Greater => self,
        }
    }
}

/// The highest believed head; one for each provider.
pub(crate) fn best(heads: impl Iterator<Item = Head> + Clone, max_lag: u64) -> Option<u64> {
    // Nearly always the two highest support each other; one pass finds that out.
    let (mut first, mut second) = (Head::default(), Head::default());
    for head in heads.clone() {
        if head.number > first.number {
            (first, second) = (head, first);
        } else if head.number > second.number || second.number.is_none() {
            second = head;
        }
    }
    let highest = first.number?;
    let Some(next) = second.number else { return Some(highest) };
    if first.proved || highest - next <= max_lag { Some(highest) } else { best_below(heads, highest, max_lag) }
}

/// The highest head lower than that one which a second one supports or a block proves.
fn best_below(heads: impl Iterator<Item = Head> + Clone, highest: u64, max_lag: u64) -> Option<u64> {
    let mut below = highest;
    loop {
        let known = || heads.clone().filter_map(|head| Some((head.number?, head.proved)));
        let (number, proved) = known().filter(|(number, _)| *number < below).max()?;
        let near = known().filter(|(theirs, _)| theirs.abs_diff(number) <= max_lag).count();
        if proved || near > 1 {
            return Some(number);
        }
        below = number;
    }
}

#[cfg(test)]
mod tests;
