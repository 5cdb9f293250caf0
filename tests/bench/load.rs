//! Load on one address, and what it saw.
//!
//! Duty: keep connections busy, flat out, at a pace of their own, or at a common rate whose latencies count from when a call was due.
//! Invariant: runs on one thread beside the mock, so counts taken between two awaits belong together.
//! Leaves to others: how long it runs, and what the counts are compared with.

use std::{
    collections::VecDeque,
    future::poll_fn,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::Poll,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{calls, connection::Connection};

/// Longer than any deadline of the calls we send.
const ENDS_WITHIN: Duration = Duration::from_secs(10);

/// Those that ask at moments of their own come one after the other in so long: as long as an attempt that nobody answers.
const COME_WITHIN: Duration = Duration::from_millis(500);

/// When a connection asks again.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pace {
    /// As soon as it was answered.
    FlatOut,
    /// So long after it was answered, on average; each connection at moments of its own.
    After(Duration),
    /// So many calls a second over all connections, evenly, whether earlier ones were answered or not.
    Rate(f64),
}

/// What is to be asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Order {
    pub(crate) address: SocketAddr,
    pub(crate) path: &'static str,
    pub(crate) calls: calls::Load,
    pub(crate) connections: u64,
    pub(crate) pace: Pace,
}

/// Calls answered so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    /// With a result of their own.
    pub(crate) whole: u64,
    /// With anything else.
    pub(crate) failed: u64,
}

#[derive(Debug, Default)]
struct Tally {
    whole: AtomicU64,
    failed: AtomicU64,
    recording: AtomicBool,
    stopping: AtomicBool,
    /// In nanoseconds.
    latencies: Mutex<Vec<u32>>,
}

impl Tally {
    fn goes_on(&self) -> bool {
        !self.stopping.load(Ordering::Relaxed)
    }

    fn count(&self, whole: bool, asked: Instant) {
        let counter = if whole { &self.whole } else { &self.failed };
        counter.fetch_add(1, Ordering::Relaxed);
        if self.recording.load(Ordering::Relaxed) {
            let nanos = u32::try_from(asked.elapsed().as_nanos()).unwrap_or(u32::MAX);
            self.latencies.lock().unwrap_or_else(PoisonError::into_inner).push(nanos);
        }
    }
}

/// Calls that are due, for whichever connection is idle.
#[derive(Debug, Default)]
struct Due {
    times: Mutex<VecDeque<Instant>>,
    more: Notify,
}

/// Running load. It ends when dropped, in the middle of its calls, or by [`Load::finish`].
#[derive(Debug)]
pub(crate) struct Load {
    tally: Arc<Tally>,
    due: Arc<Due>,
    connections: JoinSet<anyhow::Result<()>>,
}

impl Load {
    pub(crate) async fn start(order: &Order) -> anyhow::Result<Self> {
        let tally = Arc::new(Tally::default());
        let mut connections = JoinSet::new();
        let due = Arc::new(Due::default());
        for number in 0..order.connections {
            let calls = calls::Calls::new(order.calls, order.path, number);
            let connection = Connection::open(order.address, calls).await?;
            let tally = Arc::clone(&tally);
            match order.pace {
                Pace::FlatOut => connections.spawn(flat_out(connection, tally)),
                Pace::After(pause) => connections.spawn(pausing(connection, tally, pause, number)),
                Pace::Rate(_) => connections.spawn(when_due(connection, tally, Arc::clone(&due))),
            };
        }
        match order.pace {
            Pace::Rate(rate) => connections.spawn(announce(Arc::clone(&due), Arc::clone(&tally), rate)),
            Pace::FlatOut | Pace::After(_) => connections.spawn(stay_awake(Arc::clone(&tally))),
        };
        Ok(Self { tally, due, connections })
    }

    /// What it saw so far.
    pub(crate) fn seen(&self) -> Seen {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Seen { whole: read(&self.tally.whole), failed: read(&self.tally.failed) }
    }

    /// Lets every call that is on its way end, and gives what was seen. Calls that are due and not sent are forgotten.
    pub(crate) async fn finish(mut self) -> anyhow::Result<Seen> {
        self.tally.stopping.store(true, Ordering::Relaxed);
        self.due.times.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.due.more.notify_waiters();
        let ends = async {
            while let Some(ended) = self.connections.join_next().await {
                ended??;
            }
            anyhow::Ok(())
        };
        timeout(ENDS_WITHIN, ends).await.context("calls under way did not end")??;
        Ok(self.seen())
    }

    /// From here on latencies are recorded.
    pub(crate) fn record(&self) {
        self.tally.recording.store(true, Ordering::Relaxed);
    }

    /// The latencies since [`Self::record`], in nanoseconds.
    pub(crate) fn latencies(&self) -> Vec<u32> {
        std::mem::take(&mut self.tally.latencies.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Lets all of this load run for so long. Fails when a connection ends: load never ends by itself.
pub(crate) async fn run(loads: &mut [&mut Load], length: Duration) -> anyhow::Result<()> {
    let ended = poll_fn(|context| {
        for load in &mut *loads {
            if let Poll::Ready(Some(ended)) = load.connections.poll_join_next(context) {
                return Poll::Ready(ended);
            }
        }
        Poll::Pending
    });
    let Ok(ended) = timeout(length, ended).await else { return Ok(()) };
    ended??;
    bail!("a connection of the load ended");
}

async fn flat_out(mut connection: Connection, tally: Arc<Tally>) -> anyhow::Result<()> {
    while tally.goes_on() {
        let asked = Instant::now();
        let answered = connection.ask().await?;
        tally.count(answered.whole, asked);
    }
    Ok(())
}

async fn pausing(mut connection: Connection, tally: Arc<Tally>, pause: Duration, number: u64) -> anyhow::Result<()> {
    let mut chance = number;
    let mut share = || {
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (chance >> 33) as f64 / f64::from(1_u32 << 31)
    };
    // Clients that came or were answered at the same moment would else ask in step for ever.
    sleep(COME_WITHIN.mul_f64(share())).await;
    while tally.goes_on() {
        sleep(pause.mul_f64(0.5 + share())).await;
        let asked = Instant::now();
        let answered = connection.ask().await?;
        tally.count(answered.whole, asked);
    }
    Ok(())
}

async fn when_due(mut connection: Connection, tally: Arc<Tally>, due: Arc<Due>) -> anyhow::Result<()> {
    while tally.goes_on() {
        let next = due.times.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let Some(asked) = next else {
            due.more.notified().await;
            continue;
        };
        let answered = connection.ask().await?;
        tally.count(answered.whole, asked);
    }
    Ok(())
}

/// Never lets the thread sleep: waking a sleeping processor is paid for by who wakes it, which is the Envoy we measure, and on virtual
/// machines it costs as much as a request.
async fn stay_awake(tally: Arc<Tally>) -> anyhow::Result<()> {
    while tally.goes_on() {
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// Spins between two calls: the runtime's timers tick once a millisecond, and a burst each millisecond is another load.
async fn announce(due: Arc<Due>, tally: Arc<Tally>, rate: f64) -> anyhow::Result<()> {
    let started = Instant::now();
    let mut announced = 0_u64;
    while tally.goes_on() {
        let next = started + Duration::from_secs_f64(announced as f64 / rate);
        while Instant::now() < next {
            tokio::task::yield_now().await;
        }
        due.times.lock().unwrap_or_else(PoisonError::into_inner).push_back(next);
        due.more.notify_one();
        announced += 1;
    }
    // One of them may have begun to wait after the others were told.
    due.times.lock().unwrap_or_else(PoisonError::into_inner).clear();
    due.more.notify_waiters();
    Ok(())
}
