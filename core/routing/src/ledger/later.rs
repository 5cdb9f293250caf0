//! What is asked of the ledger on behalf of a plan, whichever catalog is in force by then.
//!
//! Invariant: a plan's indices are those of the catalog that it was made with; they are translated before anything is looked up, and what no longer
//! exists is not known.

use super::{Begun, Ledger};
use crate::breaker::{Kind, State};
use crate::catalog::{ChainIdx, ChannelIdx};
use crate::plan::{Candidate, Plan, Why};
use crate::time::Timestamp;

impl Ledger {
    /// The highest head of the plan's chain that is believed, extrapolated to now.
    #[must_use]
    pub fn best_head_for(&self, plan: &Plan, now: Timestamp) -> Option<u64> {
        let (_, chain) = plan.candidates.iter().find_map(|candidate| self.now(plan, candidate.channel))?;
        self.best_head(chain, now)
    }

    /// Which of these candidates of the plan has the highest head, by its place in the list. With nothing known, the first; never a last resort, which is
    /// not asked to confirm what was answered.
    #[must_use]
    pub fn highest_head_for(&self, plan: &Plan, candidates: &[Candidate], now: Timestamp) -> Option<usize> {
        let there = |(place, candidate): (usize, &Candidate)| {
            let (channel, chain) = self.now(plan, candidate.channel)?;
            (candidate.why != Why::LastResort).then_some((place, Candidate { channel, ..*candidate }, chain))
        };
        let here: Vec<_> = candidates.iter().enumerate().filter_map(there).collect();
        let chain = here.first().map(|(.., chain)| *chain)?;
        let translated: Vec<Candidate> = here.iter().map(|(_, candidate, _)| *candidate).collect();
        let best = self.highest_head(chain, &translated, now)?;
        here.get(best).map(|(place, ..)| *place)
    }

    /// Where the breaker of a channel of the plan stands.
    #[must_use]
    pub fn breaker_state_for(&self, plan: &Plan, channel: ChannelIdx, now: Timestamp) -> State {
        self.now(plan, channel).map_or(State::Closed, |(channel, _)| self.breaker_state(channel, now))
    }

    pub(super) fn now(&self, plan: &Plan, channel: ChannelIdx) -> Option<(ChannelIdx, ChainIdx)> {
        let begun = Begun {
            channel,
            chain: plan.chain,
            class: plan.class,
            started: Timestamp::from_millis(0),
            kind: Kind::Ordinary,
            era: plan.era,
            opening: None,
        };
        let (channel, chain) = self.whereabouts(&begun);
        channel.zip(chain)
    }
}
