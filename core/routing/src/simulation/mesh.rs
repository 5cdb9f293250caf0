//! Workers and a control plane, in one queue of events over virtual time.
//!
//! Messages take a few milliseconds each way and streams break now and then; what a worker has not had acknowledged it sends again. Each
//! message, call and answer is an event; the same seed gives the same run.

use std::collections::BTreeMap;

use lasso_jsonrpc::method::{Method, MethodClass};

use super::calls::Call;
use super::provider::{Doing, Provider};
use super::queue::Queue;
use super::rules::{LONGEST_WAY, Rules};
use crate::catalog::Catalog;
use crate::chance::Chance;
use crate::fixture::{LATEST, spec, target};
use crate::fleet::Fleet;
use crate::fleet::event::{Action, Event, Hello, WorkerId};
use crate::fleet::saved::{SavedChannels, SavedEvidence};
use crate::ledger::{Begun, Desk, Ledger};
use crate::outcome::Verdict;
use crate::report::Report;
use crate::table::Table;
use crate::target::Target;
use crate::time::{Micros, Millis, Timestamp};

pub(super) const PROVIDERS: [&str; 4] = ["a", "b", "c", "d"];
pub(super) const METHOD: &str = "eth_call";
/// A stream that broke is opened again after so long.
const RECONNECT: Millis = Millis(300);
/// Workers look at the clock this often.
const TICK: Millis = Millis(100);

/// A worker and its stream.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) ledger: Ledger,
    instance: u64,
    stream: Option<WorkerId>,
    /// Attempts that ended here.
    pub(super) settled: u64,
}

#[derive(Debug)]
pub(super) enum Happening {
    Arrival {
        worker: usize,
    },
    Answer {
        call: usize,
        place: usize,
        begun: Begun,
        latency: Micros,
        verdict: Verdict,
    },
    Tick {
        worker: usize,
    },
    FleetTick,
    /// On its way up; to a stream that may be gone by then.
    Up {
        stream: WorkerId,
        report: Report,
    },
    Taken {
        stream: WorkerId,
        version: u64,
    },
    Table {
        stream: WorkerId,
        table: Box<Table>,
    },
    Ack {
        stream: WorkerId,
        seq: u64,
    },
    Reconnect {
        worker: usize,
    },
}

/// All of it.
pub(super) struct Mesh {
    pub(super) catalog: Catalog,
    pub(super) target: Target,
    pub(super) fleet: Fleet,
    pub(super) workers: Vec<Worker>,
    pub(super) providers: Vec<Provider>,
    pub(super) rules: Rules,
    pub(super) now: Timestamp,
    pub(super) chance: Chance,
    /// Nothing gets through to the control plane or from it.
    pub(super) cut_off: bool,
    /// What the control plane has written down, and when.
    channels_saved: (SavedChannels, Timestamp),
    evidence_saved: SavedEvidence,
    /// A worker whose Envoy reaches no provider.
    pub(super) isolated: Option<usize>,
    pub(super) calls_per_second: f64,
    queue: Queue<Happening>,
    pub(super) calls: Vec<Option<Call>>,
    streams: u64,
    /// By provider: attempts since the count was last taken.
    pub(super) asked: [u64; PROVIDERS.len()],
    /// A fingerprint of all that happened.
    pub(super) digest: u64,
}

impl Mesh {
    pub(super) fn of(workers: usize, means_ms: [f64; PROVIDERS.len()], strategy: &str, seed: u64) -> Self {
        let mut spec = spec(&PROVIDERS);
        spec.profiles[0].chains[0].strategy = strategy.into();
        spec.workers = workers as u32;
        let catalog = Catalog::try_from(spec).unwrap();
        // Far enough from the epoch that everything is younger than it.
        let now = Timestamp::from_millis(1 << 40);
        let mut fleet = Fleet::new(seed);
        fleet.adopt(&catalog, now);
        let worker = |number: usize| {
            let mut ledger = Ledger::new(seed ^ (number as u64 + 1));
            ledger.adopt(&catalog, now);
            Worker { ledger, instance: number as u64 + 1, stream: None, settled: 0 }
        };
        let mut mesh = Self {
            target: target(&catalog, "/rpc/ethereum"),
            catalog: catalog.clone(),
            fleet,
            workers: (0..workers).map(worker).collect(),
            providers: means_ms.map(|mean_ms| Provider { mean_ms, doing: Doing::Well, since: now }).to_vec(),
            rules: Rules::of(workers),
            now,
            chance: Chance::new(seed),
            cut_off: false,
            channels_saved: (SavedChannels::default(), now),
            evidence_saved: SavedEvidence::default(),
            isolated: None,
            calls_per_second: 6.0,
            queue: Queue::new(),
            calls: Vec::new(),
            streams: 0,
            asked: [0; PROVIDERS.len()],
            digest: seed,
        };
        mesh.due(TICK, Happening::FleetTick);
        for worker in 0..workers {
            mesh.due(Millis(worker as u64 * 30), Happening::Reconnect { worker });
            mesh.due(Millis(worker as u64 * 37), Happening::Tick { worker });
            mesh.due(Millis(500), Happening::Arrival { worker });
        }
        mesh
    }

    /// Lets so much time pass.
    pub(super) fn run(&mut self, length: Millis) {
        let end = self.now.plus(length);
        while let Some((when, what)) = self.queue.next(end) {
            self.now = when;
            self.happen(what);
        }
        self.now = end;
    }

    pub(super) fn set(&mut self, provider: usize, doing: Doing) {
        self.providers[provider].doing = doing;
        self.providers[provider].since = self.now;
        self.note(provider as u64 + 100);
    }

    /// A stream breaks: what is on its way is lost.
    pub(super) fn reset(&mut self, worker: usize) {
        if let Some(stream) = self.workers[worker].stream.take() {
            self.rules.broke(worker);
            self.fleet.handle_event(Event::Left(stream), self.now);
            self.act();
            self.due(RECONNECT, Happening::Reconnect { worker });
        }
    }

    fn save(&mut self) {
        self.channels_saved = (self.fleet.saved_channels(self.now), self.now);
        self.evidence_saved = self.fleet.saved_evidence(self.now);
    }

    /// The control plane starts anew, with what was written down.
    pub(super) fn restart(&mut self) {
        let (channels, saved) = &self.channels_saved;
        let ago = self.now.since(*saved);
        let mut fleet = Fleet::new(self.chance.bits());
        fleet.adopt(&self.catalog, self.now);
        fleet.restore(channels, &self.evidence_saved, ago, self.now);
        self.fleet = fleet;
        (0..self.workers.len()).for_each(|worker| self.reset(worker));
    }

    /// Attempts that have not ended, anywhere.
    pub(super) fn in_flight(&self) -> u64 {
        let channels = || self.catalog.channels().map(|(channel, _)| channel);
        let of = |worker: &Worker| channels().map(|channel| u64::from(worker.ledger.in_flight(channel))).sum::<u64>();
        self.workers.iter().map(of).sum()
    }

    pub(super) fn has_unsent(&mut self) -> bool {
        let now = self.now;
        self.workers.iter_mut().any(|worker| worker.ledger.unacked().is_some() || worker.ledger.report(now).is_some())
    }

    pub(super) fn note(&mut self, what: u64) {
        self.digest = (self.digest ^ what ^ self.now.as_millis()).wrapping_mul(0x0000_0100_0000_01b3);
    }

    pub(super) fn due(&mut self, after: Millis, what: Happening) {
        self.queue.put(self.now.plus(after), what);
    }

    /// How long a message is on its way.
    fn way(&mut self) -> Millis {
        Millis(1 + self.chance.below(LONGEST_WAY.0 as usize) as u64)
    }

    fn happen(&mut self, what: Happening) {
        match what {
            Happening::Arrival { worker } => {
                let pause = -self.chance.unit().ln() * 1_000.0 / self.calls_per_second;
                self.due(Millis(pause as u64), Happening::Arrival { worker });
                self.call(worker);
            }
            Happening::Answer { call, place, begun, latency, verdict } => {
                self.answer(call, place, begun, latency, &verdict)
            }
            Happening::Tick { worker } => self.tick(worker),
            Happening::FleetTick => {
                if !self.cut_off {
                    self.fleet.handle_timeout(self.now);
                    self.act();
                }
                self.due(TICK, Happening::FleetTick);
            }
            Happening::Up { stream, report } => self.arrive(stream, Event::Reported(stream, Box::new(report))),
            Happening::Taken { stream, version } => self.arrive(stream, Event::TableTaken(stream, version)),
            Happening::Table { stream, table } => self.follow(stream, &table),
            Happening::Ack { stream, seq } => {
                if let Some(worker) = self.workers.iter_mut().find(|worker| worker.stream == Some(stream)) {
                    worker.ledger.acked(seq);
                }
            }
            Happening::Reconnect { worker } => self.connect(worker),
        }
    }

    fn tick(&mut self, number: usize) {
        let worker = &mut self.workers[number];
        worker.ledger.tick(self.now);
        self.rules.note_alone(number, worker.ledger.is_alone(self.now));
        let stream = worker.stream;
        if let Some(report) = worker.ledger.report(self.now).cloned()
            && let Some(stream) = stream
        {
            let way = self.way();
            self.due(way, Happening::Up { stream, report });
        }
        self.due(TICK, Happening::Tick { worker: number });
    }

    fn connect(&mut self, number: usize) {
        if self.cut_off {
            return self.due(RECONNECT, Happening::Reconnect { worker: number });
        }
        self.streams += 1;
        let stream = WorkerId(self.streams);
        let worker = &mut self.workers[number];
        worker.stream = Some(stream);
        let hello = Hello {
            node: format!("envoy-{number}").into(),
            instance: worker.instance,
            generation: self.catalog.generation().into(),
            ..Hello::default()
        };
        let unacked = worker.ledger.unacked().cloned();
        self.fleet.handle_event(Event::Joined(stream, hello), self.now);
        self.act();
        if let Some(report) = unacked {
            let way = self.way();
            self.due(way, Happening::Up { stream, report });
        }
    }

    fn arrive(&mut self, stream: WorkerId, event: Event) {
        let open = self.workers.iter().any(|worker| worker.stream == Some(stream));
        if open && !self.cut_off {
            self.fleet.handle_event(event, self.now);
            self.act();
        }
    }

    fn act(&mut self) {
        while let Some(action) = self.fleet.poll_action() {
            let way = self.way();
            match action {
                Action::Ack(stream, seq) => self.due(way, Happening::Ack { stream, seq }),
                Action::Send(stream, table) => self.due(way, Happening::Table { stream, table }),
                Action::Refuse(_) => panic!("three streams are not too many"),
                Action::Save => self.save(),
                Action::Tell(_) | Action::Probe(_) => {}
            }
        }
    }

    fn follow(&mut self, stream: WorkerId, table: &Table) {
        let Some(number) = self.workers.iter().position(|worker| worker.stream == Some(stream)) else { return };
        if self.cut_off {
            return;
        }
        self.rules.told(number, table, self.now);
        self.workers[number].ledger.follow_table(table, self.now);
        let (way, version) = (self.way(), table.version);
        self.due(way, Happening::Taken { stream, version });
    }

    /// What a worker believes an answer of a provider takes, microseconds.
    pub(super) fn mean_here(&self, worker: usize, place: usize) -> f32 {
        let class = MethodClass::of(&Method::of(METHOD), &LATEST);
        let desk = Desk { chain: self.target.chain, class };
        let standing = self.workers[worker].ledger.standing(desk, place, Millis(500), self.now);
        standing.unwrap().mean
    }

    /// What the fleet found each provider's answers to take, microseconds; 0 before the first answer.
    pub(super) fn means(&self) -> BTreeMap<String, f32> {
        let view = self.fleet.view(self.now);
        view.standings.iter().map(|row| (row.provider.to_string(), row.mean.unwrap_or(0.0))).collect()
    }
}
