//! The stream against a fake Envoy: what is sent when, and what comes of what comes.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use lasso_proto::sync::{FromWorker, MOST_BYTES, ToWorker};
use lasso_routing::report::Decision;
use lasso_routing::table::Table;
use lasso_routing::time::Timestamp;
use serde_json::json;

use super::{Streams, closed, connected, heard, hurry, leave, tick};
use crate::fake::worker_with;
use crate::stats::COUNTERS;
use crate::worker::Worker;

/// What Envoy was asked to do with streams.
#[derive(Debug, Default)]
struct FakeStreams {
    opened: RefCell<Vec<String>>,
    sent: RefCell<Vec<(u32, FromWorker)>>,
    closed: RefCell<Vec<u32>>,
    /// Envoy has no such cluster.
    refuses: Cell<bool>,
    /// The stream went without a word.
    gone: Cell<bool>,
}

impl Streams for FakeStreams {
    fn open(&self, cluster: &str) -> Option<u32> {
        self.opened.borrow_mut().push(cluster.to_owned());
        (!self.refuses.get()).then(|| u32::try_from(self.opened.borrow().len()).unwrap())
    }

    fn send(&self, token: u32, message: &[u8]) -> bool {
        self.sent.borrow_mut().push((token, FromWorker::decode(message).expect("it reads").message));
        !self.gone.get()
    }

    fn close(&self, token: u32) {
        self.closed.borrow_mut().push(token);
    }
}

/// A worker, its Envoy, and the time.
struct Scene {
    worker: Rc<RefCell<Worker>>,
    streams: FakeStreams,
    now: u64,
}

impl Scene {
    fn new() -> Self {
        let worker = worker_with(&|spec| spec["sync"] = json!({"cluster": "lasso-control"}));
        worker.borrow_mut().sync().introduce("node-1", "here");
        Self { worker, streams: FakeStreams::default(), now: 1_000_000 }
    }

    /// A scene whose stream 1 is up.
    fn connected() -> Self {
        let scene = Self::new();
        scene.tick();
        connected(&mut scene.worker.borrow_mut(), 1, scene.at());
        scene.sent();
        scene
    }

    fn at(&self) -> Timestamp {
        Timestamp::from_millis(self.now)
    }

    fn tick(&self) {
        tick(&mut self.worker.borrow_mut(), &self.streams, self.at());
    }

    /// Ticks for so long.
    fn pass(&mut self, millis: u64) {
        for _ in 0..millis / 100 {
            self.now += 100;
            self.tick();
        }
    }

    fn hears(&self, token: u32, message: &ToWorker) {
        self.hears_bytes(token, message.encode().0);
    }

    fn hears_bytes(&self, token: u32, bytes: Vec<u8>) {
        heard(&mut self.worker.borrow_mut(), &self.streams, (token, bytes.len()), || bytes, self.at());
    }

    /// Something that a report will tell.
    fn decides(&self, request_id: u64) {
        self.worker.borrow_mut().ledger().decided(decision(request_id));
    }

    /// What was sent since it was last asked.
    fn sent(&self) -> Vec<(u32, FromWorker)> {
        self.streams.sent.take()
    }

    fn closed(&self) -> Vec<u32> {
        self.streams.closed.take()
    }

    /// The counters that are not zero, by name.
    fn counted(&self) -> Vec<(&'static str, i64)> {
        let name = |index: usize| COUNTERS[index].1.trim_start_matches("lasso.");
        self.worker.borrow_mut().stats().take().map(|(index, sum)| (name(index), sum)).collect()
    }
}

fn decision(request_id: u64) -> Decision {
    Decision {
        request_id,
        profile: "public".into(),
        chain: "ethereum".into(),
        class: lasso_jsonrpc::method::MethodClass::BATCH,
        strategy: "priority".into(),
        reason: "strategy".into(),
        candidates: 1,
        attempts: Vec::new(),
        answered: true,
        selection: lasso_routing::time::Micros(1),
        total: lasso_routing::time::Micros(2),
    }
}

#[track_caller]
fn report_in(sent: &[(u32, FromWorker)]) -> (u32, u64) {
    match sent {
        [(token, FromWorker::Report(report))] => (*token, report.seq),
        other => panic!("not one report: {other:?}"),
    }
}

#[test]
fn a_worker_says_who_it_is_first() {
    let scene = Scene::new();
    scene.tick();
    assert_eq!(*scene.streams.opened.borrow(), ["lasso-control"]);
    let sent = scene.sent();
    let [(1, FromWorker::Hello(hello))] = sent.as_slice() else { panic!("{sent:?}") };
    assert_eq!((&*hello.node, &*hello.region, &*hello.generation), ("node-1", "here", "0001"));
    assert_eq!(&*hello.version, env!("CARGO_PKG_VERSION"));
    assert_ne!(hello.instance, 0);
}

#[test]
fn without_a_control_plane_in_the_catalog_no_stream_is_opened() {
    let scene = Scene { worker: crate::fake::worker(), ..Scene::new() };
    scene.tick();
    assert!(scene.streams.opened.borrow().is_empty());
}

#[test]
fn a_report_waits_for_its_ack_and_the_next_one_for_that() {
    let mut scene = Scene::connected();
    scene.decides(1);
    scene.pass(100);
    assert_eq!(report_in(&scene.sent()), (1, 1));
    scene.decides(2);
    scene.pass(300);
    assert_eq!(scene.sent(), []);
    scene.hears(1, &ToWorker::ReportAck(1));
    assert_eq!(report_in(&scene.sent()), (1, 2), "a tick went by while it waited");
    assert_eq!(scene.counted(), [("sync_connected", 1), ("reports_sent", 2), ("reports_acked", 1)]);
}

#[test]
fn an_ack_of_another_report_is_none() {
    let mut scene = Scene::connected();
    scene.decides(1);
    scene.pass(100);
    scene.hears(1, &ToWorker::ReportAck(7));
    assert_eq!(scene.worker.borrow_mut().ledger().unacked().map(|report| report.seq), Some(1));
}

#[test]
fn what_was_not_acked_is_sent_again_as_it_was() {
    let mut scene = Scene::connected();
    scene.decides(1);
    scene.pass(100);
    let first = scene.sent();
    scene.decides(2);
    scene.pass(2_000);
    assert_eq!(scene.closed(), [1]);
    scene.pass(500);
    assert_eq!(scene.streams.opened.borrow().len(), 2);
    connected(&mut scene.worker.borrow_mut(), 2, scene.at());
    scene.sent();
    scene.pass(100);
    let again = scene.sent();
    assert_eq!(report_in(&again), (2, 1));
    assert_eq!(again[0].1, first[0].1);
}

#[test]
fn a_table_is_followed_and_said_to_be_in_force() {
    let scene = Scene::connected();
    let table = Table { version: 3, full: true, ..Table::default() };
    scene.hears(1, &ToWorker::Table(Box::new(table)));
    assert_eq!(scene.sent(), [(1, FromWorker::TableTaken(3))]);
    assert!(!scene.worker.borrow_mut().ledger().is_alone(scene.at()));
    assert_eq!(scene.counted(), [("sync_connected", 1), ("tables_received", 1)]);
}

#[test]
fn pings_keep_the_stream_and_heartbeats_are_sent() {
    let mut scene = Scene::connected();
    for _ in 0..10 {
        scene.pass(1_000);
        scene.hears(1, &ToWorker::Ping);
    }
    assert!(scene.closed().is_empty());
    let beats = scene.sent();
    assert!(
        (4..=5).contains(&beats.len()) && beats.iter().all(|(_, sent)| *sent == FromWorker::Heartbeat),
        "{beats:?}"
    );
}

#[test]
fn silence_ends_the_stream() {
    let mut scene = Scene::connected();
    scene.pass(6_000);
    assert_eq!(scene.closed(), [1]);
    assert_eq!(scene.counted(), []);
    scene.pass(500);
    assert_eq!(scene.counted(), [("sync_reconnects", 1)]);
}

#[test]
fn what_does_not_read_or_is_too_long_ends_the_stream_and_nothing_else() {
    for bytes in [vec![0xff; 8], vec![0; MOST_BYTES + 1]] {
        let mut scene = Scene::connected();
        scene.hears_bytes(1, bytes);
        assert_eq!(scene.closed(), [1]);
        assert_eq!(scene.counted(), [("sync_errors", 1)]);
        scene.pass(500);
        assert_eq!(scene.streams.opened.borrow().len(), 2);
    }
}

#[test]
fn a_message_that_is_too_long_is_not_even_fetched() {
    let scene = Scene::connected();
    let never = || panic!("it is fetched");
    heard(&mut scene.worker.borrow_mut(), &scene.streams, (1, MOST_BYTES + 1), never, scene.at());
}

#[test]
fn words_on_a_stream_that_was_left_are_not_heard() {
    let mut scene = Scene::connected();
    scene.hears_bytes(1, vec![0xff]);
    scene.pass(500);
    scene.sent();
    scene.hears(1, &ToWorker::Table(Box::default()));
    connected(&mut scene.worker.borrow_mut(), 1, scene.at());
    closed(&mut scene.worker.borrow_mut(), 1, scene.at());
    assert_eq!(scene.sent(), []);
    scene.pass(100);
    assert_eq!(scene.streams.opened.borrow().len(), 2, "the second stream is still there");
}

#[test]
fn a_cluster_that_envoy_lacks_is_asked_for_again_and_again_and_ever_more_seldom() {
    let mut scene = Scene::new();
    scene.streams.refuses.set(true);
    scene.tick();
    scene.pass(60_000);
    let opened = scene.streams.opened.borrow().len();
    assert!((14..=30).contains(&opened), "{opened} times in a minute");
    assert_eq!(scene.sent(), []);
}

#[test]
fn a_stream_that_takes_nothing_is_gone() {
    let mut scene = Scene::connected();
    scene.streams.gone.set(true);
    scene.decides(1);
    scene.pass(100);
    assert_eq!(scene.closed(), [1]);
    assert_eq!(scene.worker.borrow_mut().ledger().unacked().map(|report| report.seq), Some(1));
}

#[test]
fn a_newer_root_opens_its_own_stream_at_once_and_the_older_ones_is_closed() {
    let scene = Scene::connected();
    leave(&mut scene.worker.borrow_mut(), &scene.streams, scene.at());
    assert_eq!(scene.closed(), [1]);
    assert_eq!(scene.counted(), []);
    scene.tick();
    assert_eq!(scene.streams.opened.borrow().len(), 2);
    leave(&mut scene.worker.borrow_mut(), &scene.streams, scene.at());
    leave(&mut scene.worker.borrow_mut(), &scene.streams, scene.at());
    assert_eq!(scene.closed(), [2], "once");
}

#[test]
fn what_cannot_wait_is_reported_before_the_tick_but_never_on_a_stream_that_would_have_to_be_opened() {
    let mut scene = Scene::connected();
    scene.decides(1);
    scene.now += 10;
    hurry(&mut scene.worker.borrow_mut(), &scene.streams, scene.at());
    assert_eq!(report_in(&scene.sent()), (1, 1));
    let scene = Scene::new();
    hurry(&mut scene.worker.borrow_mut(), &scene.streams, scene.at());
    assert!(scene.streams.opened.borrow().is_empty());
}
