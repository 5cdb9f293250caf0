//! A client of the real service, in this process.

use std::time::{Duration, Instant};

use lasso_proto::sync::grpc::sync_client::SyncClient;
use lasso_proto::sync::{FromWorker, MOST_BYTES, Read, ToWorker};
use lasso_routing::fleet::event::{Hello, Manual};
use lasso_routing::table::Table;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::Code;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint, Server};
use tonic_prost::ProstCodec;

use super::*;
use crate::store::tests::{self as stores, Running, decided, hello, is_open, report};

/// A server, and what it serves.
struct Served {
    running: Running,
    counts: Arc<Counts>,
    port: u16,
}

/// A worker's end of a stream.
struct Worker {
    says: mpsc::Sender<FilterMessage>,
    hears: Streaming<ControlMessage>,
}

async fn serve(pace: Pace) -> Served {
    let running = stores::start(None);
    let mut service = SyncService::new(running.store.clone(), running.supervisor.clone(), running.drain.subscribe());
    service.pace = pace;
    let counts = service.counts();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = Server::builder().tcp_nodelay(true).add_service(service.into_server());
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    Served { running, counts, port }
}

impl Served {
    async fn channel(&self) -> Channel {
        let endpoint = Endpoint::try_from(format!("http://127.0.0.1:{}", self.port)).unwrap();
        endpoint.initial_stream_window_size(65_535).connect().await.unwrap()
    }

    async fn open(&self) -> Worker {
        let (says, outbox) = mpsc::channel(8);
        let mut client = SyncClient::new(self.channel().await).max_decoding_message_size(MOST_BYTES);
        let hears = client.exchange(ReceiverStream::new(outbox)).await.unwrap().into_inner();
        Worker { says, hears }
    }

    /// A worker that said hello and has its first table.
    async fn greeted(&self, instance: u64) -> Worker {
        let mut worker = self.open().await;
        worker.say(&FromWorker::Hello(hello(instance))).await;
        assert!(worker.table().await.full);
        worker
    }

    async fn decide(&self, decision: Manual) {
        self.running.store.tell(decided(decision)).await.unwrap();
    }

    /// So many were counted, and no more: looked at for longer than a view is kept.
    async fn has_attempts(&self, wanted: u64) {
        let mut looks = tokio::time::interval(Duration::from_millis(20));
        let mut found = 0;
        for look in 0..200 {
            looks.tick().await;
            found = self.running.store.view().await.unwrap().totals.attempts;
            if look > 6 && found == wanted {
                return;
            }
        }
        assert_eq!(found, wanted);
    }
}

impl Worker {
    async fn say(&self, message: &FromWorker) {
        self.says.send(message.into()).await.unwrap();
    }

    async fn hear(&mut self) -> Result<ToWorker, Status> {
        let message = self.hears.message().await?.ok_or_else(|| Status::ok("the stream ended"))?;
        let Read { message, skipped } = message.into();
        assert_eq!(skipped, 0);
        Ok(message)
    }

    async fn table(&mut self) -> Box<Table> {
        loop {
            if let ToWorker::Table(table) = self.hear().await.unwrap() {
                self.say(&FromWorker::TableTaken(table.version)).await;
                return table;
            }
        }
    }

    async fn ack(&mut self) -> u64 {
        loop {
            if let ToWorker::ReportAck(seq) = self.hear().await.unwrap() {
                return seq;
            }
        }
    }

    /// How the stream ends.
    async fn end(&mut self) -> Status {
        loop {
            if let Err(status) = self.hear().await {
                return status;
            }
        }
    }
}

#[tokio::test]
async fn a_worker_says_hello_gets_a_full_table_and_its_reports_are_acked() {
    let served = serve(Pace::default()).await;
    let mut worker = served.greeted(1).await;
    worker.say(&FromWorker::Report(report(1, 5))).await;
    assert_eq!(worker.ack().await, 1);
    served.has_attempts(5).await;
    served.decide(Manual::Open).await;
    while is_open(&*worker.table().await) != Some(true) {}
}

#[tokio::test]
async fn a_report_that_is_sent_again_on_another_stream_counts_once() {
    let served = serve(Pace::default()).await;
    for _ in 0..3 {
        let mut worker = served.greeted(1).await;
        worker.say(&FromWorker::Report(report(1, 5))).await;
        assert_eq!(worker.ack().await, 1);
    }
    served.has_attempts(5).await;
}

#[tokio::test]
async fn whoever_does_not_say_hello_first_is_refused() {
    let served = serve(Pace::default()).await;
    for first in [FromWorker::Report(report(1, 5)), FromWorker::TableTaken(1), FromWorker::Heartbeat] {
        let mut worker = served.open().await;
        worker.say(&first).await;
        assert_eq!(worker.end().await.code(), Code::InvalidArgument);
    }
    assert_eq!(served.counts.garbage.load(Ordering::Relaxed), 3);
    served.has_attempts(0).await;
}

/// Bytes where a hello is expected.
#[derive(Clone, PartialEq, prost::Message)]
struct Garbage {
    #[prost(bytes = "vec", tag = "1")]
    hello: Vec<u8>,
}

async fn send_garbage(served: &Served, hello: Vec<u8>) -> Status {
    let mut client = tonic::client::Grpc::new(served.channel().await);
    client.ready().await.unwrap();
    let garbage = Request::new(tokio_stream::iter([Garbage { hello }]));
    let path = PathAndQuery::from_static("/lasso.v1.Sync/Exchange");
    let codec = ProstCodec::<Garbage, ControlMessage>::default();
    let answer = client.streaming(garbage, path, codec).await;
    match answer {
        Ok(answer) => answer.into_inner().message().await.unwrap_err(),
        Err(status) => status,
    }
}

#[tokio::test]
async fn garbage_and_what_is_too_long_end_that_stream_only() {
    let served = serve(Pace::default()).await;
    let mut worker = served.greeted(1).await;
    assert_eq!(send_garbage(&served, vec![0xff; 16]).await.code(), Code::Internal);
    assert_eq!(send_garbage(&served, vec![0; MOST_BYTES]).await.code(), Code::OutOfRange);
    assert_eq!(served.counts.garbage.load(Ordering::Relaxed), 2);
    worker.say(&FromWorker::Report(report(1, 5))).await;
    assert_eq!(worker.ack().await, 1);
}

#[tokio::test]
async fn a_reader_that_is_behind_gets_the_truth_and_not_everything_before_it() {
    const ROUNDS: u32 = 6_000;
    let served = serve(Pace::default()).await;
    let mut worker = served.open().await;
    worker.say(&FromWorker::Hello(hello(1))).await;
    for round in 0..ROUNDS {
        served.decide(if round % 2 == 0 { Manual::Open } else { Manual::Close }).await;
        // The server's tasks shall have their turn.
        tokio::task::yield_now().await;
    }
    served.decide(Manual::Open).await;
    let (mut open, mut tables, mut last) = (None, 0, 0);
    while let Ok(heard) = tokio::time::timeout(Duration::from_secs(1), worker.hear()).await {
        if let ToWorker::Table(table) = heard.unwrap() {
            assert!(table.version > last, "a stream counts its tables on, whatever place it has");
            last = table.version;
            open = is_open(&table).or(open);
            tables += 1;
            worker.say(&FromWorker::TableTaken(table.version)).await;
        }
    }
    assert_eq!(open, Some(true));
    assert!(tables < ROUNDS, "{tables}");
}

#[tokio::test]
async fn after_a_panic_of_the_store_a_stream_gets_a_full_table_within_half_a_second() {
    let served = serve(Pace::default()).await;
    let mut worker = served.greeted(1).await;
    served.decide(Manual::Open).await;
    while is_open(&*worker.table().await) != Some(true) {}
    let panicked = Instant::now();
    served.running.store.panic().await.unwrap();
    worker.say(&FromWorker::Report(report(1, 5))).await;
    let table = loop {
        let table = worker.table().await;
        if table.full {
            break table;
        }
    };
    assert!(panicked.elapsed() < Duration::from_millis(500), "{:?}", panicked.elapsed());
    assert_eq!(is_open(&table), Some(true), "what was decided is still known");
    assert!(table.version > 1, "a stream counts its tables on");
    assert_eq!(worker.ack().await, 1, "and a report that was under way counts with the next store");
    served.has_attempts(5).await;
    assert_eq!(served.running.supervisor.panics()["store"], 1);
}

#[tokio::test]
async fn a_worker_with_nothing_to_say_is_pinged_and_one_that_says_nothing_is_gone() {
    let served = serve(Pace { ping: Duration::from_millis(20), silence: Duration::from_millis(400) }).await;
    let mut worker = served.greeted(1).await;
    let talking = Instant::now();
    while talking.elapsed() < Duration::from_millis(600) {
        while worker.hear().await.unwrap() != ToWorker::Ping {}
        worker.say(&FromWorker::Heartbeat).await;
    }
    let silent = Instant::now();
    assert_eq!(worker.end().await.code(), Code::DeadlineExceeded);
    assert!(silent.elapsed() >= Duration::from_millis(300), "{:?}", silent.elapsed());
    assert_eq!(served.counts.silent.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn another_hello_is_another_catalog_and_brings_a_full_table() {
    let served = serve(Pace::default()).await;
    let mut worker = served.greeted(1).await;
    worker.say(&FromWorker::Hello(Hello { generation: "newer".into(), ..hello(1) })).await;
    while !worker.table().await.full {}
    worker.say(&FromWorker::Report(report(1, 5))).await;
    assert_eq!(worker.ack().await, 1);
}

#[tokio::test]
async fn one_stream_too_many_is_refused() {
    let served = serve(Pace::default()).await;
    let mut places = Vec::new();
    for instance in 0..lasso_routing::fleet::MOST_WORKERS {
        places.push(served.running.store.join(&hello(instance as u64)).await.unwrap());
    }
    let mut worker = served.open().await;
    worker.say(&FromWorker::Hello(hello(u64::MAX))).await;
    assert_eq!(worker.end().await.code(), Code::ResourceExhausted);
    assert_eq!(served.counts.refused.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn streams_end_with_the_server_and_nobody_is_counted_any_more() {
    let served = serve(Pace::default()).await;
    let mut worker = served.greeted(1).await;
    assert_eq!(served.counts.open.load(Ordering::Relaxed), 1);
    served.running.drain.send_replace(true);
    assert_eq!(worker.end().await.code(), Code::Ok);
    assert_eq!(served.counts.open.load(Ordering::Relaxed), 0);
}
