//! The one writer.
//!
//! Duty: a thread that writes what it is given: breakers, marks and decisions at once, evidence every few seconds, detail and leaderboards as they come.
//! Invariants: whoever gives something never waits; of what is saved under one name only the latest is written. What could not be written is tried again
//! while nothing newer came; failures are told once a minute. A panic in a write costs that write, not the writer.
//! Bounds: one value for each name, [`MOST_MINUTES`] minutes and one hour wait; older minutes go first, and are counted.
//! Leaves to others: the file (`disk`).

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use lasso_routing::fleet::saved::{SavedChannels, SavedEvidence};
use tracing::{error, warn};

use super::Keep;
use super::cell::Minute;
use super::data_dir::DataDir;
use super::disk::{Disk, Saved};
use super::leaderboard::Hour;
use super::wall::now_ms;
use crate::http::facts::Queue;

/// Minutes that wait for a disk that cannot be written.
const MOST_MINUTES: usize = 60;

/// How often things are written and told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Between two writings of evidence.
    pub(crate) evidence: Duration,
    /// After a write that failed.
    pub(crate) again: Duration,
    /// Between two complaints.
    pub(crate) complaint: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { evidence: Duration::from_secs(5), again: Duration::from_secs(1), complaint: Duration::from_secs(60) }
    }
}

/// Gives things to the writer. The last one that goes ends it, after what waits is written.
#[derive(Debug, Clone)]
pub(crate) struct Keeper(Arc<Giver>);

#[derive(Debug)]
struct Giver(Arc<Mailbox>);

/// The thread.
#[derive(Debug)]
pub(crate) struct Writer {
    mailbox: Arc<Mailbox>,
    thread: JoinHandle<()>,
}

/// A lock and not a channel, since what waits is replaced in place. It is held for a move, never for a write.
#[derive(Debug, Default)]
struct Mailbox {
    waiting: Mutex<Waiting>,
    bell: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    channels: Option<SavedChannels>,
    evidence: Option<SavedEvidence>,
    minutes: VecDeque<Minute>,
    hour: Option<Hour>,
    minutes_lost: u64,
    /// The most minutes that ever waited.
    most_minutes: u64,
    closed: bool,
}

impl Keeper {
    /// To be written, instead of what of its kind still waits.
    pub(crate) fn keep(&self, keep: Keep) {
        self.0.0.put(|waiting| match keep {
            Keep::Channels(channels) => waiting.channels = Some(channels),
            Keep::Evidence(evidence) => waiting.evidence = Some(evidence),
        });
    }

    /// Minutes that wait for the disk.
    pub(crate) fn queue(&self) -> Queue {
        let waiting = self.0.0.lock();
        Queue {
            name: "history_minutes",
            depth: waiting.minutes.len() as u64,
            capacity: MOST_MINUTES as u64,
            high_water: waiting.most_minutes,
            dropped: waiting.minutes_lost,
        }
    }

    pub(super) fn keep_minute(&self, minute: Minute) {
        self.0.0.put(|waiting| waiting.add_minute(minute));
    }

    pub(super) fn keep_hour(&self, hour: Hour) {
        self.0.0.put(|waiting| waiting.hour = Some(hour));
    }
}

impl Drop for Giver {
    fn drop(&mut self) {
        self.0.put(|waiting| waiting.closed = true);
    }
}

impl Writer {
    /// Starts the thread.
    pub(crate) fn start(directory: DataDir, disk: Disk, pace: Pace) -> std::io::Result<(Keeper, Self)> {
        let mailbox = Arc::new(Mailbox::default());
        let keeper = Keeper(Arc::new(Giver(Arc::clone(&mailbox))));
        let its = Arc::clone(&mailbox);
        let run = move || {
            // Ours until the last write.
            let _directory = directory;
            Scribe { disk, pace, evidence_due: None, complained: None }.run(&its);
        };
        let thread = std::thread::Builder::new().name("lasso-keeper".to_owned()).spawn(run)?;
        Ok((keeper, Self { mailbox, thread }))
    }

    /// Writes what waits and ends. Blocks as long as that takes; what cannot be written is not waited for.
    pub(crate) fn stop(self) {
        self.mailbox.put(|waiting| waiting.closed = true);
        if self.thread.join().is_err() {
            error!("the writer of data_dir panicked");
        }
    }
}

impl Mailbox {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, change: impl FnOnce(&mut Waiting)) {
        change(&mut self.lock());
        self.bell.notify_one();
    }
}

impl Waiting {
    fn add_minute(&mut self, minute: Minute) {
        if self.minutes.len() == MOST_MINUTES {
            self.minutes.pop_front();
            self.minutes_lost += 1;
        }
        self.minutes.push_back(minute);
        self.most_minutes = self.most_minutes.max(self.minutes.len() as u64);
    }

    fn is_urgent(&self) -> bool {
        self.closed || self.channels.is_some() || !self.minutes.is_empty() || self.hour.is_some()
    }

    /// What could not be written, unless something newer came.
    fn put_back(&mut self, left: Self) {
        self.channels = self.channels.take().or(left.channels);
        self.evidence = self.evidence.take().or(left.evidence);
        self.hour = self.hour.take().or(left.hour);
        let newer = std::mem::replace(&mut self.minutes, left.minutes);
        newer.into_iter().for_each(|minute| self.add_minute(minute));
    }
}

struct Scribe {
    disk: Disk,
    pace: Pace,
    /// Evidence waits until then.
    evidence_due: Option<Instant>,
    complained: Option<Instant>,
}

impl Scribe {
    fn run(&mut self, mailbox: &Mailbox) {
        loop {
            let (mut batch, last) = self.next(mailbox);
            // The disk's own state is a transaction that was or was not committed.
            let written = std::panic::catch_unwind(AssertUnwindSafe(|| self.write(&mut batch)));
            let failed = match written {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(_) => Some("a panic".to_owned()),
            };
            if let Some(error) = failed {
                let minutes_lost = mailbox.lock().minutes_lost;
                self.complain(&error, minutes_lost, last);
                if !last {
                    mailbox.lock().put_back(batch);
                    std::thread::sleep(self.pace.again);
                }
            }
            if last {
                return;
            }
        }
    }

    /// Waits for something to write. `true`: it is the last.
    fn next(&mut self, mailbox: &Mailbox) -> (Waiting, bool) {
        let mut waiting = mailbox.lock();
        loop {
            let due = self.evidence_due.map(|due| due.saturating_duration_since(Instant::now()));
            let evidence_is_due = waiting.evidence.is_some() && due.is_none_or(|left| left.is_zero());
            if waiting.is_urgent() || evidence_is_due {
                let closed = waiting.closed;
                let evidence = if evidence_is_due || closed { waiting.evidence.take() } else { None };
                if evidence.is_some() {
                    self.evidence_due = Some(Instant::now() + self.pace.evidence);
                }
                let batch = Waiting {
                    channels: waiting.channels.take(),
                    evidence,
                    minutes: std::mem::take(&mut waiting.minutes),
                    hour: waiting.hour.take(),
                    ..Waiting::default()
                };
                return (batch, closed);
            }
            waiting = match due.filter(|_| waiting.evidence.is_some()) {
                Some(left) => mailbox.bell.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0,
                None => mailbox.bell.wait(waiting).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Writes one thing after the other, taking out what was written. Breakers first: they matter most after a restart.
    fn write(&mut self, batch: &mut Waiting) -> rusqlite::Result<()> {
        let now = now_ms();
        if let Some(channels) = &batch.channels {
            self.disk.save(Saved::Channels, channels, now)?;
            batch.channels = None;
        }
        if let Some(evidence) = &batch.evidence {
            self.disk.save(Saved::Evidence, evidence, now)?;
            batch.evidence = None;
        }
        while let Some(minute) = batch.minutes.front() {
            self.disk.add_minute(minute)?;
            batch.minutes.pop_front();
        }
        if let Some(hour) = &batch.hour {
            self.disk.add_hour(hour)?;
            batch.hour = None;
        }
        Ok(())
    }

    fn complain(&mut self, error: &str, minutes_lost: u64, last: bool) {
        let lately = self.complained.is_some_and(|told| told.elapsed() < self.pace.complaint);
        if last || !lately {
            warn!(
                error,
                minutes_lost, "data_dir: cannot write; serving goes on, and what is not written is lost in a restart"
            );
            self.complained = Some(Instant::now());
        }
    }
}

#[cfg(test)]
mod tests;
