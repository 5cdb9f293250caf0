//! The gRPC side of the sessions.
//!
//! Duty: one task for each stream: requests in, responses out, newer configurations and a timer between; tell what Envoys accept and refuse.
//! Invariant: nothing that is logged holds a provider's path, key or header: an Envoy's complaint may quote what it was sent.
//! Leaves to others: every decision (`session`).

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_server::AggregatedDiscoveryService;
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse, Resource,
};
use lasso_routing::time::{Millis, Timestamp};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};
use tracing::{debug, error, info};

use super::nodes::{Accepted, Nodes, Refused};
use super::session::{self, Action, Event, Progress, Session};
use super::snapshot::{self, ResourceType};
use crate::notice::{Notice, Notices};
use crate::reload::{Current, Reload};
use crate::serve::Running;
use crate::supervise::Supervisor;

/// Serves what is in effect to any number of Envoys.
#[derive(Debug)]
pub(crate) struct Ads {
    pub(crate) reload: Reload,
    pub(crate) nodes: Nodes,
    pub(crate) notices: Notices,
    pub(crate) supervisor: Supervisor,
    /// Turns true when streams must end.
    pub(crate) drain: watch::Receiver<bool>,
    /// How many streams there were.
    pub(crate) streams: AtomicU64,
}

impl Ads {
    pub(crate) fn new(running: &Running) -> Self {
        Self {
            reload: running.reload.clone(),
            nodes: running.nodes.clone(),
            notices: running.notices.clone(),
            supervisor: running.supervisor.clone(),
            drain: running.drain.subscribe(),
            streams: AtomicU64::new(0),
        }
    }
}

type Responses<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl AggregatedDiscoveryService for Ads {
    type StreamAggregatedResourcesStream = Responses<DiscoveryResponse>;
    type DeltaAggregatedResourcesStream = Responses<DeltaDiscoveryResponse>;

    async fn stream_aggregated_resources(
        &self,
        _: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamAggregatedResourcesStream>, Status> {
        Err(Status::unimplemented("only delta xDS is served: use api_type DELTA_GRPC"))
    }

    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        let (responses, outbox) = mpsc::channel(OUTBOX);
        let mut newer = self.reload.current();
        let current = Arc::clone(&newer.borrow_and_update());
        let stream = EnvoyStream {
            session: Session::new(Arc::clone(&current.snapshot), current.longest_deadline),
            sent: VecDeque::from([current]),
            newer,
            reload: self.reload.clone(),
            nodes: self.nodes.clone(),
            notices: self.notices.clone(),
            responses,
            started: Instant::now(),
            number: self.streams.fetch_add(1, Ordering::Relaxed),
            node: String::new(),
            progress: None,
        };
        let (supervisor, drain) = (self.supervisor.clone(), self.drain.clone());
        tokio::spawn(async move { supervisor.outlive("xds stream", stream.run(request.into_inner(), drain)).await });
        Ok(Response::new(Box::pin(ReceiverStream::new(outbox))))
    }
}

/// Longest complaint of an Envoy that is kept.
const LONGEST_DETAIL: usize = 512;

/// Longest name of an Envoy that is kept.
const LONGEST_NAME: usize = 128;

/// Responses on their way; one of each type at most is unanswered.
const OUTBOX: usize = 4;

/// Configurations whose secrets an Envoy's complaint may still quote.
const QUOTABLE: usize = 8;

struct EnvoyStream {
    session: Session,
    /// What was in effect since the stream began, the newest last.
    sent: VecDeque<Arc<Current>>,
    newer: watch::Receiver<Arc<Current>>,
    reload: Reload,
    nodes: Nodes,
    notices: Notices,
    responses: mpsc::Sender<Result<DeltaDiscoveryResponse, Status>>,
    started: Instant,
    number: u64,
    node: String,
    progress: Option<Progress>,
}

impl Drop for EnvoyStream {
    /// However it ended, by a panic too: an Envoy without a stream is not connected.
    fn drop(&mut self) {
        if !self.node.is_empty() {
            info!(node = self.node, "xds stream ended");
            self.nodes.disconnected(self.number, wall_clock());
            self.notices.tell(Notice::Disconnected { node: std::mem::take(&mut self.node) });
        }
    }
}

impl EnvoyStream {
    async fn run(mut self, mut requests: Streaming<DeltaDiscoveryRequest>, mut drain: watch::Receiver<bool>) {
        loop {
            let timeout = self.session.poll_timeout();
            tokio::select! {
                _ = drain.wait_for(|drain| *drain) => break,
                () = wait_until(self.started, timeout) => self.session.handle_timeout(self.now()),
                Ok(()) = self.newer.changed() => self.follow(),
                request = requests.next() => match request {
                    Some(Ok(request)) => self.request(request),
                    Some(Err(status)) => {
                        info!(node = self.node, reason = status.message(), "xds stream broke");
                        break;
                    }
                    None => break,
                },
            }
            if self.act().await.is_err() {
                break;
            }
            self.show();
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millis(u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    fn follow(&mut self) {
        let current = Arc::clone(&self.newer.borrow_and_update());
        self.session.handle_event(Event::Newer(Arc::clone(&current.snapshot)), self.now());
        self.sent.push_back(current);
        if self.sent.len() > QUOTABLE {
            self.sent.pop_front();
        }
    }

    fn request(&mut self, request: DeltaDiscoveryRequest) {
        if let Some(node) = request.node.filter(|_| self.node.is_empty()) {
            self.node = node.id.chars().filter(|letter| !letter.is_control()).take(LONGEST_NAME).collect();
            info!(node = self.node, "xds stream opened");
            self.nodes.connected(self.number, &self.node, wall_clock());
            self.notices.tell(Notice::Connected { node: self.node.clone() });
        }
        let Some(kind) = ResourceType::from_type_url(&request.type_url) else {
            debug!(node = self.node, r#type = request.type_url, "asked for a type that is not served");
            return;
        };
        let request = session::Request {
            subscribe: request.resource_names_subscribe,
            unsubscribe: request.resource_names_unsubscribe,
            initial_versions: request.initial_resource_versions.into_iter().collect(),
            nonce: request.response_nonce,
            refused: request.error_detail.map(|status| status.message),
        };
        self.session.handle_event(Event::Request(kind, request), self.now());
    }

    /// Fails when nobody reads the responses any more.
    async fn act(&mut self) -> Result<(), ()> {
        while let Some(action) = self.session.poll_action() {
            match action {
                Action::Send(response) => self.responses.send(Ok(message(response))).await.map_err(|_| ())?,
                Action::Acked { kind, names, after } => self.accepted(kind, names.len(), after),
                Action::Refused { kind, names, detail } => self.refused(kind, names, &detail),
                Action::Taken(clusters) => {
                    let names: Vec<_> = clusters.iter().map(|(name, _)| name).collect();
                    info!(node = self.node, ?names, "lead elsewhere in this Envoy; ours get other names");
                    self.reload.taken(clusters).await;
                }
                Action::Broken(detail) => error!(node = self.node, detail, "resources cannot be made"),
            }
        }
        Ok(())
    }

    fn accepted(&self, kind: ResourceType, resources: usize, after: Millis) {
        let (node, after_ms) = (self.node.clone(), after.0);
        info!(node, r#type = ?kind, resources, after_ms, "xds accepted");
        self.nodes.accepted(self.number, kind, Accepted { at: wall_clock(), resources, after });
        self.notices.tell(Notice::Accepted { node, kind, resources, after_ms });
    }

    fn refused(&self, kind: ResourceType, names: Vec<String>, detail: &str) {
        let (node, detail) = (self.node.clone(), self.complaint(detail));
        error!(node, r#type = ?kind, ?names, detail, "xds refused; not sent again until it changes");
        let refused = Refused { at: wall_clock(), kind, names: names.clone(), detail: detail.clone() };
        self.nodes.refused(self.number, refused);
        self.notices.tell(Notice::Refused { node, kind, names, detail });
    }

    fn complaint(&self, detail: &str) -> String {
        let masked = self.sent.iter().fold(detail.to_owned(), |text, current| current.secrets.masked(&text));
        masked.chars().take(LONGEST_DETAIL).collect()
    }

    /// Tells how far this Envoy is, when that changed.
    fn show(&mut self) {
        let progress = self.session.progress();
        if self.progress.as_ref() == Some(&progress) {
            return;
        }
        self.nodes.moved(self.number, &progress, wall_clock());
        let before = self.progress.as_ref().and_then(|before| before.in_force.as_ref());
        if let Some(generation) = progress.in_force.as_ref().filter(|now| before != Some(now)) {
            info!(node = self.node, generation, without = progress.without.len(), "catalog in force");
            self.notices.tell(Notice::InForce { node: self.node.clone(), generation: generation.clone() });
        }
        self.progress = Some(progress);
    }
}

fn message(response: session::Response) -> DeltaDiscoveryResponse {
    let resource = |(name, resource): (String, Arc<snapshot::Resource>)| {
        let (version, content) = (resource.version.clone(), Some(resource.content.clone()));
        Resource { name, version, resource: content, ..Resource::default() }
    };
    DeltaDiscoveryResponse {
        type_url: response.kind.type_url(),
        resources: response.resources.into_iter().map(resource).collect(),
        removed_resources: response.removed,
        nonce: response.nonce,
        ..DeltaDiscoveryResponse::default()
    }
}

fn wall_clock() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

async fn wait_until(started: Instant, at: Option<Timestamp>) {
    match at {
        Some(at) => tokio::time::sleep_until(started + Duration::from_millis(at.as_millis())).await,
        None => std::future::pending().await,
    }
}
