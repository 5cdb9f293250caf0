//! The stream to the control plane: reports up, routing tables down.
//!
//! Duty: do what [`link`] says is due, carry the ledger's words to the wire and back. Invariants: a report that was not acked is sent
//! again as it was, under its number; a message that does not read ends the stream and nothing else; without a control plane the worker
//! goes on by itself.
//! Bounds: one report on its way; no message over [`MOST_BYTES`] is read.
//! Leaves to others: what is in a report, what a table changes (`lasso_routing::ledger`), host calls ([`Streams`]).

pub mod link;

use lasso_proto::sync::{FromWorker, MOST_BYTES, ToWorker};
use lasso_routing::fleet::event::Hello;
use lasso_routing::report::Report;
use lasso_routing::time::Timestamp;

use self::link::{Action, Link};
use crate::stats::Counter;
use crate::worker::Worker;

/// gRPC streams, as the root context that owns them has them.
pub trait Streams {
    /// Opens a stream to a cluster; `None` when Envoy refuses. A stream that cannot be connected is closed later.
    fn open(&self, cluster: &str) -> Option<u32>;
    /// Sends a message; `false` when the stream is gone.
    fn send(&self, token: u32, message: &[u8]) -> bool;
    /// Closes a stream, or frees one that was closed.
    fn close(&self, token: u32);
}

/// A worker's side of the stream.
#[derive(Debug, Default)]
pub struct Sync {
    link: Link,
    hello: Hello,
    /// A stream was opened before.
    opened: bool,
    /// Connected, as the gauge has it.
    shown: bool,
}

impl Sync {
    /// For a VM that drew this number when it started.
    #[must_use]
    pub fn new(instance: u64) -> Self {
        let hello = Hello { instance, version: env!("CARGO_PKG_VERSION").into(), ..Hello::default() };
        Self { hello, ..Self::default() }
    }

    /// Envoy's name for itself, and where it stands.
    pub fn introduce(&mut self, node: &str, region: &str) {
        (self.hello.node, self.hello.region) = (node.into(), region.into());
    }

    /// Whether the gauge counts this worker.
    #[must_use]
    pub const fn is_shown(&self) -> bool {
        self.shown
    }

    /// Where Envoy stands; empty when nobody said.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.hello.region
    }
}

/// A tick: what is to be said is said now.
pub fn tick(worker: &mut Worker, streams: &impl Streams, now: Timestamp) {
    worker.handle_tick(now);
    worker.sync().link.handle_tick();
    drive(worker, streams, now);
}

/// Something was learned that the fleet should know before the next tick. A stream is not opened from here: it would belong to the
/// request.
pub fn hurry(worker: &mut Worker, streams: &impl Streams, now: Timestamp) {
    if worker.sync().link.is_connected() {
        worker.sync().link.handle_tick();
        drive(worker, streams, now);
    }
}

/// The control plane answered: the stream is up.
pub fn connected(worker: &mut Worker, token: u32, now: Timestamp) {
    let link = &mut worker.sync().link;
    if link.is(token) {
        link.handle_heard(now);
    }
    show(worker);
}

/// A message of `size` bytes came; `read` fetches it.
pub fn heard(
    worker: &mut Worker,
    streams: &impl Streams,
    (token, size): (u32, usize),
    read: impl FnOnce() -> Vec<u8>,
    now: Timestamp,
) {
    if !worker.sync().link.is(token) {
        return;
    }
    worker.sync().link.handle_heard(now);
    let message = (size <= MOST_BYTES).then(read).and_then(|bytes| ToWorker::decode(&bytes).ok());
    match message.map(|read| read.message) {
        Some(ToWorker::ReportAck(seq)) => acked(worker, seq),
        Some(ToWorker::Table(table)) => {
            worker.stats().count(Counter::TablesReceived);
            worker.ledger().follow_table(&table, now);
            let _ = send(worker, streams, token, &FromWorker::TableTaken(table.version).encode(), now);
        }
        Some(ToWorker::Ping) => {}
        None => {
            worker.stats().count(Counter::SyncErrors);
            let chance = worker.chance();
            worker.sync().link.give_up(now, chance);
        }
    }
    drive(worker, streams, now);
}

/// Envoy closed a stream.
pub fn closed(worker: &mut Worker, token: u32, now: Timestamp) {
    let chance = worker.chance();
    let link = &mut worker.sync().link;
    if link.is(token) {
        link.handle_closed(now, chance);
    }
    show(worker);
}

/// The root that owned the stream has a successor, which opens its own.
pub fn leave(worker: &mut Worker, streams: &impl Streams, now: Timestamp) {
    worker.sync().link.leave(now);
    if let Some(token) = worker.sync().link.take_doomed() {
        streams.close(token);
    }
    show(worker);
}

fn acked(worker: &mut Worker, seq: u64) {
    if worker.ledger().unacked().is_none_or(|report| report.seq != seq) {
        return;
    }
    worker.ledger().acked(seq);
    worker.sync().link.handle_acked();
    worker.stats().count(Counter::ReportsAcked);
}

/// Does what is due.
fn drive(worker: &mut Worker, streams: &impl Streams, now: Timestamp) {
    let catalog = worker.catalog();
    let Some((catalog, cluster)) = catalog.as_ref().and_then(|catalog| Some((catalog, catalog.sync_cluster()?))) else {
        return leave(worker, streams, now);
    };
    loop {
        let chance = worker.chance();
        let Some(action) = worker.sync().link.poll_action(now, chance) else { break };
        match action {
            Action::Open => {
                let again = std::mem::replace(&mut worker.sync().opened, true);
                worker.stats().add(Counter::SyncReconnects, i64::from(again));
                let token = streams.open(cluster);
                worker.sync().link.handle_opened(token, now, chance);
            }
            Action::Greet(token) => {
                let hello = Hello { generation: catalog.generation().into(), ..worker.sync().hello.clone() };
                let _ = send(worker, streams, token, &FromWorker::Hello(hello).encode(), now);
            }
            Action::Report(token) => report(worker, streams, token, now),
            Action::Beat(token) => {
                let _ = send(worker, streams, token, &FromWorker::Heartbeat.encode(), now);
            }
            Action::Close(token) => streams.close(token),
        }
    }
    show(worker);
}

/// The report that waits, as it was, or else the next one.
fn report(worker: &mut Worker, streams: &impl Streams, token: u32, now: Timestamp) {
    let waits = worker.ledger().unacked().map(encoded);
    let message = match waits {
        Some(message) => message,
        None => {
            let Some(report) = worker.ledger().report(now) else { return };
            let (message, coarsened) = (encoded(report), report.dropped.coarsened);
            worker.stats().add(Counter::OutcomesDropped, i64::try_from(coarsened).unwrap_or(i64::MAX));
            message
        }
    };
    if send(worker, streams, token, &message, now) {
        worker.sync().link.handle_reported(now);
        worker.stats().count(Counter::ReportsSent);
    }
}

fn encoded(report: &Report) -> Vec<u8> {
    FromWorker::Report(Box::new(report.clone())).encode()
}

/// Sends; a stream that takes nothing is gone.
fn send(worker: &mut Worker, streams: &impl Streams, token: u32, message: &[u8], now: Timestamp) -> bool {
    let chance = worker.chance();
    let sent = streams.send(token, message);
    if sent {
        worker.sync().link.handle_sent(now);
    } else {
        worker.sync().link.give_up(now, chance);
    }
    sent
}

/// Tells the gauge.
fn show(worker: &mut Worker) {
    let up = worker.sync().link.is_connected();
    if std::mem::replace(&mut worker.sync().shown, up) != up {
        worker.stats().add(Counter::SyncConnected, if up { 1 } else { -1 });
    }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test that indexes out of bounds has failed")]
mod tests;
