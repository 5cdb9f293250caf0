//! Who listens to the feeds of a scope.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lasso_subscription::SubscriptionId;

use crate::outlet::{Outgoing, Outlet};

/// Who listens. Kept where a panic of the task does not reach it.
#[derive(Debug, Default)]
pub(super) struct Members(Mutex<BTreeMap<SubscriptionId, Member>>);

#[derive(Debug)]
pub(super) struct Member {
    pub(super) name: Arc<str>,
    pub(super) profile: Box<str>,
    pub(super) outlet: Outlet,
}

impl Members {
    pub(super) fn is_empty(&self) -> bool {
        self.all().is_empty()
    }

    /// Ends the members whose profile is one of those; they are to leave the machine.
    pub(super) fn leave_those(&self, moved: impl Fn(&str) -> bool) -> Vec<SubscriptionId> {
        let mut all = self.all();
        let gone: Vec<SubscriptionId> =
            all.iter().filter(|(_, member)| moved(&member.profile)).map(|(id, _)| *id).collect();
        for member in gone.iter().filter_map(|id| all.remove(id)) {
            member.end("the configuration has changed");
        }
        gone
    }

    pub(super) fn all(&self) -> MutexGuard<'_, BTreeMap<SubscriptionId, Member>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Members {
    fn drop(&mut self) {
        for member in self.all().values() {
            member.end("the chain is not served any more");
        }
    }
}

impl Member {
    pub(super) fn end(&self, because: &str) {
        self.outlet.put(Outgoing::Ended { subscription: Arc::clone(&self.name), because: because.into() });
    }
}
