//! The task that owns the fleet, in one of its lives.
//!
//! Duty: inbox, clock and timer in; words, notices, orders and checkpoints out.
//! Invariant: it never waits but for the next thing to happen.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lasso_routing::Catalog;
use lasso_routing::fleet::Fleet;
use lasso_routing::fleet::event::{Action, Event, Found, Notice, Order, Probe, WorkerId};
use lasso_routing::fleet::view::View;
use lasso_routing::time::{Micros, Millis, Timestamp};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until};

use super::checkpoint::Checkpoint;
use super::{EVIDENCE_EVERY, Message, Meters, VIEW_AGE, Word};
use crate::history::{Keep, Restored};
use crate::queue::waiting;

/// Where a fleet's wishes go.
#[derive(Clone)]
pub(super) struct Outlets {
    pub(super) notices: broadcast::Sender<Notice>,
    pub(super) orders: mpsc::Sender<Order>,
    pub(super) keep: Arc<dyn Fn(Keep) + Send + Sync>,
    pub(super) meters: Meters,
}

pub(super) struct Task {
    fleet: Fleet,
    /// Time is counted from here. Every life counts anew.
    started: Instant,
    checkpoint: Arc<Checkpoint>,
    outlets: Outlets,
    /// Streams that have a place, and where they hear.
    words: BTreeMap<WorkerId, mpsc::Sender<Word>>,
    view: Option<(Instant, Arc<View>)>,
}

impl Task {
    pub(super) fn new(seed: u64, checkpoint: Arc<Checkpoint>, outlets: Outlets) -> Self {
        // A fleet compares ages with now: what was before this life has an instant too.
        let started = Instant::now();
        Self { fleet: Fleet::new(seed), started, checkpoint, outlets, words: BTreeMap::new(), view: None }
    }

    pub(super) async fn run(
        mut self,
        mut messages: mpsc::Receiver<Message>,
        mut catalog: watch::Receiver<Arc<Catalog>>,
        probing: bool,
        mut drain: watch::Receiver<bool>,
    ) {
        self.begin(&catalog.borrow_and_update(), probing);
        let mut save = interval_at(Instant::now() + EVIDENCE_EVERY, EVIDENCE_EVERY);
        save.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.act();
            let timeout = self.fleet.poll_timeout();
            tokio::select! {
                // Without a sender there is nobody left to wait for.
                _ = drain.wait_for(|drain| *drain) => break,
                Ok(()) = catalog.changed() => self.adopt(&catalog.borrow_and_update().clone()),
                () = wait_until(self.started, timeout) => self.fleet.handle_timeout(self.now()),
                _ = save.tick() => self.tidy_up(),
                Some(message) = messages.recv() => self.hear(message),
            }
        }
        self.save_evidence();
    }

    fn begin(&mut self, catalog: &Arc<Catalog>, probing: bool) {
        let now = self.now();
        self.fleet.adopt(catalog, now);
        self.fleet.set_probing(probing, now);
        if let Some(Restored { channels, evidence, ago }) = self.checkpoint.restored() {
            self.fleet.restore(&channels, &evidence, ago, now);
        }
        self.tell_sockets(now);
    }

    /// The hub says once that a channel has a socket, perhaps before the fleet knew the channel.
    fn tell_sockets(&mut self, now: Timestamp) {
        for channel in self.checkpoint.sockets() {
            self.fleet.handle_event(Event::Sockets { channel, connected: true }, now);
        }
    }

    fn adopt(&mut self, catalog: &Catalog) {
        let now = self.now();
        self.fleet.adopt(catalog, now);
        self.tell_sockets(now);
    }

    fn hear(&mut self, message: Message) {
        let now = self.now();
        match message {
            Message::Join { worker, hello, words } => {
                self.words.insert(worker, words);
                self.fleet.handle_event(Event::Joined(worker, hello), now);
            }
            Message::Happened(Event::Left(worker)) => self.part(worker),
            // One that lost its place has left already.
            Message::Happened(Event::Reported(worker, _) | Event::TableTaken(worker, _))
                if !self.words.contains_key(&worker) => {}
            Message::Happened(event) => {
                if let Event::Sockets { channel, connected } = &event {
                    self.checkpoint.note_socket(channel, *connected);
                }
                self.fleet.handle_event(event, now);
            }
            // Who asked may have gone.
            Message::View(asked) => drop(asked.send(self.view(now))),
            #[cfg(any(test, feature = "inject-panic"))]
            #[expect(clippy::panic, reason = "it is asked for")]
            Message::Panic => panic!("asked to"),
        }
    }

    fn act(&mut self) {
        let mut not_sent = Vec::new();
        while let Some(action) = self.fleet.poll_action() {
            match action {
                Action::Ack(worker, seq) => self.say(worker, Word::Ack(seq)),
                Action::Send(worker, table) => self.say(worker, Word::Table(table)),
                Action::Refuse(worker) => {
                    self.say(worker, Word::Refused);
                    self.part(worker);
                }
                // Nobody may be listening.
                Action::Tell(notice) => drop(self.outlets.notices.send(notice)),
                Action::Probe(order) => not_sent.extend(self.order(order)),
                Action::Save => self.save_channels(),
            }
        }
        // Last, so that an order which follows from that waits for the next turn.
        for order in not_sent {
            let channel = order.channel;
            let probe = Probe { channel, started: Millis(0), latency: Micros(0), found: Found::NotSent };
            self.fleet.handle_event(Event::Probed(probe), self.now());
        }
    }

    /// A stream that does not take its words loses its place: when it can take some it joins again, and a full table makes up for all it missed.
    fn say(&mut self, worker: WorkerId, word: Word) {
        let Some(words) = self.words.get(&worker) else { return };
        let meter = &self.outlets.meters.words;
        meter.put();
        match words.try_send(word) {
            Ok(()) => meter.kept(),
            Err(error) => {
                meter.taken();
                meter.dropped(u64::from(matches!(error, TrySendError::Full(_))));
                self.part(worker);
            }
        }
    }

    /// Hands an order to the probes; gives it back when they are behind, or gone.
    fn order(&self, order: Order) -> Option<Order> {
        let Outlets { orders, meters, .. } = &self.outlets;
        match orders.try_send(order) {
            Ok(()) => {
                meters.orders.seen(waiting(orders));
                None
            }
            Err(refused) => {
                meters.orders.dropped(1);
                Some(refused.into_inner())
            }
        }
    }

    fn part(&mut self, worker: WorkerId) {
        if self.words.remove(&worker).is_some() {
            self.fleet.handle_event(Event::Left(worker), self.now());
        }
    }

    fn save_channels(&self) {
        let channels = self.fleet.saved_channels(self.now());
        self.checkpoint.save_channels(channels.clone());
        (self.outlets.keep)(Keep::Channels(channels));
    }

    fn save_evidence(&self) {
        let (channels, evidence) = (self.fleet.saved_channels(self.now()), self.fleet.saved_evidence(self.now()));
        self.checkpoint.save(channels, evidence.clone());
        (self.outlets.keep)(Keep::Evidence(evidence));
    }

    /// A stream whose task panicked has not said that it left.
    fn tidy_up(&mut self) {
        let gone: Vec<_> =
            self.words.iter().filter(|(_, words)| words.is_closed()).map(|(worker, _)| *worker).collect();
        gone.into_iter().for_each(|worker| self.part(worker));
        self.save_evidence();
    }

    fn view(&mut self, now: Timestamp) -> Arc<View> {
        match &self.view {
            Some((made, view)) if made.elapsed() < VIEW_AGE => Arc::clone(view),
            Some(_) | None => {
                let view = Arc::new(self.fleet.view(now));
                self.view = Some((Instant::now(), Arc::clone(&view)));
                view
            }
        }
    }

    fn now(&self) -> Timestamp {
        let millis = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        Timestamp::from_millis(EPOCH.saturating_add(millis))
    }
}

/// What was before the task's start needs instants too: the fleet counts from a day before.
const EPOCH: u64 = 86_400_000;

async fn wait_until(started: Instant, at: Option<Timestamp>) {
    match at {
        Some(at) => sleep_until(started + Duration::from_millis(at.as_millis().saturating_sub(EPOCH))).await,
        None => std::future::pending().await,
    }
}
