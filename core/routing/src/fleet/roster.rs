//! Who reports: workers, their Envoys, and the last report of each.
//!
//! Invariant: a report counts once by (instance, seq), also when its stream broke and another one sends it again; of those that left
//! only the number of the last report is kept, for ten minutes and for at most [`MOST_INSTANCES`].

use std::collections::BTreeMap;

use super::MOST_WORKERS;
use super::event::{Hello, WorkerId};
use crate::report::Dropped;
use crate::table::Right;
use crate::time::{Millis, Timestamp};

/// Instances that are remembered, also those that left.
pub(super) const MOST_INSTANCES: usize = 4 * MOST_WORKERS;
/// Those that left are remembered for so long.
const REMEMBER: Millis = Millis::from_secs(600);
/// A worker is active when it asked a provider in this long, and an Envoy's word on a channel counts for as long.
pub(super) const ACTIVE: Millis = Millis::from_secs(10);
/// A worker uses a chain when it asked there in this long.
pub(super) const USES: Millis = Millis(1_000);
/// Tables that a worker may not have taken yet.
const MOST_UNTAKEN: u64 = 2;

/// Number of a node; the prober's is 0.
pub(super) type NodeId = u32;
/// The control plane's own probes: like an Envoy, but one that carries no traffic, and no witness against those that do.
pub(super) const PROBER: NodeId = 0;

/// One stream.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) node: NodeId,
    pub(super) hello: Hello,
    /// When it last reported an attempt.
    pub(super) asked: Option<Timestamp>,
    /// By book: when it last reported an attempt there.
    pub(super) used: Vec<Timestamp>,
    /// By channel: what it last said.
    pub(super) in_flight: Vec<u32>,
    pub(super) told: Told,
    /// Leases that its next table brings.
    pub(super) leases: Vec<(Right, Timestamp)>,
    /// It is to be told at once.
    pub(super) urgent: bool,
}

/// What a worker has been told.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) version: u64,
    pub(super) taken: u64,
    /// It has had its full table.
    pub(super) full: bool,
    pub(super) covers: u64,
    pub(super) share: f32,
    pub(super) set_aside: bool,
    pub(super) when: Timestamp,
    /// Revisions of the journals.
    pub(super) cells: u64,
    pub(super) channels: u64,
    pub(super) heads: u64,
    pub(super) clocks: u64,
    pub(super) lessons: u64,
}

impl Told {
    /// Everything changed: the next table is a full one.
    pub(super) fn start_over(&mut self) {
        *self = Self { version: self.version, taken: self.taken, ..Self::default() };
    }
}

impl Worker {
    pub(super) fn is_active(&self, now: Timestamp) -> bool {
        self.asked.is_some_and(|asked| now.since(asked) <= ACTIVE)
    }

    /// Whether it asked that chain's providers just now, and would hear of a lease at once.
    pub(super) fn uses(&self, book: usize, now: Timestamp) -> bool {
        let used = self.used.get(book).is_some_and(|&used| used > Timestamp::default() && now.since(used) <= USES);
        used && self.takes_tables()
    }

    pub(super) const fn takes_tables(&self) -> bool {
        self.told.version.saturating_sub(self.told.taken) < MOST_UNTAKEN
    }
}

/// One Envoy.
#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) name: Box<str>,
    pub(super) region: Box<str>,
    pub(super) streams: u32,
    pub(super) left: Timestamp,
    pub(super) set_aside: bool,
    pub(super) attempts: u64,
    pub(super) reports: u64,
    pub(super) last_report: Option<Timestamp>,
    pub(super) dropped: Dropped,
    /// By channel.
    pub(super) tried: Vec<Tried>,
}

/// What an Envoy has seen of a channel.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tried {
    pub(super) attempted: Timestamp,
    pub(super) succeeded: Timestamp,
    /// Failures since the last success, the time of the first and that of the last.
    pub(super) trailing: u32,
    pub(super) began: Timestamp,
    pub(super) failed: Timestamp,
}

impl Tried {
    pub(super) fn note(&mut self, success: bool, failures: u32, age: Millis, now: Timestamp) {
        self.attempted = now;
        if success {
            self.succeeded = now;
            self.trailing = 0;
        }
        if failures > 0 {
            if self.trailing == 0 {
                self.began = now.before(age);
            }
            self.trailing = self.trailing.saturating_add(failures);
            self.failed = now;
        }
    }

    pub(super) fn is_tried(&self, now: Timestamp) -> bool {
        self.attempted > Timestamp::default() && now.since(self.attempted) <= ACTIVE
    }

    /// Its last word on the channel was a failure, lately.
    pub(super) fn fails(&self, now: Timestamp) -> bool {
        self.trailing > 0 && now.since(self.failed) <= ACTIVE
    }

    /// It was answered after that instant, lately, and has not failed since.
    pub(super) fn succeeds_after(&self, since: Timestamp, now: Timestamp) -> bool {
        self.trailing == 0 && self.succeeded > since && now.since(self.succeeded) <= ACTIVE
    }
}

/// The last report of one instance.
#[derive(Debug, Clone, Copy, Default)]
struct Instance {
    seq: u64,
    streams: u32,
    left: Timestamp,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Roster {
    pub(super) workers: BTreeMap<WorkerId, Worker>,
    pub(super) nodes: BTreeMap<NodeId, Node>,
    names: BTreeMap<Box<str>, NodeId>,
    next_node: NodeId,
    instances: BTreeMap<u64, Instance>,
}

impl Roster {
    pub(super) fn new() -> Self {
        Self {
            workers: BTreeMap::new(),
            nodes: BTreeMap::from([(PROBER, Node::default())]),
            names: BTreeMap::new(),
            next_node: PROBER + 1,
            instances: BTreeMap::new(),
        }
    }

    /// A stream opens; false when it is one too many.
    pub(super) fn join(&mut self, id: WorkerId, hello: Hello) -> bool {
        if self.workers.len() >= MOST_WORKERS || self.workers.contains_key(&id) {
            return false;
        }
        let node = match self.names.get(&hello.node) {
            Some(&node) => node,
            None => {
                let node = self.next_node;
                self.next_node = self.next_node.wrapping_add(1).max(PROBER + 1);
                self.names.insert(hello.node.clone(), node);
                self.nodes.insert(node, Node { name: hello.node.clone(), ..Node::default() });
                node
            }
        };
        if let Some(node) = self.nodes.get_mut(&node) {
            node.streams += 1;
            node.region.clone_from(&hello.region);
        }
        self.instances.entry(hello.instance).or_default().streams += 1;
        let told = Told::default();
        let (used, in_flight, leases) = (Vec::new(), Vec::new(), Vec::new());
        let worker = Worker { node, hello, asked: None, used, in_flight, told, leases, urgent: true };
        self.workers.insert(id, worker);
        true
    }

    /// A stream ends.
    pub(super) fn leave(&mut self, id: WorkerId, now: Timestamp) -> Option<Worker> {
        let worker = self.workers.remove(&id)?;
        if let Some(instance) = self.instances.get_mut(&worker.hello.instance) {
            instance.streams = instance.streams.saturating_sub(1);
            instance.left = now;
        }
        if let Some(node) = self.nodes.get_mut(&worker.node) {
            node.streams = node.streams.saturating_sub(1);
            node.left = now;
        }
        Some(worker)
    }

    /// Whether that report is new; then it is the last one.
    pub(super) fn is_new(&mut self, instance: u64, seq: u64) -> bool {
        let Some(instance) = self.instances.get_mut(&instance) else { return false };
        let new = seq > instance.seq;
        instance.seq = instance.seq.max(seq);
        new
    }

    /// The last report of an instance.
    pub(super) fn covered(&self, instance: u64) -> u64 {
        self.instances.get(&instance).map_or(0, |instance| instance.seq)
    }

    pub(super) fn active(&self, now: Timestamp) -> usize {
        self.workers.values().filter(|worker| worker.is_active(now)).count()
    }

    /// Forgets those that left long ago, and of too many the one that left first.
    pub(super) fn tidy(&mut self, now: Timestamp) {
        self.instances.retain(|_, known| known.streams > 0 || now.since(known.left) < REMEMBER);
        while self.instances.len() > MOST_INSTANCES {
            let gone = self.instances.iter().filter(|(_, known)| known.streams == 0);
            let Some(first) = gone.min_by_key(|(_, known)| known.left).map(|(&instance, _)| instance) else { break };
            self.instances.remove(&first);
        }
        let is_gone = |node: &Node| node.streams == 0;
        let mut gone: Vec<(Timestamp, NodeId)> = self
            .nodes
            .iter_mut()
            .filter(|(id, node)| **id != PROBER && is_gone(node))
            .map(|(&id, node)| {
                // What it saw is history; only that it was here is shown.
                (node.tried, node.set_aside) = (Vec::new(), false);
                (node.left, id)
            })
            .collect();
        gone.sort_unstable();
        let too_many = gone.len().saturating_sub(MOST_WORKERS);
        for (place, (left, id)) in gone.into_iter().enumerate() {
            if (place < too_many || now.since(left) >= REMEMBER)
                && let Some(node) = self.nodes.remove(&id)
            {
                self.names.remove(&node.name);
            }
        }
    }
}
