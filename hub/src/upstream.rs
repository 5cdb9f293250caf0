//! The sockets to providers, as the others see them.
//!
//! Duty: for each `ws` channel, [`Limits::provider_sockets`](crate::Limits::provider_sockets) sockets for calls and one for feeds: dialled, pinged, dialled
//! again; calls and bindings over them.
//! ```text
//! call ---> lane (pending calls) --.                       roster: one channel for each of the site's
//! open ---> desk (bindings) -------+--> socket: dial, verify, wire --> provider
//! ```
//! Invariant: a socket is used by others only once its provider has said, on it, that it serves the right chain. A call ends in an answer or in one [`Lost`], within its patience; a binding ends in one [`Happened::Lost`] or [`Happened::Refused`], or when it is
//! closed.

mod backoff;
mod call;
mod cause;
mod channel;
mod desk;
mod dial;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod lane;
mod message;
mod meter;
mod pulse;
mod roster;
mod socket;
mod wire;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rustls::ClientConfig;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::Instant;

use crate::{Notice, Site, Supervise, Task};
use desk::Desk;
use dial::Dialler;
use lane::Lane;
use roster::Roster;

/// One `eth_subscribe` at a provider, by a number that its owner gives and never gives again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct BindingId(pub(crate) u64);

/// Something about a binding.
#[derive(Debug)]
pub(crate) struct Signal {
    pub(crate) binding: BindingId,
    pub(crate) happened: Happened,
}

#[derive(Debug)]
pub(crate) enum Happened {
    /// The provider took it; events come from now on. Told before the first of them.
    Accepted,
    /// The provider did not take it: its error.
    Refused { code: i64, message: String },
    /// An event: `params.result`, as the provider wrote it.
    Arrived(Arc<str>),
    /// Its socket is gone, or there was none.
    Lost(&'static str),
}

/// Why there is no answer to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Lost {
    /// It was never sent.
    #[error("no socket to send it on")]
    Unsent,
    /// It was sent, and the socket broke.
    #[error("the socket broke")]
    Broken,
    /// It was sent, and nothing came in time.
    #[error("no answer in time")]
    Silent,
}

/// How the sockets of a channel are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Sockets {
    /// Since when at least one socket for calls has been up without a break.
    pub(crate) calls_since: Option<Instant>,
    /// Whether the socket for feeds is up, and serves the right chain.
    pub(crate) feeds: bool,
    /// A ping's way there and back, smoothed.
    pub(crate) round_trip: Option<Duration>,
}

/// All channels, by id.
pub(crate) type Status = BTreeMap<Arc<str>, Sockets>;

/// What the sockets are made of and tell to.
#[derive(Clone)]
pub(crate) struct Parts {
    /// Which channels there are; followed.
    pub(crate) site: watch::Receiver<Arc<Site>>,
    /// For providers behind TLS; each dial goes by what is there then.
    pub(crate) tls: watch::Receiver<Arc<ClientConfig>>,
    /// Where it is told what happens.
    pub(crate) notices: broadcast::Sender<Notice>,
    /// Who starts tasks again.
    pub(crate) supervisor: Arc<dyn Supervise>,
}

/// The way to providers. Clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct Upstream {
    lines: watch::Receiver<Arc<Lines>>,
    status: watch::Receiver<Arc<Status>>,
}

/// How each channel is spoken with.
type Lines = BTreeMap<Arc<str>, Line>;

#[derive(Debug, Clone)]
struct Line {
    lanes: Arc<[Arc<Lane>]>,
    desk: Arc<Desk>,
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").finish_non_exhaustive()
    }
}

impl Upstream {
    /// The way to providers, and the task that keeps it open. The sockets end with the task.
    pub(crate) fn start(parts: Parts) -> (Self, Task) {
        let (lines, spoken) = watch::channel(Arc::default());
        let (status, seen) = watch::channel(Arc::default());
        let dialler = Arc::new(Dialler::new(parts.tls.clone()));
        let supervisor = Arc::clone(&parts.supervisor);
        let start = Box::new(move || -> Task {
            let roster = Roster::new(parts.clone(), Arc::clone(&dialler), lines.clone(), status.clone());
            Box::pin(roster.run())
        });
        (Self { lines: spoken, status: seen }, supervisor.keep_up("upstream", start))
    }

    /// The answer to a request: one call, or a batch of them. Empty where there was nothing to answer. A caller that goes away takes its call with it, as far
    /// as it was not sent.
    pub(crate) async fn call(&self, channel: &str, request: Bytes, patience: Duration) -> Result<Bytes, Lost> {
        let lanes = self.lines.borrow().get(channel).map(|line| Arc::clone(&line.lanes)).ok_or(Lost::Unsent)?;
        call::call(&lanes, &request, patience).await
    }

    /// Asks a provider to `eth_subscribe` with these params; all that follows is signalled. Never waits.
    pub(crate) fn open(&self, channel: &str, binding: BindingId, params: Arc<str>, signals: mpsc::Sender<Signal>) {
        match self.lines.borrow().get(channel) {
            Some(line) => line.desk.open(binding, params, signals),
            None => desk::tell(signals, Signal { binding, happened: Happened::Lost("no such channel") }),
        }
    }

    /// Ends a binding. Nothing of it is signalled that was not under way already.
    pub(crate) fn close(&self, channel: &str, binding: BindingId) {
        if let Some(line) = self.lines.borrow().get(channel) {
            line.desk.close(binding);
        }
    }

    /// How the sockets are; a new value whenever that changes.
    pub(crate) fn status(&self) -> watch::Receiver<Arc<Status>> {
        self.status.clone()
    }
}

#[cfg(test)]
pub(crate) mod provider;
#[cfg(test)]
mod tests;
