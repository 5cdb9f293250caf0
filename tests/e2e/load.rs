//! Clients that ask without a pause, and notice every call that is lost.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use lasso_tests::{Client, wait};
use serde_json::Value;
use tokio::task::JoinSet;

/// Clients at work. They stop when it is dropped.
pub(crate) struct Load {
    shared: Arc<Shared>,
    clients: JoinSet<()>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    served: AtomicU64,
    lost: Mutex<Vec<String>>,
}

impl Load {
    /// So many clients that ask one thing again and again.
    pub(crate) fn start(clients: usize, url: &str, method: &'static str, params: &Value) -> Self {
        let (shared, pool) = (Arc::new(Shared::default()), Client::new());
        let client = || ask(Arc::clone(&shared), pool.clone(), url.to_owned(), method, params.clone());
        let clients = (0..clients).map(|_| client()).collect();
        Self { shared, clients }
    }

    /// Waits for so many more calls to be served.
    pub(crate) async fn more(&self, calls: u64) {
        let served = || self.shared.served.load(Ordering::Relaxed);
        let goal = served() + calls;
        let there =
            wait::until_true(&format!("{calls} more calls"), Duration::from_secs(60), || served() >= goal).await;
        there.unwrap_or_else(|error| panic!("{error}; lost: {:?}", self.shared.lost.lock().unwrap().first()));
    }

    /// Ends it; no call may have been lost.
    pub(crate) async fn end_without_loss(self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.clients.join_all().await;
        let (lost, served) = (self.shared.lost.lock().unwrap(), self.shared.served.load(Ordering::Relaxed));
        assert!(lost.is_empty(), "{} lost beside {served}, such as {:?}", lost.len(), lost.first());
    }
}

async fn ask(shared: Arc<Shared>, client: Client, url: String, method: &'static str, params: Value) {
    while !shared.stop.load(Ordering::Relaxed) {
        match client.call(&url, method, params.clone()).await {
            Ok(answered) if answered.result().is_some() => {
                shared.served.fetch_add(1, Ordering::Relaxed);
            }
            Ok(answered) => shared.lost.lock().unwrap().push(format!("{} {}", answered.status, answered.text())),
            Err(error) => shared.lost.lock().unwrap().push(format!("{error:#}")),
        }
    }
}
