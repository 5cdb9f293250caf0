//! What one of Envoy's worker threads has.
//!
//! Duty: a [`Worker`] for each thread that serves requests, and the way to it from the main thread, which reports and follows tables
//! for all of them. Invariant: everything that hangs on a worker (its exchanges, the catalogs they hold) is counted without atomics, so it is touched only by who
//! holds the desk; hooks hold it while the filter runs, the main thread while it ticks. Nobody at a desk calls what makes Envoy run another filter's hook: answers
//! wait for the desk to be free, and so do streams.
//! Bound: one seat a thread of Envoy's, for the life of the process; threads over [`MOST_SEATS`] share the last.
//! Leaves to others: what is done at the desk.

#![allow(
    unsafe_code,
    reason = "a worker is handed between threads, which its counters without atomics do not allow by themselves"
)]

use std::cell::RefCell;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lasso_filter::worker::Worker;

use crate::abi::LogLevel;
use crate::control::Plugin;
use crate::{envoy, node, stage};

/// Threads with a seat of their own.
const MOST_SEATS: u32 = 1_024;

/// A worker and what it runs with.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) worker: Rc<RefCell<Worker>>,
    /// The newest configuration that it took.
    taken: u64,
    /// The worker is another than the one that the main thread knows.
    pub(crate) renewed: bool,
}

// SAFETY: the module's invariant: the worker, and whatever shares its counters, is only touched by the thread that has the desk locked.
unsafe impl Send for Desk {}

impl Desk {
    fn new() -> Self {
        let mut worker = Worker::new(seed());
        node::introduce(&mut worker);
        Self { worker: Rc::new(RefCell::new(worker)), taken: 0, renewed: false }
    }

    /// Takes a configuration, if it is newer than the one in force.
    pub(crate) fn follow(&mut self, plugin: &Plugin) {
        if plugin.sequence <= self.taken {
            return;
        }
        self.taken = plugin.sequence;
        let Ok(mut worker) = self.worker.try_borrow_mut() else { return };
        if let Err(reason) = worker.adopt((*plugin.catalog).clone(), stage::now().at) {
            envoy::log(LogLevel::Error, &format!("lasso: catalog refused: {reason}"));
        }
    }

    /// Begins anew after a panic: what the worker knew may be half of something.
    pub(crate) fn renew(&mut self) {
        if let Ok(mut worker) = self.worker.try_borrow_mut() {
            worker.renew(seed());
            node::introduce(&mut worker);
            (self.taken, self.renewed) = (0, true);
        }
    }
}

/// Workers start in the same moment; the hasher's keys are random.
fn seed() -> u64 {
    RandomState::new().hash_one(stage::now().micros.0)
}

/// A desk, and who wants it.
#[derive(Debug)]
pub(crate) struct Seat(Mutex<Desk>);

impl Seat {
    /// Waits for the desk. A panic at it was caught and dealt with.
    pub(crate) fn desk(&self) -> MutexGuard<'_, Desk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

static SEATS: Mutex<Vec<Arc<Seat>>> = Mutex::new(Vec::new());

thread_local! {
    static OWN: RefCell<Option<(u32, Arc<Seat>)>> = const { RefCell::new(None) };
}

/// Makes so many seats, if there are fewer.
pub(crate) fn make(count: u32) {
    let mut seats = SEATS.lock().unwrap_or_else(PoisonError::into_inner);
    while seats.len() < count as usize {
        seats.push(Arc::new(Seat(Mutex::new(Desk::new()))));
    }
}

/// The seat of the thread that asks, which is Envoy's worker of that number.
pub(crate) fn own(worker: u32) -> Arc<Seat> {
    OWN.with_borrow_mut(|own| match own {
        Some((index, seat)) if *index == worker => Arc::clone(seat),
        _ => {
            make(worker.saturating_add(1).min(MOST_SEATS));
            let seats = SEATS.lock().unwrap_or_else(PoisonError::into_inner);
            let index = (worker as usize).min(seats.len() - 1);
            let seat = Arc::clone(&seats[index]);
            *own = Some((worker, Arc::clone(&seat)));
            seat
        }
    })
}

/// All seats, in the order of their threads.
pub(crate) fn all() -> Vec<Arc<Seat>> {
    SEATS.lock().unwrap_or_else(PoisonError::into_inner).clone()
}
