//! The table itself, by what the keys are about. Order is the order of the reference.

mod chain;
mod profile;
mod provider;
mod top;

#[cfg(test)]
pub(crate) use provider::CATEGORIES;
pub(crate) use provider::SUBSCRIPTIONS;

use super::{Absent, Effect, Key, Shape};

/// Every key there is.
pub(crate) fn all() -> impl Iterator<Item = &'static Key> {
    [top::KEYS, profile::KEYS, chain::KEYS, provider::KEYS].into_iter().flatten()
}

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;

const fn now(path: &'static str, shape: Shape, absent: Absent, meaning: &'static str) -> Key {
    Key { path, shape, absent, meaning, effect: Effect::Now }
}

const fn later(path: &'static str, shape: Shape, absent: Absent, meaning: &'static str) -> Key {
    Key { path, shape, absent, meaning, effect: Effect::Later }
}
