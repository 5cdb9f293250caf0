//! What this VM knows across requests.
//!
//! Duty: own the catalog in force, the ledger, the registry of exchanges that DOWN opened and UP looks up, the seed and the counters.
//! Invariant: one writer (the VM is single-threaded); it survives configuration pushes, which only replace the catalog. Requests in flight keep the catalog
//! they started with.
//! Bound: one registry entry a request in flight, removed when DOWN is done; 64 MiB of bodies, params and batches' answers.
//! Leaves to others: what to do with any of it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use lasso_routing::Catalog;
use lasso_routing::breaker::{Kind, Transition};
use lasso_routing::catalog::CatalogSpec;
use lasso_routing::ledger::{End, Ledger};
use lasso_routing::time::Timestamp;

use crate::bounds::Bounds;
use crate::decision::Sampler;
use crate::exchange::Exchange;
use crate::stats::{Counter, Stats};
use crate::sync::Sync;

/// Bytes that clients' requests and providers' answers may hold at once: a VM's memory never shrinks.
const MOST_KEPT_BYTES: usize = 64 * 1024 * 1024;

/// The state of one VM.
#[derive(Debug)]
pub struct Worker {
    catalog: Option<Rc<Catalog>>,
    ledger: Ledger,
    exchanges: BTreeMap<u32, Rc<RefCell<Exchange>>>,
    next_number: u32,
    kept_bytes: usize,
    bounds: Bounds,
    chance: u64,
    stats: Stats,
    ticker: Option<u32>,
    sync: Sync,
    /// Something was learned that the fleet should know at once.
    urgent: bool,
    sampler: Sampler,
}

/// Whose tick it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// The root's that did the periodic work before.
    Same,
    /// A newer root's. The one before, if there was one, has its last duties.
    Next(Option<u32>),
    /// A root's that has a successor.
    Past,
}

impl Worker {
    /// A worker without a catalog; `seed` makes its choices differ from those of its siblings.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut worker = Self {
            catalog: None,
            ledger: Ledger::new(seed),
            exchanges: BTreeMap::new(),
            next_number: 0,
            kept_bytes: 0,
            bounds: Bounds::default(),
            chance: seed,
            stats: Stats::default(),
            ticker: None,
            sync: Sync::default(),
            urgent: false,
            sampler: Sampler::default(),
        };
        worker.sync = Sync::new(worker.chance());
        worker
    }

    /// Takes a plugin configuration. DOWN and UP are configured with the same one: the second is recognised by its generation.
    ///
    /// # Errors
    /// What is wrong with it; the catalog in force stays.
    pub fn configure(&mut self, bytes: &[u8], now: Timestamp) -> Result<(), String> {
        self.adopt(lasso_proto::catalog::decode(bytes).map_err(|error| error.to_string())?, now)
    }

    /// The same, of one that was read.
    ///
    /// # Errors
    /// What is wrong with it; the catalog in force stays.
    pub fn adopt(&mut self, spec: CatalogSpec, now: Timestamp) -> Result<(), String> {
        if self.catalog.as_ref().is_some_and(|catalog| catalog.generation() == spec.generation) {
            return Ok(());
        }
        let catalog = Catalog::try_from(spec).map_err(|error| error.to_string())?;
        self.ledger.adopt(&catalog, now);
        self.bounds.adopt(&catalog);
        self.catalog = Some(Rc::new(catalog));
        Ok(())
    }

    /// Begins anew, as after a panic, in which anything may have been left half done. Numbers of exchanges go on: requests from before still have theirs.
    pub fn renew(&mut self, seed: u64) {
        let (next_number, connected) = (self.next_number, self.sync.is_shown());
        *self = Self::new(seed);
        self.next_number = next_number;
        self.stats.add(Counter::SyncConnected, -i64::from(connected));
    }

    /// The catalog in force.
    #[must_use]
    pub fn catalog(&self) -> Option<Rc<Catalog>> {
        self.catalog.clone()
    }

    /// What was learned.
    pub fn ledger(&mut self) -> &mut Ledger {
        &mut self.ledger
    }

    /// How many calls channels take in one batch.
    #[must_use]
    pub const fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    /// The same, to learn.
    pub const fn bounds_mut(&mut self) -> &mut Bounds {
        &mut self.bounds
    }

    /// Writes an attempt's end into the ledger.
    pub fn settle(&mut self, end: &End<'_>) {
        let opened = matches!(self.ledger.settle(end), Some(Transition::Opened { .. }));
        self.urgent |= opened || end.begun.kind == Kind::Trial;
        if opened {
            self.stats.count(Counter::BreakersOpened);
        }
    }

    /// The counters.
    pub fn stats(&mut self) -> &mut Stats {
        &mut self.stats
    }

    /// A fresh random number (splitmix64).
    pub fn chance(&mut self) -> u64 {
        self.chance = self.chance.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.chance;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Opens an exchange under a number of its own; UP finds it by that number.
    pub fn open(&mut self, make: impl FnOnce(u32) -> Exchange) -> Rc<RefCell<Exchange>> {
        let number = self.next_number;
        self.next_number = self.next_number.wrapping_add(1);
        let exchange = Rc::new(RefCell::new(make(number)));
        self.exchanges.insert(number, Rc::clone(&exchange));
        exchange
    }

    /// The exchange of that number, while its request lives.
    #[must_use]
    pub fn exchange(&self, number: u32) -> Option<Rc<RefCell<Exchange>>> {
        self.exchanges.get(&number).cloned()
    }

    /// Keeps the body of a request that the router sends, in case DOWN has to send it too. Over [`MOST_KEPT_BYTES`] in
    /// flight it is let go: then what Envoy cannot route fails.
    pub fn keep(&mut self, exchange: &mut Exchange, body: Vec<u8>) {
        if exchange.ask.body.is_empty() {
            exchange.ask.body = body;
        }
        let length = exchange.ask.body.len() + exchange.ask.params.as_ref().map_or(0, String::len);
        if self.reserve(length) {
            exchange.kept = length;
        } else {
            exchange.ask.body = Vec::new();
            exchange.ask.params = None;
        }
    }

    /// Makes room for so many bytes that are held until [`Worker::release`]. `false`: there is none.
    #[must_use]
    pub const fn reserve(&mut self, bytes: usize) -> bool {
        let kept = self.kept_bytes.saturating_add(bytes);
        if kept > MOST_KEPT_BYTES {
            return false;
        }
        self.kept_bytes = kept;
        true
    }

    /// Gives back what was reserved.
    pub const fn release(&mut self, bytes: usize) {
        self.kept_bytes = self.kept_bytes.saturating_sub(bytes);
    }

    /// Forgets an exchange.
    pub fn close(&mut self, exchange: &Exchange) {
        if self.exchanges.remove(&exchange.number).is_some() {
            self.release(exchange.kept);
        }
    }

    /// Whether the root context `context` does the periodic work: the newest that ever ticked, since a configuration push makes new roots and the old ones stop.
    pub fn take_turn(&mut self, context: u32) -> Turn {
        match self.ticker {
            Some(ticker) if ticker > context => Turn::Past,
            Some(ticker) if ticker == context => Turn::Same,
            before => {
                self.ticker = Some(context);
                Turn::Next(before)
            }
        }
    }

    /// The root context that does the periodic work.
    #[must_use]
    pub const fn ticker(&self) -> Option<u32> {
        self.ticker
    }

    /// The stream to the control plane.
    pub const fn sync(&mut self) -> &mut Sync {
        &mut self.sync
    }

    /// Whether a report will have how this request was routed: errors, those that asked for it, and some of the others, as far as there
    /// is room.
    pub fn wants_decision(&mut self, answered: bool, asked: bool) -> bool {
        let heard = self.catalog.as_ref().is_some_and(|catalog| catalog.sync_cluster().is_some());
        heard && (!answered || asked || self.sampler.takes()) && self.ledger.samples(answered)
    }

    /// Another tick begins.
    pub fn handle_tick(&mut self, now: Timestamp) {
        self.ledger.tick(now);
        self.sampler.handle_tick();
    }

    /// Whether something was learned that the fleet should know before the next tick; asked once.
    #[must_use]
    pub const fn is_urgent(&mut self) -> bool {
        std::mem::replace(&mut self.urgent, false)
    }
}
