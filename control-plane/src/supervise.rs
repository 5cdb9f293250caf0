//! Tasks that may panic, and what follows.
//!
//! Duty: start a task again after a panic, it alone, within [`LONGEST_PAUSE`]; tell and count each of them.
//! Invariant: pauses double from [`SHORTEST_PAUSE`] while a task keeps panicking, and no further than [`LONGEST_PAUSE`]. A task ends with whoever
//! supervises it. A panic's text is nobody's business here: it may quote anything.
//! Leaves to others: what a task starts again from (each keeps that where a panic does not reach it).

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::broadcast;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep};
use tracing::error;

/// Before the first start after a panic.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
/// Before any.
const LONGEST_PAUSE: Duration = Duration::from_millis(400);
/// A task that ran for so long is sound again.
const SOUND: Duration = Duration::from_secs(10);
/// Panics that a listener may be behind.
pub(crate) const MOST_WAITING: usize = 64;

/// A task panicked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Panicked {
    /// Its name.
    pub(crate) task: &'static str,
    /// How often tasks of that name have, since the start.
    pub(crate) times: u64,
}

/// Runs tasks, and remembers their panics. Clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct Supervisor(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// By the tasks' names, which are written in the code. Held for an addition, never over an await.
    panics: Mutex<BTreeMap<&'static str, u64>>,
    notices: broadcast::Sender<Panicked>,
}

impl Supervisor {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Shared { panics: Mutex::default(), notices: broadcast::Sender::new(MOST_WAITING) }))
    }

    /// Panics that wait for the slowest listener.
    pub(crate) fn waiting(&self) -> usize {
        self.0.notices.len()
    }

    /// Panics from now on.
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Panicked> {
        self.0.notices.subscribe()
    }

    /// Panics since the start, by the name of the task.
    pub(crate) fn panics(&self) -> BTreeMap<&'static str, u64> {
        self.0.panics.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Runs the task that `start` makes until it ends by itself; after a panic, makes it again.
    pub(crate) async fn keep_up<F, T>(&self, name: &'static str, mut start: F)
    where
        F: FnMut() -> T,
        T: Future<Output = ()> + Send + 'static,
    {
        let mut pause = SHORTEST_PAUSE;
        loop {
            let started = Instant::now();
            if !self.outlive(name, start()).await {
                return;
            }
            if started.elapsed() > SOUND {
                pause = SHORTEST_PAUSE;
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Runs what cannot be started again; whether it panicked.
    pub(crate) async fn outlive(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) -> bool {
        // A set, since it takes its tasks with it when it is dropped.
        let mut tasks = JoinSet::new();
        tasks.spawn(task);
        let panicked =
            tasks.join_next().await.is_some_and(|ended| ended.is_err_and(|error| JoinError::is_panic(&error)));
        if panicked {
            self.tell(name);
        }
        panicked
    }

    fn tell(&self, task: &'static str) {
        let times = {
            let mut panics = self.0.panics.lock().unwrap_or_else(PoisonError::into_inner);
            let times = panics.entry(task).or_default();
            *times += 1;
            *times
        };
        error!(task, times, "a task panicked");
        // Nobody may be listening.
        let _ = self.0.notices.send(Panicked { task, times });
    }
}

#[cfg(test)]
mod tests;
