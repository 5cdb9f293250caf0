//! What waits to be sent to one client.
//!
//! Duty: a queue that anybody may put something into without waiting, and one task takes from.
//! Invariant: bounded by [`MOST_WAITING`] messages and [`MOST_BYTES`]; what does not fit makes the client a slow one, for good: its socket is closed
//! (1013), nothing is left out.
//! Order: what is put in first is sent first. So a subscription is confirmed before its first event.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use lasso_jsonrpc::RpcError;
use tokio::sync::{mpsc, watch};

/// Messages. A block may have many hundred logs and a fill many blocks, and they come at once: that the session had no turn to write them is not its
/// client's slowness.
pub(crate) const MOST_WAITING: usize = 8_192;
/// Of them together.
pub(crate) const MOST_BYTES: usize = 8 * 1024 * 1024;

/// Something for a client.
#[derive(Debug, Clone)]
pub(crate) enum Outgoing {
    /// Its request, by the id as it was written, made this subscription.
    Subscribed { request: Arc<str>, subscription: Arc<str> },
    /// Its request, by the id as it was written, made none.
    Refused { request: Arc<str>, error: RpcError },
    /// An event: `params.result`, as JSON.
    Event { subscription: Arc<str>, payload: Arc<str> },
    /// A subscription lost its continuity. The client is told, then the socket is closed (1012).
    Ended { subscription: Arc<str>, because: Box<str> },
}

impl Outgoing {
    fn bytes(&self) -> usize {
        match self {
            Self::Subscribed { .. } | Self::Refused { .. } | Self::Ended { .. } => 256,
            Self::Event { payload, .. } => payload.len() + 128,
        }
    }
}

/// Where things for one client are put. Clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct Outlet {
    queue: mpsc::Sender<Outgoing>,
    bytes: Arc<AtomicUsize>,
    slow: Arc<watch::Sender<bool>>,
}

/// Where they are taken from.
#[derive(Debug)]
pub(crate) struct Waiting {
    queue: mpsc::Receiver<Outgoing>,
    bytes: Arc<AtomicUsize>,
    slow: watch::Receiver<bool>,
}

/// Why nothing comes any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    /// The client does not read.
    Slow,
    /// Nobody can put anything in.
    Done,
}

/// A queue.
pub(crate) fn outlet() -> (Outlet, Waiting) {
    let (queue, taken) = mpsc::channel(MOST_WAITING);
    let (slow, seen) = watch::channel(false);
    let bytes = Arc::new(AtomicUsize::new(0));
    (Outlet { queue, bytes: Arc::clone(&bytes), slow: Arc::new(slow) }, Waiting { queue: taken, bytes, slow: seen })
}

impl Outlet {
    /// Whether nobody takes anything any more. A wish can come later than the word that its client left.
    pub(crate) fn is_gone(&self) -> bool {
        self.queue.is_closed()
    }

    /// Puts something in. What does not fit is the client's end.
    pub(crate) fn put(&self, outgoing: Outgoing) {
        let bytes = outgoing.bytes();
        let waiting = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        // One that is larger than all together is let in alone.
        let fits = waiting == 0 || waiting + bytes <= MOST_BYTES;
        if !fits || self.queue.try_send(outgoing).is_err() {
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.slow.send_replace(true);
        }
    }
}

impl Waiting {
    /// The next one, if it is there.
    pub(crate) fn ready(&mut self) -> Option<Outgoing> {
        let outgoing = self.queue.try_recv().ok()?;
        self.bytes.fetch_sub(outgoing.bytes(), Ordering::Relaxed);
        Some(outgoing)
    }

    /// Waits until there is too much of it.
    pub(crate) async fn slow(&mut self) {
        if self.slow.wait_for(|slow| *slow).await.is_err() {
            // Nobody puts anything in any more.
            std::future::pending::<()>().await;
        }
    }

    /// The next one.
    pub(crate) async fn next(&mut self) -> Result<Outgoing, Over> {
        if *self.slow.borrow() {
            return Err(Over::Slow);
        }
        tokio::select! {
            biased;
            _ = self.slow.wait_for(|slow| *slow) => Err(Over::Slow),
            next = self.queue.recv() => match next {
                Some(outgoing) => {
                    self.bytes.fetch_sub(outgoing.bytes(), Ordering::Relaxed);
                    Ok(outgoing)
                }
                None => Err(Over::Done),
            },
        }
    }
}
