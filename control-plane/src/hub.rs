//! The hub, between the configuration and the fleet.
//!
//! Duty: what the hub is started with, out of what is in effect ([`site`]) and what the fleet knows; what it notices, to the fleet.
//! Invariant: the fleet is told of every ws channel again and again ([`SAY_AGAIN`]), so that neither a panic of its owner nor a notice that was missed
//! leaves it with what was.
//! Leaves to others: sockets (`lasso-hub`), events for people (`events`).

mod site;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use lasso_hub::{Hub, Notice, Setup, Standing, Standings, Supervise, Task};
use lasso_routing::catalog::Token;
use lasso_routing::fleet::event::{Event, Found, Probe};
use lasso_routing::fleet::view::{Availability, View};
use lasso_routing::time::{Micros, Millis};
use rustls::ClientConfig;
use tokio::net::TcpListener;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};
use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, info};

use crate::reload::Current;
use crate::serve::Running;
use crate::store::Store;
use crate::supervise::Supervisor;
use site::site;

/// Notices that wait for the slowest listener.
pub(crate) const MOST_WAITING: usize = 4_096;
/// How old the fleet's word of a channel may be.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Between two full accounts of which channels are connected.
const SAY_AGAIN: Duration = Duration::from_secs(2);

impl Supervise for Supervisor {
    fn keep_up(&self, name: &'static str, start: Box<dyn FnMut() -> Task + Send>) -> Task {
        let its = self.clone();
        Box::pin(async move { Self::keep_up(&its, name, start).await })
    }

    fn outlive(&self, name: &'static str, task: Task) -> Task {
        let its = self.clone();
        Box::pin(async move {
            Self::outlive(&its, name, task).await;
        })
    }
}

/// What was started.
#[derive(Debug, Clone)]
pub(crate) struct Started {
    pub(crate) hub: Hub,
    pub(crate) notices: broadcast::Sender<Notice>,
}

/// Listens at `listen.hub`.
pub(crate) async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("listen.hub: cannot listen on {address}"))
}

/// Starts it. `token` is what Envoy brings along to use a ws channel.
pub(crate) fn start(
    running: &mut Running,
    listener: TcpListener,
    store: &Store,
    token: &Token,
) -> anyhow::Result<Started> {
    let mut current = running.reload.current();
    let first = Arc::clone(&current.borrow_and_update());
    info!(address = %listener.local_addr()?, "serving WebSockets");
    let (sites, followed) = watch::channel(Arc::new(site(&first, token)?));
    let (trust, tls) = watch::channel(Arc::clone(&first.trust.client));
    let (standings, seen) = watch::channel(Arc::new(Standings::new()));
    let (notices, _) = broadcast::channel(MOST_WAITING);
    let setup = Setup {
        listener,
        site: followed,
        standings: seen,
        tls,
        notices: notices.clone(),
        supervisor: Arc::new(running.supervisor.clone()),
        drain: running.drain.subscribe(),
    };
    let (hub, run) = Hub::start(setup);
    running.hub.spawn(run);

    let (its, token, told) = (running.supervisor.clone(), token.clone(), Arc::new(Told { sites, trust }));
    let following = move || follow(current.clone(), token.clone(), Arc::clone(&told));
    running.tasks.spawn(async move { its.keep_up("hub follow", following).await });
    let (its, its_store, standings) = (running.supervisor.clone(), store.clone(), Arc::new(standings));
    let looking = move || look(its_store.clone(), Arc::clone(&standings));
    running.tasks.spawn(async move { its.keep_up("hub standings", looking).await });
    let (its, its_store, its_hub) = (running.supervisor.clone(), store.clone(), hub.clone());
    // No receiver waits here for the next start: what it does not read would never go.
    let sender = notices.clone();
    let telling = move || tell(its_store.clone(), its_hub.clone(), sender.subscribe());
    running.tasks.spawn(async move { its.keep_up("hub notices", telling).await });
    Ok(Started { hub, notices })
}

/// What the hub is told of a configuration.
#[derive(Debug)]
struct Told {
    sites: watch::Sender<Arc<lasso_hub::Site>>,
    trust: watch::Sender<Arc<ClientConfig>>,
}

/// Tells the hub of every configuration that takes effect.
async fn follow(mut current: watch::Receiver<Arc<Current>>, token: Token, told: Arc<Told>) {
    loop {
        let now = Arc::clone(&current.borrow_and_update());
        // Before the site, whose new channels are dialled at once.
        told.trust.send_replace(Arc::clone(&now.trust.client));
        match site(&now, &token) {
            Ok(site) => {
                told.sites.send_replace(Arc::new(site));
            }
            // It was compiled from the same: this cannot be, and if it is, what was before goes on.
            Err(error) => error!(%error, "the configuration in effect cannot be followed"),
        }
        if current.changed().await.is_err() {
            return;
        }
    }
}

/// Tells the hub how the fleet sees the channels.
async fn look(store: Store, standings: Arc<watch::Sender<Arc<Standings>>>) {
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let Ok(view) = store.view().await else { return };
        let now = Arc::new(standings_of(&view));
        standings.send_if_modified(|before| {
            let changed = *before != now;
            if changed {
                *before = now;
            }
            changed
        });
    }
}

fn standings_of(view: &View) -> Standings {
    let mut standings = Standings::new();
    for chain in &view.chains {
        for (channel, _) in &chain.members {
            let Some(status) = view.channels.get(*channel) else { continue };
            let standing = Standing {
                usable: status.availability != Availability::Down,
                head: status.head.filter(|_| !status.unproved),
                best: chain.best_head,
            };
            standings.insert(Arc::from(&*status.channel), standing);
        }
    }
    standings
}

/// Tells the fleet what the hub notices.
async fn tell(store: Store, hub: Hub, mut notices: broadcast::Receiver<Notice>) {
    let mut again = interval(SAY_AGAIN);
    again.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let events: Vec<Event> = tokio::select! {
            notice = notices.recv() => match notice {
                Ok(notice) => event(notice).into_iter().collect(),
                // What was missed and still holds is said again.
                Err(RecvError::Lagged(_)) => Vec::new(),
                Err(RecvError::Closed) => return,
            },
            _ = again.tick() => {
                let connected = hub.connected().into_iter();
                connected.map(|(channel, connected)| Event::Sockets { channel: (*channel).into(), connected }).collect()
            }
        };
        for event in events {
            if store.tell(event).await.is_err() {
                return;
            }
        }
    }
}

fn event(notice: Notice) -> Option<Event> {
    match notice {
        Notice::Connected { channel, connected } => Some(Event::Sockets { channel: (*channel).into(), connected }),
        Notice::ChainId { channel, chain_id } => Some(Event::Probed(Probe {
            channel: (*channel).into(),
            started: Millis::ZERO,
            latency: Micros(0),
            found: Found::ChainId(chain_id),
        })),
        Notice::Head { channel, number } => Some(Event::HeadSeen { channel: (*channel).into(), number }),
        Notice::SocketUp { .. } | Notice::SocketDown { .. } | Notice::Feed { .. } | Notice::ClientClosed { .. } => None,
    }
}
