//! The feeds, as sessions see them.
//!
//! ```text
//! sessions --Wish--> dispatch --one inbox each--> scopes, each of which owns a machine --> outlets, upstream, gateway
//! ```
//!
//! Duty: take wishes of sessions to the task of their scope. A scope is a set of `ws` channels of one chain: what two profiles share is one; a client
//! that named or excluded a provider has another.
//! Invariant: a wish and its leave reach the scope in this order. What a subscription gets stops with its leave.
//! Leaves to others: every decision about feeds (`lasso_subscription`).

pub(crate) mod dispatch;
pub(crate) mod gateway;
mod members;
mod scope;

use std::sync::Arc;

use lasso_routing::catalog::{Catalog, ChainIdx, ProfileIdx};
pub(crate) use lasso_subscription::SubscriptionId;
use tokio::sync::{mpsc, oneshot};

use crate::FeedRow;
use crate::outlet::Outlet;

/// Wishes that wait; a session that has more waits.
const MOST_WISHES: usize = 1_024;

/// What a session wants.
#[derive(Debug)]
pub(crate) enum Wish {
    /// To be told. The answer (`Subscribed` or `Refused`) and the events go to the outlet.
    Subscribe(Box<Wanted>),
    /// To see all feeds.
    View(oneshot::Sender<Vec<FeedRow>>),
}

/// An `eth_subscribe`.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// Its number, never given again.
    pub(crate) subscription: SubscriptionId,
    /// Its name for the client, `0x` and 32 hex digits.
    pub(crate) name: Arc<str>,
    /// The request's id, as the client wrote it.
    pub(crate) request: Arc<str>,
    /// What the places below are places of: by the time they are looked up there may be another.
    pub(crate) catalog: Arc<Catalog>,
    /// The client's profile.
    pub(crate) profile: ProfileIdx,
    /// The chain.
    pub(crate) chain: ChainIdx,
    /// The only provider that may be used, by its place in the chain.
    pub(crate) provider: Option<usize>,
    /// Providers that may not be used, by their places in the chain.
    pub(crate) exclude: Vec<usize>,
    /// The request's params, as the client wrote them.
    pub(crate) params: Option<Box<str>>,
    /// The client.
    pub(crate) outlet: Outlet,
}

/// How sessions speak with the feeds. Clones speak with the same ones.
#[derive(Debug, Clone)]
pub(crate) struct Feeds {
    wishes: mpsc::Sender<Wish>,
    /// One word for each subscription that was let in, so it needs no bound of its own: nobody waits to leave.
    leaving: mpsc::UnboundedSender<SubscriptionId>,
}

/// What sessions want, for the one who carries it out.
#[derive(Debug)]
pub(crate) struct Wishes {
    pub(crate) wishes: mpsc::Receiver<Wish>,
    pub(crate) leaving: mpsc::UnboundedReceiver<SubscriptionId>,
}

impl Feeds {
    /// The feeds, and the wishes that their task takes.
    pub(crate) fn new() -> (Self, Wishes) {
        let (wishes, taken) = mpsc::channel(MOST_WISHES);
        let (leaving, left) = mpsc::unbounded_channel();
        (Self { wishes, leaving }, Wishes { wishes: taken, leaving: left })
    }

    /// Waits while the feeds have much to do. `None`: nobody takes wishes any more, and sockets are being closed.
    pub(crate) async fn room(&self) -> Option<Room> {
        self.wishes.clone().reserve_owned().await.ok().map(Room)
    }

    /// A subscription is over.
    pub(crate) fn leave(&self, subscription: SubscriptionId) {
        let _ = self.leaving.send(subscription);
    }

    /// All feeds.
    pub(crate) async fn view(&self) -> Vec<FeedRow> {
        let (reply, replied) = oneshot::channel();
        let _ = self.wishes.send(Wish::View(reply)).await;
        replied.await.unwrap_or_default()
    }
}

/// Room for one wish.
#[derive(Debug)]
pub(crate) struct Room(mpsc::OwnedPermit<Wish>);

impl Room {
    /// Hands a wish in.
    pub(crate) fn wish(self, wanted: Wanted) {
        self.0.send(Wish::Subscribe(Box::new(wanted)));
    }
}
