//! What must hold whatever happens: a model that knows only what was said, and to whom.

use std::collections::BTreeMap;

use super::mesh::PROVIDERS;
use super::provider::{Doing, Provider};
use crate::breaker::Kind;
use crate::ledger::{Begun, PATIENCE};
use crate::plan::Why;
use crate::table::{BreakerView, Right, Table};
use crate::time::{Millis, Timestamp};

/// Trials of a channel that the fleet may have under way.
const MOST_TRIALS: usize = 4;
/// A message is on its way for so long at most: by so much a lease ends later with the worker than with the fleet.
pub(super) const LONGEST_WAY: Millis = Millis(5);
/// A provider that has done well for so long is found again by all: the longest opening, and its jitter.
pub(super) const FOUND_AGAIN: Millis = Millis::from_secs(64);

/// What one worker was told of one channel.
#[derive(Debug, Clone, Default)]
struct Word {
    breaker: BreakerView,
    heard: Timestamp,
    /// Ends of the leases for trials that it was given and has not used, as the fleet has them.
    leases: Vec<Timestamp>,
    /// A last resort of its own was answered since.
    lifted: bool,
}

/// The model, and what it has seen.
#[derive(Debug, Default)]
pub(super) struct Rules {
    words: Vec<[Word; PROVIDERS.len()]>,
    heard: Vec<Option<Timestamp>>,
    alone: Vec<bool>,
    /// Its stream broke, and no full table has come since: the fleet has given its leases up.
    broken: Vec<bool>,
    /// Trials by lease that run, by place: whose, since when, and until when the lease holds.
    running: BTreeMap<usize, Vec<(usize, Timestamp, Timestamp)>>,
    pub(super) served: u64,
    pub(super) unserved: u64,
    pub(super) last_resorts: u64,
    pub(super) trials: u64,
    pub(super) openings: u64,
}

impl Rules {
    pub(super) fn of(workers: usize) -> Self {
        Self {
            words: vec![Default::default(); workers],
            heard: vec![None; workers],
            alone: vec![true; workers],
            broken: vec![false; workers],
            ..Self::default()
        }
    }

    pub(super) fn told(&mut self, worker: usize, table: &Table, now: Timestamp) {
        self.heard[worker] = Some(now);
        self.alone[worker] = false;
        if table.full {
            self.words[worker] = Default::default();
            self.broken[worker] = false;
        }
        for view in &table.channels {
            let Some(place) = place_of(&view.channel) else { continue };
            let word = &mut self.words[worker][place];
            if word.breaker == BreakerView::Closed && matches!(view.breaker, BreakerView::Open { .. }) {
                self.openings += 1;
            }
            (word.breaker, word.heard) = (view.breaker, now);
        }
        for lease in &table.leases {
            if let Right::Trial { channel, .. } = &lease.right
                && let Some(place) = place_of(channel)
            {
                let end = now.plus(lease.left).before(LONGEST_WAY);
                self.words[worker][place].leases.push(end);
            }
        }
    }

    pub(super) fn broke(&mut self, worker: usize) {
        self.broken[worker] = true;
        self.running.values_mut().for_each(|running| running.retain(|(holder, ..)| *holder != worker));
    }

    pub(super) fn note_alone(&mut self, worker: usize, alone: bool) {
        self.alone[worker] = alone;
    }

    /// An attempt begins: it must be one that the worker may make, by all it was told.
    pub(super) fn began(&mut self, worker: usize, place: usize, why: Why, begun: &Begun, now: Timestamp) {
        let company = self.heard[worker].is_some_and(|heard| now.since(heard) < PATIENCE) || !self.alone[worker];
        let word = &mut self.words[worker][place];
        if why == Why::LastResort {
            self.last_resorts += 1;
            return;
        }
        if !company || word.lifted {
            return;
        }
        match word.breaker {
            BreakerView::Closed => {}
            BreakerView::Open { .. } => panic!("{worker} asks {place}, which is open by all it knows ({why:?})"),
            BreakerView::HalfOpen => {
                assert_eq!(begun.kind, Kind::Trial, "{worker} asks {place}, which is half-open, without a permit");
                self.trials += 1;
                word.leases.retain(|end| now < end.plus(LONGEST_WAY));
                assert!(!word.leases.is_empty(), "{worker} tries {place} more often than it was given leases");
                let end = word.leases.remove(0);
                let running = self.running.entry(place).or_default();
                running.retain(|(.., end)| now < *end);
                running.extend((!self.broken[worker]).then_some((worker, now, end)));
                assert!(running.len() <= MOST_TRIALS, "{} trials of {place} at once", running.len());
            }
        }
    }

    pub(super) fn ended(&mut self, place: usize, begun: &Begun) {
        if let Some(running) = self.running.get_mut(&place)
            && let Some(trial) =
                running.iter().position(|(_, began, _)| *began == begun.started && begun.kind == Kind::Trial)
        {
            running.swap_remove(trial);
        }
    }

    pub(super) fn settled(&mut self, worker: usize, place: usize, begun: &Begun, success: bool) {
        if begun.kind == Kind::LastResort && success {
            self.words[worker][place].lifted = true;
        }
    }

    /// A call ended: it must have been answered if anybody did well all the while, and was known to.
    pub(super) fn call_ended(&mut self, answered: bool, began: Timestamp, now: Timestamp, providers: &[Provider]) {
        if answered {
            self.served += 1;
            return;
        }
        self.unserved += 1;
        let well = |provider: &Provider| provider.doing == Doing::Well && began.since(provider.since) >= FOUND_AGAIN;
        let good = providers.iter().position(well);
        assert!(
            good.is_none(),
            "a call got no answer from {began:?} to {now:?}, though {good:?} did well all the time"
        );
    }
}

fn place_of(id: &str) -> Option<usize> {
    PROVIDERS.iter().position(|name| id == format!("ethereum/{name}/http"))
}
