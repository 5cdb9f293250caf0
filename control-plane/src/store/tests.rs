use lasso_routing::fleet::event::Manual;
use lasso_routing::fleet::saved::{SavedCell, SavedChannels, SavedEvidence};
use lasso_routing::report::{ChannelTally, Sums, Tally};
use lasso_routing::table::BreakerView;
use lasso_routing::time::Millis;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{advance, timeout};

use super::*;
use crate::compile::compile;
use crate::testing::{SMALL, SOCKETS, load_text};

pub(crate) const CHANNEL: &str = "ethereum/a/http";

/// A store that runs, and what comes out of it.
pub(crate) struct Running {
    pub(crate) store: Store,
    pub(crate) supervisor: Supervisor,
    pub(crate) drain: watch::Sender<bool>,
    pub(crate) notices: broadcast::Receiver<Notice>,
    kept: UnboundedReceiver<Keep>,
    task: tokio::task::JoinHandle<()>,
}

pub(crate) fn catalog() -> Arc<Catalog> {
    let spec = compile(&load_text(SMALL).unwrap().config).unwrap().catalog;
    Arc::new(Catalog::try_from(spec).unwrap())
}

pub(crate) fn start(restored: Option<Restored>) -> Running {
    let (drain, drained) = watch::channel(false);
    let (notices, heard) = broadcast::channel(64);
    let (keep, kept) = unbounded_channel();
    let setup = Setup {
        catalog: catalog(),
        probing: false,
        restored,
        seed: 1,
        notices,
        keep: Arc::new(move |what| drop(keep.send(what))),
        drain: drained,
    };
    let supervisor = Supervisor::new();
    let (store, run, _) = Store::new(setup, supervisor.clone());
    Running { store, supervisor, drain, notices: heard, kept, task: tokio::spawn(run) }
}

pub(crate) fn hello(instance: u64) -> Hello {
    Hello { node: "envoy-1".into(), instance, ..Hello::default() }
}

/// A report of `attempts` successes.
pub(crate) fn report(seq: u64, attempts: u32) -> Box<Report> {
    let sums = Sums { endings: [attempts, 0, 0, 0, 0, 0, 0, 0, 0], ..Sums::default() };
    let class = lasso_jsonrpc::method::MethodClass::named("eth_call").unwrap();
    Box::new(Report {
        seq,
        tallies: vec![Tally {
            profile: "public".into(),
            chain: "ethereum".into(),
            channel: CHANNEL.into(),
            class,
            sums,
        }],
        channels: vec![ChannelTally { channel: CHANNEL.into(), attempts, ..ChannelTally::default() }],
        ..Report::default()
    })
}

pub(crate) fn decided(decision: Manual) -> Event {
    Event::Decided { channel: CHANNEL.into(), decision }
}

/// Whether a table says that the channel is open; `None` when it does not speak of it.
pub(crate) fn is_open(table: &Table) -> Option<bool> {
    let view = table.channels.iter().find(|view| &*view.channel == CHANNEL)?;
    Some(matches!(view.breaker, BreakerView::Open { .. }))
}

impl Running {
    /// What is kept next of channels.
    async fn kept_channels(&mut self) -> SavedChannels {
        loop {
            if let Keep::Channels(channels) = self.kept.recv().await.unwrap() {
                return channels;
            }
        }
    }
}

async fn next_table(place: &mut Place) -> Box<Table> {
    loop {
        if let Word::Table(table) = place.hear().await.unwrap() {
            return table;
        }
    }
}

async fn next_ack(place: &mut Place) -> u64 {
    loop {
        if let Word::Ack(seq) = place.hear().await.unwrap() {
            return seq;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_joins_gets_a_full_table_and_its_reports_count_once_wherever_they_come() {
    let running = start(None);
    let mut place = running.store.join(&hello(7)).await.unwrap();
    assert!(next_table(&mut place).await.full);
    place.report(report(1, 5)).await;
    assert_eq!(next_ack(&mut place).await, 1);
    place.leave().await;

    let mut again = running.store.join(&hello(7)).await.unwrap();
    again.report(report(1, 5)).await;
    assert_eq!(next_ack(&mut again).await, 1);
    again.report(report(2, 3)).await;
    assert_eq!(next_ack(&mut again).await, 2);
    advance(VIEW_AGE).await;
    let totals = running.store.view().await.unwrap().totals;
    assert_eq!((totals.reports, totals.repeated, totals.attempts), (2, 1, 8));
}

#[tokio::test(start_paused = true)]
async fn what_a_person_decides_is_told_to_all_and_kept_at_once() {
    let mut running = start(None);
    let mut place = running.store.join(&hello(7)).await.unwrap();
    assert!(next_table(&mut place).await.full);
    running.store.tell(decided(Manual::Open)).await.unwrap();
    while is_open(&*next_table(&mut place).await) != Some(true) {}
    let kept = running.kept_channels().await;
    assert!(kept.channels.iter().any(|saved| saved.channel == CHANNEL));
    while !matches!(running.notices.recv().await.unwrap(), Notice::BreakerOpened { .. }) {}
}

#[tokio::test(start_paused = true)]
async fn after_a_panic_places_are_lost_and_whoever_joins_again_finds_what_was_decided() {
    let running = start(None);
    let mut panics = running.supervisor.subscribe();
    let mut place = running.store.join(&hello(7)).await.unwrap();
    assert!(next_table(&mut place).await.full);
    running.store.tell(decided(Manual::Open)).await.unwrap();
    while is_open(&*next_table(&mut place).await) != Some(true) {}

    running.store.panic().await.unwrap();
    while place.hear().await.is_some() {}
    assert!(place.is_orphaned());
    assert_eq!(panics.recv().await.unwrap().task, "store");
    let lost_at = tokio::time::Instant::now();
    let mut place = running.store.join(&hello(7)).await.unwrap();
    let table = next_table(&mut place).await;
    assert!(lost_at.elapsed() <= Duration::from_millis(500));
    assert_eq!((table.full, is_open(&table)), (true, Some(true)));
    assert_eq!(running.store.view().await.unwrap().generation, catalog().generation().into());
}

#[tokio::test(start_paused = true)]
async fn sockets_outlive_a_panic_and_may_be_told_before_their_channel_is_known() {
    let running = start(None);
    let connected = |connected| Event::Sockets { channel: "ethereum/a/ws".into(), connected };
    let shown = async || {
        // Older than a view may be.
        advance(VIEW_AGE).await;
        let view = running.store.view().await.unwrap();
        view.channels.iter().find(|status| *status.channel == *"ethereum/a/ws").and_then(|status| status.connected)
    };
    running.store.tell(connected(true)).await.unwrap();
    assert_eq!(shown().await, None);
    let spec = compile(&load_text(SOCKETS).unwrap().config).unwrap().catalog;
    running.store.adopt(Arc::new(Catalog::try_from(spec).unwrap()));
    assert_eq!(shown().await, Some(true));
    running.store.panic().await.unwrap();
    assert_eq!(shown().await, Some(true));
    running.store.tell(connected(false)).await.unwrap();
    running.store.panic().await.unwrap();
    assert_eq!(shown().await, Some(false));
}

#[tokio::test(start_paused = true)]
async fn what_survived_a_restart_is_there_from_the_first_table_on() {
    let mut first = start(None);
    first.store.tell(decided(Manual::Open)).await.unwrap();
    let channels = first.kept_channels().await;
    let restored = Restored { channels, evidence: SavedEvidence::default(), ago: Millis(5_000) };
    let second = start(Some(restored));
    let mut place = second.store.join(&hello(7)).await.unwrap();
    assert_eq!(is_open(&*next_table(&mut place).await), Some(true));
}

#[tokio::test(start_paused = true)]
async fn who_does_not_listen_costs_a_few_words_and_finds_the_truth_when_it_joins_again() {
    let running = start(None);
    let mut place = running.store.join(&hello(7)).await.unwrap();
    for round in 0..500 {
        let decision = if round % 2 == 0 { Manual::Open } else { Manual::Close };
        running.store.tell(decided(decision)).await.unwrap();
    }
    running.store.tell(decided(Manual::Open)).await.unwrap();
    running.store.view().await.unwrap();
    assert!(place.words.len() <= WORDS);
    let outbox = |depth: usize| {
        let queue = running.store.queues(1).into_iter().find(|queue| queue.name == "sync_outbox").unwrap();
        assert_eq!((queue.depth, queue.capacity), (depth as u64, WORDS as u64));
        (queue.high_water, queue.dropped)
    };
    assert_eq!(outbox(place.words.len()), (place.words.len() as u64, 0), "the fleet sends no third table");
    let mut open = None;
    while let Ok(word) = timeout(Duration::from_secs(1), place.hear()).await {
        match word {
            Some(Word::Table(table)) => {
                open = is_open(&table).or(open);
                place.taken(table.version).await;
            }
            Some(Word::Ack(_) | Word::Refused) => {}
            None => place = running.store.join(&hello(7)).await.unwrap(),
        }
    }
    assert_eq!(open, Some(true));
    drop(place);
    outbox(0);
}

#[tokio::test(start_paused = true)]
async fn evidence_is_kept_every_five_seconds_and_at_the_end() {
    let mut running = start(None);
    running.store.view().await.unwrap();
    let started = tokio::time::Instant::now();
    for kept in 1..=3 {
        assert!(matches!(running.kept.recv().await.unwrap(), Keep::Evidence(_)));
        assert_eq!(started.elapsed().as_secs(), kept * 5);
    }
    running.drain.send_replace(true);
    assert!(matches!(running.kept.recv().await.unwrap(), Keep::Evidence(_)));
    running.task.await.unwrap();
    assert_eq!(running.store.view().await.unwrap_err(), Ended);
    assert_eq!(running.store.join(&hello(7)).await.unwrap_err(), Ended);
}

#[tokio::test(start_paused = true)]
async fn a_view_is_made_anew_once_it_is_old() {
    let running = start(None);
    let first = running.store.view().await.unwrap();
    assert!(Arc::ptr_eq(&first, &running.store.view().await.unwrap()));
    advance(VIEW_AGE).await;
    assert!(!Arc::ptr_eq(&first, &running.store.view().await.unwrap()));
}

#[test]
fn a_checkpoint_hands_everything_out_as_of_one_instant() {
    let cell = SavedCell {
        profile: "public".into(),
        chain: "ethereum".into(),
        channel: CHANNEL.into(),
        class: "eth_call".into(),
        mean: 1.0,
        weight: 1.0,
        successes: 1.0,
        failures: 0.0,
        failures_in_a_row: 0,
        age_ms: 100,
        latencies: Vec::new(),
    };
    let evidence = SavedEvidence { cells: vec![cell] };
    let ages = |checkpoint: &Checkpoint| {
        let restored = checkpoint.restored().unwrap();
        restored.ago.0 + restored.evidence.cells[0].age_ms
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let restored = Restored { channels: SavedChannels::default(), evidence: evidence.clone(), ago: Millis(1_000) };
        let checkpoint = Checkpoint::new(Some(restored));
        advance(Duration::from_secs(2)).await;
        assert_eq!(ages(&checkpoint), 3_100);
        checkpoint.save_channels(SavedChannels::default());
        advance(Duration::from_secs(1)).await;
        assert_eq!(ages(&checkpoint), 4_100);
        assert_eq!(checkpoint.restored().unwrap().ago, Millis(1_000));
        checkpoint.save(SavedChannels::default(), evidence);
        assert_eq!(ages(&checkpoint), 100);
    });
}
