//! Decisions: how some of the requests were routed, told in reports.
//!
//! Duty: choose which ones, and put them together. Invariant: one that would not be kept is not made: making it costs more than all else
//! that is done for reports.
//! Bound: about [`SUCCESSES`] of a tick's successes; all errors and all requests that asked how they were routed, as far as a report has room.
//! Leaves to others: reports (`lasso_routing::ledger`).

use lasso_jsonrpc::method::MethodClass;
use lasso_routing::catalog::Channel;
use lasso_routing::report::Decision;

use crate::down::batch::Batch;
use crate::exchange::Exchange;
use crate::host::Moment;

/// Successes that are told each tick.
const SUCCESSES: u32 = 16;
/// The most that are, when there are more of them than in the tick before: a report keeps room for errors and for who asked.
const MOST_SUCCESSES: u32 = 32;

/// Which successes are told: one of so many, by how many there were before.
#[derive(Debug, Default)]
pub struct Sampler {
    /// Since the last tick.
    seen: u32,
    /// One of this many.
    stride: u32,
    /// Of those seen.
    taken: u32,
}

impl Sampler {
    /// Whether this success is to be told.
    pub fn takes(&mut self) -> bool {
        self.seen = self.seen.saturating_add(1);
        let takes = self.taken < MOST_SUCCESSES && self.seen.is_multiple_of(self.stride.max(1));
        self.taken += u32::from(takes);
        takes
    }

    /// Another tick's successes begin.
    pub const fn handle_tick(&mut self) {
        self.stride = self.seen / SUCCESSES;
        (self.seen, self.taken) = (0, 0);
    }
}

/// How a call was routed.
#[must_use]
pub fn of_call(exchange: &Exchange, answered: bool, now: Moment) -> Decision {
    let catalog = &*exchange.catalog;
    let channel = |index| catalog.channel(index).map_or("", Channel::id);
    let attempts = exchange.all_attempts();
    Decision {
        request_id: exchange.request_id,
        profile: catalog.profile(exchange.ask.target.profile).map_or("", |profile| profile.id()).into(),
        chain: catalog.chain(exchange.plan.chain).map_or("", |chain| chain.id()).into(),
        class: exchange.ask.class,
        strategy: exchange.plan.strategy.name().into(),
        reason: exchange.selection_reason().name().into(),
        candidates: u32::try_from(exchange.plan.candidates.len()).unwrap_or(u32::MAX),
        attempts: attempts
            .map(|attempt| (channel(attempt.channel).into(), attempt.outcome().into(), attempt.latency))
            .collect(),
        answered,
        selection: exchange.selection,
        total: now.since(exchange.started),
    }
}

/// How a batch was routed: its last part stands for all.
#[must_use]
pub fn of_batch(batch: &Batch, answered: bool, now: Moment) -> Option<Decision> {
    let (catalog, last) = (&*batch.catalog, batch.last.as_ref()?);
    Some(Decision {
        request_id: batch.request_id,
        profile: catalog.profile(batch.target.profile).map_or("", |profile| profile.id()).into(),
        chain: catalog.chain(batch.target.chain).map_or("", |chain| chain.id()).into(),
        class: MethodClass::BATCH,
        strategy: last.plan.strategy.name().into(),
        reason: last.plan.reason_for(last.channel).name().into(),
        candidates: u32::try_from(last.plan.candidates.len()).unwrap_or(u32::MAX),
        attempts: vec![(
            catalog.channel(last.channel).map_or("", Channel::id).into(),
            last.outcome.into(),
            last.latency,
        )],
        answered,
        selection: batch.selection,
        total: now.since(batch.started),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(successes: u32, told: std::ops::RangeInclusive<usize>) {
        let mut sampler = Sampler::default();
        let tick = |sampler: &mut Sampler| {
            sampler.handle_tick();
            (0..successes).filter(|_| sampler.takes()).count()
        };
        tick(&mut sampler);
        assert!(told.contains(&tick(&mut sampler)), "{successes}");
    }

    #[test]
    fn a_burst_leaves_room_for_errors() {
        let mut sampler = Sampler::default();
        assert_eq!((0..3_000).filter(|_| sampler.takes()).count(), 32);
    }

    #[test]
    fn about_sixteen_successes_are_told_each_tick() {
        check(3, 3..=3);
        check(16, 16..=16);
        check(100, 16..=17);
        check(3_000, 16..=17);
    }
}
