//! One chain of a profile, as the fleet knows it.

use lasso_jsonrpc::method::{Method, MethodClass};

use crate::catalog::{Catalog, Chain, ChainIdx, Keyed, name_of};
use crate::evidence::{Prior, Standing, UNKNOWN_MEAN, class_mean, speed};
use crate::report::{ChainCounts, Selection, Stage};
use crate::strategy::Strategy;
use crate::time::{Millis, Timestamp};

use super::cell::Cell;

/// One chain of a profile.
#[derive(Debug)]
pub(super) struct Book {
    pub(super) profile: Box<str>,
    pub(super) chain: Box<str>,
    pub(super) chain_id: u64,
    pub(super) network: u16,
    pub(super) strategy: Strategy,
    pub(super) block_time: Option<Millis>,
    pub(super) max_lag_blocks: Option<u32>,
    pub(super) counts: Counts,
    pub(super) seats: Vec<Seat>,
    /// By class: the cell of each seat.
    pub(super) boards: Vec<Option<Board>>,
    /// By class: a quiet channel may be tried out with it.
    explorable: Vec<bool>,
}

/// What reports counted by chain, since the start.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) selections: [u64; Selection::COUNT],
    pub(super) requests: [u64; Stage::COUNT],
}

impl Counts {
    pub(super) fn take(&mut self, counts: &ChainCounts) {
        for (total, &count) in self.selections.iter_mut().zip(&counts.selections) {
            *total = total.saturating_add(u64::from(count));
        }
        for (total, &count) in self.requests.iter_mut().zip(&counts.requests) {
            *total = total.saturating_add(u64::from(count));
        }
    }
}

/// A channel in a book.
#[derive(Debug, Clone)]
pub(super) struct Seat {
    pub(super) channel: usize,
    pub(super) provider: Box<str>,
    /// Classes that its provider does not serve, by index.
    lacks: u128,
}

/// One class in a book.
#[derive(Debug, Clone)]
pub(super) struct Board {
    pub(super) cells: Vec<Option<usize>>,
    pub(super) calls: u64,
    pub(super) explored: u64,
    /// It has been open since: a channel without a cell was not asked since then.
    pub(super) opened: Timestamp,
}

impl Book {
    pub(super) fn new(catalog: &Catalog, chain: &Chain) -> Self {
        let profile = catalog.profile(chain.profile);
        let explorable = |class: MethodClass| {
            let method = Method::of(name_of(class));
            profile.is_some_and(|profile| {
                let rule = profile.method(&method);
                let strategy = rule.strategy.unwrap_or(chain.strategy);
                profile.explore && method.cheap() && !rule.blocked && strategy.explores()
            })
        };
        let seat = |member: &crate::catalog::Member| {
            let provider = chain.providers.get(usize::from(member.provider));
            let lacks = |class: MethodClass| {
                provider.is_some_and(|provider| provider.unsupported.has(Keyed::of(&Method::of(name_of(class)))))
            };
            Seat {
                channel: member.channel.index(),
                provider: provider.map_or_else(Box::default, |provider| provider.id.clone()),
                lacks: MethodClass::all().filter(|&class| lacks(class)).fold(0, |set, class| set | bit(class)),
            }
        };
        Self {
            profile: profile.map_or("", |profile| profile.id()).into(),
            chain: chain.id.clone(),
            chain_id: chain.chain_id,
            network: chain.network,
            strategy: chain.strategy,
            block_time: chain.block_time,
            max_lag_blocks: chain.max_lag_blocks,
            counts: Counts::default(),
            seats: chain.members.iter().map(seat).collect(),
            boards: Vec::new(),
            explorable: MethodClass::all().map(explorable).collect(),
        }
    }

    pub(super) fn place_of(&self, channel: usize) -> Option<usize> {
        self.seats.iter().position(|seat| seat.channel == channel)
    }

    pub(super) fn board(&mut self, class: MethodClass, now: Timestamp) -> Option<&mut Board> {
        if self.boards.len() <= class.index() {
            self.boards.resize_with(class.index() + 1, || None);
        }
        let seats = self.seats.len();
        let board = self.boards.get_mut(class.index())?;
        Some(board.get_or_insert_with(|| Board { cells: vec![None; seats], calls: 0, explored: 0, opened: now }))
    }

    /// Classes that are in use, with their boards.
    pub(super) fn boards(&self) -> impl Iterator<Item = (MethodClass, &Board)> {
        MethodClass::all().zip(&self.boards).filter_map(|(class, board)| Some((class, board.as_ref()?)))
    }

    pub(super) fn explores(&self, class: MethodClass) -> bool {
        self.explorable.get(class.index()).copied().unwrap_or(false)
    }

    pub(super) fn lacks(&self, class: MethodClass, place: usize) -> bool {
        self.seats.get(place).is_some_and(|seat| seat.lacks & bit(class) != 0)
    }

    /// What is presumed of each class, by its index: what its channels take together.
    pub(super) fn class_means(&self, cells: &[Cell], now: Timestamp) -> Vec<f32> {
        let of = |board: &Option<Board>| {
            let cells = board.iter().flat_map(|board| &board.cells).flatten().filter_map(|&cell| cells.get(cell));
            class_mean(cells.map(|cell| &cell.evidence), now).unwrap_or(UNKNOWN_MEAN)
        };
        self.boards.iter().map(of).collect()
    }

    /// How much slower than its peers each seat is, over all classes that were used.
    pub(super) fn speeds(&self, cells: &[Cell], means: &[f32], now: Timestamp) -> Vec<f32> {
        let of = |place: usize| {
            let used = self.boards.iter().zip(means).filter_map(|(board, &mean)| {
                let cell = cells.get((*board.as_ref()?.cells.get(place)?)?)?;
                Some((&cell.evidence, mean))
            });
            speed(used, now)
        };
        (0..self.seats.len()).map(of).collect()
    }
}

/// A cell's standing, as a worker would see it with a second for each try.
pub(super) fn standing(cell: &Cell, means: &[f32], speeds: &[f32], now: Timestamp) -> Standing {
    let mean = means.get(cell.class.index()).copied().unwrap_or(UNKNOWN_MEAN);
    let speed = speeds.get(cell.place).copied().unwrap_or(1.0);
    cell.evidence.standing(Prior { mean: mean * speed, per_try: crate::evidence::MOST_PENALTY }, now)
}

fn bit(class: MethodClass) -> u128 {
    1_u128.checked_shl(class.index() as u32).unwrap_or(0)
}

/// Each chain of a catalog, as a book.
pub(super) fn books(catalog: &Catalog) -> Vec<Book> {
    catalog.chains().map(|(_, chain): (ChainIdx, &Chain)| Book::new(catalog, chain)).collect()
}
