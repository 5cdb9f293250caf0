//! The bindings of one channel, on its socket for feeds.
//!
//! Duty: `eth_subscribe` and `eth_unsubscribe` as bindings come and go; each event to its bindings.
//! Invariant: a binding hears nothing before it is accepted, and everything from then on. One that is closed while its answer is under way is ended as soon as
//! the answer is there. All are lost with the socket.
//! Who takes signals slowly slows the socket down: nothing is left out.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, mpsc};

use super::cause::Cause;
use super::lane::Job;
use super::wire::{Heard, Wire};
use super::{BindingId, Happened, Signal};
use book::{Book, Told};

pub(super) mod book;

/// The bindings of one channel, whether its socket is up or not.
#[derive(Debug)]
pub(super) struct Desk {
    /// Held for a moment by feeds and by the socket, never over an await.
    book: Mutex<Book>,
    /// There is something to send.
    work: Notify,
}

/// While this lives, the desk's socket is up.
struct Serving<'a> {
    desk: &'a Desk,
    because: &'static str,
}

impl Desk {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { book: Mutex::default(), work: Notify::new() })
    }

    pub(super) fn open(&self, binding: BindingId, params: Arc<str>, signals: mpsc::Sender<Signal>) {
        let refused = self.book().open(binding, &params, &signals);
        match refused {
            Ok(()) => self.work.notify_one(),
            Err(because) => tell(signals, Signal { binding, happened: Happened::Lost(because) }),
        }
    }

    pub(super) fn close(&self, binding: BindingId) {
        self.book().close(binding);
        self.work.notify_one();
    }

    /// Serves the bindings on a socket, until that is gone. `pinged` hears how long a ping takes.
    pub(super) async fn serve(
        &self,
        wire: &mut Wire,
        jobs: &mpsc::Sender<Job>,
        pinged: impl Fn(Duration) + Send,
    ) -> Cause {
        self.book().up();
        let mut serving = Serving { desk: self, because: Cause::Reset.word() };
        let cause = loop {
            if let Err(cause) = self.send(jobs) {
                break cause;
            }
            let heard = tokio::select! {
                () = self.work.notified() => continue,
                heard = wire.next() => heard,
            };
            match heard {
                Ok(Heard::Pong) => wire.round_trip().into_iter().for_each(&pinged),
                Ok(Heard::Text(text)) => {
                    let told = self.book().hear(&text);
                    self.deliver(told, wire).await;
                }
                Err(cause) => break cause,
            }
        };
        serving.because = cause.word();
        cause
    }

    fn send(&self, jobs: &mpsc::Sender<Job>) -> Result<(), Cause> {
        let mut book = self.book();
        while let Some(job) = book.next_job() {
            jobs.try_send(job).map_err(|_| Cause::Stuck)?;
        }
        if book.is_deaf() { Err(Cause::Deaf) } else { Ok(()) }
    }

    async fn deliver(&self, told: Vec<Told>, wire: &mut Wire) {
        for Told { signals, signal } in told {
            let binding = signal.binding;
            let sent = match signals.try_send(signal) {
                Ok(()) => true,
                Err(TrySendError::Closed(_)) => false,
                Err(TrySendError::Full(signal)) => {
                    let sent = signals.send(signal).await.is_ok();
                    wire.resume();
                    sent
                }
            };
            if !sent {
                // Its owner is gone without a word.
                self.book().close(binding);
            }
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Serving<'_> {
    fn drop(&mut self) {
        let told = self.desk.book().fall(self.because);
        told.into_iter().for_each(|Told { signals, signal }| tell(signals, signal));
    }
}

/// Signals from where nobody can wait. One word for each binding, so what waits needs no bound of its own.
pub(super) fn tell(signals: mpsc::Sender<Signal>, signal: Signal) {
    if let Err(TrySendError::Full(signal)) = signals.try_send(signal)
        && let Ok(runtime) = tokio::runtime::Handle::try_current()
    {
        runtime.spawn(async move { signals.send(signal).await });
    }
}
