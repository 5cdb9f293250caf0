//! One client call and its attempts: what DOWN and UP share.
//!
//! ```text
//! DOWN plans -> begin (UP, or DOWN when it sends the attempt itself) -> answered | unanswered -> begin ... -> conclude (DOWN is done)
//! ```
//!
//! Duty: keep the plan's cursor, judge each attempt once, decide whether another follows, remember what the client gets when none does.
//! Invariants: each attempt is settled exactly once; a call that may be sent only once is begun again only when it provably never left; a `null` costs one
//! attempt more at most.
//! Leaves to others: host calls (DOWN, UP), what an outcome means (`lasso_routing::outcome`).

mod parts;

use std::rc::Rc;

use lasso_jsonrpc::error::RpcError;
use lasso_jsonrpc::method::Method;
use lasso_routing::Catalog;
use lasso_routing::catalog::{Channel, ChannelIdx};
use lasso_routing::ledger::{End, Ledger};
use lasso_routing::outcome::{Blame, Failure, Next, Row, Verdict};
use lasso_routing::plan::{Attempts, Plan, SelectionReason};
use lasso_routing::report::Ending;
use lasso_routing::time::{Micros, Millis, Timestamp};

use crate::host::Moment;
use crate::judge::{Answer, Judged, judge, unanswered};
use crate::reply;
use crate::stats::{Counter, Stats};
use crate::worker::Worker;

pub use parts::{Ask, Attempt, Failed, Fate, Step};

/// One client call.
#[derive(Debug)]
pub struct Exchange {
    /// Key in the worker's registry and in filter state.
    pub number: u32,
    /// The catalog it was planned with.
    pub catalog: Rc<Catalog>,
    /// What was asked.
    pub ask: Ask,
    /// Who may answer, in order.
    pub plan: Plan,
    /// When the request was parsed.
    pub started: Moment,
    /// How long screening and planning took.
    pub selection: Micros,
    /// Names the request in answers and logs.
    pub request_id: u64,
    /// Attempts so far.
    pub attempts: Vec<Attempt>,
    /// Attempts of its copies, each of which was an exchange of its own.
    pub copies: Vec<Attempt>,
    /// The error that the client gets: the object, or the whole reply.
    pub error: Option<Vec<u8>>,
    /// What the client gets.
    pub fate: Fate,
    /// Bytes of the body that the worker counts as kept.
    pub kept: usize,
    /// The client is gone or answered: attempts that end now count for nothing.
    pub closed: bool,
    next: usize,
    /// No attempt may follow.
    over: bool,
    null_seen: bool,
    last_error: Option<Vec<u8>>,
}

impl Exchange {
    /// An exchange before its first attempt.
    #[must_use]
    pub fn new(number: u32, catalog: Rc<Catalog>, ask: Ask, plan: Plan, started: Moment, request_id: u64) -> Self {
        Self {
            number,
            catalog,
            ask,
            plan,
            started,
            selection: Micros(0),
            request_id,
            attempts: Vec::with_capacity(2),
            copies: Vec::new(),
            error: None,
            fate: Fate::Open,
            kept: 0,
            closed: false,
            next: 0,
            over: false,
            null_seen: false,
            last_error: None,
        }
    }

    /// The same question to the candidate at `place` alone. It has no body: the question is sent from this one's.
    #[must_use]
    pub fn alone(&mut self, place: usize) -> Option<Self> {
        let candidate = *self.plan.candidates.get(place)?;
        let mut plan = self.plan.clone();
        plan.candidates = vec![candidate];
        let body = std::mem::take(&mut self.ask.body);
        let ask = self.ask.clone();
        self.ask.body = body;
        Some(Self::new(self.number, Rc::clone(&self.catalog), ask, plan, self.started, self.request_id))
    }

    /// The channel of the next attempt, if one may follow.
    #[must_use]
    pub fn upcoming(&self) -> Option<&Channel> {
        if self.over || !self.may_continue() {
            return None;
        }
        self.plan.candidates.get(self.next).and_then(|candidate| self.catalog.channel(candidate.channel))
    }

    fn may_continue(&self) -> bool {
        let made = u32::try_from(self.attempts.len()).unwrap_or(u32::MAX);
        let all_fast = self.attempts.iter().all(|attempt| attempt.latency <= Attempts::FAST.as_micros());
        // A call that is sent once goes on past candidates that it never reached: those are not attempts.
        let made = if self.plan.attempts == Attempts::Once { 0 } else { made };
        self.next < self.plan.candidates.len() && self.plan.attempts.may_continue(made, all_fast)
    }

    /// How long one attempt may take. What is sent once has the whole deadline: cutting it early would only make its fate unknown.
    #[must_use]
    pub const fn per_try(&self) -> Millis {
        match self.plan.attempts {
            Attempts::Once => self.plan.deadline,
            Attempts::Replay | Attempts::Heavy => self.plan.per_try,
        }
    }

    /// Milliseconds that another attempt may take: its own time, or what is left of the request's. `None` when nothing is.
    #[must_use]
    pub fn time_for_another(&self, now: Moment) -> Option<u32> {
        let left = self.plan.deadline.0.saturating_sub(now.since(self.started).0 / 1_000);
        u32::try_from(left.min(self.per_try().0)).ok().filter(|left| *left > 0)
    }

    /// Whether the running attempt has used up its time.
    #[must_use]
    pub fn timed_out(&self, now: Moment) -> bool {
        // Envoy's timer started a little after ours, and both round.
        const SLACK: u64 = 5;
        self.attempts.last().is_some_and(|attempt| now.since(attempt.started).0 / 1_000 + SLACK >= self.per_try().0)
    }

    /// Whether another attempt is in place, as UP finds out when Envoy starts one. Of what is sent once, Envoy repeats only what never left: then that is how
    /// the running attempt ended. After an answer there is none, and DOWN is to look for a better one.
    pub fn goes_on(&mut self, worker: &mut Worker, now: Moment) -> bool {
        if self.running().is_some() {
            return self.unanswered(worker, now, Failure::Connect) == Step::Retry;
        }
        let over = self.over;
        if over && self.fate != Fate::Open {
            (self.over, self.fate) = (self.plan.attempts == Attempts::Once, Fate::Open);
        }
        !over
    }

    /// Starts the next attempt. `None` when no candidate is left.
    pub fn begin(&mut self, worker: &mut Worker, now: Moment) -> Option<ChannelIdx> {
        let candidate = *self.plan.candidates.get(self.next)?;
        let channel = candidate.channel;
        let probe = self.ask.target.probe;
        let begun = (!probe).then(|| worker.ledger().begin(&candidate, &self.plan, now.at));
        self.next += 1;
        self.attempts.push(Attempt {
            channel,
            started: now,
            latency: Micros(0),
            verdict: None,
            begun,
            unsettled: false,
        });
        if !probe {
            worker.stats().count(Counter::Attempts);
        }
        if self.attempts.len() > 1 {
            worker.stats().count(Counter::Failovers);
            worker.ledger().failed_over(&candidate, &self.plan);
        }
        Some(channel)
    }

    /// The attempt that has not ended, by its index.
    #[must_use]
    pub fn running(&self) -> Option<usize> {
        self.attempts.last().filter(|attempt| attempt.verdict.is_none())?;
        self.attempts.len().checked_sub(1)
    }

    /// Every attempt that was made for it.
    pub fn all_attempts(&self) -> impl DoubleEndedIterator<Item = &Attempt> {
        self.attempts.iter().chain(&self.copies)
    }

    /// Why the channel of the last attempt was asked.
    #[must_use]
    pub fn selection_reason(&self) -> SelectionReason {
        let last = self.all_attempts().next_back();
        last.map_or(self.plan.reason, |attempt| self.plan.reason_for(attempt.channel))
    }

    /// The channel of the last attempt.
    #[must_use]
    pub fn last_channel(&self) -> Option<ChannelIdx> {
        self.attempts.last().map(|attempt| attempt.channel)
    }

    /// A response came.
    pub fn answered(&mut self, worker: &mut Worker, now: Moment, answer: &Answer<'_>) -> Step {
        let judged = judge(self, worker.ledger(), now.at, answer);
        self.settle(worker, now, judged)
    }

    /// The running attempt ended without a response that could be judged.
    pub fn unanswered(&mut self, worker: &mut Worker, now: Moment, failure: Failure) -> Step {
        let judged = unanswered(self, failure);
        self.settle(worker, now, judged)
    }

    fn settle(&mut self, worker: &mut Worker, now: Moment, judged: Judged) -> Step {
        let Some(attempt) = self.attempts.last_mut().filter(|attempt| attempt.verdict.is_none()) else {
            return Step::GiveUp;
        };
        attempt.latency = now.since(attempt.started);
        attempt.verdict = Some(judged.verdict);
        if let Some(begun) = attempt.begun {
            attempt.unsettled = judged.verdict.row == Row::TimedOut;
            count(worker.stats(), &judged.verdict);
            let end = End {
                begun,
                method: &Method::of(&self.ask.method),
                blocks: &self.ask.blocks,
                latency: attempt.latency,
                verdict: &judged.verdict,
                head: judged.head,
                now: now.at,
            };
            if !attempt.unsettled {
                worker.settle(&end);
            }
        }
        let step = self.follow(worker.ledger(), now.at, &judged);
        self.over = step != Step::Retry;
        match step {
            Step::Release => {
                self.fate = judged.fate;
                self.error = judged.error.filter(|_| !judged.verdict.success);
            }
            Step::Retry | Step::GiveUp => self.last_error = judged.error.or_else(|| self.last_error.take()),
        }
        step
    }

    fn follow(&mut self, ledger: &Ledger, now: Timestamp, judged: &Judged) -> Step {
        match judged.verdict.next {
            // Nothing that could be given to the client came, and asking again is not safe.
            Next::Stop if judged.fate == Fate::Open => Step::GiveUp,
            Next::Stop => Step::Release,
            Next::HighestHeadOnce => self.confirm_null(ledger, now),
            Next::AnotherProvider => {
                self.drop_provider();
                self.another(ledger, now)
            }
            Next::Another => self.another(ledger, now),
        }
    }

    fn another(&mut self, ledger: &Ledger, now: Timestamp) -> Step {
        ledger.put_shut_last(&mut self.plan, self.next, now);
        self.put_silent_last();
        if self.may_continue() { Step::Retry } else { Step::GiveUp }
    }

    /// A `null` that a channel behind the head would say too: one more channel is asked, the one with the highest head. The second `null` is the answer,
    /// and so is the first if nobody gives another.
    fn confirm_null(&mut self, ledger: &Ledger, now: Timestamp) -> Step {
        if std::mem::replace(&mut self.null_seen, true) || !self.may_continue() {
            return Step::Release;
        }
        let rest = self.plan.candidates.get(self.next..).unwrap_or_default();
        let Some(best) = ledger.highest_head_for(&self.plan, rest, now) else { return Step::Release };
        self.plan.candidates.swap(self.next, self.next + best);
        self.plan.candidates.truncate(self.next + 1);
        Step::Retry
    }

    /// A provider that lacks the method lacks it on its other transport too.
    fn drop_provider(&mut self) {
        let Some(chain) = self.catalog.chain(self.plan.chain) else { return };
        let failed = self.last_channel().and_then(|channel| chain.provider_of(channel));
        let rest = self.plan.candidates.split_off(self.next.min(self.plan.candidates.len()));
        self.plan
            .candidates
            .extend(rest.into_iter().filter(|candidate| chain.provider_of(candidate.channel) != failed));
    }

    /// A provider that is silent is most likely so on its other transport too. Silence leaves few attempts: all others, also those that are not admitted, are
    /// worth more.
    fn put_silent_last(&mut self) {
        let Some(chain) = self.catalog.chain(self.plan.chain) else { return };
        let is_silent = |attempt: &&Attempt| attempt.verdict.is_some_and(|verdict| verdict.row == Row::TimedOut);
        let silent = || self.attempts.iter().filter(is_silent).map(|attempt| chain.provider_of(attempt.channel));
        if let Some(rest) = self.plan.candidates.get_mut(self.next..) {
            rest.sort_by_key(|candidate| silent().any(|provider| provider == chain.provider_of(candidate.channel)));
        }
    }

    /// What the client is told when no attempt gave an answer.
    #[must_use]
    pub fn failed(&self, now: Moment) -> Failed {
        let determinate = |body| Failed { body, indeterminate: false, is_result: false };
        if self.ask.target.probe {
            return determinate(self.verdict_of_probe());
        }
        if self.null_seen {
            return Failed { is_result: true, ..determinate(reply::result(&self.ask.id, "null")) };
        }
        if let Some(error) = self.last_error.as_deref().and_then(|error| std::str::from_utf8(error).ok()) {
            return determinate(reply::error_object(&self.ask.id, error));
        }
        let last = self.attempts.last().and_then(|attempt| attempt.verdict);
        let sent = |verdict: Verdict| !matches!(verdict.next, Next::Another);
        // A filter that was or was not made is nobody's loss: it is a failure like any other.
        if self.plan.attempts == Attempts::Once && self.ask.filter.is_none() && last.is_some_and(sent) {
            let body = reply::error(&self.ask.id, &RpcError::indeterminate());
            return Failed { indeterminate: true, ..determinate(body) };
        }
        let made = u32::try_from(self.attempts.len()).unwrap_or(u32::MAX);
        let error = if last.is_some_and(|verdict| verdict.row == Row::TimedOut) {
            RpcError::deadline(now.since(self.started).0 / 1_000, made)
        } else {
            let chain = self.catalog.chain(self.plan.chain).map_or("", |chain| chain.id());
            RpcError::all_failed(&self.ask.method, chain, made)
        };
        let channel = |attempt: &Attempt| self.catalog.channel(attempt.channel).map_or("", Channel::id);
        let reasons = self.attempts.iter().map(|attempt| (channel(attempt), attempt.outcome()));
        determinate(reply::error(&self.ask.id, &error.because(reasons)))
    }

    /// What became of a probe, in the words of reports: the control plane is to know the verdict, which the provider's own words do not always
    /// show.
    fn verdict_of_probe(&self) -> Vec<u8> {
        let chain = self.catalog.chain(self.plan.chain).map_or("", |chain| chain.id());
        let ended = self.attempts.iter().filter_map(|attempt| {
            let ending = Ending::from(&attempt.verdict?);
            Some((self.catalog.channel(attempt.channel).map_or("", Channel::id), ending.name()))
        });
        reply::error(&self.ask.id, &RpcError::all_failed(&self.ask.method, chain, 1).because(ended))
    }

    /// Whether [`Exchange::conclude`] has anything to do: not after one attempt that was answered, which is nearly always.
    #[must_use]
    pub fn has_loose_ends(&self) -> bool {
        let loose = |attempt: &Attempt| attempt.verdict.is_none() || attempt.unsettled;
        !self.closed && (self.attempts.len() > 1 || self.attempts.iter().any(loose))
    }

    /// The request is over: blame and lessons that needed to know whether somebody answered.
    pub fn conclude(&mut self, worker: &mut Worker, now: Moment) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        if self.running().is_some() {
            // The client went away.
            let _ = self.unanswered(worker, now, Failure::Cancelled);
        }
        let answers = |attempt: &Attempt| {
            attempt.verdict.is_some_and(|verdict| verdict.next == Next::Stop && verdict.blame == Blame::None)
        };
        let answerer = self.attempts.iter().rposition(answers);
        for (index, attempt) in self.attempts.iter_mut().enumerate() {
            let (Some(verdict), Some(begun)) = (attempt.verdict, attempt.begun) else { continue };
            let answered_elsewhere = answerer.is_some_and(|answerer| answerer != index);
            let excused = Verdict { blame: Blame::None, ..verdict };
            let end = End {
                begun,
                method: &Method::of(&self.ask.method),
                blocks: &self.ask.blocks,
                latency: attempt.latency,
                verdict: if answered_elsewhere { &verdict } else { &excused },
                head: None,
                now: now.at,
            };
            if std::mem::take(&mut attempt.unsettled) {
                worker.settle(&end);
            }
            if answered_elsewhere {
                worker.ledger().learned(&end);
            }
        }
    }
}

/// Counts an attempt by how it ended.
pub(crate) fn count(stats: &mut Stats, verdict: &Verdict) {
    if !matches!(verdict.blame, Blame::None | Blame::Ignored) {
        stats.count(Counter::BlamedFailures);
    }
    if verdict.row == Row::RateLimit {
        stats.count(Counter::RateLimited);
    }
}
