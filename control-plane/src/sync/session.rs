//! One stream.
//!
//! Duty: hello first; reports to the store, acks and tables back; pings when there is nothing else to say.
//! Invariant: a worker that says nothing for [`Pace::silence`] is gone: the VM of Envoy's main thread never closes its stream by itself. What waits for the
//! stream is [`OUTBOX`] messages and what the store holds for it. A report is not lost when the store panics: it is handed to the next one.
//! Leaves to others: everything that is decided (`store`).

use std::sync::Arc;
use std::time::Duration;

use lasso_proto::sync::{FromWorker, Read, ToWorker, wire};
use lasso_routing::fleet::event::Hello;
use lasso_routing::report::Report;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_stream::StreamExt;
use tonic::{Status, Streaming};
use tracing::{error, info, warn};

use super::Counts;
use crate::store::{Ended, Place, Store, Word};

/// Messages on their way to the wire.
pub(super) const OUTBOX: usize = 2;
/// A report over which so many stores panicked is dropped.
const MOST_PANICS: u8 = 2;

/// How long a stream may be quiet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// A ping follows so long after the last message to a worker.
    pub(crate) ping: Duration,
    /// A worker that says nothing for so long is gone. Workers say something each 2 s.
    pub(crate) silence: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { ping: Duration::from_secs(2), silence: Duration::from_secs(10) }
    }
}

type Outbox = mpsc::Sender<Result<wire::ControlMessage, Status>>;

pub(super) struct Session {
    store: Store,
    counts: Arc<Counts>,
    pace: Pace,
    outbox: Outbox,
    hello: Hello,
    place: Option<Place>,
    unacked: Option<Unacked>,
    /// Version of the last table that was sent.
    sent: u64,
    /// The same when the present place was taken: each place counts its tables from 1, a stream goes on counting.
    base: u64,
    ping_at: Instant,
}

/// A report that the store has not acked.
struct Unacked {
    report: Box<Report>,
    /// Stores that panicked meanwhile.
    panics: u8,
}

/// Why a stream ends.
enum End {
    /// The worker closed it, or its connection broke.
    Gone,
    /// We do, for this reason.
    Closed(Status),
}

impl From<Ended> for End {
    fn from(Ended: Ended) -> Self {
        Self::Closed(Status::unavailable("stopping"))
    }
}

impl Session {
    pub(super) fn new(store: Store, counts: Arc<Counts>, pace: Pace, outbox: Outbox) -> Self {
        let (hello, ping_at) = (Hello::default(), Instant::now() + pace.ping);
        Self { store, counts, pace, outbox, hello, place: None, unacked: None, sent: 0, base: 0, ping_at }
    }

    pub(super) async fn run(mut self, mut requests: Streaming<wire::FilterMessage>) {
        Counts::add(&self.counts.open, 1);
        // Counts down however this ends: with the drain it is dropped.
        let counted = Open(Arc::clone(&self.counts));
        let end = self.exchange(&mut requests).await;
        if let Some(place) = self.place.take() {
            place.leave().await;
        }
        drop(counted);
        match end {
            End::Gone => info!(node = &*self.hello.node, "sync stream ended"),
            End::Closed(status) => {
                info!(node = &*self.hello.node, reason = status.message(), "sync stream closed");
                // A reader that is behind learns it from the end of the stream.
                let _ = self.outbox.try_send(Err(status));
            }
        }
    }

    async fn exchange(&mut self, requests: &mut Streaming<wire::FilterMessage>) -> End {
        let mut heard_at = Instant::now();
        loop {
            let step = tokio::select! {
                request = requests.next() => {
                    heard_at = Instant::now();
                    self.heard(request).await
                }
                () = sleep_until(heard_at + self.pace.silence) => {
                    Counts::add(&self.counts.silent, 1);
                    Err(End::Closed(Status::deadline_exceeded("nothing was said for too long")))
                }
                next = next_word(&self.outbox, &mut self.place, self.ping_at) => match next {
                    Next::Word(word) => self.say(word),
                    Next::Ping => self.put(&ToWorker::Ping),
                    Next::Lost => self.rejoin().await,
                    Next::Gone => Err(End::Gone),
                },
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    async fn heard(&mut self, request: Option<Result<wire::FilterMessage, Status>>) -> Result<(), End> {
        let message = match request {
            Some(Ok(message)) => message,
            Some(Err(status)) => {
                // A connection that broke is not the worker's words.
                let unreadable = matches!(status.code(), tonic::Code::Internal | tonic::Code::OutOfRange);
                Counts::add(&self.counts.garbage, u64::from(unreadable));
                return Err(if unreadable { End::Closed(status) } else { End::Gone });
            }
            None => return Err(End::Gone),
        };
        let Read { message, skipped } = message.into();
        Counts::add(&self.counts.skipped, skipped.into());
        match (message, &self.place) {
            // Another hello: the worker has another catalog.
            (FromWorker::Hello(hello), _) => self.greet(hello).await,
            (_, None) => {
                Counts::add(&self.counts.garbage, 1);
                Err(End::Closed(Status::invalid_argument("hello comes first")))
            }
            (FromWorker::Report(report), Some(place)) => {
                self.unacked = Some(Unacked { report: report.clone(), panics: 0 });
                place.report(report).await;
                Ok(())
            }
            (FromWorker::TableTaken(version), Some(place)) => {
                // One of a place that was lost means nothing to this one.
                if let Some(version) = version.checked_sub(self.base).filter(|version| *version > 0) {
                    place.taken(version).await;
                }
                Ok(())
            }
            (FromWorker::Heartbeat, Some(_)) => Ok(()),
        }
    }

    async fn greet(&mut self, hello: Hello) -> Result<(), End> {
        info!(node = &*hello.node, region = &*hello.region, version = &*hello.version, "sync stream opened");
        self.hello = hello;
        if let Some(place) = self.place.take() {
            place.leave().await;
        }
        self.join().await
    }

    async fn rejoin(&mut self) -> Result<(), End> {
        Counts::add(&self.counts.rejoined, 1);
        let panicked = self.place.take().is_some_and(|place| place.is_orphaned());
        if let Some(unacked) = self.unacked.as_mut().filter(|_| panicked) {
            unacked.panics += 1;
            if unacked.panics >= MOST_PANICS {
                let seq = unacked.report.seq;
                error!(node = &*self.hello.node, seq, "a report is given up: the store panics when it comes");
                Counts::add(&self.counts.given_up, 1);
                self.unacked = None;
                self.put(&ToWorker::ReportAck(seq))?;
            }
        }
        self.join().await
    }

    async fn join(&mut self) -> Result<(), End> {
        let place = self.store.join(&self.hello).await?;
        self.base = self.sent;
        if let Some(unacked) = &self.unacked {
            place.report(unacked.report.clone()).await;
        }
        self.place = Some(place);
        Ok(())
    }

    fn say(&mut self, word: Word) -> Result<(), End> {
        match word {
            Word::Ack(seq) => {
                if self.unacked.as_ref().is_some_and(|unacked| unacked.report.seq <= seq) {
                    self.unacked = None;
                }
                self.put(&ToWorker::ReportAck(seq))
            }
            Word::Table(mut table) => {
                table.version = table.version.saturating_add(self.base);
                self.sent = table.version;
                self.put(&ToWorker::Table(table))
            }
            Word::Refused => {
                Counts::add(&self.counts.refused, 1);
                Err(End::Closed(Status::resource_exhausted("too many streams")))
            }
        }
    }

    /// Puts a message on the way. There is room: nothing is taken from the store before.
    fn put(&mut self, message: &ToWorker) -> Result<(), End> {
        let (message, left_out) = message.to_wire();
        if left_out > 0 {
            warn!(node = &*self.hello.node, left_out, "a routing table is too long: it goes without some evidence");
            Counts::add(&self.counts.left_out, u64::try_from(left_out).unwrap_or(u64::MAX));
        }
        self.ping_at = Instant::now() + self.pace.ping;
        self.outbox.try_send(Ok(message)).map_err(|_| End::Gone)
    }
}

enum Next {
    Word(Word),
    Ping,
    /// The place in the fleet.
    Lost,
    /// Nobody reads any more.
    Gone,
}

/// What is to be said next, once there is room for it.
async fn next_word(outbox: &Outbox, place: &mut Option<Place>, ping_at: Instant) -> Next {
    if outbox.reserve().await.is_err() {
        return Next::Gone;
    }
    let word = async {
        match place {
            Some(place) => place.hear().await.map_or(Next::Lost, Next::Word),
            None => std::future::pending().await,
        }
    };
    timeout_at(ping_at, word).await.unwrap_or(Next::Ping)
}

/// Counts an open stream.
struct Open(Arc<Counts>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
    }
}
