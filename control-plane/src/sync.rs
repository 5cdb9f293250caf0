//! The Sync stream: reports up, routing tables down.
//!
//! Duty: the gRPC service; one task for each stream, and what is counted about them.
//! Invariant: a stream that misbehaves ends alone. Messages are bounded ([`MOST_BYTES`]), and so is what waits for a stream. Nothing of a message is
//! logged but an Envoy's node id.
//! Leaves to others: what reports mean and tables say (`store`), the wire (`lasso_proto::sync`).

mod session;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lasso_proto::sync::MOST_BYTES;
use lasso_proto::sync::grpc::sync_server::{Sync, SyncServer};
use lasso_proto::sync::wire::{ControlMessage, FilterMessage};
use tokio::sync::{mpsc, watch};
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::store::Store;
use crate::supervise::Supervisor;
use session::{OUTBOX, Pace, Session};

/// Serves any number of streams; the store says when there is one too many.
#[derive(Debug, Clone)]
pub(crate) struct SyncService {
    store: Store,
    supervisor: Supervisor,
    counts: Arc<Counts>,
    pace: Pace,
    /// Turns true when streams must end.
    drain: watch::Receiver<bool>,
}

/// What streams did, since the start.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Streams that are open.
    pub(crate) open: AtomicU64,
    /// Ended because they said nothing for too long.
    pub(crate) silent: AtomicU64,
    /// Ended because what they said could not be read, or was not a hello first.
    pub(crate) garbage: AtomicU64,
    /// Refused because there are too many.
    pub(crate) refused: AtomicU64,
    /// Times that a stream had to start over with a full table: it was slow, or the store panicked.
    pub(crate) rejoined: AtomicU64,
    /// Items of messages that were left out: of a newer filter, beyond our bounds, or broken.
    pub(crate) skipped: AtomicU64,
    /// Cells of tables that there was no room for.
    pub(crate) left_out: AtomicU64,
    /// Reports given up because the store panicked over them again and again.
    pub(crate) given_up: AtomicU64,
}

impl Counts {
    /// Streams that are open.
    pub(crate) fn open(&self) -> u64 {
        self.open.load(Ordering::Relaxed)
    }

    /// What went wrong, by kind.
    pub(crate) fn troubles(&self) -> Vec<(&'static str, u64)> {
        let kinds = [
            ("silent", &self.silent),
            ("garbage", &self.garbage),
            ("refused", &self.refused),
            ("rejoined", &self.rejoined),
            ("item_skipped", &self.skipped),
            ("cell_left_out", &self.left_out),
            ("report_given_up", &self.given_up),
        ];
        kinds.into_iter().map(|(kind, count)| (kind, count.load(Ordering::Relaxed))).collect()
    }

    fn add(count: &AtomicU64, more: u64) {
        count.fetch_add(more, Ordering::Relaxed);
    }
}

impl SyncService {
    pub(crate) fn new(store: Store, supervisor: Supervisor, drain: watch::Receiver<bool>) -> Self {
        Self { store, supervisor, counts: Arc::default(), pace: Pace::default(), drain }
    }

    /// What streams did.
    pub(crate) fn counts(&self) -> Arc<Counts> {
        Arc::clone(&self.counts)
    }

    /// To be added to a gRPC server.
    pub(crate) fn into_server(self) -> SyncServer<Self> {
        SyncServer::new(self).max_decoding_message_size(MOST_BYTES).max_encoding_message_size(MOST_BYTES)
    }
}

#[tonic::async_trait]
impl Sync for SyncService {
    type ExchangeStream = Pin<Box<dyn Stream<Item = Result<ControlMessage, Status>> + Send>>;

    async fn exchange(
        &self,
        request: Request<Streaming<FilterMessage>>,
    ) -> Result<Response<Self::ExchangeStream>, Status> {
        let (outbox, messages) = mpsc::channel(OUTBOX);
        let session = Session::new(self.store.clone(), Arc::clone(&self.counts), self.pace, outbox);
        let (supervisor, mut drain) = (self.supervisor.clone(), self.drain.clone());
        tokio::spawn(async move {
            let run = async move {
                tokio::select! {
                    _ = drain.wait_for(|drain| *drain) => {}
                    () = session.run(request.into_inner()) => {}
                }
            };
            supervisor.outlive("sync stream", run).await;
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(messages))))
    }
}

#[cfg(test)]
mod tests;
