//! What a screening asks of a channel: may it be asked, when, and what is known to be in the way.
//!
//! Invariant: a channel is usable when the worker's own breaker and the fleet's both admit.

use super::told::{Leave, Word};
use super::{Account, Ledger, Limits};
use crate::breaker::{Admission, Kind, State};
use crate::catalog::{ChannelIdx, Transport};
use crate::plan::{Candidate, Plan, Why};
use crate::table::Barred;
use crate::time::{Millis, Timestamp};

/// A trial that a plan has in front and that has not begun for so long is given to another plan.
const PROMISE: Millis = Millis(250);

/// Whether an attempt may start now: the worker's breaker and the fleet's, joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Passage {
    /// Go on.
    Open,
    /// As a trial.
    Trial,
    /// Not before `until`.
    Rejected {
        /// When it is worth asking again.
        until: Timestamp,
    },
    /// Only by a lease of the fleet, and this worker has none.
    NoLease,
    /// A person has opened the breaker.
    ByHand,
    /// It never serves.
    Barred(Barred),
    /// Over WebSocket, and nobody has said that it has a live socket.
    NotConnected,
}

/// What a screening asks of a channel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look<'a> {
    pub(crate) passage: Passage,
    pub(crate) limited_until: Option<Timestamp>,
    pub(crate) in_flight: u32,
    /// What this worker learned, and what the fleet did. `None` when nothing was learned.
    pub(crate) limits: Option<&'a Limits>,
    pub(crate) told_limits: Option<&'a Limits>,
    /// How long until its budget allows a call.
    pub(crate) budget_wait: Millis,
}

impl Account {
    /// Spends a lease, or takes a permit of the worker's own breaker, if the attempt that starts needs one.
    pub(super) fn take_trial(&mut self, alone: bool, now: Timestamp) -> (Kind, Option<u32>) {
        self.promised_until = Timestamp::default();
        let own = self.breaker.take_trial(now);
        let told = self.told.as_deref_mut().filter(|told| told.leave(alone, now) == Leave::Trial);
        let opening = told.and_then(|told| told.take_trial(now));
        (if own || opening.is_some() { Kind::Trial } else { Kind::Ordinary }, opening)
    }

    /// A last resort succeeded on a channel that the fleet keeps shut: it is half-open here until the fleet has heard of it.
    pub(super) fn lift(&mut self, report: u64, alone: bool, now: Timestamp) {
        let Some(told) = self.told.as_deref_mut().filter(|told| !alone && told.word.is_shut()) else { return };
        if told.lifted.replace(report).is_none() && self.breaker.state(now) == State::Closed {
            self.breaker.trip(now, now);
        }
    }

    /// Whether an attempt may start that no plan has been made for yet.
    fn passage(&self, alone: bool, now: Timestamp) -> Passage {
        let passage = self.joined(alone, now);
        let promised = passage == Passage::Trial && now < self.promised_until;
        if promised { Passage::Rejected { until: self.promised_until } } else { passage }
    }

    fn joined(&self, alone: bool, now: Timestamp) -> Passage {
        // As was last heard: sockets live on when tables do not come.
        if self.transport == Transport::Ws && !self.told.as_ref().is_some_and(|told| told.connected) {
            return Passage::NotConnected;
        }
        let own = self.breaker.admit(now);
        let Some(told) = &self.told else { return of_own(own) };
        match (told.leave(alone, now), own) {
            (Leave::Never(barred), _) => Passage::Barred(barred),
            (Leave::Hand, _) => Passage::ByHand,
            (Leave::NotBefore(until), Admission::Rejected { until: own }) => {
                Passage::Rejected { until: until.max(own) }
            }
            (Leave::NotBefore(until), Admission::Admitted | Admission::Trial) => Passage::Rejected { until },
            (Leave::Lease, Admission::Admitted | Admission::Trial) => Passage::NoLease,
            (Leave::Trial, Admission::Admitted) => Passage::Trial,
            (Leave::All | Leave::Trial | Leave::Lease, own) => of_own(own),
        }
    }

    fn limited_until(&self, now: Timestamp) -> Option<Timestamp> {
        let own = if self.mark_ceded { None } else { self.mark.until(now) };
        let fleet = self.told.as_ref().map(|told| told.limited_until).filter(|until| now < *until);
        own.max(fleet)
    }
}

const fn of_own(own: Admission) -> Passage {
    match own {
        Admission::Admitted => Passage::Open,
        Admission::Trial => Passage::Trial,
        Admission::Rejected { until } => Passage::Rejected { until },
    }
}

impl Ledger {
    /// Where a channel's breaker stands: the worker's own and the fleet's, whichever lets less through.
    #[must_use]
    pub fn breaker_state(&self, channel: ChannelIdx, now: Timestamp) -> State {
        let Some(account) = self.accounts.get(channel.index()) else { return State::Closed };
        let own = account.breaker.state(now);
        let Some(told) = &account.told else { return own };
        let never = State::Open { until: Timestamp::from_millis(u64::MAX) };
        match (told.leave(self.alone, now), own) {
            (Leave::Never(_) | Leave::Hand, _) => never,
            (Leave::NotBefore(until), State::Open { until: own }) => State::Open { until: until.max(own) },
            (Leave::NotBefore(until), State::Closed | State::HalfOpen) => State::Open { until },
            // A deadline that has passed, until the fleet says what follows.
            (Leave::Trial | Leave::Lease, State::Closed) => match told.word {
                Word::Open { until } => State::Open { until },
                Word::HalfOpen | Word::Closed | Word::OpenByHand => State::HalfOpen,
            },
            (Leave::All | Leave::Trial | Leave::Lease, own) => own,
        }
    }

    /// Until when a channel is marked as rate-limited, by this worker or by the fleet.
    #[must_use]
    pub fn limited_until(&self, channel: ChannelIdx, now: Timestamp) -> Option<Timestamp> {
        self.accounts.get(channel.index())?.limited_until(now)
    }

    pub(crate) fn passage(&self, channel: ChannelIdx, now: Timestamp) -> Passage {
        self.accounts.get(channel.index()).map_or(Passage::Open, |account| account.passage(self.alone, now))
    }

    /// A plan has this channel's trial in front: until the attempt begins no other plan has.
    pub(crate) fn promise_trial(&mut self, channel: ChannelIdx, now: Timestamp) {
        if let Some(account) = self.accounts.get_mut(channel.index()) {
            account.promised_until = now.plus(PROMISE);
        }
    }

    /// Of those of a plan that were not asked yet, `from` on, those that may not be asked any more go last: breakers may have opened, and trials have been
    /// taken, since it was made. They are not dropped: where nobody else is left, an attempt is worth more to the client than an error.
    pub fn put_shut_last(&self, plan: &mut Plan, from: usize, now: Timestamp) {
        let rest = plan.candidates.split_off(from.min(plan.candidates.len()));
        let (admitted, shut): (Vec<_>, Vec<_>) =
            rest.into_iter().partition(|candidate| self.admits(plan, candidate, now));
        plan.candidates.extend(admitted);
        plan.candidates.extend(shut);
    }

    /// Whether an attempt of a plan may still start.
    #[must_use]
    pub fn admits(&self, plan: &Plan, candidate: &Candidate, now: Timestamp) -> bool {
        let channel = self.now(plan, candidate.channel).map(|(channel, _)| channel);
        let Some(account) = channel.and_then(|channel| self.accounts.get(channel.index())) else { return true };
        let passage = account.joined(self.alone, now);
        let free = match passage {
            Passage::Open => true,
            Passage::Trial => candidate.why == Why::Trial || now >= account.promised_until,
            Passage::Rejected { .. }
            | Passage::NoLease
            | Passage::ByHand
            | Passage::Barred(_)
            | Passage::NotConnected => false,
        };
        // A last resort goes where nobody may, but for where nobody ever may.
        let never = matches!(passage, Passage::ByHand | Passage::Barred(_) | Passage::NotConnected);
        free || (candidate.why == Why::LastResort && !never)
    }

    /// All that a screening asks of a channel, in one look. `None` for a channel of another catalog. A trial is free for those who share
    /// the plan that has it in front.
    pub(crate) fn look(&self, channel: ChannelIdx, shares_trial: bool, now: Timestamp) -> Option<Look<'_>> {
        let account = self.accounts.get(channel.index())?;
        let budget = account.budget.and_then(|budget| self.budgets.get(usize::from(budget)));
        let told = account.told.as_ref().and_then(|told| told.limits.as_deref());
        Some(Look {
            passage: if shares_trial { account.joined(self.alone, now) } else { account.passage(self.alone, now) },
            limited_until: account.limited_until(now),
            in_flight: account.in_flight,
            limits: account.limits.as_deref(),
            told_limits: told,
            budget_wait: budget.map_or(Millis::ZERO, |bucket| bucket.wait(now)),
        })
    }

    pub(crate) fn last_resort(&self, channel: ChannelIdx, now: Timestamp) -> Admission {
        self.accounts.get(channel.index()).map_or(Admission::Trial, |account| account.breaker.last_resort(now))
    }

    pub(crate) fn may_come_last(&self, channel: ChannelIdx, now: Timestamp) -> bool {
        self.accounts.get(channel.index()).is_none_or(|account| account.breaker.may_come_last(now))
    }

    pub(crate) fn take_last_resort(&mut self, channel: ChannelIdx, now: Timestamp) -> bool {
        self.accounts.get_mut(channel.index()).is_some_and(|account| account.breaker.take_last_resort(now))
    }
}
