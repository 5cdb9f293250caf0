//! The end of an attempt, written into every machine that it concerns.

use lasso_jsonrpc::block::{BlockRef, Blocks, Tag};

use super::{Begun, End, Ledger};
use crate::breaker::{Admission, Attempt, Company, Kind, Transition};
use crate::catalog::{ChainIdx, ChannelIdx};
use crate::head::Sighting;
use crate::outcome::{Mark, Row, Weighs};
use crate::time::Timestamp;

impl Ledger {
    /// An attempt ended. The verdict is taken at its word: a shell settles a timeout when the request ends, with its blame taken off unless
    /// another channel answered.
    pub fn settle(&mut self, end: &End<'_>) -> Option<Transition> {
        let (channel, chain) = self.current(&end.begun)?;
        let company = self.company(channel, chain, end.now);
        let account = self.accounts.get_mut(channel.index())?;
        account.in_flight = account.in_flight.saturating_sub(1);
        if end.begun.kind == Kind::Trial {
            account.breaker.return_trial();
        }
        if let Mark::RateLimited(given) = end.verdict.mark {
            account.mark.refused(given, end.now);
        }
        let attempt = Attempt {
            started: end.begun.started,
            method: u16::try_from(end.begun.class.index()).unwrap_or(u16::MAX),
            kind: end.begun.kind,
            company,
        };
        let transition = account.breaker.record(end.verdict.signal(), &attempt, end.now);
        self.weigh(end, channel, chain);
        self.see(end, channel, chain);
        if transition == Some(Transition::Closed) {
            self.forget_failures(channel);
        }
        transition
    }

    /// Another channel answered the request that this attempt did not: now it counts what this one said about itself.
    pub fn learned(&mut self, end: &End<'_>) {
        let Some((channel, chain)) = self.current(&end.begun) else { return };
        let now = end.now;
        match end.verdict.mark {
            Mark::BanMethod(length) => {
                self.each_sibling(channel, chain, |limits| limits.ban(end.method, length, now));
            }
            Mark::LearnRange(Some(blocks)) => {
                self.each_sibling(channel, chain, |limits| limits.learn_range(blocks, now));
            }
            Mark::LearnDepth => {
                if let Some(age) = self.age_of(end.blocks, chain, now) {
                    let state = end.method.state_read();
                    self.each_sibling(channel, chain, |limits| limits.learn_age(age, state, now));
                }
            }
            Mark::TagUnsupported => self.each_sibling(channel, chain, |limits| limits.learn_tags(end.blocks, now)),
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
    pub(super) fn current(&self, begun: &Begun) -> Option<(ChannelIdx, ChainIdx)> {
        if begun.era == self.era {
            return Some((begun.channel, begun.chain));
        }
        self.eras.iter().find(|era| era.number == begun.era)?.now(begun.channel, begun.chain)
    }

    fn company(&self, channel: ChannelIdx, chain: ChainIdx, now: Timestamp) -> Company {
        let Some(book) = self.books.get(chain.index()) else { return Company::Others };
        let admitted = |other: ChannelIdx| !matches!(self.admission(other, now), Admission::Rejected { .. });
        let others = book.members.iter().any(|member| member.channel != channel && admitted(member.channel));
        if others { Company::Others } else { Company::Alone }
    }

    fn weigh(&mut self, end: &End<'_>, channel: ChannelIdx, chain: ChainIdx) {
        let timed_out = end.verdict.row == Row::TimedOut;
        let weighs = end.verdict.weighs();
        if !timed_out && weighs == Weighs::Neutral {
            return;
        }
        let Some(book) = self.books.get_mut(chain.index()) else { return };
        let Some(place) = book.place_of(channel) else { return };
        let Some(seat) = book.board(end.begun.class).seats.get_mut(place) else { return };
        if timed_out {
            seat.evidence.timed_out(end.latency, end.now);
        }
        match weighs {
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

    fn forget_failures(&mut self, channel: ChannelIdx) {
        for book in &mut self.books {
            let Some(place) = book.place_of(channel) else { continue };
            for seat in book.boards.iter_mut().flatten().filter_map(|board| board.seats.get_mut(place)) {
                seat.evidence.forget_failures();
            }
        }
    }

    /// Every channel of the channel's provider: what one transport does not do, the other does not either.
    fn each_sibling(&mut self, channel: ChannelIdx, chain: ChainIdx, mut learn: impl FnMut(&mut super::Limits)) {
        let Some(book) = self.books.get(chain.index()) else { return };
        let Some(provider) = book.place_of(channel).and_then(|place| book.members.get(place)).map(|own| own.provider)
        else {
            return;
        };
        for member in book.members.iter().filter(|member| member.provider == provider) {
            if let Some(account) = self.accounts.get_mut(member.channel.index()) {
                learn(account.limits.get_or_insert_default());
            }
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
