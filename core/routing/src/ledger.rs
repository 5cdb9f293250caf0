//! What this worker has learned: breakers, marks, budgets, heads, evidence, limits.
//!
//! Duty: own all of it; be written when an attempt begins ([`Ledger::begin`]), when it ends ([`Ledger::settle`]), and when another channel
//! has answered the same request ([`Ledger::learned`]); be read by [`crate::plan`](mod@crate::plan).
//! Invariant: what was learned belongs to a channel's *id* and survives a new catalog ([`Ledger::adopt`]). Plans and attempts made before
//! that are translated by their era; what no longer exists is ignored. Memory is bounded by the catalog, not by traffic.
//! Leaves to others: judging an attempt ([`crate::outcome`]), the machines themselves ([`crate::breaker`], [`crate::mark`],
//! [`crate::evidence`], [`crate::head`]).

mod adopt;
mod board;
mod budget;
mod later;
mod limits;
mod settle;

use adopt::Era;
use board::Board;
use budget::Bucket;
use lasso_jsonrpc::block::Blocks;
use lasso_jsonrpc::method::{Method, MethodClass};
pub(crate) use limits::Limits;

use crate::breaker::{Admission, Breaker, Kind, State};
use crate::catalog::{Catalog, ChainIdx, ChannelIdx, Member};
use crate::chance::Chance;
use crate::evidence::Standing;
use crate::head::{Head, Heads, best, default_max_lag};
use crate::mark::RateLimitMark;
use crate::outcome::Verdict;
use crate::plan::{Candidate, Plan, Why};
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
}

/// One channel's machines.
#[derive(Debug, Clone)]
struct Account {
    id: Box<str>,
    breaker: Breaker,
    mark: RateLimitMark,
    /// Boxed: most channels never show a limit.
    limits: Option<Box<Limits>>,
    in_flight: u32,
    budget: Option<u16>,
}

/// One chain of one profile.
#[derive(Debug, Clone)]
struct Book {
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
        }
    }

    /// An attempt starts: one more call in flight, a trial's permit taken, its budget spent.
    pub fn begin(&mut self, candidate: &Candidate, plan: &Plan, now: Timestamp) -> Begun {
        let begun = Begun {
            channel: candidate.channel,
            chain: plan.chain,
            class: plan.class,
            started: now,
            kind: Kind::Ordinary,
            era: plan.era,
        };
        let Some((channel, chain)) = self.current(&begun) else { return begun };
        let Some(account) = self.accounts.get_mut(channel.index()) else { return begun };
        account.in_flight += 1;
        let budget = account.budget.and_then(|budget| self.budgets.get_mut(usize::from(budget)));
        if let Some(budget) = budget {
            budget.spend(now);
        }
        // The plan took a last resort's slot when it gave it out.
        let kind = match candidate.why {
            Why::LastResort => Kind::LastResort,
            Why::Ranked | Why::RateLimited | Why::HalfOpen | Why::Trial | Why::Explored => {
                if account.breaker.take_trial(now) { Kind::Trial } else { Kind::Ordinary }
            }
        };
        if let Some(book) = self.books.get_mut(chain.index())
            && let Some(place) = book.place_of(channel)
            && let Some(seat) = book.board(begun.class).seats.get_mut(place)
        {
            seat.asked = now;
        }
        Begun { kind, ..begun }
    }

    /// Where a channel's breaker stands.
    #[must_use]
    pub fn breaker_state(&self, channel: ChannelIdx, now: Timestamp) -> State {
        self.accounts.get(channel.index()).map_or(State::Closed, |account| account.breaker.state(now))
    }

    /// Calls that this worker has in flight on a channel.
    #[must_use]
    pub fn in_flight(&self, channel: ChannelIdx) -> u32 {
        self.accounts.get(channel.index()).map_or(0, |account| account.in_flight)
    }

    /// Until when a channel is marked as rate-limited.
    #[must_use]
    pub fn limited_until(&self, channel: ChannelIdx, now: Timestamp) -> Option<Timestamp> {
        self.accounts.get(channel.index())?.mark.until(now)
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
        let head = |candidate: &Candidate| self.heads.of(candidate.channel, block_time, now).number;
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

    pub(crate) fn admission(&self, channel: ChannelIdx, now: Timestamp) -> Admission {
        self.accounts.get(channel.index()).map_or(Admission::Admitted, |account| account.breaker.admit(now))
    }

    /// All that a screening asks of a channel, in one look. `None` for a channel of another catalog.
    pub(crate) fn look(&self, channel: ChannelIdx, now: Timestamp) -> Option<Look<'_>> {
        let account = self.accounts.get(channel.index())?;
        let budget = account.budget.and_then(|budget| self.budgets.get(usize::from(budget)));
        Some(Look {
            admission: account.breaker.admit(now),
            limited_until: account.mark.until(now),
            in_flight: account.in_flight,
            limits: account.limits.as_deref(),
            budget_wait: budget.map_or(Millis::ZERO, |bucket| bucket.wait(now)),
        })
    }

    pub(crate) fn last_resort(&self, channel: ChannelIdx, now: Timestamp) -> Admission {
        self.accounts.get(channel.index()).map_or(Admission::Trial, |account| account.breaker.last_resort(now))
    }

    pub(crate) fn take_last_resort(&mut self, channel: ChannelIdx, now: Timestamp) -> bool {
        self.accounts.get_mut(channel.index()).is_some_and(|account| account.breaker.take_last_resort(now))
    }

    /// Fills `heads` with the head of each channel of a chain, by place, and says what is best among them.
    pub(crate) fn view_heads(&self, chain: ChainIdx, heads: &mut Vec<Head>, now: Timestamp) -> Option<HeadView> {
        let book = self.books.get(chain.index())?;
        let block_time = self.heads.block_time(book.network, book.block_time);
        heads.clear();
        heads.extend(book.members.iter().map(|member| self.heads.of(member.channel, block_time, now)));
        let max_lag = book.max_lag_blocks.map_or_else(|| default_max_lag(block_time), u64::from);
        Some(HeadView { best: best(heads, max_lag), max_lag })
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

    pub(crate) fn is_failing(&self, desk: Desk, place: usize) -> bool {
        let board = self.books.get(desk.chain.index()).and_then(|book| book.open_board(desk.class));
        board.is_some_and(|board| board.is_failing(place))
    }

    pub(crate) fn p99(&self, desk: Desk, place: usize) -> Option<Micros> {
        self.books.get(desk.chain.index())?.open_board(desk.class)?.p99(place)
    }

    pub(crate) fn quiet(&self, desk: Desk, places: impl Iterator<Item = usize>, now: Timestamp) -> Option<usize> {
        self.books.get(desk.chain.index())?.open_board(desk.class)?.quiet(places, now)
    }

    pub(crate) fn explore(&mut self, desk: Desk, place: usize, now: Timestamp) {
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

/// What a screening asks of a channel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look<'a> {
    pub(crate) admission: Admission,
    pub(crate) limited_until: Option<Timestamp>,
    pub(crate) in_flight: u32,
    /// `None` when nothing was learned.
    pub(crate) limits: Option<&'a Limits>,
    /// How long until its budget allows a call.
    pub(crate) budget_wait: Millis,
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
}

#[cfg(test)]
mod tests;
