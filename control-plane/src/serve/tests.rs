//! A client of the real server, in this process.

use std::collections::HashMap;

use clap::Parser;

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::Running;
use super::readiness::Readiness;
use crate::args::{Cli, Command};
use crate::reload::{Cause, Loader};
use crate::testing::{Directory, SMALL};
use crate::xds::nodes::List;
use crate::xds::session::Phase;
use crate::xds::snapshot::ResourceType;

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
            node: Some(Node { id: "envoy-1".to_owned(), ..Node::default() }),
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

fn phase(list: &List) -> Option<Phase> {
    list.values().next()?.progress.as_ref().map(|progress| progress.phase)
}

#[tokio::test]
async fn an_envoy_gets_everything_in_order_follows_a_reload_and_its_stream_ends_with_the_server() {
    let files = Directory::with(&[("lasso.yaml", SMALL)]);
    let path = files.path("lasso.yaml");
    let cli = Cli::parse_from(["lasso", "serve", path.to_str().unwrap(), "--ca-bundle", "Cargo.toml"]);
    let Command::Serve { config, site } = cli.command else { unreachable!() };
    let loader = Loader::new(config, site);
    let first = loader.first().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (stop, stopped) = oneshot::channel::<()>();
    let (mut running, reloader) = Running::new(loader, first, watch::Sender::new(false));
    running.start(reloader).unwrap();
    let (mut nodes, reload) = (running.nodes.subscribe(), running.reload.clone());
    let server = tokio::spawn(async move {
        let stopped = async move {
            let _ = stopped.await;
        };
        running.serve(listener, None, &Readiness::of(&[]), stopped).await
    });

    let mut envoy = Envoy::connect(port).await;
    envoy.says(ResourceType::Listeners, &[], "").await;
    envoy.says(ResourceType::Clusters, &[], "").await;
    let (kind, nonce, names) = envoy.hears().await;
    assert_eq!(kind, ResourceType::Clusters);
    assert_eq!(names, ["lasso-hub", "lasso/beta:ethereum/own/http", "lasso/ethereum/a/http", "lasso/ethereum/b/http"]);
    envoy.says(ResourceType::Clusters, &[], &nonce).await;
    let (kind, nonce, names) = envoy.hears().await;
    assert_eq!((kind, names), (ResourceType::Listeners, vec!["lasso".to_owned()]));
    envoy.says(ResourceType::Listeners, &[], &nonce).await;
    envoy.says(ResourceType::Filters, &["lasso.down", "lasso.up"], "").await;
    envoy.says(ResourceType::Routes, &["lasso"], "").await;
    for (expected, names) in
        [(ResourceType::Routes, &["lasso"][..]), (ResourceType::Filters, &["lasso.down", "lasso.up"])]
    {
        let (kind, nonce, heard) = envoy.hears().await;
        assert_eq!(kind, expected);
        assert_eq!(heard, names);
        envoy.says(kind, &[], &nonce).await;
    }
    let settled = nodes.wait_for(|list| phase(list) == Some(Phase::Settled)).await.unwrap().clone();
    let progress = settled[&0].progress.clone().unwrap();
    assert_eq!((settled[&0].id.as_str(), &progress.wanted), ("envoy-1", &reload.current().borrow().generation));
    assert_eq!(progress.in_force.as_ref(), Some(&progress.wanted));

    std::fs::write(&path, SMALL.replace("id: own", "id: new")).unwrap();
    let summary = reload.now(Cause::Call).await.unwrap();
    let (kind, nonce, names) = envoy.hears().await;
    assert_eq!((kind, names), (ResourceType::Clusters, vec!["lasso/beta:ethereum/new/http".to_owned()]));
    envoy.says(kind, &[], &nonce).await;
    for expected in [ResourceType::Routes, ResourceType::Filters] {
        let (kind, nonce, _) = envoy.hears().await;
        assert_eq!(kind, expected);
        envoy.says(kind, &[], &nonce).await;
    }
    let draining = nodes.wait_for(|list| phase(list) == Some(Phase::Draining)).await.unwrap().clone();
    assert_eq!(draining[&0].progress.as_ref().unwrap().in_force, Some(summary.generation));

    stop.send(()).unwrap();
    assert!(envoy.responses.message().await.unwrap().is_none(), "the stream ends");
    server.await.unwrap().unwrap();
}
