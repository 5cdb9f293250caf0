//! The plan for one request: who is asked in which order, how often, and for how long.
//!
//! Duty: candidates, then the strategy's order, then tiers, trials and exploring, then last resorts; attempts and deadlines by method.
//! Invariant: at most [`MOST_CANDIDATES`] candidates, all distinct, all of the target's chain; a request that must not be sent twice gets
//! [`Attempts::Once`].
//! Leaves to others: sending, judging ([`crate::outcome`]), remembering ([`crate::ledger`]).

mod attempts;
mod order;

pub use attempts::Attempts;
use lasso_jsonrpc::block::{BlockRef, Blocks, Tag};
use lasso_jsonrpc::error::RpcError;
use lasso_jsonrpc::method::{Method, MethodClass};

use crate::candidate::{Degraded, Rejection, Screening, Turned};
use crate::catalog::{Catalog, Chain, ChainIdx, ChannelIdx, Keyed};
use crate::chance::Chance;
use crate::ledger::{Desk, HeadView, Ledger, Scratch};
use crate::strategy::{Circumstances, Row, Strategy, Tier};
use crate::target::Target;
use crate::time::{Millis, Timestamp};

/// Longest list of candidates.
pub const MOST_CANDIDATES: usize = 10;

/// How long a probe may take, whatever it asks.
const PROBE_DEADLINE: Millis = Millis::from_secs(5);

/// One call that wants to be served.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// What the client named.
    pub target: &'a Target,
    /// The method asked for.
    pub method: &'a Method<'a>,
    /// Its class, which the evidence is kept by.
    pub class: MethodClass,
    /// The blocks it names.
    pub blocks: &'a Blocks,
    /// The only channel that can answer, for a filter id that belongs to it.
    pub sticky: Option<ChannelIdx>,
    /// Chance for this request.
    pub seed: u64,
    /// Now.
    pub now: Timestamp,
}

/// A channel to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Whom.
    pub channel: ChannelIdx,
    /// Why it stands where it stands.
    pub why: Why,
}

/// Why a candidate stands where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// The strategy put it there.
    Ranked,
    /// Behind the others because it said that it is asked too often.
    RateLimited,
    /// Behind the others because its breaker is half-open.
    HalfOpen,
    /// In front although its breaker is half-open: this call is the trial.
    Trial,
    /// In front because nobody asked it for a while.
    Explored,
    /// Not admitted by its breaker, and all the same better than an error: everyone's is open, or the others have failed the call.
    LastResort,
}

/// Why the first candidate is the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SelectionReason {
    /// The strategy says so.
    Strategy,
    /// It is the provider that the client named.
    Pinned,
    /// The filter id in the call belongs to it.
    Sticky,
    /// This call is a trial of a half-open breaker.
    Trial,
    /// Nobody asked it for a while.
    Explored,
    /// Nobody fits; it is the least bad.
    Degraded,
    /// Its breaker is open, and nobody else is left.
    LastResort,
}

impl SelectionReason {
    /// As it stands in the response's meta.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Strategy => "strategy",
            Self::Pinned => "provider_override",
            Self::Sticky => "sticky",
            Self::Trial => "trial",
            Self::Explored => "explored",
            Self::Degraded => "degraded",
            Self::LastResort => "last_resort",
        }
    }
}

/// Who is asked, in which order, how often, for how long, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Whom to ask, first to last; never empty.
    pub candidates: Vec<Candidate>,
    /// The chain.
    pub chain: ChainIdx,
    /// The class that its evidence is kept by.
    pub class: MethodClass,
    /// For the whole request.
    pub deadline: Millis,
    /// For each attempt.
    pub per_try: Millis,
    /// How many attempts.
    pub attempts: Attempts,
    /// The policy that ranked.
    pub strategy: Strategy,
    /// Why the first is the first.
    pub reason: SelectionReason,
    /// Nobody fits; why those here are kept all the same.
    pub degraded: Option<Degraded>,
    /// Who cannot serve it, and why.
    pub rejected: Vec<Rejection>,
    /// The catalog it was made with, as the ledger counts them.
    pub(crate) era: u32,
}

impl Plan {
    /// How many candidates their breakers admit; those that follow are last resorts.
    #[must_use]
    pub fn admitted(&self) -> usize {
        self.candidates.iter().filter(|candidate| candidate.why != Why::LastResort).count()
    }

    /// Why this channel was asked: as the first one, or as a last resort.
    #[must_use]
    pub fn reason_for(&self, channel: ChannelIdx) -> SelectionReason {
        let candidate = self.candidates.iter().find(|candidate| candidate.channel == channel);
        match candidate.map(|candidate| candidate.why) {
            Some(Why::LastResort) => SelectionReason::LastResort,
            Some(Why::Ranked | Why::RateLimited | Why::HalfOpen | Why::Trial | Why::Explored) | None => self.reason,
        }
    }
}

/// No channel may be asked now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoChannel {
    /// The chain.
    pub chain: ChainIdx,
    /// Every channel that was considered.
    pub reasons: Vec<Rejection>,
    /// When asking again could help.
    pub retry_after: Millis,
}

impl NoChannel {
    /// What the client is told.
    #[must_use]
    pub fn error(&self, catalog: &Catalog, method: &str) -> RpcError {
        let chain = catalog.chain(self.chain).map_or("", |chain| chain.id());
        let reasons = self.reasons.iter().map(|rejection| {
            let channel = catalog.channel(rejection.channel).map_or("", |channel| channel.id());
            (channel, rejection.because.to_string())
        });
        RpcError::no_channel(method, chain, reasons, self.retry_after.0)
    }
}

/// Plans one request.
///
/// # Errors
/// Nobody may be asked: every channel's breaker is open and has no last resort to give, or the transport asked for is not there.
pub fn plan(catalog: &Catalog, ledger: &mut Ledger, question: &Question<'_>) -> Result<Plan, NoChannel> {
    make(catalog, ledger, question, None)
}

/// Plans a request that goes along with another: who can serve it is its own affair, the order is the other's, and nothing is spent on it (a turn of
/// the rotation, a last resort's slot, an exploration).
///
/// # Errors
/// As for [`plan`].
pub fn plan_along(
    catalog: &Catalog,
    ledger: &mut Ledger,
    question: &Question<'_>,
    lead: &Plan,
) -> Result<Plan, NoChannel> {
    make(catalog, ledger, question, Some(lead))
}

fn make(
    catalog: &Catalog,
    ledger: &mut Ledger,
    question: &Question<'_>,
    lead: Option<&Plan>,
) -> Result<Plan, NoChannel> {
    ledger.follow(catalog, question.now);
    let nobody = || NoChannel { chain: question.target.chain, reasons: Vec::new(), retry_after: Millis::from_secs(1) };
    let chain = catalog.chain(question.target.chain).ok_or_else(nobody)?;
    let profile = catalog.profile(chain.profile()).ok_or_else(nobody)?;
    let rule = profile.method(question.method);
    let planner = Planner {
        chain,
        question,
        strategy: question.target.strategy.or(rule.strategy).unwrap_or(chain.strategy()),
        // A probe has one candidate, so nothing is sent twice.
        attempts: if question.target.probe { Attempts::Replay } else { Attempts::of(question.method) },
        deadline: if question.target.probe { PROBE_DEADLINE } else { rule.deadline },
        explore: profile.explore(),
        desk: Desk { chain: question.target.chain, class: question.class },
        lead,
    };
    let mut scratch = std::mem::take(ledger.scratch());
    let planned = planner.plan(ledger, &mut scratch);
    *ledger.scratch() = scratch;
    if !question.target.probe {
        ledger.selected(&planned, lead.is_some());
    }
    planned
}

struct Planner<'a> {
    chain: &'a Chain,
    question: &'a Question<'a>,
    strategy: Strategy,
    attempts: Attempts,
    deadline: Millis,
    explore: bool,
    desk: Desk,
    /// The plan whose order it takes over.
    lead: Option<&'a Plan>,
}

impl Planner<'_> {
    fn plan(&self, ledger: &mut Ledger, scratch: &mut Scratch) -> Result<Plan, NoChannel> {
        let Scratch { rows, heads } = scratch;
        let view = ledger.view_heads(self.desk.chain, heads, self.question.now);
        let screening = Screening {
            chain: self.chain,
            ledger,
            question: self.question,
            keyed: Keyed::of(self.question.method),
            heads,
            view: view.unwrap_or(HeadView { best: None, max_lag: u64::MAX }),
            trial: self
                .lead
                .and_then(|lead| lead.candidates.first())
                .filter(|front| front.why == Why::Trial)
                .map(|front| front.channel),
            priced: self.strategy == Strategy::Cheapest,
        };
        if self.question.target.probe {
            return self.probe(ledger, &screening, rows);
        }
        let mut turned = screening.select(rows);
        if rows.is_empty() {
            if let Some(lead) = self.lead.filter(|lead| lead.reason == SelectionReason::LastResort) {
                return Ok(Plan { deadline: self.deadline, attempts: self.attempts, ..lead.clone() });
            }
            let Some(row) = screening.last_resort().filter(|_| self.lead.is_none()) else {
                return Err(NoChannel {
                    chain: self.desk.chain,
                    reasons: turned.rejected,
                    retry_after: screening.retry_after(),
                });
            };
            turned.rejected.retain(|rejection| rejection.channel != row.channel);
            ledger.take_last_resort(row.channel, self.question.now);
            rows.push(row);
            return Ok(self.finish(ledger, rows, turned, self.deadline, Some(Why::LastResort)));
        }
        let admitted = rows.len();
        screening.add_last_resorts(rows, &mut turned);
        if self.lead.is_none() {
            ledger.renew(self.desk.chain, self.desk.class, self.question.now);
        }
        let per_try = self.per_try(ledger, rows, admitted);
        let degraded = turned.degraded.is_some();
        // Whatever the order of those that are admitted, the last resorts stay behind them.
        let mut front = None;
        if let Some(ranked) = rows.get_mut(..admitted) {
            self.weigh(ledger, ranked, per_try);
            self.rank(ledger, ranked, degraded);
            front = match self.lead {
                Some(lead) => follow(ranked, lead, degraded, self.question.target.provider),
                None => self.put_in_front(ledger, ranked, degraded),
            };
        }
        Ok(self.finish(ledger, rows, turned, per_try, front))
    }

    /// Nothing speaks against it and nothing is spent on it.
    fn probe(&self, ledger: &Ledger, screening: &Screening<'_>, rows: &mut Vec<Row>) -> Result<Plan, NoChannel> {
        screening.probed(rows);
        if rows.is_empty() {
            let (chain, retry_after) = (self.desk.chain, screening.retry_after());
            return Err(NoChannel { chain, reasons: Vec::new(), retry_after });
        }
        Ok(self.finish(ledger, rows, Turned::default(), self.deadline, None))
    }

    /// The figures that the strategy looks at.
    fn weigh(&self, ledger: &Ledger, rows: &mut [Row], per_try: Millis) {
        if !self.strategy.weighs_evidence() {
            return;
        }
        for row in rows {
            let place = usize::from(row.place);
            if let Some(standing) = ledger.standing(self.desk, place, per_try, self.question.now) {
                (row.expected, row.index, row.weight) = (standing.expected, standing.index, standing.n);
            }
            row.failing = ledger.is_failing(self.desk, place);
            row.asking = ledger.is_asking(self.desk, place);
        }
    }

    fn per_try(&self, ledger: &Ledger, rows: &[Row], admitted: usize) -> Millis {
        let p99 = |row: &Row| ledger.p99(self.desk, usize::from(row.place));
        match rows {
            // With nobody else to ask, cutting an attempt short would help nobody.
            [_] => self.deadline,
            [only, ..] if admitted == 1 => self.attempts.per_try_before_last_resort(self.deadline, p99(only)),
            _ if self.attempts != Attempts::Replay => self.attempts.per_try(self.deadline, None),
            _ => self.attempts.per_try(self.deadline, rows.iter().take(admitted).filter_map(p99).max()),
        }
    }

    fn rank(&self, ledger: &mut Ledger, rows: &mut [Row], degraded: bool) {
        let turns = self.strategy == Strategy::RoundRobin && self.lead.is_none();
        let turn = if turns { ledger.take_turn(self.desk.chain) } else { 0 };
        let at_head = matches!(self.question.blocks, Blocks::At(BlockRef::Tag(Tag::Latest | Tag::Pending)));
        let mut circumstances = Circumstances {
            chance: Chance::new(self.question.seed),
            turn,
            reads_head: self.question.method.reads_head() || at_head,
        };
        self.strategy.rank(rows, &mut circumstances);
        if degraded {
            rows.sort_by_key(|row| row.badness);
        }
        order::tiers(rows);
        order::siblings(rows);
        if !self.question.method.is_known() {
            order::http_first(rows);
        }
    }

    /// Who goes in front of the strategy's choice: the provider that was named, a trial, or a channel to explore.
    fn put_in_front(&self, ledger: &mut Ledger, rows: &mut [Row], degraded: bool) -> Option<Why> {
        if let Some(provider) = self.question.target.provider {
            rows.sort_by_key(|row| usize::from(row.provider) != provider);
            return None;
        }
        let closed = rows.first().is_some_and(|row| row.tier == Tier::Closed);
        if !closed || degraded || !self.attempts.replayable() {
            return None;
        }
        // A closed one stands behind it, so a trial that fails costs the client one attempt and no answer.
        if let Some(trial) = rows.iter().position(|row| row.tier == Tier::HalfOpen) {
            ledger.promise_trial(rows.get(trial)?.channel, self.question.now);
            order::lead(rows, trial);
            return Some(Why::Trial);
        }
        if !self.explore || !self.strategy.explores() || !self.question.method.cheap() {
            return None;
        }
        let others = rows.iter().skip(1).filter(|row| row.tier == Tier::Closed);
        let quiet = ledger.quiet(self.desk, others.map(|row| usize::from(row.place)), self.question.now)?;
        ledger.explore(self.desk, quiet, self.question.now);
        order::lead(rows, rows.iter().position(|row| usize::from(row.place) == quiet)?);
        Some(Why::Explored)
    }

    fn finish(&self, ledger: &Ledger, rows: &[Row], turned: Turned, per_try: Millis, front: Option<Why>) -> Plan {
        let rows = &rows[..rows.len().min(MOST_CANDIDATES)];
        let candidates: Vec<Candidate> = rows
            .iter()
            .enumerate()
            .map(|(place, row)| Candidate {
                channel: row.channel,
                why: front.filter(|_| place == 0).unwrap_or(why(row)),
            })
            .collect();
        Plan {
            candidates,
            chain: self.desk.chain,
            class: self.desk.class,
            deadline: self.deadline,
            per_try,
            attempts: self.attempts,
            strategy: self.strategy,
            reason: self.reason(rows, turned.degraded, front),
            degraded: turned.degraded,
            rejected: turned.rejected,
            era: ledger.era(),
        }
    }

    fn reason(&self, rows: &[Row], degraded: Option<Degraded>, front: Option<Why>) -> SelectionReason {
        let first = rows.first().map(|row| usize::from(row.provider));
        match front {
            Some(Why::LastResort) => SelectionReason::LastResort,
            _ if self.question.sticky.is_some() => SelectionReason::Sticky,
            _ if first.is_some() && first == self.question.target.provider => SelectionReason::Pinned,
            _ if degraded.is_some() => SelectionReason::Degraded,
            Some(Why::Trial) => SelectionReason::Trial,
            Some(Why::Explored) => SelectionReason::Explored,
            Some(Why::Ranked | Why::RateLimited | Why::HalfOpen) | None => SelectionReason::Strategy,
        }
    }
}

/// The provider that the client named, then the lead's order; those that it does not have come last. Says why the first stands in front, if the lead put it there.
fn follow(rows: &mut [Row], lead: &Plan, degraded: bool, pinned: Option<usize>) -> Option<Why> {
    let place = |row: &Row| lead.candidates.iter().position(|candidate| candidate.channel == row.channel);
    let other = |row: &Row| pinned.is_some_and(|pinned| usize::from(row.provider) != pinned);
    rows.sort_by_key(|row| (other(row), if degraded { row.badness } else { 0 }, place(row).unwrap_or(usize::MAX)));
    let (first, front) = (rows.first()?, lead.candidates.first()?);
    (first.channel == front.channel).then_some(front.why)
}

const fn why(row: &Row) -> Why {
    match row.tier {
        Tier::Closed => Why::Ranked,
        Tier::RateLimited => Why::RateLimited,
        Tier::HalfOpen => Why::HalfOpen,
        Tier::LastResort => Why::LastResort,
    }
}

#[cfg(test)]
mod tests;
