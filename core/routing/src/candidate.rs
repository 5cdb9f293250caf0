//! Who can serve one call, and why the others cannot.
//!
//! Duty: the filters, in this order: transport, breaker, capability (declared and learned), head, budget, excluded by the request. Each
//! rejection keeps its reason.
//! Invariant: fail open. When everything after the breaker empties the list, the least bad are kept and the decision says that it is
//! degraded; only breakers and transports can leave nobody. A channel that is not admitted stands behind all that are, as a last resort:
//! it is asked when these have failed the very call.
//! Leaves to others: the order of those who are left ([`crate::strategy`], [`crate::plan`](mod@crate::plan)).

mod need;
mod reason;

use need::Need;
pub use reason::{Because, Degraded, Rejection};

use crate::breaker::Admission;
use crate::catalog::{Chain, ChannelIdx, Keyed, Member, Provider, Transport};
use crate::head::Head;
use crate::ledger::{HeadView, Ledger, Limits, Look, Passage};
use crate::plan::Question;
use crate::strategy::{Row, Tier};
use crate::table::Barred;
use crate::time::Millis;

/// One call and all that it is judged by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Screening<'a> {
    pub(crate) chain: &'a Chain,
    pub(crate) ledger: &'a Ledger,
    pub(crate) question: &'a Question<'a>,
    /// The question's method, as the catalog's tables know it.
    pub(crate) keyed: Keyed<'a>,
    /// By place.
    pub(crate) heads: &'a [Head],
    pub(crate) view: HeadView,
    /// The channel whose trial this call shares with the one it goes along with.
    pub(crate) trial: Option<ChannelIdx>,
    /// Prices matter to the strategy.
    pub(crate) priced: bool,
}

/// Who was turned away.
#[derive(Debug, Default)]
pub(crate) struct Turned {
    pub(crate) rejected: Vec<Rejection>,
    pub(crate) degraded: Option<Degraded>,
}

impl Screening<'_> {
    /// Fills `rows` with the candidates, in the order of the configuration.
    pub(crate) fn select(&self, rows: &mut Vec<Row>) -> Turned {
        let need = Need::of(self.question, self.view.best);
        let mut turned = Turned::default();
        rows.clear();
        for (place, member) in self.members() {
            let Some(look) = self.look(member) else { continue };
            let judged = self.admitted(member, &look);
            match judged.and_then(|tier| self.objection(place, member, &look, &need).map_or(Ok(tier), Err)) {
                Ok(tier) => rows.push(self.row(place, member, &look, tier, 0)),
                Err(because) => turned.rejected.push(Rejection { channel: member.channel, because }),
            }
        }
        if rows.is_empty() && !turned.rejected.is_empty() {
            self.keep_least_bad(rows, &mut turned);
        }
        turned
    }

    /// Adds those that only their breaker keeps out, for when all others have failed the call: unmarked ones first, then those whose opening ends
    /// soonest. Not those that could not serve it either, and none that has failed as a last resort just now.
    pub(crate) fn add_last_resorts(&self, rows: &mut Vec<Row>, turned: &mut Turned) {
        // Nearly always nobody is turned away, and that is all there is to find out.
        if !turned.rejected.iter().any(|rejection| rejection.because.wait_for_breaker().is_some()) {
            return;
        }
        let need = Need::of(self.question, self.view.best);
        let admitted = rows.len();
        for (place, member) in self.members() {
            let rejection = turned.rejected.iter().find(|rejection| rejection.channel == member.channel);
            if let Some(wait) = rejection.and_then(|rejection| rejection.because.wait_for_breaker())
                && self.ledger.may_come_last(member.channel, self.question.now)
                && let Some(look) = self.look(member)
                && self.objection(place, member, &look, &need).is_none()
            {
                rows.push(self.row(place, member, &look, Tier::LastResort, wait.0));
            }
        }
        let Some(last) = rows.get_mut(admitted..) else { return };
        last.sort_by_key(|row| (row.limited_until, row.badness));
        let comes_last = |channel| last.iter().any(|row| row.channel == channel);
        turned.rejected.retain(|rejection| !comes_last(rejection.channel));
    }

    /// Fills `rows` with the channel that a probe is for, whatever speaks against it.
    pub(crate) fn probed(&self, rows: &mut Vec<Row>) {
        rows.clear();
        let http = self.members().filter(|(_, member)| member.transport == Transport::Http);
        rows.extend(http.filter_map(|(place, member)| {
            let look = self.look(member)?;
            Some(self.row(place, member, &look, Tier::Closed, 0))
        }));
    }

    /// Those that the request does not rule out by pinning others.
    fn members(&self) -> impl Iterator<Item = (usize, &Member)> {
        let target = self.question.target;
        let pinned = target.provider.filter(|_| !target.allow_failover);
        self.chain.members.iter().enumerate().filter(move |(_, member)| match self.question.sticky {
            Some(sticky) => member.channel == sticky,
            None => pinned.is_none_or(|provider| usize::from(member.provider) == provider),
        })
    }

    fn look(&self, member: &Member) -> Option<Look<'_>> {
        self.ledger.look(member.channel, self.trial == Some(member.channel), self.question.now)
    }

    /// Filters 1 and 2.
    fn admitted(&self, member: &Member, look: &Look<'_>) -> Result<Tier, Because> {
        if self.question.target.transport.is_some_and(|asked| asked != member.transport) {
            return Err(Because::OtherTransport);
        }
        match look.passage {
            Passage::Open if look.limited_until.is_some() => Ok(Tier::RateLimited),
            Passage::Open => Ok(Tier::Closed),
            Passage::Trial => Ok(Tier::HalfOpen),
            Passage::Rejected { until } => Err(Because::BreakerOpen { wait: until.since(self.question.now) }),
            Passage::NoLease => Err(Because::NoTrial),
            Passage::ByHand => Err(Because::OpenedByHand),
            Passage::Barred(Barred::WrongChain) => Err(Because::WrongChain),
            Passage::NotConnected => Err(Because::NotConnected),
        }
    }

    /// Filters 3 to 6.
    fn objection(&self, place: usize, member: &Member, look: &Look<'_>, need: &Need) -> Option<Because> {
        let provider = self.chain.providers.get(usize::from(member.provider))?;
        self.declared(provider, need)
            .or_else(|| self.learned(look.limits?, need))
            .or_else(|| self.learned(look.told_limits?, need))
            .or_else(|| self.behind(place, need))
            .or_else(|| (look.budget_wait > Millis::ZERO).then_some(Because::BudgetSpent { wait: look.budget_wait }))
            .or_else(|| {
                let excluded = self.question.target.exclude.contains(&usize::from(member.provider));
                excluded.then_some(Because::Excluded)
            })
    }

    fn declared(&self, provider: &Provider, need: &Need) -> Option<Because> {
        if provider.unsupported.has(self.keyed) {
            return Some(Because::UnsupportedMethod);
        }
        if let (Some(most), Some(span)) = (provider.max_block_range, need.span)
            && span > most
        {
            return Some(Because::BlockRange { most });
        }
        if let (Some(most), Some(age)) = (provider.max_block_age, need.age)
            && age > most
        {
            return Some(Because::BlockAge { most });
        }
        let deep = need.archival(u64::from(self.chain.archival_after_blocks));
        (deep && !provider.archival).then_some(Because::NotArchival)
    }

    fn learned(&self, limits: &Limits, need: &Need) -> Option<Because> {
        let now = self.question.now;
        if let Some(wait) = limits.banned(self.question.method, now) {
            return Some(Because::LacksMethod { wait });
        }
        if let (Some(most), Some(span)) = (limits.range(now), need.span)
            && span > most
        {
            return Some(Because::LearnedRange { most });
        }
        if let (Some(most), Some(age)) = (limits.age(need.state, now), need.age)
            && age > most
        {
            return Some(Because::LearnedAge { most });
        }
        limits.lacks_tag(self.question.blocks, now).then_some(Because::LacksTag)
    }

    fn behind(&self, place: usize, need: &Need) -> Option<Because> {
        let best = self.view.best?;
        let head = self.heads.get(place).and_then(|head| head.number);
        let max_lag = self.question.target.max_lag_blocks.map_or(self.view.max_lag, u64::from);
        if let Some(head) = head
            && best.saturating_sub(head) > max_lag
        {
            return Some(Because::Lagging { by: best - head });
        }
        // Who has not said is presumed at the best: a block that nobody has is then nobody's, and the highest is asked first.
        let presumed = head.unwrap_or(best);
        need.newest.filter(|&newest| newest > presumed).map(|block| Because::BlockAhead { block, head: presumed })
    }

    fn row(&self, place: usize, member: &Member, look: &Look<'_>, tier: Tier, badness: u64) -> Row {
        let provider = self.chain.providers.get(usize::from(member.provider));
        Row {
            channel: member.channel,
            place: place as u16,
            provider: member.provider,
            transport: member.transport,
            tier,
            limited_until: look.limited_until.map_or(0, |until| until.as_millis()),
            priority: provider.map_or(u32::MAX, |provider| provider.priority),
            cost: provider.filter(|_| self.priced).map_or(0.0, |provider| provider.costs.of(self.keyed) as f32),
            expected: 0.0,
            index: 0.0,
            weight: 0.0,
            failing: false,
            asking: false,
            in_flight: look.in_flight,
            head: self.heads.get(place).and_then(|head| head.number).unwrap_or(0),
            badness,
        }
    }

    /// Fail open: of those that only filters 3 to 6 turned away, the mildest group.
    fn keep_least_bad(&self, rows: &mut Vec<Row>, turned: &mut Turned) {
        let Some(mildest) = turned.rejected.iter().filter_map(|rejection| rejection.because.fault()).min() else {
            return;
        };
        for (place, member) in self.members() {
            let rejection = turned.rejected.iter().find(|rejection| rejection.channel == member.channel);
            let Some(because) = rejection.map(|rejection| rejection.because) else { continue };
            if because.fault() == Some(mildest)
                && let Some(look) = self.look(member)
                && let Ok(tier) = self.admitted(member, &look)
            {
                let head = self.heads.get(place).and_then(|head| head.number).unwrap_or(0);
                rows.push(self.row(place, member, &look, tier, because.badness(head)));
            }
        }
        turned.rejected.retain(|rejection| rejection.because.fault() != Some(mildest));
        turned.degraded = Some(mildest);
    }

    /// When every breaker is open: the channel that is to try all the same, if one has a slot. Those that could serve the call come first,
    /// then those whose opening ends soonest.
    pub(crate) fn last_resort(&self) -> Option<Row> {
        let need = Need::of(self.question, self.view.best);
        let open = self.members().filter_map(|(place, member)| {
            let look = self.look(member)?;
            let wait = self.admitted(member, &look).err()?.wait_for_breaker()?;
            Some((self.objection(place, member, &look, &need).is_some(), wait, place, member))
        });
        let free = |member: &Member| self.ledger.last_resort(member.channel, self.question.now) == Admission::Trial;
        let (_, _, place, member) =
            open.filter(|(.., member)| free(member)).min_by_key(|&(unfit, wait, place, _)| (unfit, wait, place))?;
        Some(self.row(place, member, &self.look(member)?, Tier::LastResort, 0))
    }

    /// When asking again could help.
    pub(crate) fn retry_after(&self) -> Millis {
        const WITHOUT_A_CLUE: Millis = Millis::from_secs(1);
        let now = self.question.now;
        let waits = self.members().filter_map(|(_, member)| {
            let wait = self.admitted(member, &self.look(member)?).err()?.wait_for_breaker()?;
            match self.ledger.last_resort(member.channel, now) {
                Admission::Rejected { until } => Some(wait.min(until.since(now))),
                Admission::Admitted | Admission::Trial => Some(wait),
            }
        });
        waits.min().unwrap_or(WITHOUT_A_CLUE).max(Millis(1))
    }
}

#[cfg(test)]
mod tests;
