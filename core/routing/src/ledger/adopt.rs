//! A new catalog: what was learned moves to the new places of the channels it belongs to.
//!
//! Invariant: nothing about a channel that stays is lost, nothing about one that went is kept; attempts that began before end where their
//! channel is now.

use std::collections::BTreeMap;

use super::board::{Board, Seat};
use super::budget::Bucket;
use super::count::Count;
use super::{Account, Book, Ledger, Scratch};
use crate::breaker::Breaker;
use crate::catalog::{Catalog, Chain, ChainIdx, ChannelIdx};
use crate::head::Heads;
use crate::mark::RateLimitMark;
use crate::report::ChainCounts;
use crate::time::Timestamp;

/// As many catalogs back as an attempt may have begun under.
const ERAS: usize = 8;

/// Profile and id.
type ChainName = (Box<str>, Box<str>);

/// Where the indices of an earlier catalog are now.
#[derive(Debug, Clone)]
pub(super) struct Era {
    pub(super) number: u32,
    channels: Vec<Now<ChannelIdx, Box<str>>>,
    chains: Vec<Now<ChainIdx, ChainName>>,
}

/// What became of something: it has an index in the catalog in force, or only the name that it had.
#[derive(Debug, Clone)]
enum Now<Index, Name> {
    At(Index),
    Gone(Name),
}

impl<Index: Copy, Name: Clone> Now<Index, Name> {
    const fn index(&self) -> Option<Index> {
        match self {
            Self::At(index) => Some(*index),
            Self::Gone(_) => None,
        }
    }

    const fn name(&self) -> Option<&Name> {
        match self {
            Self::At(_) => None,
            Self::Gone(name) => Some(name),
        }
    }
}

impl Era {
    pub(super) fn channel(&self, channel: ChannelIdx) -> Option<ChannelIdx> {
        self.channels.get(channel.index())?.index()
    }

    pub(super) fn chain(&self, chain: ChainIdx) -> Option<ChainIdx> {
        self.chains.get(chain.index())?.index()
    }

    /// The id of a channel that is gone.
    pub(super) fn gone_channel(&self, channel: ChannelIdx) -> Option<&str> {
        self.channels.get(channel.index())?.name().map(|id| &**id)
    }

    /// Profile and id of a chain that is gone.
    pub(super) fn gone_chain(&self, chain: ChainIdx) -> Option<(&str, &str)> {
        self.chains.get(chain.index())?.name().map(|(profile, chain)| (&**profile, &**chain))
    }

    /// The same after one more move.
    fn moved(&mut self, step: &Self) {
        for place in &mut self.channels {
            if let Some(next) = place.index().and_then(|channel| step.channels.get(channel.index())) {
                place.clone_from(next);
            }
        }
        for place in &mut self.chains {
            if let Some(next) = place.index().and_then(|chain| step.chains.get(chain.index())) {
                place.clone_from(next);
            }
        }
    }
}

/// Where what a new index stands for was before.
pub(super) struct Origins {
    channels: Vec<Option<usize>>,
    pub(super) chains: Vec<Option<usize>>,
}

impl Ledger {
    /// Follows a new catalog. What was learned about channels that it still has stays.
    pub fn adopt(&mut self, catalog: &Catalog, now: Timestamp) {
        let origins = self.origins(catalog);
        self.file();
        self.file_news(&origins);
        self.file_counts(&origins);
        self.remember_era(catalog, &origins);
        let networks: Vec<Option<usize>> =
            catalog.networks.iter().map(|chain_id| self.networks.iter().position(|known| known == chain_id)).collect();
        let heads: Heads = self.heads.moved(&origins.channels, &networks);
        let budgets = self.move_budgets(catalog, &origins);
        let books = catalog
            .chains()
            .zip(&origins.chains)
            .map(|((index, chain), origin)| self.move_book(catalog, (index, chain), *origin, &origins))
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
        self.channels = catalog.channels_by_id.values().copied().collect();
        // They are good for two seconds; the control plane gives others.
        self.explorations.clear();
        self.workers = f64::from(catalog.workers());
        self.divide_budgets();
        self.news = catalog.channels().map(|(channel, _)| channel).collect();
        self.news.retain(|channel| self.accounts.get(channel.index()).is_some_and(|account| account.count.listed));
    }

    /// What was counted on channels that the new catalog lacks goes under their names.
    fn file_news(&mut self, origins: &Origins) {
        for channel in std::mem::take(&mut self.news) {
            let stays = origins.channels.contains(&Some(channel.index()));
            let Some(account) = self.accounts.get_mut(channel.index()).filter(|_| !stays) else { continue };
            if let Some(count) = self.archive.channel(&account.id) {
                count.merge(std::mem::take(&mut account.count));
            }
        }
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
        let mut step = Era {
            number: self.era,
            channels: self.accounts.iter().map(|account| Now::Gone(account.id.clone())).collect(),
            chains: self.books.iter().map(|book| Now::Gone((book.profile.clone(), book.chain.clone()))).collect(),
        };
        for ((channel, _), origin) in catalog.channels().zip(&origins.channels) {
            if let Some(place) = origin.and_then(|origin| step.channels.get_mut(origin)) {
                *place = Now::At(channel);
            }
        }
        for ((chain, _), origin) in catalog.chains().zip(&origins.chains) {
            if let Some(place) = origin.and_then(|origin| step.chains.get_mut(origin)) {
                *place = Now::At(chain);
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
                if before.way_in != channel.way_in() {
                    before.breaker.rekeyed(now);
                }
                let limits = before.limits.take().and_then(|mut limits| {
                    limits.tidy(now);
                    (!limits.is_empty()).then_some(limits)
                });
                Account {
                    id: channel.id.clone(),
                    transport: channel.transport,
                    way_in: channel.way_in(),
                    breaker: before.breaker.clone(),
                    mark: before.mark,
                    mark_ceded: before.mark_ceded,
                    limits,
                    told: before.told.take(),
                    in_flight: before.in_flight,
                    budget: channel.budget,
                    promised_until: before.promised_until,
                    count: std::mem::take(&mut before.count),
                }
            }
            None => Account {
                id: channel.id.clone(),
                transport: channel.transport,
                way_in: channel.way_in(),
                breaker: Breaker::new(channel.breaker, self.own_chance(&channel.id).bits()),
                mark: RateLimitMark::default(),
                mark_ceded: false,
                limits: None,
                told: None,
                in_flight: 0,
                budget: channel.budget,
                promised_until: Timestamp::default(),
                count: Count::default(),
            },
        }
    }

    fn move_book(
        &mut self,
        catalog: &Catalog,
        (index, chain): (ChainIdx, &Chain),
        origin: Option<usize>,
        origins: &Origins,
    ) -> Book {
        let profile = profile_of(catalog, chain);
        let mut book = Book {
            index,
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
            counts: ChainCounts::default(),
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
        (book.turn, book.counts) = (before.turn, before.counts);
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
