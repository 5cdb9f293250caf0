//! What the fleet knows, and its one owner.
//!
//! ```text
//! streams, probes, people --Message--> the task, which owns the Fleet --> each stream's words, notices, probe orders, what to keep
//!                                           '-- Checkpoint: outlives a panic
//! ```
//!
//! Duty: give [`Fleet`] a clock, an inbox and a timer, and carry out what it wants done. The task is supervised: after a panic it goes on from its
//! checkpoint, and each stream joins again.
//! Invariant: nobody but the task touches the fleet, and it waits for nobody: a stream that does not take its words loses its place and joins again,
//! an order that cannot be taken counts as not sent. Everything is bounded: [`INBOX`], [`WORDS`], [`ORDERS`].
//! Leaves to others: every decision (`lasso_routing::fleet`), streams (`sync`), the disk (`history`).

mod checkpoint;
mod task;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lasso_routing::Catalog;
use lasso_routing::fleet::event::{Event, Hello, Notice, Order, WorkerId};
use lasso_routing::fleet::view::View;
use lasso_routing::report::Report;
use lasso_routing::table::Table;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::history::{Keep, Restored};
use crate::http::facts::Queue;
use crate::queue::{Meter, waiting};
use crate::supervise::Supervisor;
use checkpoint::Checkpoint;
use task::{Outlets, Task};

/// Messages that wait for the task; who sends more waits.
const INBOX: usize = 1_024;
/// Words that wait for one stream. The fleet has two tables and an ack on their way to it, at most.
const WORDS: usize = 4;
/// Probe orders that wait for the probes.
pub(crate) const ORDERS: usize = 1_024;
/// A view is as old as this, at most.
const VIEW_AGE: Duration = Duration::from_millis(100);
/// Between two checkpoints of the evidence.
const EVIDENCE_EVERY: Duration = Duration::from_secs(5);

/// What a store starts with.
pub(crate) struct Setup {
    pub(crate) catalog: Arc<Catalog>,
    /// Whether somebody carries orders out.
    pub(crate) probing: bool,
    pub(crate) restored: Option<Restored>,
    /// Any number.
    pub(crate) seed: u64,
    /// Where the fleet's notices go.
    pub(crate) notices: broadcast::Sender<Notice>,
    /// Where what must survive goes. It may not wait for a disk.
    pub(crate) keep: Arc<dyn Fn(Keep) + Send + Sync>,
    /// Turns true when everything must end.
    pub(crate) drain: watch::Receiver<bool>,
}

/// The store has ended, and does not come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the store has ended")]
pub(crate) struct Ended;

/// How everyone else speaks with the task. Clones speak with the same one.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    /// The inbox of the task's present life; `None` before the first. It closes with the task.
    life: watch::Receiver<Option<Inbox>>,
    catalog: Arc<watch::Sender<Arc<Catalog>>>,
    /// Numbers of streams; none is given twice, over all lives.
    workers: Arc<AtomicU64>,
    meters: Meters,
    orders: mpsc::Sender<Order>,
}

/// How full the queues around the task were.
#[derive(Debug, Clone, Default)]
struct Meters {
    inbox: Meter,
    /// Words that wait for streams, all of them.
    words: Meter,
    orders: Meter,
}

type Inbox = mpsc::Sender<Message>;

/// What the task is told.
#[derive(Debug)]
enum Message {
    Join {
        worker: WorkerId,
        hello: Hello,
        words: mpsc::Sender<Word>,
    },
    Happened(Event),
    View(oneshot::Sender<Arc<View>>),
    #[cfg(any(test, feature = "inject-panic"))]
    Panic,
}

/// What a stream is told.
#[derive(Debug, PartialEq)]
pub(crate) enum Word {
    /// A report of that number counts.
    Ack(u64),
    /// What the fleet knows.
    Table(Box<Table>),
    /// It is one stream too many.
    Refused,
}

/// A stream's place in the fleet. When its words end, it is lost: the store panicked, or the stream did not take its words.
#[derive(Debug)]
pub(crate) struct Place {
    worker: WorkerId,
    inbox: Inbox,
    words: mpsc::Receiver<Word>,
    meters: Meters,
}

impl Store {
    /// The store, the task that the caller has to run, and the orders for the probes.
    pub(crate) fn new(
        setup: Setup,
        supervisor: Supervisor,
    ) -> (Self, impl Future<Output = ()> + Send, mpsc::Receiver<Order>) {
        let (living, life) = watch::channel(None);
        let (orders, ordered) = mpsc::channel(ORDERS);
        let catalog = Arc::new(watch::Sender::new(setup.catalog));
        let store = Self {
            life,
            catalog: Arc::clone(&catalog),
            workers: Arc::new(AtomicU64::new(0)),
            meters: Meters::default(),
            orders: orders.clone(),
        };
        let outlets = Outlets { notices: setup.notices, orders, keep: setup.keep, meters: store.meters.clone() };
        let checkpoint = Arc::new(Checkpoint::new(setup.restored));
        let mut seed = setup.seed;
        let run = async move {
            let start = || {
                let (inbox, messages) = mpsc::channel(INBOX);
                seed = seed.wrapping_add(1);
                let task = Task::new(seed, Arc::clone(&checkpoint), outlets.clone());
                let task = task.run(messages, catalog.subscribe(), setup.probing, setup.drain.clone());
                living.send_replace(Some(inbox));
                task
            };
            supervisor.keep_up("store", start).await;
        };
        (store, run, ordered)
    }

    /// Another catalog is in effect.
    pub(crate) fn adopt(&self, catalog: Arc<Catalog>) {
        self.catalog.send_replace(catalog);
    }

    /// Something happened. Waits while the inbox is full.
    pub(crate) async fn tell(&self, event: Event) -> Result<(), Ended> {
        self.deliver(Message::Happened(event)).await
    }

    /// The fleet at an instant that is [`VIEW_AGE`] ago at most.
    pub(crate) async fn view(&self) -> Result<Arc<View>, Ended> {
        loop {
            let (asked, answer) = oneshot::channel();
            self.deliver(Message::View(asked)).await?;
            // Without an answer the task has panicked: the next one is asked.
            if let Ok(view) = answer.await {
                return Ok(view);
            }
        }
    }

    /// A place in the fleet for a stream that said hello. The first table comes by itself.
    pub(crate) async fn join(&self, hello: &Hello) -> Result<Place, Ended> {
        loop {
            let inbox = self.inbox().await?;
            let worker = WorkerId(self.workers.fetch_add(1, Ordering::Relaxed));
            let (words, heard) = mpsc::channel(WORDS);
            if inbox.send(Message::Join { worker, hello: hello.clone(), words }).await.is_ok() {
                return Ok(Place { worker, inbox, words: heard, meters: self.meters.clone() });
            }
        }
    }

    /// How full its queues are. `streams`: how many are open; each has its own words.
    pub(crate) fn queues(&self, streams: u64) -> Vec<Queue> {
        let inbox = self.life.borrow().as_ref().map_or(0, waiting);
        let orders = waiting(&self.orders);
        vec![
            // Who finds no room waits.
            self.meters.inbox.shown("store", inbox as u64, INBOX as u64),
            // A stream that finds none starts over with a full table.
            self.meters.words.counted("sync_outbox", streams * WORDS as u64),
            // An order that finds none counts as not sent.
            self.meters.orders.shown("probe_orders", orders as u64, ORDERS as u64),
        ]
    }

    /// Makes the task panic.
    #[cfg(any(test, feature = "inject-panic"))]
    pub(crate) async fn panic(&self) -> Result<(), Ended> {
        self.deliver(Message::Panic).await
    }

    async fn deliver(&self, mut message: Message) -> Result<(), Ended> {
        loop {
            let inbox = self.inbox().await?;
            self.meters.inbox.seen((waiting(&inbox) + 1).min(INBOX));
            match inbox.send(message).await {
                Ok(()) => return Ok(()),
                Err(refused) => message = refused.0,
            }
        }
    }

    /// The inbox of a living task; waits for one while there is none.
    async fn inbox(&self) -> Result<Inbox, Ended> {
        let mut life = self.life.clone();
        let living = life.wait_for(|inbox| inbox.as_ref().is_some_and(|inbox| !inbox.is_closed())).await;
        living.ok().and_then(|inbox| inbox.clone()).ok_or(Ended)
    }
}

impl Place {
    /// The next word for this stream; `None` when the place is lost.
    pub(crate) async fn hear(&mut self) -> Option<Word> {
        let word = self.words.recv().await;
        if word.is_some() {
            self.meters.words.taken();
        }
        word
    }

    /// Whether the task that gave this place is gone.
    pub(crate) fn is_orphaned(&self) -> bool {
        self.inbox.is_closed()
    }

    /// A report came. Waits while the store has much to do.
    pub(crate) async fn report(&self, report: Box<Report>) {
        self.tell(Event::Reported(self.worker, report)).await;
    }

    /// A table is in force.
    pub(crate) async fn taken(&self, version: u64) {
        self.tell(Event::TableTaken(self.worker, version)).await;
    }

    /// The stream is over.
    pub(crate) async fn leave(self) {
        self.tell(Event::Left(self.worker)).await;
    }

    /// A task that has panicked needs no telling: who hears its words end joins again.
    async fn tell(&self, event: Event) {
        self.meters.inbox.seen((waiting(&self.inbox) + 1).min(INBOX));
        let _ = self.inbox.send(Message::Happened(event)).await;
    }
}

impl Drop for Place {
    /// What it never heard waits no more.
    fn drop(&mut self) {
        self.words.close();
        while self.words.try_recv().is_ok() {
            self.meters.words.taken();
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
