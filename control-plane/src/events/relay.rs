//! From those who notice to those who listen.
//!
//! Duty: one task that hears the fleet, reload, xDS, the hub and the supervisor, counts, and tells the bus.
//! Invariant: what it could not keep up with is counted, never silently lost.
//! Leaves to others: noticing.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use lasso_hub as hub;
use lasso_routing::fleet::event::Notice as FleetNotice;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};

use super::{Bus, Event, TaskRestarted};
use crate::http::facts::{Queue, XdsAnswers};
use crate::notice::{Notice, Notices};
use crate::queue::Meter;
use crate::supervise::{Panicked, Supervisor};
use crate::xds::snapshot::ResourceType;

/// The fleet's notices that wait for the slowest listener.
pub(crate) const FLEET_NOTICES: usize = 1_024;

/// What went by, since the start. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally(Arc<Mutex<Counts>>);

/// What happened to feeds and their sockets, by what a label may be: chains, channels and kinds of the configuration, and our own words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FeedCounts {
    /// By profile, chain, kind and why.
    pub(crate) failovers: BTreeMap<[Arc<str>; 4], u64>,
    /// Gaps, and events in them, by profile, chain and kind.
    pub(crate) fills: BTreeMap<[Arc<str>; 3], (u64, u64)>,
    /// Subscriptions that ended, by profile, chain and kind.
    pub(crate) lost: BTreeMap<[Arc<str>; 3], u64>,
    /// By profile and chain.
    pub(crate) reorgs: BTreeMap<[Arc<str>; 2], u64>,
    /// By channel and kind.
    pub(crate) missed: BTreeMap<[Arc<str>; 2], u64>,
    /// Sockets to providers that opened, and that broke or did not open, by channel.
    pub(crate) sockets: BTreeMap<Arc<str>, (u64, u64)>,
}

impl FeedCounts {
    fn count(&mut self, notice: &hub::Notice) {
        match notice {
            hub::Notice::SocketUp { channel } => self.sockets.entry(Arc::clone(channel)).or_default().0 += 1,
            hub::Notice::SocketDown { channel, .. } => self.sockets.entry(Arc::clone(channel)).or_default().1 += 1,
            hub::Notice::Feed { profile, chain, told } => self.count_feed(profile, chain, told),
            hub::Notice::Connected { .. }
            | hub::Notice::ChainId { .. }
            | hub::Notice::Head { .. }
            | hub::Notice::ClientClosed { .. } => {}
        }
    }

    fn count_feed(&mut self, profile: &Arc<str>, chain: &Arc<str>, told: &hub::FeedNotice) {
        let of = |kind: &lasso_subscription::Kind| [Arc::clone(profile), Arc::clone(chain), Arc::from(kind.name())];
        match told {
            hub::FeedNotice::FailedOver { kind, because, .. } => {
                let [profile, chain, kind] = of(kind);
                *self.failovers.entry([profile, chain, kind, because.name().into()]).or_default() += 1;
            }
            hub::FeedNotice::Filled { kind, events, .. } => {
                let (fills, filled) = self.fills.entry(of(kind)).or_default();
                *fills += 1;
                *filled += events;
            }
            hub::FeedNotice::ContinuityLost { kind, subscriptions, .. } => {
                *self.lost.entry(of(kind)).or_default() += *subscriptions as u64;
            }
            hub::FeedNotice::Reorg { .. } => {
                *self.reorgs.entry([Arc::clone(profile), Arc::clone(chain)]).or_default() += 1
            }
            hub::FeedNotice::EventsMissed { kind, channel } => {
                *self.missed.entry([Arc::clone(channel), kind.name().into()]).or_default() += 1;
            }
            hub::FeedNotice::Up { .. }
            | hub::FeedNotice::Down { .. }
            | hub::FeedNotice::Lost { .. }
            | hub::FeedNotice::KindRefused { .. }
            | hub::FeedNotice::Malformed { .. } => {}
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) reloads: u64,
    pub(crate) reloads_refused: u64,
    /// Acks and nacks, by the order of [`ResourceType::ALL`].
    answers: [(u64, u64); ResourceType::ALL.len()],
    pub(crate) feeds: FeedCounts,
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
    pub(crate) hub: broadcast::Sender<hub::Notice>,
    pub(crate) meters: Meters,
}

impl Sources {
    /// How much of each waits to be told.
    pub(crate) fn queues(&self) -> [Queue; 4] {
        let (shell, panics) = (&self.shell, &self.supervisor);
        [
            self.meters.fleet.shown("fleet_notices", self.fleet.len() as u64, FLEET_NOTICES as u64),
            self.meters.hub.shown("hub_notices", self.hub.len() as u64, crate::hub::MOST_WAITING as u64),
            self.meters.shell.shown("notices", shell.waiting() as u64, crate::notice::MOST_WAITING as u64),
            self.meters.panics.shown("panics", panics.waiting() as u64, crate::supervise::MOST_WAITING as u64),
        ]
    }
}

/// How far behind it was, and what it missed, for each of those it hears.
#[derive(Debug, Clone, Default)]
pub(crate) struct Meters {
    pub(crate) fleet: Meter,
    pub(crate) hub: Meter,
    pub(crate) shell: Meter,
    pub(crate) panics: Meter,
}

/// The task. It hears what is noticed from this call on, and works until `drain` turns true.
pub(crate) fn run(
    sources: &Sources,
    bus: Bus,
    tally: Tally,
    mut drain: watch::Receiver<bool>,
) -> impl Future<Output = ()> + Send + use<> {
    let (mut fleet, mut shell) = (sources.fleet.subscribe(), sources.shell.subscribe());
    let (mut panics, mut hub) = (sources.supervisor.subscribe(), sources.hub.subscribe());
    let meters = sources.meters.clone();
    async move {
        loop {
            let (event, meter, behind): (Result<Option<Event>, RecvError>, _, usize) = tokio::select! {
                notice = fleet.recv() => (notice.map(|notice| Some(notice.into())), &meters.fleet, fleet.len()),
                notice = shell.recv() => {
                    let event = notice.map(|notice| {
                        tally.count(&notice);
                        Some(notice.into())
                    });
                    (event, &meters.shell, shell.len())
                }
                notice = hub.recv() => {
                    let event = notice.map(|notice| {
                        tally.change(|counts| counts.feeds.count(&notice));
                        Event::of_hub(notice)
                    });
                    (event, &meters.hub, hub.len())
                }
                panicked = panics.recv() => {
                    let event = panicked.map(|Panicked { task, times }| {
                        Some(Event::TaskRestarted(TaskRestarted { task, restarts: times }))
                    });
                    (event, &meters.panics, panics.len())
                }
                _ = drain.wait_for(|drain| *drain) => return,
            };
            meter.seen(behind + 1);
            match event {
                Ok(Some(event)) => bus.tell(event),
                Ok(None) => {}
                Err(RecvError::Lagged(missed)) => meter.dropped(missed),
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
        let sources = Sources {
            fleet: fleet.clone(),
            shell: shell.clone(),
            supervisor: Supervisor::new(),
            meters: Meters::default(),
            hub: broadcast::Sender::new(8),
        };
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
