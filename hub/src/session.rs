//! One client's socket.
//!
//! ```text
//! ear -> message -> eth_subscribe, eth_unsubscribe -> feeds -> outlet -> mouth
//!                -> other calls -> Envoy (HTTP) ---------------------> mouth
//!                     events, while the session is idle: feeds -> door -> socket
//! ```
//!
//! Duty: one task that reads, asks, and writes; end the socket with the code that says why.
//! Invariant: bounded: [`MOST_CALLS`] calls under way, then the client's next message waits, and the one after it is not read; what feeds put in, by the outlet;
//! what the client does not take, by the mouth's patience. What a socket subscribed to leaves with it. It writes only while the outlet's door is shut, and
//! opens it only when it has nothing to write.
//! Order: a subscription is confirmed before its first event, in a batch too. Calls are answered as they end.
//! Drain: no message is taken any more, what is under way ends ([`LAST_PATIENCE`]), then 1001, or 1012 for a socket with subscriptions; each at its own time within [`SPREAD`]. 1012 is for a socket
//! whose subscriptions lost something while we stay: a client must subscribe again after either.
//! Leaves to others: frames (`ear`, `mouth`), what a call is ([`request`]), what a subscription is told (feeds).

mod book;
mod ear;
mod gather;
mod head;
mod meta;
mod mouth;
mod pass;
mod request;
mod say;

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Semaphore, broadcast, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use crate::budget::Budget;
use crate::calls::{Calls, Kept};
use crate::feeds::{Feeds, Room, SubscriptionId, Wanted};
use crate::outlet::{Outgoing, Outlet, Over, Waiting, outlet};
use crate::stream::{Reading, Writing};
use crate::tally::{Close, Tally};
use crate::{Notice, Site};

use book::Book;
use ear::{Ear, Heard};
use gather::Gather;
pub(crate) use head::Head;
use mouth::{Mouth, Unwritten};
use request::Done;

/// Calls and batches under way, for one client.
const MOST_CALLS: usize = 32;
/// Between pings.
const PING: Duration = Duration::from_secs(15);
/// Pings without an answer that end a socket.
const MOST_UNANSWERED: u32 = 2;
/// For the close frame to go out, and again for the client to have it.
const CLOSE_PATIENCE: Duration = Duration::from_secs(1);
/// For the close frame of a slow client: Envoy holds a megabyte before it, and takes more when half of that was read.
const SLOW_PATIENCE: Duration = Duration::from_secs(5);
/// The same for a client that shares its connection: what Envoy has for one who reads slowly would be lost with a reset, where the kernel keeps it for one with a connection
/// of its own. Envoy ends the stream itself as soon as it has passed everything on.
const READER_PATIENCE: Duration = Duration::from_secs(30);
/// For what is under way when we drain.
const LAST_PATIENCE: Duration = Duration::from_secs(5);
/// Sockets are closed over so long when we drain, so that their clients do not come back all at once.
const SPREAD: Duration = Duration::from_secs(3);

/// What all sessions share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) site: watch::Receiver<Arc<Site>>,
    pub(crate) feeds: Feeds,
    pub(crate) calls: Calls,
    pub(crate) budget: Budget,
    pub(crate) tally: Arc<Tally>,
    pub(crate) notices: broadcast::Sender<Notice>,
    pub(crate) drain: watch::Receiver<bool>,
    /// Numbers of subscriptions that were given.
    pub(crate) subscriptions: AtomicU64,
}

impl Shared {
    fn site(&self) -> Arc<Site> {
        Arc::clone(&self.site.borrow())
    }

    fn subscription(&self) -> SubscriptionId {
        SubscriptionId(self.subscriptions.fetch_add(1, Ordering::Relaxed))
    }
}

/// When a draining session ends.
#[derive(Debug, Clone, Copy)]
struct Last {
    earliest: Instant,
    latest: Instant,
}

/// What a session waits for.
enum Next {
    Written(Result<(), Unwritten>),
    Outgoing(Result<Outgoing, Over>),
    Done(Option<Done>),
    Heard(Heard),
    Room(Option<Room>),
    Alarm,
    Drain,
}

/// A client's socket, and all that it holds.
struct Session {
    shared: Arc<Shared>,
    head: Arc<Head>,
    ear: Ear,
    mouth: Mouth,
    outlet: Outlet,
    waiting: Waiting,
    book: Book,
    /// Subscriptions that the feeds have not taken yet.
    wishes: VecDeque<Wanted>,
    calls: JoinSet<Done>,
    /// One permit: for an answer that is long.
    long: Arc<Semaphore>,
    /// Batches with subscriptions in them, by number.
    gathers: BTreeMap<u64, Gather>,
    batches: u64,
    /// A message that came while there was no room for it.
    parked: Option<Bytes>,
    /// The latest ping that was not answered; the ones before it need no answer.
    pong: Option<Bytes>,
    unanswered: u32,
    alarm: Pin<Box<Sleep>>,
    drain: watch::Receiver<bool>,
    last: Option<Last>,
}

/// Serves a client until its socket ends. `read` came behind the head of the upgrade.
pub(crate) async fn serve(
    shared: Arc<Shared>,
    head: Arc<Head>,
    reading: Reading,
    writing: Writing,
    read: Bytes,
) -> Close {
    let most_bytes = shared.site().limits.message_bytes;
    let (outlet, waiting) = outlet(Arc::clone(&shared.tally));
    let ear = Ear::new(reading, &read, most_bytes, shared.budget.clone()).await;
    // It is a piece of the buffer that the head was read into.
    drop(read);
    // In a box: what awaits it would have room for it once for each wait.
    let mut session = Box::new(Session {
        ear,
        mouth: Mouth::new(writing),
        outlet,
        waiting,
        book: Book::new(shared.feeds.clone(), Arc::clone(&shared.tally)),
        wishes: VecDeque::new(),
        calls: JoinSet::new(),
        long: Arc::new(Semaphore::new(1)),
        gathers: BTreeMap::new(),
        batches: 0,
        parked: None,
        pong: None,
        unanswered: 0,
        // The first ping comes at any time within a turn, or sockets that were opened together would be pinged together for ever.
        alarm: Box::pin(sleep_until(Instant::now() + chance(PING))),
        drain: shared.drain.clone(),
        last: None,
        shared,
        head,
    });
    let (ended, code) = session.run().await;
    session.part(ended, code).await;
    ended
}

/// How a session ended, and the code that the client is to read.
type End = (Close, Option<u16>);

impl Session {
    async fn run(&mut self) -> End {
        loop {
            if !self.mouth.busy()
                && let Some(payload) = self.pong.take()
            {
                self.mouth.pong(&payload);
            }
            if let Some(message) =
                self.parked.take_if(|_| has_room(&self.calls, &self.gathers, &self.wishes, &self.mouth))
            {
                self.take(message);
            }
            if self.last.is_some_and(|last| self.is_done(last)) {
                // Who subscribed must do so again; for who only calls, another socket is as good.
                let how = if self.book.len() == 0 { Close::Drained } else { Close::Restarted };
                return ours(how);
            }
            let next = self.next().await;
            if let Some(rest) = self.waiting.shut() {
                self.mouth.resume(rest);
            }
            if let Some(end) = self.follow(next) {
                return end;
            }
            let written = self.mouth.flush_now();
            if let Some(end) = self.follow(Next::Written(written)) {
                return end;
            }
        }
    }

    async fn next(&mut self) -> Next {
        let busy = self.mouth.busy();
        let listens = self.parked.is_none() && self.last.is_none();
        if !busy {
            self.waiting.open(self.mouth.half(), self.book.known());
        }
        tokio::select! {
            written = self.mouth.flush(), if busy => Next::Written(written),
            outgoing = next_outgoing(&mut self.waiting, busy) => Next::Outgoing(outgoing),
            Some(done) = self.calls.join_next(), if !busy => Next::Done(done.ok()),
            heard = self.ear.next(listens) => Next::Heard(heard),
            room = self.shared.feeds.room(), if !self.wishes.is_empty() => Next::Room(room),
            () = self.alarm.as_mut() => Next::Alarm,
            _ = self.drain.wait_for(|drain| *drain), if self.last.is_none() => Next::Drain,
        }
    }

    fn follow(&mut self, next: Next) -> Option<End> {
        match next {
            Next::Written(Ok(())) => None,
            Next::Written(Err(Unwritten::Slow)) | Next::Outgoing(Err(Over::Slow)) => Some(ours(Close::Slow)),
            Next::Written(Err(Unwritten::Broken(_))) | Next::Outgoing(Err(Over::Done)) => Some(ours(Close::Lost)),
            Next::Outgoing(Ok(outgoing)) => {
                let end = self.pass(outgoing);
                end.or_else(|| self.pass_more())
            }
            // A call that panicked, and so has no answer, is told by its absence.
            Next::Done(done) => {
                done.into_iter().for_each(|done| self.answer(done));
                None
            }
            Next::Heard(heard) => self.heed(heard),
            Next::Room(Some(room)) => {
                if let Some(wanted) = self.wishes.pop_front() {
                    room.wish(wanted);
                }
                None
            }
            Next::Room(None) => Some(ours(Close::ContinuityLost)),
            Next::Alarm => self.beat(),
            Next::Drain => {
                self.finish();
                None
            }
        }
    }

    fn heed(&mut self, heard: Heard) -> Option<End> {
        match heard {
            Heard::Message(message) => {
                self.shared.tally.hear();
                self.unanswered = 0;
                // Whether there is room is seen before the next wait.
                self.parked = Some(message);
            }
            Heard::Ping(payload) => self.pong = Some(payload),
            Heard::Pong => self.unanswered = 0,
            Heard::Close(code) => return Some((Close::ByClient, code)),
            Heard::Over(how) => return Some(ours(how)),
        }
        None
    }

    fn say(&mut self, message: &[u8]) {
        self.mouth.say(&[message]);
        self.shared.tally.say();
    }

    fn say_long(&mut self, message: Bytes, kept: Kept) {
        self.mouth.say_long(message, kept);
        self.shared.tally.say();
    }

    /// The alarm rang: for a ping, or for the end of a drain, which is seen before the next wait.
    fn beat(&mut self) -> Option<End> {
        let now = Instant::now();
        if let Some(last) = self.last {
            self.alarm.as_mut().reset(last.latest);
            return None;
        }
        self.alarm.as_mut().reset(now + PING);
        // While it does not read it does not hear our pings either.
        if self.mouth.busy() {
            self.unanswered = 0;
            return None;
        }
        // Whoever is between us and it ends sockets on which nothing goes, so that pings go on while its next message waits for room. We do not hear its
        // pongs then.
        if self.parked.is_some() {
            self.unanswered = 0;
            self.mouth.ping();
            return None;
        }
        if self.unanswered >= MOST_UNANSWERED {
            return Some(ours(Close::Silent));
        }
        self.unanswered += 1;
        self.mouth.ping();
        None
    }

    fn finish(&mut self) {
        let now = Instant::now();
        let last = Last { earliest: now + chance(SPREAD), latest: now + LAST_PATIENCE };
        self.parked = None;
        self.last = Some(last);
        self.alarm.as_mut().reset(last.earliest);
    }

    fn is_done(&self, last: Last) -> bool {
        let now = Instant::now();
        let idle = self.calls.is_empty() && self.gathers.is_empty() && !self.mouth.busy();
        now >= last.latest || now >= last.earliest && idle
    }

    /// The last words. The socket ends within twice [`CLOSE_PATIENCE`], a slow one's within [`SLOW_PATIENCE`] more; what a connection is shared for may stay
    /// [`READER_PATIENCE`] instead, if its client does not read.
    async fn part(mut self: Box<Self>, ended: Close, code: Option<u16>) {
        // Nobody reads it any more; and what it holds may be much.
        self.calls.abort_all();
        if ended != Close::Lost {
            if ended != Close::ContinuityLost {
                self.mouth.cut();
            }
            self.mouth.close(code, if ended == Close::ByClient { "" } else { ended.name() });
            let patience = if ended == Close::Slow { SLOW_PATIENCE } else { CLOSE_PATIENCE };
            let _ = timeout(patience, self.mouth.flush()).await;
        }
        if let Some(code) = ended.code() {
            // Nobody may be listening.
            let _ = self.shared.notices.send(Notice::ClientClosed { code, because: ended.name() });
        }
        if ended != Close::Lost {
            let Self { mouth, mut ear, waiting, book, .. } = *self;
            // What it subscribed to, and was told, need not wait for the client.
            drop(waiting);
            drop(book);
            // Nothing more will be written: nobody else has the socket while the door is shut.
            drop(mouth);
            let patience = if ear.is_shared() { READER_PATIENCE } else { CLOSE_PATIENCE };
            let _ = timeout(patience, ear.drain()).await;
        }
    }
}

const fn ours(close: Close) -> End {
    (close, close.code())
}

/// Whether another message can be taken: its answer will have somewhere to go.
fn has_room(calls: &JoinSet<Done>, gathers: &BTreeMap<u64, Gather>, wishes: &VecDeque<Wanted>, mouth: &Mouth) -> bool {
    calls.len() + gathers.len() < MOST_CALLS && wishes.is_empty() && !mouth.busy()
}

/// What the feeds have next; while the mouth is busy, only whether there is too much of it.
async fn next_outgoing(waiting: &mut Waiting, busy: bool) -> Result<Outgoing, Over> {
    if busy {
        waiting.slow().await;
        return Err(Over::Slow);
    }
    waiting.next().await
}

/// Some time between none and `most`.
fn chance(most: Duration) -> Duration {
    let mut random = [0; 2];
    // Without randomness all do it in the middle: it is a courtesy.
    let share = getrandom::fill(&mut random).map_or(0.5, |()| f64::from(u16::from_be_bytes(random)) / 65_536.0);
    most.mul_f64(share)
}

#[cfg(test)]
mod tests;
