//! A client of the real server, in this process.

use std::collections::HashMap;
use std::sync::Arc;

use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::run;
use crate::compile::compile;
use crate::testing::{SMALL, load_text, site};
use crate::xds::secrets::Secrets;
use crate::xds::snapshot::{ResourceType, Snapshot};

struct Envoy {
    requests: mpsc::Sender<DeltaDiscoveryRequest>,
    responses: Streaming<DeltaDiscoveryResponse>,
}

impl Envoy {
    async fn connect(port: u16) -> Self {
        let mut client = AggregatedDiscoveryServiceClient::connect(format!("http://127.0.0.1:{port}")).await.unwrap();
        let (requests, outbox) = mpsc::channel(8);
        let responses = client.delta_aggregated_resources(ReceiverStream::new(outbox)).await.unwrap().into_inner();
        Self { requests, responses }
    }

    async fn says(&self, kind: ResourceType, names: &[&str], nonce: &str) {
        let request = DeltaDiscoveryRequest {
            type_url: kind.type_url(),
            resource_names_subscribe: names.iter().map(|name| (*name).to_owned()).collect(),
            initial_resource_versions: HashMap::new(),
            response_nonce: nonce.to_owned(),
            ..DeltaDiscoveryRequest::default()
        };
        self.requests.send(request).await.unwrap();
    }

    /// The next response, and the names in it.
    async fn hears(&mut self) -> (ResourceType, String, Vec<String>) {
        let response = self.responses.message().await.unwrap().unwrap();
        let names = response.resources.iter().map(|resource| resource.name.clone()).collect();
        assert!(response.resources.iter().all(|resource| resource.version.len() == 16 && resource.resource.is_some()));
        (ResourceType::from_type_url(&response.type_url).unwrap(), response.nonce, names)
    }
}

#[tokio::test]
async fn an_envoy_gets_clusters_first_and_then_the_rest_and_the_stream_ends_with_the_server() {
    let config = load_text(SMALL).unwrap().config;
    let snapshot = Snapshot::new(&config, &compile(&config).unwrap(), &site()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(run(listener, Arc::new(snapshot), Secrets::default(), async move {
        let _ = stopped.await;
    }));

    let mut envoy = Envoy::connect(port).await;
    envoy.says(ResourceType::Listeners, &[], "").await;
    envoy.says(ResourceType::Clusters, &[], "").await;
    let (kind, nonce, names) = envoy.hears().await;
    assert_eq!(kind, ResourceType::Clusters);
    assert_eq!(names, ["lasso/beta:ethereum/own/http", "lasso/ethereum/a/http", "lasso/ethereum/b/http"]);
    envoy.says(ResourceType::Clusters, &[], &nonce).await;
    let (kind, nonce, names) = envoy.hears().await;
    assert_eq!((kind, names), (ResourceType::Listeners, vec!["lasso".to_owned()]));
    envoy.says(ResourceType::Listeners, &[], &nonce).await;
    envoy.says(ResourceType::Filters, &["lasso.down", "lasso.up"], "").await;
    let (kind, _, names) = envoy.hears().await;
    assert_eq!((kind, names), (ResourceType::Filters, vec!["lasso.down".to_owned(), "lasso.up".to_owned()]));
    envoy.says(ResourceType::Routes, &["lasso"], "").await;
    let (kind, _, names) = envoy.hears().await;
    assert_eq!((kind, names), (ResourceType::Routes, vec!["lasso".to_owned()]));

    stop.send(()).unwrap();
    assert!(envoy.responses.message().await.unwrap().is_none(), "the stream ends");
    server.await.unwrap().unwrap();
}
