//! Who should answer, and what we learn from how it went.
//!
//! | module | duty |
//! | --- | --- |
//! | [`time`] | instants and lengths as plain numbers |
//! | [`catalog`] | what exists: channels, profiles, chains, providers, rules by method |
//! | [`target`] | what a client named: path, query, headers, host |
//! | [`candidate`] | which channels can serve one call, and why the others cannot |
//! | [`strategy`] | in which order to ask them |
//! | [`plan`](mod@plan) | both of these for one request, with attempts and deadlines |
//! | [`ledger`] | all that a worker learns from attempts |
//! | [`head`] | who has which block |
//! | [`outcome`] | how an attempt ended, whose fault, and may we go on |
//! | [`breaker`] | whether a channel gets traffic at all |
//! | [`mark`] | until when a provider asked us to slow down |
//! | [`evidence`] | how fast and how reliable a channel has been |
//! | [`report`] | what a worker tells the control plane |
//! | [`table`] | what the control plane tells a worker |
//! | [`fleet`] | what all workers together have learned |
//! | [`sticky`] | filter ids that remember their channel |
//!
//! Invariant: pure. Time and chance are arguments; nothing here reads a clock, does I/O, panics or depends on hash order.

#![warn(missing_docs)]

pub mod breaker;
pub mod candidate;
pub mod catalog;
mod chance;
pub mod evidence;
#[cfg(test)]
mod fixture;
pub mod fleet;
pub mod head;
pub mod header;
pub mod ledger;
pub mod mark;
pub mod outcome;
pub mod plan;
pub mod report;
#[cfg(test)]
mod simulation;
pub mod sticky;
pub mod strategy;
pub mod table;
pub mod target;
pub mod time;

pub use catalog::{Catalog, ChainIdx, ChannelIdx, ProfileIdx};
pub use ledger::Ledger;
pub use plan::{Plan, Question, plan, plan_along};
pub use strategy::Strategy;
pub use target::Target;
