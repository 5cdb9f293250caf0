//! What this worker has learned: breakers, marks, budgets, heads, evidence, limits; by itself and from the fleet.
//!
//! Duty: own all of it; be written when an attempt begins ([`Ledger::begin`]), when it ends ([`Ledger::settle`]), and when another channel
//! has answered the same request ([`Ledger::learned`]); be read by [`crate::plan`](mod@crate::plan). Add it up for the control plane
//! ([`Ledger::report`]) and follow what that says ([`Ledger::follow_table`]); without it go on alone ([`Ledger::tick`]).
//! Invariant: what was learned belongs to a channel's *id* and survives a new catalog ([`Ledger::adopt`]). Plans and attempts made before
//! that are translated by their era; what no longer exists is counted under the name it had, and else ignored. Every attempt that was
//! settled is in one report. Memory is bounded by the catalog, not by traffic.
//! Leaves to others: judging an attempt ([`crate::outcome`]), the machines themselves ([`crate::breaker`], [`crate::mark`],
//! [`crate::evidence`], [`crate::head`]), the way to the control plane and back (the shells).

mod adopt;
mod archive;
mod board;
mod budget;
mod chains;
mod count;
mod following;
mod later;
mod limits;
mod look;
mod reporting;
mod settle;
mod tally;
mod told;

use adopt::Era;
use archive::Archive;
use board::{Board, Seat};
use budget::Bucket;
pub use chains::Started;
use count::Count;
use following::Exploration;
pub use following::PATIENCE;
use lasso_jsonrpc::block::Blocks;
use lasso_jsonrpc::method::{Method, MethodClass};
pub(crate) use limits::Limits;
pub(crate) use look::{Look, Passage};
use reporting::Outbox;
use tally::Sheet;
use told::Told;

use crate::breaker::{Breaker, Kind};
use crate::catalog::{Catalog, ChainIdx, ChannelIdx, Member, Transport};
use crate::chance::Chance;
use crate::evidence::Standing;
use crate::head::{Head, Heads, best, default_max_lag};
use crate::mark::RateLimitMark;
use crate::outcome::Verdict;
use crate::plan::{Candidate, Plan, Why};
use crate::report::ChainCounts;
use crate::strategy::Row;
use crate::time::{Micros, Millis, Timestamp};

/// An attempt that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Begun {
    /// Whom it asks.
    pub channel: ChannelIdx,
    /// For which chain.
    pub chain: ChainIdx,
    /// In which class its evidence goes.
    pub class: MethodClass,
    /// When it began.
    pub started: Timestamp,
    /// On what terms.
    pub kind: Kind,
    era: u32,
    /// It is a trial by lease, of this opening of the fleet's breaker.
    opening: Option<u32>,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy)]
pub struct End<'a> {
    /// The attempt.
    pub begun: Begun,
    /// What was asked.
    pub method: &'a Method<'a>,
    /// The blocks it named.
    pub blocks: &'a Blocks,
    /// How long it took.
    pub latency: Micros,
    /// What it means.
    pub verdict: &'a Verdict,
    /// The newest block that the reply shows.
    pub head: Option<u64>,
    /// Now.
    pub now: Timestamp,
}

/// All that a worker has learned. One writer: the VM it lives in.
#[derive(Debug)]
pub struct Ledger {
    seed: u64,
    generation: Box<str>,
    accounts: Vec<Account>,
    budgets: Vec<Bucket>,
    heads: Heads,
    networks: Vec<u64>,
    books: Vec<Book>,
    /// How many catalogs were adopted, and where the indices of the last ones went.
    era: u32,
    eras: Vec<Era>,
    scratch: Scratch,
    /// All channels, in the order of their ids.
    channels: Vec<ChannelIdx>,
    sheet: Sheet,
    archive: Archive,
    outbox: Outbox,
    /// Channels with something to report.
    news: Vec<ChannelIdx>,
    /// When the last table came, and how many did.
    heard: Option<Timestamp>,
    tables: u32,
    /// This worker goes by what it knows itself. Follows [`Ledger::is_alone`] with the next tick or table.
    alone: bool,
    explorations: Vec<Exploration>,
    /// Workers that the catalog knows of, and this one's share of budgets as a table has it; 0 for none.
    workers: f64,
    share: f32,
}

/// One channel's machines.
#[derive(Debug, Clone)]
struct Account {
    id: Box<str>,
    transport: Transport,
    /// See [`crate::catalog::Channel::way_in`].
    way_in: u64,
    breaker: Breaker,
    mark: RateLimitMark,
    /// The fleet knows of every refusal that made the mark: its own mark holds instead.
    mark_ceded: bool,
    /// Boxed: most channels never show a limit.
    limits: Option<Box<Limits>>,
    /// Boxed: of most channels the fleet has nothing to say.
    told: Option<Box<Told>>,
    in_flight: u32,
    budget: Option<u16>,
    /// Until then a trial belongs to the plan that has it in front.
    promised_until: Timestamp,
    count: Count,
}

/// One chain of one profile.
#[derive(Debug, Clone)]
struct Book {
    index: ChainIdx,
    profile: Box<str>,
    chain: Box<str>,
    network: u16,
    members: Vec<Member>,
    block_time: Option<Millis>,
    max_lag_blocks: Option<u32>,
    /// Rotation's counter.
    turn: u64,
    /// By class; made when the class is first asked for.
    boards: Vec<Option<Box<Board>>>,
    speeds: Vec<f32>,
    speeds_renewed: Option<Timestamp>,
    /// Since the last report.
    counts: ChainCounts,
}

/// Memory that a plan borrows and gives back, so that planning allocates only what it returns.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub(crate) rows: Vec<Row>,
    pub(crate) heads: Vec<Head>,
}

/// Speeds are renewed when they are this old.
const RENEW_SPEEDS: Millis = Millis(1_000);

impl Ledger {
    /// A ledger that knows no channel yet. `seed` makes this worker's choices differ from its siblings'.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            generation: Box::default(),
            accounts: Vec::new(),
            budgets: Vec::new(),
            heads: Heads::default(),
            networks: Vec::new(),
            books: Vec::new(),
            era: 0,
            eras: Vec::new(),
            scratch: Scratch::default(),
            channels: Vec::new(),
            sheet: Sheet::default(),
            archive: Archive::default(),
            outbox: Outbox::default(),
            news: Vec::new(),
            heard: None,
            tables: 0,
            alone: true,
            explorations: Vec::new(),
            workers: 1.0,
            share: 0.0,
        }
    }

    /// An attempt starts: one more call in flight, a trial's permit taken and its lease spent, its budget spent.
    pub fn begin(&mut self, candidate: &Candidate, plan: &Plan, now: Timestamp) -> Begun {
        let begun = Begun {
            channel: candidate.channel,
            chain: plan.chain,
            class: plan.class,
            started: now,
            kind: Kind::Ordinary,
            era: plan.era,
            opening: None,
        };
        let (Some(channel), chain) = self.whereabouts(&begun) else { return begun };
        let Some(account) = self.accounts.get_mut(channel.index()) else { return begun };
        account.in_flight += 1;
        if !std::mem::replace(&mut account.count.listed, true) {
            self.news.push(channel);
        }
        let budget = account.budget.and_then(|budget| self.budgets.get_mut(usize::from(budget)));
        if let Some(budget) = budget {
            budget.spend(now);
        }
        // The plan took a last resort's slot when it gave it out.
        let (kind, opening) = match candidate.why {
            Why::LastResort => (Kind::LastResort, None),
            Why::Ranked | Why::RateLimited | Why::HalfOpen | Why::Trial | Why::Explored => {
                account.take_trial(self.alone, now)
            }
        };
        if let Some(book) = chain.and_then(|chain| self.books.get_mut(chain.index()))
            && let Some(place) = book.place_of(channel)
            && let Some(seat) = book.seat(begun.class, place)
        {
            seat.asked = now;
            seat.in_flight = seat.in_flight.saturating_add(1);
        }
        Begun { kind, opening, ..begun }
    }

    /// Calls that this worker has in flight on a channel.
    #[must_use]
    pub fn in_flight(&self, channel: ChannelIdx) -> u32 {
        self.accounts.get(channel.index()).map_or(0, |account| account.in_flight)
    }

    /// The highest head of a chain that is believed, extrapolated to now.
    #[must_use]
    pub fn best_head(&self, chain: ChainIdx, now: Timestamp) -> Option<u64> {
        let book = self.books.get(chain.index())?;
        let mut heads = Vec::with_capacity(book.members.len());
        let view = self.view_heads(chain, &mut heads, now)?;
        view.best
    }

    /// Which of these candidates has the highest head, by its place in the list. With nothing known, the first.
    #[must_use]
    pub fn highest_head(&self, chain: ChainIdx, candidates: &[Candidate], now: Timestamp) -> Option<usize> {
        let book = self.books.get(chain.index())?;
        let block_time = self.heads.block_time(book.network, book.block_time);
        let head = |candidate: &Candidate| {
            let place = book.place_of(candidate.channel)?;
            self.head_at(book, place, block_time, now).number
        };
        let places = candidates.iter().enumerate().map(|(place, candidate)| (place, head(candidate)));
        places.max_by_key(|&(place, head)| (head, std::cmp::Reverse(place))).map(|(place, _)| place)
    }

    pub(crate) const fn era(&self) -> u32 {
        self.era
    }

    pub(crate) const fn scratch(&mut self) -> &mut Scratch {
        &mut self.scratch
    }

    pub(crate) fn follow(&mut self, catalog: &Catalog, now: Timestamp) {
        if *self.generation != *catalog.generation() {
            self.adopt(catalog, now);
        }
    }

    /// Fills `heads` with the head of each channel of a chain, by place, and says what is best among them.
    pub(crate) fn view_heads(&self, chain: ChainIdx, heads: &mut Vec<Head>, now: Timestamp) -> Option<HeadView> {
        let book = self.books.get(chain.index())?;
        let block_time = self.heads.block_time(book.network, book.block_time);
        heads.clear();
        heads.extend((0..book.members.len()).map(|place| self.head_at(book, place, block_time, now)));
        let max_lag = book.max_lag_blocks.map_or_else(|| default_max_lag(block_time), u64::from);
        Some(HeadView { best: best(book.voices(heads), max_lag), max_lag })
    }

    /// The head of the channel at that place. One that was not heard of lately has its sibling's: they are two ways to one node.
    fn head_at(&self, book: &Book, place: usize, block_time: Millis, now: Timestamp) -> Head {
        let of = |member: &Member| self.heads.of(member.channel, block_time, now);
        let own = book.members.get(place).map(of).unwrap_or_default();
        if own.number.is_some() {
            return own;
        }
        book.sibling(place).and_then(|sibling| book.members.get(sibling)).map(of).unwrap_or(own)
    }

    pub(crate) fn take_turn(&mut self, chain: ChainIdx) -> u64 {
        let Some(book) = self.books.get_mut(chain.index()) else { return 0 };
        book.turn = book.turn.wrapping_add(1);
        book.turn
    }

    /// Brings the class's figures up to date; counts the call.
    pub(crate) fn renew(&mut self, chain: ChainIdx, class: MethodClass, now: Timestamp) {
        let Some(book) = self.books.get_mut(chain.index()) else { return };
        book.board(class).renew(now);
        if book.speeds_renewed.is_none_or(|renewed| now.since(renewed) >= RENEW_SPEEDS) {
            book.speeds = board::speeds(&book.boards, book.members.len(), now);
            book.speeds_renewed = Some(now);
        }
    }

    pub(crate) fn standing(&self, desk: Desk, place: usize, per_try: Millis, now: Timestamp) -> Option<Standing> {
        let book = self.books.get(desk.chain.index())?;
        let speed = book.speeds.get(place).copied().unwrap_or(1.0);
        book.open_board(desk.class)?.standing(place, speed, per_try, now)
    }

    /// Whether a call of the class is under way there.
    pub(crate) fn is_asking(&self, desk: Desk, place: usize) -> bool {
        let board = self.books.get(desk.chain.index()).and_then(|book| book.open_board(desk.class));
        board.is_some_and(|board| board.is_asking(place))
    }

    pub(crate) fn is_failing(&self, desk: Desk, place: usize) -> bool {
        let board = self.books.get(desk.chain.index()).and_then(|book| book.open_board(desk.class));
        board.is_some_and(|board| board.is_failing(place))
    }

    /// The fleet's where there is one: it has this worker's answers in it and those of workers that asked more. Alone, the worker's own, which
    /// it has kept all the while.
    pub(crate) fn p99(&self, desk: Desk, place: usize) -> Option<Micros> {
        self.books.get(desk.chain.index())?.open_board(desk.class)?.p99(place)
    }

    /// Which of these places this worker may explore: by a lease, or, alone, as it sees fit.
    pub(crate) fn quiet(
        &self,
        desk: Desk,
        places: impl Iterator<Item = usize> + Clone,
        now: Timestamp,
    ) -> Option<usize> {
        if self.alone {
            return self.books.get(desk.chain.index())?.open_board(desk.class)?.quiet(places, now);
        }
        let mut leases = self.explorations.iter().filter(|lease| lease.is_for(desk) && now < lease.end);
        leases.find_map(|lease| places.clone().find(|place| lease.place == *place))
    }

    pub(crate) fn explore(&mut self, desk: Desk, place: usize, now: Timestamp) {
        if let Some(lease) = self.explorations.iter().position(|lease| lease.is_for(desk) && lease.place == place) {
            self.explorations.swap_remove(lease);
        }
        if let Some(book) = self.books.get_mut(desk.chain.index()) {
            book.board(desk.class).explore(place, now);
        }
    }

    /// Chance of this worker and nobody else.
    fn own_chance(&self, salt: &str) -> Chance {
        let hash = salt
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
        Chance::new(self.seed ^ hash)
    }
}

/// Whose evidence: a chain in a profile, and a class.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Desk {
    pub(crate) chain: ChainIdx,
    pub(crate) class: MethodClass,
}

/// What is known of a chain's head.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeadView {
    pub(crate) best: Option<u64>,
    pub(crate) max_lag: u64,
}

impl Book {
    fn place_of(&self, channel: ChannelIdx) -> Option<usize> {
        self.members.iter().position(|member| member.channel == channel)
    }

    /// The other transport of the provider at that place. A provider's channels stand next to each other.
    fn sibling(&self, place: usize) -> Option<usize> {
        let own = self.members.get(place)?.provider;
        let is_its = |other: &usize| self.members.get(*other).is_some_and(|member| member.provider == own);
        [place.checked_sub(1), place.checked_add(1)].into_iter().flatten().find(is_its)
    }

    /// What each provider says: two transports of one are one voice.
    fn voices<'a>(&'a self, heads: &'a [Head]) -> impl Iterator<Item = Head> + Clone + 'a {
        heads.iter().enumerate().filter_map(|(place, head)| match self.sibling(place) {
            Some(sibling) if sibling < place => None,
            Some(sibling) => Some(head.or_sibling(heads.get(sibling).copied().unwrap_or_default())),
            None => Some(*head),
        })
    }

    fn open_board(&self, class: MethodClass) -> Option<&Board> {
        self.boards.get(class.index())?.as_deref()
    }

    fn board(&mut self, class: MethodClass) -> &mut Board {
        if self.boards.len() <= class.index() {
            self.boards.resize_with(class.index() + 1, || None);
        }
        let seats = self.members.len();
        self.boards[class.index()].get_or_insert_with(|| Box::new(Board::new(seats)))
    }

    fn seat(&mut self, class: MethodClass, place: usize) -> Option<&mut Seat> {
        self.board(class).seats.get_mut(place)
    }

    /// A seat that somebody has asked for before.
    fn open_seat(&mut self, class: MethodClass, place: usize) -> Option<&mut Seat> {
        self.boards.get_mut(class.index())?.as_deref_mut()?.seats.get_mut(place)
    }
}

#[cfg(test)]
mod tests;
