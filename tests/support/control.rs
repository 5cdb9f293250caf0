//! The control plane's side of the Sync stream, as far as a test needs it.
//!
//! Duty: take what filters say, ack their reports, say what a test wants said, break every stream on command.
//! Invariant: a report counts once by (instance, number), as with the real one.
//! Leaves to others: what a routing table should say (control-plane).

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use lasso_proto::sync::{
    FromWorker, Read, ToWorker,
    grpc::sync_server::{Sync as SyncService, SyncServer},
    wire::{ControlMessage, FilterMessage},
};
use lasso_routing::{fleet::event::Hello, report::Report, table::Table};
use tokio::{
    net::TcpListener,
    sync::{broadcast, mpsc},
    task::JoinHandle,
    time::Instant,
};
use tokio_stream::{
    Stream, StreamExt,
    wrappers::{ReceiverStream, TcpListenerStream},
};
use tonic::{Request, Response, Status, Streaming, transport::Server};

use crate::loopback;

const PING: Duration = Duration::from_secs(2);
/// Messages to one worker that wait.
const WAITING: usize = 64;

/// What filters said.
#[derive(Debug, Default)]
pub struct Heard {
    /// Streams that are open.
    pub streams: usize,
    /// Every hello, in order.
    pub hellos: Vec<Hello>,
    /// Reports by instance and number, and when they came.
    pub reports: BTreeMap<(u64, u64), (Instant, Report)>,
    /// Reports that came again.
    pub repeated: usize,
    /// Versions of tables that were said to be in force.
    pub taken: Vec<u64>,
    /// Heartbeats.
    pub beats: usize,
}

#[derive(Debug, Clone)]
enum Order {
    Say(ToWorker),
    Break,
}

#[derive(Debug, Clone)]
struct Ear {
    heard: Arc<Mutex<Heard>>,
    orders: broadcast::Sender<Order>,
    acks: Arc<AtomicBool>,
}

/// A control plane of a test's own.
#[derive(Debug)]
pub struct FakeControl {
    ear: Ear,
    server: JoinHandle<()>,
}

impl FakeControl {
    /// Listens where a mesh looks for its control plane ([`crate::Mesh::control_port`]).
    pub async fn on(port: u16) -> anyhow::Result<Self> {
        let address: SocketAddr = loopback(port);
        let listener = TcpListener::bind(address).await?;
        let (orders, _) = broadcast::channel(WAITING);
        let ear = Ear { heard: Arc::default(), orders, acks: Arc::new(AtomicBool::new(true)) };
        let service = SyncServer::new(ear.clone());
        let server = tokio::spawn(async move {
            let incoming = TcpListenerStream::new(listener);
            let _ = Server::builder().add_service(service).serve_with_incoming(incoming).await;
        });
        Ok(Self { ear, server })
    }

    /// What was heard so far.
    pub fn heard(&self) -> MutexGuard<'_, Heard> {
        self.ear.heard()
    }

    /// Says this to every worker that is there.
    pub fn say(&self, table: Table) {
        let _ = self.ear.orders.send(Order::Say(ToWorker::Table(Box::new(table))));
    }

    /// Ends every stream, as a restart would.
    pub fn break_streams(&self) {
        let _ = self.ear.orders.send(Order::Break);
    }

    /// Whether reports are acked from now on.
    pub fn ack(&self, acks: bool) {
        self.ear.acks.store(acks, Ordering::Relaxed);
    }
}

impl Drop for FakeControl {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Ear {
    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn listen(self, mut said: Streaming<FilterMessage>, say: mpsc::Sender<Result<ControlMessage, Status>>) {
        let mut orders = self.orders.subscribe();
        let mut pings = tokio::time::interval(PING);
        let mut instance = 0;
        self.heard().streams += 1;
        loop {
            let answer = tokio::select! {
                message = said.next() => match message {
                    Some(Ok(message)) => self.hear(Read::from(message).message, &mut instance),
                    Some(Err(_)) | None => break,
                },
                order = orders.recv() => match order {
                    Ok(Order::Say(message)) => Some(message),
                    Ok(Order::Break) | Err(_) => break,
                },
                _ = pings.tick() => Some(ToWorker::Ping),
            };
            if let Some(answer) = answer
                && say.send(Ok(answer.to_wire().0)).await.is_err()
            {
                break;
            }
        }
        self.heard().streams -= 1;
    }

    fn hear(&self, message: FromWorker, instance: &mut u64) -> Option<ToWorker> {
        let mut heard = self.heard();
        match message {
            FromWorker::Hello(hello) => {
                *instance = hello.instance;
                heard.hellos.push(hello);
            }
            FromWorker::Report(report) => {
                let seq = report.seq;
                let before = heard.reports.insert((*instance, seq), (Instant::now(), *report));
                heard.repeated += usize::from(before.is_some());
                return self.acks.load(Ordering::Relaxed).then_some(ToWorker::ReportAck(seq));
            }
            FromWorker::TableTaken(version) => heard.taken.push(version),
            FromWorker::Heartbeat => heard.beats += 1,
        }
        None
    }
}

#[tonic::async_trait]
impl SyncService for Ear {
    type ExchangeStream = Pin<Box<dyn Stream<Item = Result<ControlMessage, Status>> + Send>>;

    async fn exchange(
        &self,
        request: Request<Streaming<FilterMessage>>,
    ) -> Result<Response<Self::ExchangeStream>, Status> {
        let (say, said) = mpsc::channel(WAITING);
        tokio::spawn(self.clone().listen(request.into_inner(), say));
        Ok(Response::new(Box::pin(ReceiverStream::new(said))))
    }
}
