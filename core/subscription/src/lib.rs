//! Who is listening, and what they missed.
//!
//! One [`Hub`] for each *scope*: one chain and one set of ws channels. It is a machine without sockets: the shell hands it
//! [`Event`]s and the time, and does the [`Action`]s that come out.
//!
//! | module | duty |
//! | --- | --- |
//! | [`key`] | what was asked for: subscriptions with equal keys share a feed |
//! | [`event`] | what happens to a hub and what it wants done |
//! | [`notice`] | reasons, and what is told to whoever watches |
//! | [`settings`] | the numbers of a scope |
//! | [`view`] | what a hub shows of its feeds |
//! | [`hub`] | all feeds of a scope, and what they tell each other |
//! | `feed`, `side`, `desk` | one stream shared by many; what its content works with; what all share |
//! | `line`, `roster` | a feed's binding to a channel; which channel is best |
//! | `fanout` | who hears of a feed |
//! | `heads`, `gap`, `branch` | heads in order; what is missing; what was told |
//! | `logs`, `plain`, `passing` | logs in the order of the chain; logs without heads; what has no order |
//! | `payload`, `hex` | what providers send, read as far as continuity needs it |
//!
//! Invariant: pure. Nothing here reads a clock, does I/O, panics or depends on hash order. Whoever is confirmed hears of every block
//! and log once and in order, or is told that continuity is lost.

#![warn(missing_docs)]

mod branch;
mod desk;
pub mod event;
mod fanout;
mod feed;
#[cfg(test)]
mod fixture;
mod gap;
mod heads;
mod hex;
pub mod hub;
pub mod key;
mod line;
mod logs;
pub mod notice;
mod passing;
mod payload;
mod plain;
mod roster;
pub mod settings;
mod side;
#[cfg(test)]
mod simulation;
pub mod view;

pub use event::{Action, Ask, BindingId, ChannelId, Event, FetchFailure, FetchId, Standing, SubscriptionId};
pub use hub::Hub;
pub use key::{Key, Kind, LogFilter};
pub use notice::{Ended, Moved, Notice, Refusal};
pub use settings::Settings;
pub use view::{FeedView, State};
