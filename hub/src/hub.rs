//! The hub as a whole.
//!
//! Duty: wire the parts; start them; end them.
//! Invariant: what it runs ends within [`LAST_PATIENCE`] of the drain.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::sync::{Mutex, mpsc};
use tokio::time::timeout;
use tracing::warn;

use crate::bridge;
use crate::budget::Budget;
use crate::calls::Calls;
use crate::feeds::Feeds;
use crate::feeds::dispatch::{Dispatch, Means};
use crate::feeds::gateway::ByEnvoy;
use crate::listener::{Bridge, Listener};
use crate::session::Shared;
use crate::tally::{Counts, Tally};
use crate::upstream::{Parts, Sockets, Upstream};
use crate::{FeedRow, Setup, Task};

/// For everything to end when we drain: what is under way (5 s), farewells (2 s), and some more.
const LAST_PATIENCE: Duration = Duration::from_secs(9);

/// How long a socket for calls must have been up without a break before calls may use its channel.
const STEADY: Duration = Duration::from_secs(5);

/// The hub while it runs. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Hub {
    tally: Arc<Tally>,
    feeds: Feeds,
    upstream: Upstream,
}

impl Hub {
    /// The hub, and the task that the caller has to run. It ends after the drain, when every client knows.
    pub fn start(setup: Setup) -> (Self, Task) {
        let (upstream, dialling) = Upstream::start(Parts {
            site: setup.site.clone(),
            tls: setup.tls.clone(),
            notices: setup.notices.clone(),
            supervisor: Arc::clone(&setup.supervisor),
        });
        let (feeds, wishes) = Feeds::new();
        let means = Means {
            site: setup.site.clone(),
            standings: setup.standings.clone(),
            upstream: upstream.clone(),
            gateway: Arc::new(ByEnvoy::new(setup.site.clone())),
            notices: setup.notices.clone(),
            supervisor: Arc::clone(&setup.supervisor),
            machines: Arc::new(AtomicU64::new(1)),
        };
        let wishes = Arc::new(Mutex::new(wishes));
        let dispatching = setup.supervisor.keep_up(
            "hub dispatch",
            Box::new(move || {
                let (means, wishes) = (means.clone(), Arc::clone(&wishes));
                Box::pin(async move { Dispatch::new(means).run(&mut *wishes.lock().await).await })
            }),
        );
        let (its_upstream, site) = (upstream.clone(), setup.site.clone());
        let bridge: Bridge = Arc::new(move |request| {
            let (upstream, site) = (its_upstream.clone(), Arc::clone(&site.borrow()));
            Box::pin(async move { Ok(bridge::serve(request, &upstream, &site).await?) })
        });
        let (hub, clients) = Self::serve(setup, feeds, upstream, bridge);
        let task = async move {
            tokio::select! {
                () = clients => {}
                // They work as long as there are clients, and longer.
                ((), ()) = async { tokio::join!(dialling, dispatching) } => {}
            }
        };
        (hub, Box::pin(task))
    }

    /// What was counted on the clients' side.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.tally.counts()
    }

    /// Every feed.
    pub async fn feeds(&self) -> Vec<FeedRow> {
        self.feeds.view().await
    }

    /// Whether calls may use each ws channel.
    #[must_use]
    pub fn connected(&self) -> Vec<(Arc<str>, bool)> {
        let status = Arc::clone(&self.upstream.status().borrow());
        let steady = |sockets: &Sockets| sockets.calls_since.is_some_and(|since| since.elapsed() >= STEADY);
        status.iter().map(|(channel, sockets)| (Arc::clone(channel), steady(sockets))).collect()
    }

    /// The clients' side, for feeds and a bridge that exist. The task ends after the drain.
    pub(crate) fn serve(setup: Setup, feeds: Feeds, upstream: Upstream, bridge: Bridge) -> (Self, Task) {
        let tally = Arc::<Tally>::default();
        let budget = Budget::new();
        let shared = Arc::new(Shared {
            site: setup.site,
            feeds: feeds.clone(),
            calls: Calls::new(budget.clone()),
            budget,
            tally: Arc::clone(&tally),
            notices: setup.notices,
            drain: setup.drain,
            subscriptions: AtomicU64::new(0),
        });
        let supervisor = setup.supervisor;
        let (alive, ended) = mpsc::channel(1);
        let listener = Arc::new(Listener::new(setup.listener, shared, bridge, Arc::clone(&supervisor), alive));
        let accepting = supervisor.keep_up(
            "hub listener",
            Box::new(move || {
                let listener = Arc::clone(&listener);
                Box::pin(async move { listener.accept().await })
            }),
        );
        (Self { tally, feeds, upstream }, Box::pin(until_ended(accepting, ended)))
    }
}

async fn until_ended(accepting: Task, mut ended: mpsc::Receiver<Infallible>) {
    accepting.await;
    // Nothing is ever sent: the channel closes when the last who holds it ends.
    if timeout(LAST_PATIENCE, ended.recv()).await.is_err() {
        warn!("listen.hub: some sockets did not end");
    }
}
