//! Who listens to the feeds of a scope.
//!
//! Duty: know them; tell them what they listen to.
//! Invariant: an event is told to all before the next one is told to any. Nobody waits for a whole crowd to be told: it is told in parts of [`PART`], by as
//! many processors as there are.

use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lasso_subscription::SubscriptionId;
use tokio::task::JoinSet;

use crate::frame::Telling;
use crate::outlet::{Outgoing, Outlet};

/// Told in one go: about a millisecond.
const PART: usize = 128;

/// Who listens. Kept where a panic of the task does not reach it.
#[derive(Debug, Default)]
pub(super) struct Members(Mutex<BTreeMap<SubscriptionId, Arc<Member>>>);

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

    /// Tells an event to those of them who are still there.
    pub(super) async fn tell(self: &Arc<Self>, to: Arc<[SubscriptionId]>, payload: Arc<str>) {
        if to.len() <= PART {
            return self.tell_part(&to, payload);
        }
        let mut parts = JoinSet::new();
        for start in (0..to.len()).step_by(PART) {
            let (members, to, payload) = (Arc::clone(self), Arc::clone(&to), Arc::clone(&payload));
            parts.spawn(async move {
                let part = to.get(start..).unwrap_or_default();
                members.tell_part(part.get(..PART).unwrap_or(part), payload);
            });
        }
        while let Some(told) = parts.join_next().await {
            // Not all were told: the scope goes the same way, and they hear that they lost continuity.
            if let Err(error) = told
                && let Ok(panic) = error.try_into_panic()
            {
                resume_unwind(panic);
            }
        }
    }

    fn tell_part(&self, to: &[SubscriptionId], payload: Arc<str>) {
        let there: Vec<_> = {
            let all = self.all();
            to.iter().filter_map(|id| Some((*id, Arc::clone(all.get(id)?)))).collect()
        };
        let mut telling = Telling::new(payload);
        for (id, member) in there {
            member.outlet.tell(id, &member.name, &mut telling);
        }
    }

    pub(super) fn all(&self) -> MutexGuard<'_, BTreeMap<SubscriptionId, Arc<Member>>> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outlet::{Waiting, outlet};

    fn crowd(count: u64) -> (Arc<Members>, Arc<[SubscriptionId]>, Vec<Waiting>) {
        let members = Arc::new(Members::default());
        let mut waiting = Vec::new();
        for id in 0..count {
            let (outlet, its) = outlet(Arc::default());
            let member = Member { name: "0xa".into(), profile: "public".into(), outlet };
            members.all().insert(SubscriptionId(id), Arc::new(member));
            waiting.push(its);
        }
        (members, (0..count).map(SubscriptionId).collect(), waiting)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn crowds_of_any_size_are_told_in_order() {
        for count in [1, PART, PART + 1, 3 * PART - 1, 3 * PART] {
            let (members, to, mut waiting) = crowd(count as u64);
            for payload in ["1", "2", "3"] {
                members.tell(Arc::clone(&to), payload.into()).await;
            }
            for its in &mut waiting {
                for expected in ["1", "2", "3"] {
                    let Some(Outgoing::Event { payload, .. }) = its.ready() else { panic!("{count}: nothing") };
                    assert_eq!(&*payload, expected, "{count}");
                }
                assert!(its.ready().is_none(), "{count}: twice");
            }
        }
    }

    #[tokio::test]
    async fn who_left_is_not_told() {
        let (members, to, mut waiting) = crowd(2);
        members.all().remove(&SubscriptionId(0));
        members.tell(to, "1".into()).await;
        assert!(waiting[0].ready().is_none());
        assert!(waiting[1].ready().is_some());
    }
}
