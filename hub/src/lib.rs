//! WebSockets, on both sides.
//!
//! ```text
//! client --> Envoy --> session --eth_subscribe--> feeds --bind--> upstream --> provider
//!                         '--other calls--> Envoy (HTTP)              ^
//!            Envoy --POST /channel/{channel}--> bridge --call---------'
//! ```
//!
//! Duty: give clients one socket on which they miss nothing, whatever happens to providers; and calls a way to providers over WebSocket.
//! Invariant: decisions are `lasso_subscription`'s; here are sockets, queues and clocks. Every queue is bounded. No text holds a secret.
//! Leaves to others: the configuration and who is good (control plane, by [`Site`] and [`Standings`]), how a call is routed (the filter).

mod bridge;
mod budget;
mod calls;
mod feeds;
#[cfg(test)]
mod fixture;
mod frame;
mod hub;
mod listener;
mod notice;
mod outlet;
mod session;
mod setup;
mod site;
mod stream;
mod tally;
mod upstream;
mod view;

pub use hub::Hub;
pub use notice::{FeedNotice, Notice};
pub use setup::{Setup, Standing, Standings, Supervise, Task};
pub use site::{HubToken, Limits, Site, WsChannel};
pub use tally::{Close, Counts};
pub use view::FeedRow;

/// Doors for fuzzing. There are none otherwise.
#[cfg(fuzzing)]
pub mod fuzzing {
    /// Any bytes as what a provider sends.
    pub fn provider(bytes: &[u8]) {
        crate::upstream::fuzzing::provider(bytes);
    }
}
