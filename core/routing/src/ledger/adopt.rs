//! A new catalog: what was learned moves to the new places of the channels it belongs to.
//!
//! Invariant: nothing about a channel that stays is lost, nothing about one that went is kept; attempts that began before end where their
//! channel is now.

use std::collections::BTreeMap;

use super::board::{Board, Seat};
use super::budget::Bucket;
use super::{Account, Book, Ledger, Scratch};
use crate::breaker::Breaker;
use crate::catalog::{Catalog, Chain, ChainIdx, ChannelIdx};
use crate::head::Heads;
use crate::mark::RateLimitMark;
use crate::time::Timestamp;

/// As many catalogs back as an attempt may have begun under.
const ERAS: usize = 4;

/// Where the indices of an earlier catalog are now.
#[derive(Debug, Clone)]
pub(super) struct Era {
    pub(super) number: u32,
    channels: Vec<Option<ChannelIdx>>,
    chains: Vec<Option<ChainIdx>>,
}

impl Era {
    pub(super) fn now(&self, channel: ChannelIdx, chain: ChainIdx) -> Option<(ChannelIdx, ChainIdx)> {
        Some(((*self.channels.get(channel.index())?)?, (*self.chains.get(chain.index())?)?))
    }

    /// The same after one more move.
    fn moved(&mut self, step: &Self) {
        for place in &mut self.channels {
            *place = place.and_then(|channel| step.channels.get(channel.index()).copied().flatten());
        }
        for place in &mut self.chains {
            *place = place.and_then(|chain| step.chains.get(chain.index()).copied().flatten());
        }
    }
}

/// Where what a new index stands for was before.
struct Origins {
    channels: Vec<Option<usize>>,
    chains: Vec<Option<usize>>,
}

impl Ledger {
    /// Follows a new catalog. What was learned about channels that it still has stays.
    pub fn adopt(&mut self, catalog: &Catalog, now: Timestamp) {
        let origins = self.origins(catalog);
        self.remember_era(catalog, &origins);
        let networks: Vec<Option<usize>> =
            catalog.networks.iter().map(|chain_id| self.networks.iter().position(|known| known == chain_id)).collect();
        let heads: Heads = self.heads.moved(&origins.channels, &networks);
        let budgets = self.move_budgets(catalog, &origins);
        let books = catalog
            .chains()
            .zip(&origins.chains)
            .map(|((_, chain), origin)| self.move_book(catalog, chain, *origin, &origins))
            .collect();
        let accounts =
            (0..catalog.channels.len()).map(|place| self.move_account(catalog, place, &origins, now)).collect();
        self.generation = catalog.generation().into();
        self.accounts = accounts;
        self.budgets = budgets;
        self.heads = heads;
        self.networks.clone_from(&catalog.networks);
        self.books = books;
        self.scratch = Scratch::default();
    }

    fn origins(&self, catalog: &Catalog) -> Origins {
        let accounts: BTreeMap<&str, usize> =
            self.accounts.iter().enumerate().map(|(place, account)| (&*account.id, place)).collect();
        let books: BTreeMap<(&str, &str), usize> =
            self.books.iter().enumerate().map(|(place, book)| ((&*book.profile, &*book.chain), place)).collect();
        Origins {
            channels: catalog.channels().map(|(_, channel)| accounts.get(channel.id()).copied()).collect(),
            chains: catalog
                .chains()
                .map(|(_, chain)| books.get(&(profile_of(catalog, chain), chain.id())).copied())
                .collect(),
        }
    }

    fn remember_era(&mut self, catalog: &Catalog, origins: &Origins) {
        let mut step =
            Era { number: self.era, channels: vec![None; self.accounts.len()], chains: vec![None; self.books.len()] };
        for ((channel, _), origin) in catalog.channels().zip(&origins.channels) {
            if let Some(place) = origin.and_then(|origin| step.channels.get_mut(origin)) {
                *place = Some(channel);
            }
        }
        for ((chain, _), origin) in catalog.chains().zip(&origins.chains) {
            if let Some(place) = origin.and_then(|origin| step.chains.get_mut(origin)) {
                *place = Some(chain);
            }
        }
        self.eras.iter_mut().for_each(|era| era.moved(&step));
        self.eras.push(step);
        if self.eras.len() > ERAS {
            self.eras.remove(0);
        }
        self.era = self.era.wrapping_add(1);
    }

    fn move_budgets(&self, catalog: &Catalog, origins: &Origins) -> Vec<Bucket> {
        let mut budgets: Vec<Bucket> = catalog.budgets.iter().map(|&rate| Bucket::new(rate)).collect();
        for ((_, channel), origin) in catalog.channels().zip(&origins.channels) {
            let before = origin.and_then(|origin| self.accounts.get(origin)).and_then(|account| account.budget);
            let before = before.and_then(|budget| self.budgets.get(usize::from(budget)));
            if let Some(budget) = channel.budget.map(usize::from)
                && let (Some(before), Some(place), Some(&rate)) =
                    (before, budgets.get_mut(budget), catalog.budgets.get(budget))
            {
                *place = *before;
                place.adopt(rate);
            }
        }
        budgets
    }

    fn move_account(&mut self, catalog: &Catalog, place: usize, origins: &Origins, now: Timestamp) -> Account {
        let channel = &catalog.channels[place];
        let before = origins.channels[place].and_then(|origin| self.accounts.get_mut(origin));
        match before {
            Some(before) => {
                before.breaker.adopt(channel.breaker);
                let limits = before.limits.take().and_then(|mut limits| {
                    limits.tidy(now);
                    (!limits.is_empty()).then_some(limits)
                });
                Account {
                    id: channel.id.clone(),
                    breaker: before.breaker.clone(),
                    mark: before.mark,
                    limits,
                    in_flight: before.in_flight,
                    budget: channel.budget,
                }
            }
            None => Account {
                id: channel.id.clone(),
                breaker: Breaker::new(channel.breaker, self.own_chance(&channel.id).bits()),
                mark: RateLimitMark::default(),
                limits: None,
                in_flight: 0,
                budget: channel.budget,
            },
        }
    }

    fn move_book(&mut self, catalog: &Catalog, chain: &Chain, origin: Option<usize>, origins: &Origins) -> Book {
        let profile = profile_of(catalog, chain);
        let mut book = Book {
            profile: profile.into(),
            chain: chain.id.clone(),
            network: chain.network,
            members: chain.members.clone(),
            block_time: chain.block_time,
            max_lag_blocks: chain.max_lag_blocks,
            turn: self.own_chance(&format!("{profile}/{}", chain.id)).bits(),
            boards: Vec::new(),
            speeds: Vec::new(),
            speeds_renewed: None,
        };
        let Some(before) = origin.and_then(|origin| self.books.get_mut(origin)) else { return book };
        // For each seat, where its channel sat before.
        let seats: Vec<Option<usize>> = chain
            .members
            .iter()
            .map(|member| {
                let origin = origins.channels[member.channel.index()]?;
                before.members.iter().position(|before| before.channel.index() == origin)
            })
            .collect();
        book.turn = before.turn;
        book.boards =
            before.boards.iter_mut().map(|board| board.as_deref_mut().map(|board| reseated(board, &seats))).collect();
        book
    }
}

fn reseated(board: &mut Board, seats: &[Option<usize>]) -> Box<Board> {
    let mut seat = |from: &Option<usize>| from.and_then(|from| board.seats.get_mut(from)).map(std::mem::take);
    let seats: Vec<Seat> = seats.iter().map(&mut seat).map(Option::unwrap_or_default).collect();
    Box::new(Board::of(seats))
}

fn profile_of<'c>(catalog: &'c Catalog, chain: &Chain) -> &'c str {
    catalog.profile(chain.profile).map_or("", |profile| profile.id())
}
