//! Probes: questions that the store wants answered, put to providers on the way that calls take.
//!
//! ```text
//! store --Order--> prober --POST with the token--> Envoy --> the provider's channel, whatever its breaker says
//!                    |  '-- nobody listens there --> the provider itself
//! store <--Probe-----'
//! ```
//!
//! Duty: carry each order out once, and say what came of it.
//! Invariant: every order is answered, by [`Found::NotSent`] where nothing can be said about the provider: a broken Envoy, a way out that never worked,
//! and a panic of ours open nobody's breaker. At most [`MOST_PROBES`] are under way; more orders wait with who gave them.
//! Leaves to others: whom to ask what and when, and what follows (the store); what a filter makes of a probe (`lasso_filter`).

mod ask;
mod dialler;
mod found;
mod routes;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use lasso_routing::fleet::event::{Found, Order, Probe};
use lasso_routing::time::{Micros, Millis};
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::{Id, JoinError, JoinSet};
use tracing::error;

pub(crate) use dialler::Dialler;
pub(crate) use routes::Routes;

/// Probes that are under way at once.
const MOST_PROBES: usize = 32;

/// Who hears what came of it.
pub(crate) trait Listener: Send + Sync + 'static {
    /// Waits until the answer is taken.
    fn probed(&self, probe: Probe) -> impl Future<Output = ()> + Send;
}

/// The task's state.
#[derive(Debug)]
pub(crate) struct Prober<L> {
    pub(crate) orders: mpsc::Receiver<Order>,
    pub(crate) listener: L,
    /// How the channels of the catalog in force are reached.
    pub(crate) routes: watch::Receiver<Arc<Routes>>,
    /// Another one when providers are to be checked otherwise.
    pub(crate) dialler: watch::Receiver<Arc<Dialler>>,
}

/// The probes that are under way.
#[derive(Default)]
struct UnderWay {
    probes: JoinSet<Probe>,
    /// Whose they are, for those that never say.
    channels: BTreeMap<Id, Box<str>>,
}

impl<L: Listener> Prober<L> {
    /// Until nobody gives orders any more. Started again after a panic, it goes on with the orders that wait.
    pub(crate) async fn run(prober: Arc<Mutex<Self>>) {
        let mut prober = prober.lock().await;
        let Self { orders, listener, routes, dialler } = &mut *prober;
        let mut under_way = UnderWay::default();
        let mut open = true;
        while open || !under_way.probes.is_empty() {
            tokio::select! {
                Some(ended) = under_way.probes.join_next_with_id() => {
                    listener.probed(under_way.settle(ended)).await;
                }
                order = orders.recv(), if open && under_way.probes.len() < MOST_PROBES => match order {
                    Some(order) => under_way.start(order, Arc::clone(&routes.borrow()), Arc::clone(&dialler.borrow())),
                    None => open = false,
                }
            }
        }
    }
}

impl UnderWay {
    fn start(&mut self, order: Order, routes: Arc<Routes>, dialler: Arc<Dialler>) {
        let channel = order.channel.clone();
        let started = self.probes.spawn(async move { probe(order, &routes, &dialler).await });
        self.channels.insert(started.id(), channel);
    }

    fn settle(&mut self, ended: Result<(Id, Probe), JoinError>) -> Probe {
        match ended {
            Ok((id, probe)) => {
                self.channels.remove(&id);
                probe
            }
            Err(error) => {
                let channel = self.channels.remove(&error.id()).unwrap_or_default();
                error!(%channel, "a probe panicked");
                Probe { channel, started: Millis::ZERO, latency: Micros(0), found: Found::NotSent }
            }
        }
    }
}

async fn probe(order: Order, routes: &Routes, dialler: &Dialler) -> Probe {
    let started = Instant::now();
    let found = match routes.to(&order.channel) {
        Some(route) => dialler.ask(route, &order.ask).await,
        // The catalog has changed since, or it is a channel that takes no HTTP.
        None => Found::NotSent,
    };
    let took = started.elapsed();
    let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    Probe { channel: order.channel, started: Millis(millis), latency: Micros(micros), found }
}

#[cfg(test)]
mod tests;
