//! One channel: its sockets, and how they are.
//!
//! Duty: run the sockets, as many as are wanted now; sum up how they are; tell it.
//! Invariant: a socket that is not wanted any more ends when no call is under way on it. What is told of a channel ends with its end: a retired channel tells nothing, though its sockets may take a moment longer.

use std::iter::repeat_with;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{Notify, broadcast, watch};
use tokio::time::{Instant, sleep_until};

use super::backoff::STABLE;
use super::cause::Cause;
use super::desk::Desk;
use super::dial::Dialler;
use super::lane::Lane;
use super::socket::{self, Purpose};
use super::{Line, Sockets, Status};
use crate::{Notice, Supervise, Task, WsChannel};

/// Where it is told how channels are.
#[derive(Debug, Clone)]
pub(super) struct Board {
    pub(super) status: watch::Sender<Arc<Status>>,
    pub(super) notices: broadcast::Sender<Notice>,
}

/// A channel's state, shared by its sockets.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) spec: WsChannel,
    lanes: watch::Sender<Arc<[Arc<Lane>]>>,
    desk: Arc<Desk>,
    tally: watch::Sender<Tally>,
    board: Board,
    told: Mutex<Told>,
    /// Calls may use it again.
    steady: Notify,
}

/// How the sockets are.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    /// Sockets for calls that are up.
    calls: usize,
    sockets: Sockets,
}

/// What is known of it.
#[derive(Debug, Default)]
struct Told {
    retired: bool,
    /// Calls may use it: its sockets have been up since.
    connected: Option<Instant>,
    chain_id: Option<u64>,
}

/// While this lives, a socket for calls is up.
pub(super) struct CallsUp(Arc<Channel>);

/// While this lives, the socket for feeds is up.
pub(super) struct FeedsUp(Arc<Channel>);

impl Channel {
    /// With so many sockets for calls.
    pub(super) fn new(spec: WsChannel, sockets: usize, board: Board) -> Arc<Self> {
        let lanes = watch::Sender::new((0..sockets).map(|_| Lane::new()).collect());
        let (tally, told) = (watch::Sender::default(), Mutex::default());
        Arc::new(Self { spec, lanes, desk: Desk::new(), tally, board, told, steady: Notify::new() })
    }

    pub(super) fn line(&self) -> Line {
        Line { lanes: Arc::clone(&self.lanes.borrow()), desk: Arc::clone(&self.desk) }
    }

    /// So many sockets for calls from now on. Those that are there stay, as far as they are wanted; first those that are up.
    pub(super) fn resize(&self, sockets: usize) {
        self.lanes.send_if_modified(|lanes| {
            let news = lanes.len() != sockets;
            if news {
                let mut there = lanes.to_vec();
                there.sort_by_key(|lane| lane.load().is_none());
                *lanes = there.into_iter().chain(repeat_with(Lane::new)).take(sockets).collect();
            }
            news
        });
    }

    /// Until it is dropped.
    pub(super) async fn run(self: Arc<Self>, supervisor: Arc<dyn Supervise>, dialler: Arc<Dialler>) {
        let keep = |purpose: Purpose| {
            let (channel, dialler) = (Arc::clone(&self), Arc::clone(&dialler));
            let start =
                move || -> Task { Box::pin(socket::keep(Arc::clone(&channel), purpose.clone(), Arc::clone(&dialler))) };
            supervisor.keep_up("upstream", Box::new(start))
        };
        let feeds = keep(Purpose::Feeds(Arc::clone(&self.desk)));
        tokio::join!(feeds, self.keep_lanes(keep), self.tell());
    }

    /// One socket for each lane, and for those that retire.
    async fn keep_lanes(&self, keep: impl Fn(Purpose) -> Task) {
        let mut lanes = self.lanes.subscribe();
        let (mut kept, mut sockets) = (Arc::<[Arc<Lane>]>::default(), FuturesUnordered::new());
        loop {
            let wanted = Arc::clone(&lanes.borrow_and_update());
            for (place, lane) in wanted.iter().enumerate().filter(|(_, lane)| !has(&kept, lane)) {
                let (mut followed, lane) = (self.lanes.subscribe(), Arc::clone(lane));
                let socket = keep(Purpose::Calls { place, lane: Arc::clone(&lane) });
                sockets.push(async move {
                    let retired = async {
                        // It ends with us.
                        let _ = followed.wait_for(|wanted| !has(wanted, &lane)).await;
                        lane.retire().await;
                    };
                    tokio::select! {
                        () = socket => {}
                        () = retired => {}
                    }
                });
            }
            kept = wanted;
            tokio::select! {
                // It is ours.
                _ = lanes.changed() => {}
                Some(()) = sockets.next() => {}
            }
        }
    }

    async fn tell(&self) {
        let mut tally = self.tally.subscribe();
        loop {
            let sockets = tally.borrow_and_update().sockets;
            let stable = self.told().tell(self, sockets);
            tokio::select! {
                // It is ours.
                _ = tally.changed() => {}
                () = wait_until(stable) => {}
            }
        }
    }

    /// The end of what is told of it.
    pub(super) fn retire(&self) {
        let mut told = self.told();
        told.tell(self, Sockets::default());
        told.retired = true;
        self.board.status.send_modify(|status| {
            Arc::make_mut(status).remove(&self.spec.id);
        });
    }

    /// Its provider said which chain it serves.
    pub(super) fn serves(&self, chain_id: u64) {
        if self.told().chain_id.replace(chain_id) != Some(chain_id) {
            self.notice(Notice::ChainId { channel: Arc::clone(&self.spec.id), chain_id });
        }
    }

    /// A socket for calls is up.
    pub(super) fn calls_up(self: &Arc<Self>) -> CallsUp {
        self.tally.send_modify(|tally| {
            tally.calls += 1;
            tally.sockets.calls_since.get_or_insert_with(Instant::now);
        });
        self.notice(Notice::SocketUp { channel: Arc::clone(&self.spec.id) });
        CallsUp(Arc::clone(self))
    }

    /// The socket for feeds is up.
    pub(super) fn feeds_up(self: &Arc<Self>) -> FeedsUp {
        self.tally.send_modify(|tally| tally.sockets.feeds = true);
        self.notice(Notice::SocketUp { channel: Arc::clone(&self.spec.id) });
        FeedsUp(Arc::clone(self))
    }

    /// Waits until the sockets for calls are steady: a provider that is back for the one is back for all. Not sooner, or one that bears a single socket
    /// would be dialled all the time.
    pub(super) async fn steady(&self) {
        self.steady.notified().await;
    }

    /// A socket is gone, or could not be opened.
    pub(super) fn down(&self, cause: Cause) {
        self.notice(Notice::SocketDown { channel: Arc::clone(&self.spec.id), because: cause.to_string() });
    }

    /// How long a ping takes. Small changes are nobody's business.
    pub(super) fn round_trip(&self, took: Duration) {
        self.tally.send_if_modified(|tally| {
            let news = tally.sockets.round_trip.is_none_or(|before| before.abs_diff(took) > before / 4);
            if news {
                tally.sockets.round_trip = Some(took);
            }
            news
        });
    }

    fn notice(&self, notice: Notice) {
        // Nobody may be listening.
        let _ = self.board.notices.send(notice);
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Told {
    /// Tells how the sockets are; when there is something to tell without their changing.
    fn tell(&mut self, channel: &Channel, sockets: Sockets) -> Option<Instant> {
        if self.retired {
            return None;
        }
        channel.board.status.send_if_modified(|status| {
            let news = status.get(&channel.spec.id) != Some(&sockets);
            if news {
                Arc::make_mut(status).insert(Arc::clone(&channel.spec.id), sockets);
            }
            news
        });
        let connected = |connected| Notice::Connected { channel: Arc::clone(&channel.spec.id), connected };
        if self.connected.is_some() && self.connected != sockets.calls_since {
            self.connected = None;
            channel.notice(connected(false));
        }
        let stable = sockets.calls_since.filter(|since| self.connected != Some(*since))? + STABLE;
        if stable > Instant::now() {
            return Some(stable);
        }
        self.connected = sockets.calls_since;
        channel.notice(connected(true));
        channel.steady.notify_waiters();
        None
    }
}

impl Drop for CallsUp {
    fn drop(&mut self) {
        self.0.tally.send_modify(|tally| {
            tally.calls = tally.calls.saturating_sub(1);
            if tally.calls == 0 {
                tally.sockets.calls_since = None;
            }
        });
    }
}

impl Drop for FeedsUp {
    fn drop(&mut self) {
        self.0.tally.send_modify(|tally| {
            tally.sockets.feeds = false;
            tally.sockets.round_trip = None;
        });
    }
}

fn has(lanes: &[Arc<Lane>], lane: &Arc<Lane>) -> bool {
    lanes.iter().any(|other| Arc::ptr_eq(other, lane))
}

async fn wait_until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
