//! The end of an attempt, written into every machine that it concerns.

use lasso_jsonrpc::block::{BlockRef, Blocks, Tag};

use super::archive::Name;
use super::tally::{self, Ended, Spot};
use super::{Begun, End, Ledger, Passage, limits};
use crate::breaker::{Attempt, Company, Kind, Signal, Transition};
use crate::catalog::{ChainIdx, ChannelIdx};
use crate::head::Sighting;
use crate::outcome::{Mark, Row, Weighs};
use crate::report::{Limit, Sums};
use crate::time::Timestamp;

impl Ledger {
    /// An attempt ended. The verdict is taken at its word: a shell settles a timeout when the request ends, with its blame taken off unless
    /// another channel answered.
    pub fn settle(&mut self, end: &End<'_>) -> Option<Transition> {
        let (channel, chain) = self.whereabouts(&end.begun);
        let ended = Ended::of(end.verdict, end.latency);
        let Some(channel) = channel else {
            self.file_attempt(end, &ended);
            return None;
        };
        let company = self.company(channel, chain, end.now);
        let transition = self.settle_account(end, channel, company);
        match chain {
            Some(chain) => {
                self.leave_seat(end, channel, chain);
                self.weigh(end, &ended, channel, chain);
                self.see(end, channel, chain);
            }
            None => self.file_attempt(end, &ended),
        }
        if transition == Some(Transition::Closed) {
            self.forget_failures(channel);
        }
        transition
    }

    fn settle_account(&mut self, end: &End<'_>, channel: ChannelIdx, company: Company) -> Option<Transition> {
        let (report, alone) = (self.outbox.next(), self.alone);
        let account = self.accounts.get_mut(channel.index())?;
        account.in_flight = account.in_flight.saturating_sub(1);
        if !std::mem::replace(&mut account.count.listed, true) {
            self.news.push(channel);
        }
        account.count.ended(end, report);
        if end.begun.kind == Kind::Trial {
            account.breaker.return_trial();
        }
        if let Mark::RateLimited(given) = end.verdict.mark {
            account.mark.refused(given, end.now);
            account.mark_ceded = false;
        }
        let attempt = Attempt {
            started: end.begun.started,
            method: u16::try_from(end.begun.class.index()).unwrap_or(u16::MAX),
            kind: end.begun.kind,
            company,
        };
        let signal = end.verdict.signal();
        let transition = account.breaker.record(signal, &attempt, end.now);
        if end.begun.kind == Kind::LastResort {
            match signal {
                Signal::Success => account.lift(report, alone, end.now),
                Signal::Ignore if end.verdict.row == Row::TimedOut => account.breaker.last_resort_was_silent(end.now),
                Signal::Ignore | Signal::Failure(_) => {}
            }
        }
        transition
    }

    /// Another channel answered the request that this attempt did not: now it counts what this one said about itself.
    pub fn learned(&mut self, end: &End<'_>) {
        let (Some(channel), Some(chain)) = self.whereabouts(&end.begun) else { return };
        let now = end.now;
        match end.verdict.mark {
            Mark::BanMethod(length) => {
                self.teach(channel, chain, &limits::of_method(end.method), now.plus(length), now)
            }
            Mark::LearnRange(Some(blocks)) => {
                let (limit, length) = limits::of_range(blocks);
                self.teach(channel, chain, &limit, now.plus(length), now);
            }
            Mark::LearnDepth => {
                if let Some(age) = self.age_of(end.blocks, chain, now) {
                    let (limit, length) = limits::of_missing(age, end.method.state_read());
                    self.teach(channel, chain, &limit, now.plus(length), now);
                }
            }
            Mark::TagUnsupported => {
                for (limit, length) in limits::of_tags(end.blocks) {
                    self.teach(channel, chain, &limit, now.plus(length), now);
                }
            }
            // How many addresses a filter has is not looked at when candidates are chosen, so there is nothing to remember; the rest was
            // settled or is the shell's.
            Mark::TooManyAddresses
            | Mark::LearnRange(None)
            | Mark::None
            | Mark::RateLimited(_)
            | Mark::Behind
            | Mark::Sample => {}
        }
    }

    /// Where an attempt's channel and chain are now.
    pub(super) fn whereabouts(&self, begun: &Begun) -> (Option<ChannelIdx>, Option<ChainIdx>) {
        if begun.era == self.era {
            return (Some(begun.channel), Some(begun.chain));
        }
        let era = self.eras.iter().find(|era| era.number == begun.era);
        era.map_or((None, None), |era| (era.channel(begun.channel), era.chain(begun.chain)))
    }

    /// An attempt whose channel or chain is gone, or which have nothing to do with each other any more: it counts under their names.
    fn file_attempt(&mut self, end: &End<'_>, ended: &Ended) {
        let Some(name) = self.former_name(&end.begun) else {
            self.archive.lost = self.archive.lost.saturating_add(1);
            return;
        };
        let (channel, _) = self.whereabouts(&end.begun);
        let report = self.outbox.next();
        if channel.is_none()
            && let Some(count) = self.archive.channel(&name.channel)
        {
            count.ended(end, report);
        }
        let mut sums = Sums::default();
        tally::add(&mut sums, ended);
        self.outbox.dropped.coarsened += self.archive.keep(name, &sums);
    }

    fn former_name(&self, begun: &Begun) -> Option<Name> {
        let era = self.eras.iter().find(|era| era.number == begun.era);
        let (channel, chain) = self.whereabouts(begun);
        let channel = match channel {
            Some(channel) => &self.accounts.get(channel.index())?.id,
            None => era?.gone_channel(begun.channel)?,
        };
        let (profile, chain) = match chain {
            Some(chain) => self.books.get(chain.index()).map(|book| (&*book.profile, &*book.chain))?,
            None => era?.gone_chain(begun.chain)?,
        };
        Some(Name { profile: profile.into(), chain: chain.into(), channel: channel.into(), class: begun.class })
    }

    fn company(&self, channel: ChannelIdx, chain: Option<ChainIdx>, now: Timestamp) -> Company {
        let Some(book) = chain.and_then(|chain| self.books.get(chain.index())) else { return Company::Others };
        let admitted = |other: ChannelIdx| matches!(self.passage(other, now), Passage::Open | Passage::Trial);
        let others = book.members.iter().any(|member| member.channel != channel && admitted(member.channel));
        if others { Company::Others } else { Company::Alone }
    }

    fn weigh(&mut self, end: &End<'_>, ended: &Ended, channel: ChannelIdx, chain: ChainIdx) {
        let class = end.begun.class;
        let place = self.books.get(chain.index()).and_then(|book| book.place_of(channel));
        let Some(place) = place else { return self.file_attempt(end, ended) };
        let Some(book) = self.books.get_mut(chain.index()) else { return };
        let Some(seat) = book.seat(class, place) else { return };
        if !self.sheet.add(&mut seat.line, Spot { chain, class, place }, ended) {
            self.outbox.dropped.coarsened += 1;
        }
        if end.verdict.row == Row::TimedOut {
            seat.evidence.timed_out(end.latency, end.now);
        }
        match end.verdict.weighs() {
            Weighs::Success => seat.evidence.succeeded(end.latency, end.now),
            Weighs::Failure => seat.evidence.failed(end.now),
            Weighs::Neutral => {}
        }
    }

    fn see(&mut self, end: &End<'_>, channel: ChannelIdx, chain: ChainIdx) {
        let Some(book) = self.books.get(chain.index()) else { return };
        if let Some(number) = end.head {
            // A block can be read by its number; `eth_blockNumber` only says that it could.
            let proof = end.method.name().starts_with("eth_getBlockBy");
            let sighting = Sighting { number, proof, started: end.begun.started, now: end.now };
            self.heads.saw(channel, book.network, sighting);
        }
        if end.verdict.mark == Mark::Behind
            && let Blocks::At(BlockRef::Number(number)) = end.blocks
        {
            self.heads.lacks(channel, *number, end.now);
        }
    }

    fn leave_seat(&mut self, end: &End<'_>, channel: ChannelIdx, chain: ChainIdx) {
        let Some(book) = self.books.get_mut(chain.index()) else { return };
        let Some(place) = book.place_of(channel) else { return };
        if let Some(seat) = book.seat(end.begun.class, place) {
            seat.in_flight = seat.in_flight.saturating_sub(1);
        }
    }

    pub(super) fn forget_failures(&mut self, channel: ChannelIdx) {
        for book in &mut self.books {
            let Some(place) = book.place_of(channel) else { continue };
            for seat in book.boards.iter_mut().flatten().filter_map(|board| board.seats.get_mut(place)) {
                seat.evidence.forget_failures();
            }
        }
    }

    /// Every channel of the channel's provider: what one transport does not do, the other does not either.
    fn teach(&mut self, channel: ChannelIdx, chain: ChainIdx, limit: &Limit, until: Timestamp, now: Timestamp) {
        let Some(book) = self.books.get(chain.index()) else { return };
        let Some(provider) = book.place_of(channel).and_then(|place| book.members.get(place)).map(|own| own.provider)
        else {
            return;
        };
        for member in book.members.iter().filter(|member| member.provider == provider) {
            if let Some(account) = self.accounts.get_mut(member.channel.index()) {
                account.limits.get_or_insert_default().learn(limit, until, now);
            }
        }
        if let Some(account) = self.accounts.get(channel.index()) {
            self.outbox.taught(&account.id, limit, until);
        }
    }

    /// How far behind the head the oldest of these blocks is.
    fn age_of(&self, blocks: &Blocks, chain: ChainIdx, now: Timestamp) -> Option<u64> {
        let oldest = match blocks {
            Blocks::None => return None,
            Blocks::At(block) | Blocks::Range { from: block, .. } => block,
        };
        let number = match oldest {
            BlockRef::Number(number) => *number,
            BlockRef::Tag(Tag::Earliest) => 0,
            BlockRef::Tag(Tag::Latest | Tag::Pending | Tag::Safe | Tag::Finalized) | BlockRef::Hash(_) => return None,
        };
        self.best_head(chain, now)?.checked_sub(number).filter(|&age| age > 0)
    }
}
