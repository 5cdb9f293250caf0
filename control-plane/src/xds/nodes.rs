//! The Envoys, and how far each of them is.
//!
//! Duty: keep for every Envoy its progress and its last answers, as plain data that anybody may read at any time.
//! Invariant: at most [`MOST`] Envoys; one that went is kept for [`KEPT_FOR`], or until it is back. What an Envoy said is masked and cut
//! before it comes here.
//! Leaves to others: the progress itself (`session`), showing it.

use std::collections::BTreeMap;
use std::sync::Arc;

use lasso_routing::time::{Millis, Timestamp};
use tokio::sync::watch;

use super::session::Progress;
use super::snapshot::ResourceType;

const MOST: usize = 1_024;
const KEPT_FOR: Millis = Millis(600_000);
const MOST_REFUSALS: usize = 16;

/// One Envoy. Times are of the wall clock, in milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    /// What its bootstrap calls it.
    pub(crate) id: String,
    /// Until when it was here; absent while it is.
    pub(crate) gone: Option<Timestamp>,
    pub(crate) connected: Timestamp,
    /// Absent until it asked for something.
    pub(crate) progress: Option<Progress>,
    /// Since when it is at this step.
    pub(crate) since: Timestamp,
    /// The last that it accepted of each type.
    pub(crate) accepted: BTreeMap<ResourceType, Accepted>,
    /// What it refused, the latest last, at most [`MOST_REFUSALS`]; empty again once nothing of it is held back.
    pub(crate) refused: Vec<Refused>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Accepted {
    pub(crate) at: Timestamp,
    pub(crate) resources: usize,
    pub(crate) after: Millis,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) at: Timestamp,
    pub(crate) kind: ResourceType,
    pub(crate) names: Vec<String>,
    pub(crate) detail: String,
}

/// By the number of their streams.
pub(crate) type List = BTreeMap<u64, Node>;

/// All of them. Clones are the same list.
#[derive(Debug, Clone)]
pub(crate) struct Nodes(Arc<watch::Sender<List>>);

impl Nodes {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(List::new())))
    }

    /// The list, and every change of it.
    pub(crate) fn subscribe(&self) -> watch::Receiver<List> {
        self.0.subscribe()
    }

    pub(crate) fn connected(&self, stream: u64, id: &str, now: Timestamp) {
        self.0.send_modify(|list| {
            forget(list, now);
            // It is back.
            list.retain(|_, node| node.gone.is_none() || node.id != id);
            if list.len() >= MOST {
                let longest_gone = list.iter().filter_map(|(stream, node)| Some((node.gone?, *stream))).min();
                let Some((_, stream)) = longest_gone else { return };
                list.remove(&stream);
            }
            let node = Node {
                id: id.to_owned(),
                gone: None,
                connected: now,
                progress: None,
                since: now,
                accepted: BTreeMap::new(),
                refused: Vec::new(),
            };
            list.insert(stream, node);
        });
    }

    pub(crate) fn moved(&self, stream: u64, progress: &Progress, now: Timestamp) {
        self.change(stream, |node| {
            if node.progress.as_ref().map(|before| before.phase) != Some(progress.phase) {
                node.since = now;
            }
            node.progress = Some(progress.clone());
            if !progress.held {
                node.refused.clear();
            }
        });
    }

    pub(crate) fn accepted(&self, stream: u64, kind: ResourceType, accepted: Accepted) {
        self.change(stream, |node| {
            node.accepted.insert(kind, accepted);
        });
    }

    pub(crate) fn refused(&self, stream: u64, refused: Refused) {
        self.change(stream, |node| {
            let surplus = (node.refused.len() + 1).saturating_sub(MOST_REFUSALS);
            node.refused.drain(..surplus);
            node.refused.push(refused);
        });
    }

    pub(crate) fn disconnected(&self, stream: u64, now: Timestamp) {
        self.0.send_modify(|list| {
            if let Some(node) = list.get_mut(&stream) {
                node.gone = Some(now);
            }
            forget(list, now);
        });
    }

    fn change(&self, stream: u64, change: impl FnOnce(&mut Node)) {
        self.0.send_if_modified(|list| list.get_mut(&stream).map(change).is_some());
    }
}

fn forget(list: &mut List, now: Timestamp) {
    list.retain(|_, node| node.gone.is_none_or(|gone| now.since(gone) < KEPT_FOR));
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use lasso_routing::time::{Millis, Timestamp};

    use super::super::session::{Phase, Progress};
    use super::super::snapshot::ResourceType;
    use super::{Accepted, KEPT_FOR, MOST, Nodes, Refused};

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    #[track_caller]
    fn check(nodes: &Nodes, expected: &[(&str, bool)]) {
        let list = nodes.subscribe().borrow().clone();
        let seen: Vec<_> = list.values().map(|node| (node.id.as_str(), node.gone.is_none())).collect();
        assert_eq!(seen, expected);
    }

    #[test]
    fn an_envoy_that_went_stays_for_ten_minutes_or_until_it_is_back() {
        let nodes = Nodes::new();
        nodes.connected(1, "a", NOW);
        nodes.connected(2, "b", NOW);
        nodes.disconnected(1, NOW);
        check(&nodes, &[("a", false), ("b", true)]);
        nodes.connected(3, "a", NOW);
        check(&nodes, &[("b", true), ("a", true)]);
        nodes.disconnected(2, NOW);
        nodes.connected(4, "c", NOW.plus(Millis(KEPT_FOR.0 - 1)));
        check(&nodes, &[("b", false), ("a", true), ("c", true)]);
        nodes.disconnected(4, NOW.plus(KEPT_FOR));
        check(&nodes, &[("a", true), ("c", false)]);
    }

    #[test]
    fn two_envoys_of_one_name_are_two() {
        let nodes = Nodes::new();
        nodes.connected(1, "a", NOW);
        nodes.connected(2, "a", NOW);
        check(&nodes, &[("a", true), ("a", true)]);
    }

    #[test]
    fn the_list_is_bounded_and_who_is_here_comes_before_who_went() {
        let nodes = Nodes::new();
        for stream in 0..MOST as u64 {
            nodes.connected(stream, &format!("envoy-{stream}"), NOW);
        }
        nodes.connected(5_000, "one too many", NOW);
        assert_eq!(nodes.subscribe().borrow().len(), MOST);
        assert!(!nodes.subscribe().borrow().contains_key(&5_000));
        nodes.disconnected(7, NOW);
        nodes.connected(5_001, "in its place", NOW);
        assert!(nodes.subscribe().borrow().contains_key(&5_001) && !nodes.subscribe().borrow().contains_key(&7));
    }

    #[test]
    fn refusals_are_shown_while_something_is_held_back() {
        let nodes = Nodes::new();
        nodes.connected(1, "a", NOW);
        for number in 0..20 {
            let (names, detail) = (vec![format!("c{number}")], "no".to_owned());
            nodes.refused(1, Refused { at: NOW, kind: ResourceType::Clusters, names, detail });
        }
        nodes.accepted(1, ResourceType::Clusters, Accepted { at: NOW, resources: 1, after: Millis(3) });
        let progress = |held| Progress {
            phase: Phase::Settled,
            held,
            without: BTreeSet::new(),
            in_force: None,
            wanted: "generation".to_owned(),
        };
        for (held, count, last) in [(true, 16, Some("c19")), (false, 0, None)] {
            nodes.moved(1, &progress(held), NOW);
            let refused = nodes.subscribe().borrow()[&1].refused.clone();
            let shown = refused.last().map(|refused| refused.names[0].as_str());
            assert_eq!((refused.len(), shown), (count, last));
        }
    }

    #[test]
    fn since_is_when_the_step_began() {
        let nodes = Nodes::new();
        nodes.connected(1, "a", NOW);
        let progress = |phase, wanted: &str| Progress {
            phase,
            held: false,
            without: BTreeSet::new(),
            in_force: None,
            wanted: wanted.to_owned(),
        };
        let moves = [(Phase::Clusters, "1", 5), (Phase::Clusters, "2", 5), (Phase::Routes, "2", 7)];
        for (at, (phase, wanted, since)) in (5..).zip(moves) {
            nodes.moved(1, &progress(phase, wanted), Timestamp::from_millis(at));
            assert_eq!(nodes.subscribe().borrow()[&1].since, Timestamp::from_millis(since));
        }
    }
}
