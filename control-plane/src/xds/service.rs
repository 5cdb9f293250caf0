//! The gRPC side of the sessions.
//!
//! Duty: one task for each stream: requests in, responses out, a timer between; log what Envoys accept and refuse.
//! Invariant: nothing that is logged holds a provider's path, key or header: an Envoy's complaint may quote what it was sent.
//! Leaves to others: every decision (`session`).

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_server::AggregatedDiscoveryService;
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse, Resource,
};
use lasso_routing::time::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};
use tracing::{debug, error, info};

use super::secrets::Secrets;
use super::session::{self, Action, Event, Session};
use super::snapshot::{ResourceType, Snapshot};

/// Serves one snapshot to any number of Envoys.
#[derive(Debug)]
pub(crate) struct Ads {
    pub(crate) snapshot: Arc<Snapshot>,
    /// What must not be logged.
    pub(crate) secrets: Arc<Secrets>,
    /// Turns true when streams must end.
    pub(crate) drain: watch::Receiver<bool>,
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
        let stream = EnvoyStream {
            session: Session::new(Arc::clone(&self.snapshot)),
            snapshot: Arc::clone(&self.snapshot),
            secrets: Arc::clone(&self.secrets),
            responses,
            started: Instant::now(),
            node: String::new(),
        };
        tokio::spawn(stream.run(request.into_inner(), self.drain.clone()));
        Ok(Response::new(Box::pin(ReceiverStream::new(outbox))))
    }
}

/// Longest complaint of an Envoy that is logged.
const LONGEST_DETAIL: usize = 512;

/// Responses on their way; one of each type at most is unanswered.
const OUTBOX: usize = 4;

struct EnvoyStream {
    session: Session,
    snapshot: Arc<Snapshot>,
    secrets: Arc<Secrets>,
    responses: mpsc::Sender<Result<DeltaDiscoveryResponse, Status>>,
    started: Instant,
    node: String,
}

impl EnvoyStream {
    async fn run(mut self, mut requests: Streaming<DeltaDiscoveryRequest>, mut drain: watch::Receiver<bool>) {
        loop {
            let timeout = self.session.poll_timeout();
            tokio::select! {
                _ = drain.wait_for(|drain| *drain) => break,
                () = wait_until(self.started, timeout) => self.session.handle_timeout(self.now()),
                request = requests.next() => match request {
                    Some(Ok(request)) => self.request(request),
                    Some(Err(status)) => {
                        info!(node = self.node, reason = status.message(), "xds stream broke");
                        return;
                    }
                    None => break,
                },
            }
            while let Some(action) = self.session.poll_action() {
                if self.act(action).await.is_err() {
                    break;
                }
            }
        }
        info!(node = self.node, "xds stream ended");
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millis(u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    fn request(&mut self, request: DeltaDiscoveryRequest) {
        if let Some(node) = request.node.filter(|_| self.node.is_empty()) {
            self.node = node.id;
            info!(node = self.node, "xds stream opened");
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
    async fn act(&self, action: Action) -> Result<(), ()> {
        match action {
            Action::Send(response) => self.responses.send(Ok(self.message(response))).await.map_err(|_| ()),
            Action::Acked { kind, names, after } => {
                info!(node = self.node, r#type = ?kind, resources = names.len(), after_ms = after.0, "xds accepted");
                Ok(())
            }
            Action::Refused { kind, names, detail } => {
                let detail = self.complaint(&detail);
                error!(node = self.node, r#type = ?kind, ?names, detail, "xds refused; not sent again until it changes");
                Ok(())
            }
        }
    }

    fn complaint(&self, detail: &str) -> String {
        self.secrets.masked(detail).chars().take(LONGEST_DETAIL).collect()
    }

    fn message(&self, response: session::Response) -> DeltaDiscoveryResponse {
        let resource = |name: &String| {
            let resource = self.snapshot.named(response.kind, name)?;
            let (version, content) = (resource.version.clone(), Some(resource.content.clone()));
            Some(Resource { name: name.clone(), version, resource: content, ..Resource::default() })
        };
        DeltaDiscoveryResponse {
            type_url: response.kind.type_url(),
            resources: response.names.iter().filter_map(resource).collect(),
            removed_resources: response.removed,
            nonce: response.nonce,
            ..DeltaDiscoveryResponse::default()
        }
    }
}

async fn wait_until(started: Instant, at: Option<Timestamp>) {
    match at {
        Some(at) => tokio::time::sleep_until(started + Duration::from_millis(at.as_millis())).await,
        None => std::future::pending().await,
    }
}
