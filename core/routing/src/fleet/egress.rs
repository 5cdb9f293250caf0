//! An Envoy whose own way to the providers is broken.
//!
//! Duty: find Envoys that fail on most of the channels they tried while other Envoys are answered there, and set them aside.
//! Invariant: the only Envoy that carries traffic is never set aside, nor stays so when it becomes the only one: that would help nobody, and
//! hide from the tables what its clients suffer. Probes are no witness against an Envoy: they go through one, perhaps that very one, and ask for
//! less than calls do. Envoys are witnesses against the probes. What an Envoy that is set aside reports is counted; it is no evidence and opens
//! nothing.

use super::Fleet;
use super::event::Notice;
use super::roster::{Node, NodeId, PROBER, Tried};
use crate::breaker::{QUICK_FAILURES, RUN_LENGTH};
use crate::time::Timestamp;

/// What people are told when it is the control plane's own probes that reach nobody.
const PROBES: &str = "probes of the control plane";

impl Fleet {
    /// Whether an Envoy is set aside, judged anew.
    pub(super) fn judge_egress(&mut self, id: NodeId, now: Timestamp) -> bool {
        let Some(node) = self.roster.nodes.get(&id) else { return false };
        let aside = match node.set_aside {
            true => self.has_witness(id, now) && !self.is_answered_again(id, now),
            false => self.fails_alone(id, now),
        };
        if aside != node.set_aside {
            self.set_aside(id, aside);
        }
        aside
    }

    /// Those that say nothing are judged, too: the others' answers may have come since.
    pub(super) fn judge_egress_of_all(&mut self, now: Timestamp) {
        let nodes: Vec<NodeId> = self.roster.nodes.keys().copied().collect();
        for node in nodes {
            self.judge_egress(node, now);
        }
    }

    /// It fails on more than half, and at least two, of the channels it tried lately, and another Envoy was answered there since.
    fn fails_alone(&self, id: NodeId, now: Timestamp) -> bool {
        let Some(node) = self.roster.nodes.get(&id) else { return false };
        let tried = || node.tried.iter().enumerate().filter(|(_, tried)| tried.is_tried(now));
        let failing = || {
            tried().filter(|(_, tried)| {
                tried.fails(now) && tried.trailing >= QUICK_FAILURES && now.since(tried.began) >= RUN_LENGTH
            })
        };
        // Nearly always nobody fails, and that is all there is to find out.
        if failing().nth(1).is_none() {
            return false;
        }
        let alone = failing().filter(|(channel, tried)| self.answers_others(id, *channel, tried.began, now)).count();
        alone >= 2 && alone * 2 > tried().count()
    }

    fn answers_others(&self, id: NodeId, channel: usize, since: Timestamp, now: Timestamp) -> bool {
        let answered = |tried: &Tried| tried.succeeds_after(since, now);
        self.witnesses(id).any(|other| other.tried.get(channel).is_some_and(answered))
    }

    /// Whether another Envoy has asked anybody lately.
    fn has_witness(&self, id: NodeId, now: Timestamp) -> bool {
        self.witnesses(id).any(|other| other.tried.iter().any(|tried| tried.is_tried(now)))
    }

    fn witnesses(&self, against: NodeId) -> impl Iterator<Item = &Node> {
        let others = self.roster.nodes.iter().filter(move |(id, _)| **id != against && **id != PROBER);
        others.map(|(_, node)| node).filter(|node| !node.set_aside)
    }

    /// Most of the channels it tried lately answered it.
    fn is_answered_again(&self, id: NodeId, now: Timestamp) -> bool {
        let Some(node) = self.roster.nodes.get(&id) else { return true };
        let tried = node.tried.iter().filter(|tried| tried.is_tried(now));
        let (answered, all) = tried.fold((0, 0), |(answered, all), tried| {
            (answered + usize::from(tried.succeeds_after(Timestamp::default(), now)), all + 1)
        });
        answered * 2 > all
    }

    fn set_aside(&mut self, id: NodeId, aside: bool) {
        let Some(node) = self.roster.nodes.get_mut(&id) else { return };
        node.set_aside = aside;
        let node = node.name.clone();
        for worker in self.roster.workers.values_mut().filter(|worker| worker.node == id) {
            worker.urgent = true;
        }
        let node = if id == PROBER { PROBES.into() } else { node };
        self.tell(if aside { Notice::SetAside { node } } else { Notice::Returned { node } });
    }
}
