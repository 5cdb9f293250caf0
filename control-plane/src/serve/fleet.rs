//! The store, and everything around it: streams, probes, what is kept.
//!
//! Duty: start these tasks, and have them follow the configuration.
//! Invariant: each is started again after a panic, it alone; the store is restored before anything can ask it.
//! Leaves to others: what they do (`store`, `sync`, `probe`, `history`).

use std::sync::Arc;
use std::time::Duration;

use lasso_routing::Catalog;
use lasso_routing::fleet::event::{Event, Notice, Probe};
use lasso_routing::fleet::view::View;
use rustls::ClientConfig;
use tokio::sync::{Mutex, broadcast, watch};
use tokio::time::{MissedTickBehavior, interval};
use tracing::error;

use super::Running;
use crate::events::relay::FLEET_NOTICES;
use crate::history::{History, Keeper, Kept};
use crate::probe::{Dialler, Listener, Prober, Routes};
use crate::reload::Current;
use crate::store::{Setup, Store};
use crate::sync::SyncService;

/// The recorder sees a view that is as old as this, at most.
const VIEW_EVERY: Duration = Duration::from_secs(1);

/// What was started.
#[derive(Debug)]
pub(crate) struct Fleet {
    pub(crate) store: Store,
    pub(crate) sync: SyncService,
    pub(crate) history: History,
    pub(crate) notices: broadcast::Sender<Notice>,
    /// Where the store and the recorder give what is to be kept.
    pub(crate) keeper: Option<Keeper>,
}

impl Listener for Store {
    async fn probed(&self, probe: Probe) {
        // At the end nobody wants to know.
        let _ = self.tell(Event::Probed(probe)).await;
    }
}

/// Starts all of it, from what was kept.
pub(crate) async fn start(running: &mut Running, kept: &mut Kept) -> anyhow::Result<Fleet> {
    let mut current = running.reload.current();
    let first = Arc::clone(&current.borrow_and_update());
    let (notices, _) = broadcast::channel(FLEET_NOTICES);
    let keeper = kept.keeper.clone();
    let setup = Setup {
        catalog: Arc::new(catalog(&first)?),
        probing: true,
        restored: kept.restored.take(),
        seed: seed()?,
        notices: notices.clone(),
        keep: Arc::new(move |keep| {
            if let Some(keeper) = &keeper {
                keeper.keep(keep);
            }
        }),
        drain: running.drain.subscribe(),
    };
    let supervisor = running.supervisor.clone();
    let (store, run, orders) = Store::new(setup, supervisor.clone());
    running.tasks.spawn(run);

    let (routes, followed) = watch::channel(Arc::new(Routes::of(&first.deployment)?));
    let (diallers, dialler) = watch::channel(dialler(&first));
    let prober = Arc::new(Mutex::new(Prober { orders, listener: store.clone(), routes: followed, dialler }));
    let its = supervisor.clone();
    running.tasks.spawn(async move { its.keep_up("probe", || Prober::run(Arc::clone(&prober))).await });
    let told = Arc::new(Told { store: store.clone(), routes, diallers });
    let its = supervisor.clone();
    let following = move || follow(current.clone(), Arc::clone(&told));
    running.tasks.spawn(async move { its.keep_up("follow", following).await });

    let (views, seen) = watch::channel(store.view().await?);
    let (history, recorder) = History::new(kept, seen);
    let recorder = Arc::new(Mutex::new(recorder));
    let its = supervisor.clone();
    let record = move || {
        let recorder = Arc::clone(&recorder);
        async move { recorder.lock().await.run().await }
    };
    running.tasks.spawn(async move { its.keep_up("history", record).await });
    let (its, its_store, views) = (supervisor.clone(), store.clone(), Arc::new(views));
    let looking = move || look(its_store.clone(), Arc::clone(&views));
    running.tasks.spawn(async move { its.keep_up("view", looking).await });

    let sync = SyncService::new(store.clone(), supervisor, running.drain.subscribe());
    Ok(Fleet { store, sync, history, notices, keeper: kept.keeper.clone() })
}

/// How providers are asked directly with a configuration.
fn dialler(current: &Current) -> Arc<Dialler> {
    let tls = ClientConfig::clone(&current.trust.client);
    Arc::new(Dialler::new(current.loaded.config.probe_via.clone(), tls))
}

/// Who is told of every configuration that takes effect.
struct Told {
    store: Store,
    routes: watch::Sender<Arc<Routes>>,
    diallers: watch::Sender<Arc<Dialler>>,
}

/// Tells the store and the probes of every configuration that takes effect.
async fn follow(mut current: watch::Receiver<Arc<Current>>, told: Arc<Told>) {
    let mut trust = current.borrow().trust.clone();
    while current.changed().await.is_ok() {
        let now = Arc::clone(&current.borrow_and_update());
        match (catalog(&now), Routes::of(&now.deployment)) {
            (Ok(catalog), Ok(ways)) => {
                told.store.adopt(Arc::new(catalog));
                told.routes.send_replace(Arc::new(ways));
                if trust != now.trust {
                    trust = now.trust.clone();
                    // With it go the connections that were checked by what was believed before.
                    told.diallers.send_replace(dialler(&now));
                }
            }
            // It was compiled from the same: this cannot be, and if it is, what was before goes on.
            (Err(error), _) | (_, Err(error)) => error!(%error, "the configuration in effect cannot be followed"),
        }
    }
}

/// Keeps the recorder's view fresh.
async fn look(store: Store, views: Arc<watch::Sender<Arc<View>>>) {
    let mut looks = interval(VIEW_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let Ok(view) = store.view().await else { return };
        views.send_replace(view);
    }
}

fn catalog(current: &Current) -> anyhow::Result<Catalog> {
    Ok(Catalog::try_from(current.deployment.catalog.clone())?)
}

fn seed() -> anyhow::Result<u64> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
    Ok(u64::from_le_bytes(random))
}
