//! Minute by minute.
//!
//! Duty: at the end of each minute take the difference of the store's views into the day's detail, at each full hour the leaderboard, and hand both to the
//! keeper; answer questions meanwhile.
//! Invariant: one task owns the detail. A run that follows one that broke goes on with the same day.
//! Bound: [`MOST_QUESTIONS`] wait; two at once read the file; more are told that we are busy.
//! Leaves to others: what a view is (the store), the words of an answer (`query`).

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lasso_routing::fleet::view::View;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tracing::warn;

use super::Kept;
use super::cell::Minute;
use super::detail::Detail;
use super::differ::Differ;
use super::keeper::Keeper;
use super::leaderboard::Hour;
use super::query::{self, Hours, Past, Question, Unanswered};
use super::wall::now_ms;

const MOST_QUESTIONS: usize = 64;
const MOST_READERS: usize = 2;
const MINUTE_MS: u64 = 60_000;

/// Answers questions.
#[derive(Debug, Clone)]
pub(crate) struct History {
    asks: mpsc::Sender<Ask>,
    file: Option<PathBuf>,
    readers: Arc<Semaphore>,
}

#[derive(Debug)]
struct Ask {
    question: Question,
    answer: oneshot::Sender<Past>,
}

/// The task's state.
#[derive(Debug)]
pub(crate) struct Recorder {
    views: watch::Receiver<Arc<View>>,
    asks: mpsc::Receiver<Ask>,
    keeper: Option<Keeper>,
    detail: Detail,
    differ: Differ,
}

impl History {
    /// The handle and its task, which goes on where the last process ended.
    pub(crate) fn new(kept: &mut Kept, views: watch::Receiver<Arc<View>>) -> (Self, Recorder) {
        let (asks, inbox) = mpsc::channel(MOST_QUESTIONS);
        let mut detail = Detail::default();
        std::mem::take(&mut kept.day).iter().for_each(|minute| detail.add(minute));
        let differ = Differ::new(&views.borrow());
        let recorder = Recorder { views, asks: inbox, keeper: kept.keeper.clone(), detail, differ };
        (Self { asks, file: kept.file.clone(), readers: Arc::new(Semaphore::new(MOST_READERS)) }, recorder)
    }

    /// What happened in the last day.
    pub(crate) async fn past(&self, question: Question) -> Result<Past, Unanswered> {
        let (answer, answered) = oneshot::channel();
        self.asks.try_send(Ask { question, answer }).map_err(|_| Unanswered::Busy)?;
        answered.await.map_err(|_| Unanswered::Busy)
    }

    /// The leaderboards of the last week, hour by hour. Without a `data_dir` there are none.
    pub(crate) async fn hours(&self, question: Question) -> Result<Hours, Unanswered> {
        let Some(file) = self.file.clone() else { return Ok(Hours::default()) };
        let permit = Arc::clone(&self.readers).try_acquire_owned().map_err(|_| Unanswered::Busy)?;
        let read = move || {
            let _permit = permit;
            query::hours(&file, &question, now_ms() / MINUTE_MS)
        };
        match tokio::task::spawn_blocking(read).await {
            Ok(Ok(hours)) => Ok(hours),
            Ok(Err(error)) => {
                warn!(%error, "the history file cannot be read");
                Err(Unanswered::Unreadable)
            }
            Err(_) => Err(Unanswered::Unreadable),
        }
    }
}

impl Recorder {
    /// Until every [`History`] is gone.
    pub(crate) async fn run(&mut self) {
        let mut minute_end = Box::pin(tokio::time::sleep(to_the_minute(now_ms())));
        loop {
            tokio::select! {
                () = &mut minute_end => {
                    let now = now_ms();
                    // Timers and the wall clock drift by some milliseconds: the nearest end of a minute is meant.
                    self.minute_ended((now + MINUTE_MS / 2) / MINUTE_MS);
                    minute_end.set(tokio::time::sleep(to_the_minute(now)));
                }
                ask = self.asks.recv() => match ask {
                    Some(ask) => {
                        let past = query::past(&self.detail, &ask.question, now_ms() / MINUTE_MS);
                        // Who asked may have left.
                        let _ = ask.answer.send(past);
                    }
                    None => return,
                }
            }
        }
    }

    /// The minute before `now` is over.
    fn minute_ended(&mut self, now: u64) {
        let view = Arc::clone(&self.views.borrow());
        let minute = Minute { at: now.saturating_sub(1), cells: self.differ.step(&view) };
        self.detail.add(&minute);
        if let Some(keeper) = self.keeper.as_ref().filter(|_| !minute.cells.is_empty()) {
            keeper.keep_minute(minute);
        }
        if let Some(keeper) = self.keeper.as_ref().filter(|_| now.is_multiple_of(60)) {
            keeper.keep_hour(Hour::of(&view, now / 60));
        }
    }
}

/// To the next end of a minute, and never so little that the same one is met twice.
fn to_the_minute(now: u64) -> Duration {
    let left = MINUTE_MS - now % MINUTE_MS;
    Duration::from_millis(if left < 1_000 { left + MINUTE_MS } else { left })
}

#[cfg(test)]
mod tests;
