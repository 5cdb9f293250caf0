//! From those who notice to those who listen.
//!
//! Duty: one task that hears the fleet, reload, xDS and the supervisor, counts, and tells the bus.
//! Invariant: what it could not keep up with is counted, never silently lost.
//! Leaves to others: noticing.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use lasso_routing::fleet::event::Notice as FleetNotice;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};

use super::{Bus, Event, TaskRestarted};
use crate::http::facts::XdsAnswers;
use crate::notice::{Notice, Notices};
use crate::supervise::{Panicked, Supervisor};
use crate::xds::snapshot::ResourceType;

/// What went by, since the start. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally(Arc<Mutex<Counts>>);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) reloads: u64,
    pub(crate) reloads_refused: u64,
    /// Acks and nacks, by the order of [`ResourceType::ALL`].
    answers: [(u64, u64); ResourceType::ALL.len()],
    /// Notices that came faster than they were passed on.
    pub(crate) missed: u64,
}

impl Tally {
    pub(crate) fn counts(&self) -> Counts {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn count(&self, notice: &Notice) {
        self.change(|counts| match notice {
            Notice::Reloaded { .. } => counts.reloads += 1,
            Notice::ReloadRefused { .. } => counts.reloads_refused += 1,
            Notice::Accepted { kind, .. } => counts.answers[*kind as usize].0 += 1,
            Notice::Refused { kind, .. } => counts.answers[*kind as usize].1 += 1,
            Notice::Connected { .. } | Notice::Disconnected { .. } | Notice::InForce { .. } => {}
        });
    }
}

impl Counts {
    /// By resource type.
    pub(crate) fn answers(&self) -> Vec<XdsAnswers> {
        let all = ResourceType::ALL.into_iter().zip(self.answers);
        all.map(|(kind, (acks, nacks))| XdsAnswers { resource_type: kind.name(), acks, nacks }).collect()
    }
}

/// Who is heard.
#[derive(Debug, Clone)]
pub(crate) struct Sources {
    pub(crate) fleet: broadcast::Sender<FleetNotice>,
    pub(crate) shell: Notices,
    pub(crate) supervisor: Supervisor,
}

/// The task. It hears what is noticed from this call on, and works until `drain` turns true.
pub(crate) fn run(
    sources: &Sources,
    bus: Bus,
    tally: Tally,
    mut drain: watch::Receiver<bool>,
) -> impl Future<Output = ()> + Send + use<> {
    let (mut fleet, mut shell) = (sources.fleet.subscribe(), sources.shell.subscribe());
    let mut panics = sources.supervisor.subscribe();
    async move {
        loop {
            let event: Result<Event, RecvError> = tokio::select! {
                notice = fleet.recv() => notice.map(Event::from),
                notice = shell.recv() => notice.map(|notice| {
                    tally.count(&notice);
                    notice.into()
                }),
                panicked = panics.recv() => panicked.map(|Panicked { task, times }| {
                    Event::TaskRestarted(TaskRestarted { task, restarts: times })
                }),
                _ = drain.wait_for(|drain| *drain) => return,
            };
            match event {
                Ok(event) => bus.tell(event),
                Err(RecvError::Lagged(missed)) => tally.change(|counts| counts.missed += missed),
                // They end with the process.
                Err(RecvError::Closed) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_anyone_notices_is_told_and_counted() {
        let (bus, tally, shell) = (Bus::new(""), Tally::default(), Notices::new());
        let fleet = broadcast::Sender::new(8);
        let (drain, draining) = watch::channel(false);
        let sources = Sources { fleet: fleet.clone(), shell: shell.clone(), supervisor: Supervisor::new() };
        let mut told = bus.subscribe();
        let task = tokio::spawn(run(&sources, bus, tally.clone(), draining));

        let kind = ResourceType::Routes;
        shell.tell(Notice::Accepted { node: "a".into(), kind, resources: 1, after_ms: 2 });
        assert_eq!(told.next().await.unwrap().event.name(), "xds_acked");
        shell.tell(Notice::ReloadRefused { problems: "one\ntwo".into() });
        let Event::ConfigRefused(refused) = &told.next().await.unwrap().event else { panic!("another event") };
        assert_eq!(refused.problems, ["one", "two"]);
        fleet.send(FleetNotice::SetAside { node: "a".into() }).unwrap();
        assert_eq!(told.next().await.unwrap().event.name(), "envoy_set_aside");

        let counts = tally.counts();
        assert_eq!(counts.reloads_refused, 1);
        assert!(counts.answers().contains(&XdsAnswers { resource_type: "routes", acks: 1, nacks: 0 }));
        drain.send(true).unwrap();
        task.await.unwrap();
    }
}
