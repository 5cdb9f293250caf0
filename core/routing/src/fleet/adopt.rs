//! A new catalog: what was learned moves to the new places of the channels and chains that it belongs to.
//!
//! Invariant: nothing about a channel that stays is lost, nothing about one that went is kept. Everybody is told everything again.

use std::collections::BTreeMap;

use super::account::{Account, Stance};
use super::book::{Book, books};
use super::cell::Cell;
use super::event::{Health, Manual};
use super::probing::Watch;
use super::tables::Newsroom;
use super::{Fleet, Network};
use crate::breaker::Breaker;
use crate::catalog::{Catalog, Channel, ChannelIdx};
use crate::chance::Chance;
use crate::mark::RateLimitMark;
use crate::report::Ending;
use crate::time::{Millis, Timestamp};

/// Workers have a new catalog within this, or something holds it back.
const ROLLOUT: Millis = Millis::from_secs(10);

impl Fleet {
    /// Follows a new catalog. What was learned about channels and chains that it still has stays.
    pub fn adopt(&mut self, catalog: &Catalog, now: Timestamp) {
        let channels: Vec<Option<usize>> =
            catalog.channels().map(|(_, channel)| self.channels.get(channel.id()).copied()).collect();
        let networks: Vec<Option<usize>> = catalog
            .networks
            .iter()
            .map(|chain_id| self.networks.iter().position(|network| network.chain_id == *chain_id))
            .collect();
        self.heads = self.heads.moved(&channels, &networks);
        let books = books(catalog);
        self.move_workers(&books, &channels);
        self.move_cells(books, &channels);
        self.move_accounts(catalog, &channels, now);
        self.networks = networks_of(catalog, &self.books);
        self.generation = catalog.generation().into();
        self.channels = self.accounts.iter().enumerate().map(|(place, account)| (account.id.clone(), place)).collect();
        self.seat_accounts();
        self.surprising.clear();
        self.news = Newsroom::of(self.accounts.len(), self.cells.len(), self.networks.len());
        self.tell_everything_again(now);
        self.wait_for_probes(now);
        for channel in 0..self.accounts.len() {
            self.settle(channel, now);
        }
    }

    fn move_cells(&mut self, mut books: Vec<Book>, channels: &[Option<usize>]) {
        let mut cells: Vec<Cell> = Vec::new();
        for (index, book) in books.iter_mut().enumerate() {
            let Some(&origin) = self.chains.get(&book.profile).and_then(|chains| chains.get(&book.chain)) else {
                continue;
            };
            let Some(before) = self.books.get(origin) else { continue };
            book.counts = before.counts;
            // For each seat, where its channel sat before.
            let seats: Vec<Option<usize>> =
                book.seats.iter().map(|seat| before.place_of(channels.get(seat.channel).copied().flatten()?)).collect();
            for (class, old) in before.boards() {
                let Some(board) = book.board(class, old.opened) else { continue };
                (board.calls, board.explored) = (old.calls, old.explored);
                for (place, from) in seats.iter().enumerate() {
                    let cell = from.and_then(|from| *old.cells.get(from)?).and_then(|cell| self.cells.get(cell));
                    if let (Some(cell), Some(slot)) = (cell, board.cells.get_mut(place)) {
                        *slot = Some(cells.len());
                        cells.push(cell.clone().moved(index, place));
                    }
                }
            }
        }
        let mut chains: BTreeMap<Box<str>, BTreeMap<Box<str>, usize>> = BTreeMap::new();
        for (index, book) in books.iter().enumerate() {
            chains.entry(book.profile.clone()).or_default().insert(book.chain.clone(), index);
        }
        (self.cells, self.books, self.chains) = (cells, books, chains);
    }

    fn move_workers(&mut self, books: &[Book], channels: &[Option<usize>]) {
        let origin = |book: &Book| self.chains.get(&book.profile).and_then(|chains| chains.get(&book.chain)).copied();
        let chains: Vec<Option<usize>> = books.iter().map(origin).collect();
        for worker in self.roster.workers.values_mut() {
            worker.used = moved(&worker.used, &chains);
            worker.in_flight = moved(&worker.in_flight, channels);
            worker.told.start_over();
            // A lease names what may be gone.
            worker.leases.clear();
        }
        for node in self.roster.nodes.values_mut() {
            node.tried = moved(&node.tried, channels);
        }
    }

    fn move_accounts(&mut self, catalog: &Catalog, channels: &[Option<usize>], now: Timestamp) {
        let mut before: Vec<Option<Account>> = std::mem::take(&mut self.accounts).into_iter().map(Some).collect();
        for ((index, channel), origin) in catalog.channels().zip(channels) {
            let known = origin.and_then(|origin| before.get_mut(origin)).and_then(Option::take);
            let mut account = known.unwrap_or_else(|| self.new_account(index, channel, now));
            account.index = index;
            let way_in = channel.way_in();
            if std::mem::replace(&mut account.way_in, way_in) != way_in && account.breaker.rekeyed(now) {
                account.rekeyed_until = now.plus(ROLLOUT);
            }
            account.transport = channel.transport();
            account.breaker.adopt(*channel.breaker());
            self.accounts.push(account);
        }
    }

    fn new_account(&self, index: ChannelIdx, channel: &Channel, now: Timestamp) -> Account {
        let seed = self.seed_of(channel.id());
        // Openings of different lives of the control plane must not be taken for each other.
        let numbered_from = Chance::new(seed ^ now.as_millis()).below(1 << 30) as u32;
        Account {
            id: channel.id().into(),
            index,
            way_in: channel.way_in(),
            rekeyed_until: Timestamp::default(),
            transport: channel.transport(),
            network: None,
            seats: Vec::new(),
            breaker: Breaker::new(*channel.breaker(), seed).numbered_from(numbered_from),
            numbered_from,
            manual: Manual::Auto,
            stance: Stance::Closed,
            mark: RateLimitMark::default(),
            marked: false,
            barred: None,
            connected: false,
            siblings: Vec::new(),
            health: Health::Healthy,
            lessons: Vec::new(),
            trials: Vec::new(),
            refused: None,
            in_flight: 0,
            endings: [0; Ending::COUNT],
            told: Timestamp::default(),
            told_head: Default::default(),
            watch: Watch::new(seed, now),
        }
    }

    fn seed_of(&self, id: &str) -> u64 {
        id.bytes().fold(self.seed ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        })
    }

    fn seat_accounts(&mut self) {
        for account in &mut self.accounts {
            (account.network, account.seats, account.siblings) = (None, Vec::new(), Vec::new());
        }
        for (index, book) in self.books.iter().enumerate() {
            for (place, seat) in book.seats.iter().enumerate() {
                if let Some(account) = self.accounts.get_mut(seat.channel) {
                    account.seats.push((index, place));
                    account.network = Some(usize::from(book.network));
                    let siblings = book.seats.iter().filter(|other| other.provider == seat.provider);
                    let news = siblings.map(|other| other.channel).filter(|other| *other != seat.channel);
                    account.siblings.extend(news);
                }
            }
        }
        for account in &mut self.accounts {
            account.siblings.sort_unstable();
            account.siblings.dedup();
        }
        for (index, network) in self.networks.iter_mut().enumerate() {
            let there = |(_, account): &(usize, &Account)| account.network == Some(index);
            network.channels = self.accounts.iter().enumerate().filter(there).map(|(place, _)| place).collect();
        }
    }
}

fn networks_of(catalog: &Catalog, books: &[Book]) -> Vec<Network> {
    let of = |(index, &chain_id): (usize, &u64)| {
        let mut books = books.iter().filter(|book| usize::from(book.network) == index);
        Network {
            chain_id,
            block_time: books.clone().find_map(|book| book.block_time),
            max_lag_blocks: books.find_map(|book| book.max_lag_blocks),
            channels: Vec::new(),
            told_block_time: None,
        }
    };
    catalog.networks.iter().enumerate().map(of).collect()
}

/// Things by index, at their new places.
fn moved<T: Copy + Default>(things: &[T], origins: &[Option<usize>]) -> Vec<T> {
    if things.is_empty() {
        return Vec::new();
    }
    origins.iter().map(|origin| origin.and_then(|origin| things.get(origin)).copied().unwrap_or_default()).collect()
}
