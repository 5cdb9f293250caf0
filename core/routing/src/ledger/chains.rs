//! What happens to requests, by chain: how channels were chosen, and how requests ended.
//!
//! Invariant: an addition to an array for each; probes are no requests and count nowhere. A request that began under an earlier catalog counts
//! where its chain is now, or under the name that it had.
//! Leaves to others: what is counted (`report`), when a report is made ([`super::reporting`]).

use super::Ledger;
use super::adopt::Origins;
use crate::candidate::Because;
use crate::catalog::ChainIdx;
use crate::plan::{Candidate, NoChannel, Plan, Why};
use crate::report::{ChainCounts, ChainTally, Selection, Stage};

/// A request that has started and not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Started {
    chain: ChainIdx,
    era: u32,
}

impl Ledger {
    /// A request names that chain of the catalog in force.
    pub fn started(&mut self, chain: ChainIdx) -> Started {
        if let Some(counts) = self.counts(chain, self.era) {
            counts.reach(Stage::Started);
        }
        Started { chain, era: self.era }
    }

    /// It ended.
    pub fn ended(&mut self, started: &Started, stage: Stage) {
        if let Some(counts) = self.counts(started.chain, started.era) {
            counts.reach(stage);
        }
    }

    /// Another attempt follows one that failed.
    pub fn failed_over(&mut self, candidate: &Candidate, plan: &Plan) {
        if let Some(counts) = self.counts(plan.chain, plan.era) {
            counts.select(Selection::Failover);
            if candidate.why == Why::LastResort {
                counts.select(Selection::LastResort);
            }
        }
    }

    /// Channels were chosen, or there was none; `along`: with the order of another plan, by which what was spent is counted.
    pub(crate) fn selected(&mut self, planned: &Result<Plan, NoChannel>, along: bool) {
        let chain = match planned {
            Ok(plan) => plan.chain,
            Err(none) => none.chain,
        };
        let Some(counts) = self.counts(chain, self.era) else { return };
        let Ok(plan) = planned else { return counts.select(Selection::FailFast) };
        counts.select(Selection::Selected);
        if plan.degraded.is_some() {
            counts.select(Selection::Degraded);
        }
        let for_its_head = |because: &Because| matches!(because, Because::Lagging { .. } | Because::BlockAhead { .. });
        if plan.rejected.iter().any(|rejection| for_its_head(&rejection.because)) {
            counts.select(Selection::LagExcluded);
        }
        match plan.candidates.first().filter(|_| !along).map(|front| front.why) {
            Some(Why::LastResort) => counts.select(Selection::LastResort),
            Some(Why::Explored) => counts.select(Selection::Explored),
            Some(Why::Trial) => counts.select(Selection::Trial),
            Some(Why::Ranked | Why::RateLimited | Why::HalfOpen) | None => {}
        }
    }

    /// Counts of a chain as the catalog of that era had it.
    fn counts(&mut self, chain: ChainIdx, era: u32) -> Option<&mut ChainCounts> {
        if era == self.era {
            return self.books.get_mut(chain.index()).map(|book| &mut book.counts);
        }
        let era = self.eras.iter().find(|known| known.number == era)?;
        match era.chain(chain) {
            Some(chain) => self.books.get_mut(chain.index()).map(|book| &mut book.counts),
            None => {
                let (profile, chain) = era.gone_chain(chain)?;
                self.archive.chain(profile, chain)
            }
        }
    }

    /// What was counted on chains that the new catalog lacks goes under their names.
    pub(super) fn file_counts(&mut self, origins: &Origins) {
        for (place, book) in self.books.iter_mut().enumerate() {
            let counts = std::mem::take(&mut book.counts);
            if origins.chains.contains(&Some(place)) {
                book.counts = counts;
            } else if counts != ChainCounts::default()
                && let Some(kept) = self.archive.chain(&book.profile, &book.chain)
            {
                kept.merge(&counts);
            }
        }
    }

    pub(super) fn draw_chains(&mut self) -> Vec<ChainTally> {
        let mut tallies = self.archive.draw_chains();
        for book in self.books.iter_mut().filter(|book| book.counts != ChainCounts::default()) {
            let counts = std::mem::take(&mut book.counts);
            tallies.push(ChainTally { profile: book.profile.clone(), chain: book.chain.clone(), counts });
        }
        tallies
    }
}
