//! Calls over HTTP that go on while something else is broken.
//!
//! Duty: ask at a steady pace, and count what was answered and what was lost.
//! Invariant: every call that was begun is counted once, also the last ones.
//! Leaves to others: what a call costs (`pair`).

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use lasso_tests::Client;
use serde_json::json;
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

const CLIENTS: usize = 4;
/// Between the calls of one client: enough to notice, and not what the machine is busy with.
const PAUSE: Duration = Duration::from_millis(10);

/// Clients at work. They stop when it is dropped.
pub(crate) struct Bystanders {
    shared: Arc<Shared>,
    clients: JoinSet<()>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    served: AtomicU32,
    lost: AtomicU32,
}

impl Bystanders {
    pub(crate) fn start(url: &str) -> Self {
        let (shared, client) = (Arc::<Shared>::default(), Client::new());
        let clients = (0..CLIENTS).map(|_| ask(Arc::clone(&shared), client.clone(), url.to_owned())).collect();
        Self { shared, clients }
    }

    /// Ends them: calls that had a result, and calls that had none.
    pub(crate) async fn end(self) -> (u32, u32) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.clients.join_all().await;
        (self.shared.served.load(Ordering::Relaxed), self.shared.lost.load(Ordering::Relaxed))
    }
}

async fn ask(shared: Arc<Shared>, client: Client, url: String) {
    let mut turns = interval(PAUSE);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !shared.stop.load(Ordering::Relaxed) {
        turns.tick().await;
        let answered = client.call(&url, "eth_gasPrice", json!([])).await;
        let served = answered.is_ok_and(|answered| answered.result().is_some());
        let count = if served { &shared.served } else { &shared.lost };
        count.fetch_add(1, Ordering::Relaxed);
    }
}
