//! How a channel does, for people.
//!
//! Invariant: health follows from what breakers know, so that it never contradicts them. It is judged once a second and when a breaker
//! moves: a channel that fails one call in a hundred is not news a hundred times a second.

use super::Fleet;
use super::account::{Account, Stance};
use super::event::{Health, Notice};
use super::view::Availability;
use crate::time::Timestamp;

/// The health of one channel.
fn health_of(account: &Account, now: Timestamp) -> Health {
    match account.stance(now) {
        Stance::Open(_) | Stance::OpenByHand | Stance::HalfOpen(_) => Health::Unhealthy,
        Stance::Closed => match account.breaker.failures_in_a_row() {
            0 => Health::Healthy,
            failures if failures >= account.breaker.policy().failures => Health::Unhealthy,
            _ => Health::Degraded,
        },
    }
}

/// Whether a channel can serve; `lags` when it is further behind than its chain allows.
pub(super) fn availability_of(account: &Account, lags: bool, now: Timestamp) -> Availability {
    if account.barred.is_some() || !account.is_reachable() {
        return Availability::Down;
    }
    match account.stance(now) {
        Stance::Open(_) | Stance::OpenByHand => Availability::Down,
        Stance::HalfOpen(_) => Availability::Limited,
        Stance::Closed if lags || account.limited(now).is_some() => Availability::Limited,
        Stance::Closed => Availability::Up,
    }
}

impl Fleet {
    pub(super) fn judge_health(&mut self, now: Timestamp) {
        (0..self.accounts.len()).for_each(|channel| self.judge_health_of(channel, now));
    }

    pub(super) fn judge_health_of(&mut self, channel: usize, now: Timestamp) {
        let Some(account) = self.accounts.get_mut(channel) else { return };
        let (from, to) = (account.health, health_of(account, now));
        if from != to {
            account.health = to;
            let notice = Notice::HealthChanged { channel: account.id.clone(), from, to };
            self.tell(notice);
        }
    }
}
