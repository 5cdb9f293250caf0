//! Whole files for Envoy.
//!
//! Duty: a static configuration that needs nobody, and the bootstrap that asks `lasso serve` for everything.
//! Invariant: the admin port, which shows the catalog and so keys, is on this machine only (the command line sees to it).
//! Leaves to others: the resources themselves.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use serde_json::{Value, json};

use super::listener::{Parts, listener};
use super::{CONTROL, Site, clusters, filters, routes, type_url};
use crate::compile::Deployment;
use crate::config::Config;

/// Everything in one file; Envoy runs it without the control plane. When there is one, its workers report to it all the same, and its hub takes
/// WebSockets.
pub(crate) fn static_config(
    config: &Config,
    deployment: &Deployment,
    site: &Site,
    node: &str,
    admin: Option<SocketAddr>,
) -> serde_json::Result<Value> {
    let catalog = filters::catalog(&deployment.catalog)?;
    let parts = Parts::Inline {
        routes: &routes::route_configuration(deployment, &BTreeSet::new(), site.filter.kind),
        filters: &filters::filters(&catalog, site),
    };
    let mut clusters: Vec<Value> = deployment.clusters.iter().map(|plan| clusters::cluster(plan, site)).collect();
    clusters.extend([clusters::hub(config.listen_hub), control_cluster(config.listen_xds)]);
    let listener = listener(config.listen_rpc, config.max_body_bytes, site, &parts);
    let file = json!({
        "node": {"id": node, "cluster": "lasso"},
        "static_resources": {"listeners": [listener], "clusters": clusters},
    });
    Ok(with_admin(file, admin))
}

/// A file that knows the way to the control plane and nothing else.
pub(crate) fn ads_bootstrap(xds: SocketAddr, node: &str, admin: Option<SocketAddr>) -> Value {
    let ads = json!({"ads": {}, "resource_api_version": "V3"});
    let file = json!({
        "node": {"id": node, "cluster": "lasso"},
        "dynamic_resources": {
            "ads_config": {
                "api_type": "DELTA_GRPC",
                "transport_api_version": "V3",
                "grpc_services": [{"envoy_grpc": {"cluster_name": CONTROL}}],
            },
            "cds_config": ads,
            "lds_config": ads,
        },
        "static_resources": {"clusters": [control_cluster(xds)]},
    });
    with_admin(file, admin)
}

fn control_cluster(xds: SocketAddr) -> Value {
    json!({
        "name": CONTROL,
        "type": "STATIC",
        "connect_timeout": "1s",
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": type_url("envoy.extensions.upstreams.http.v3.HttpProtocolOptions"),
            "explicit_http_config": {"http2_protocol_options": {
                "connection_keepalive": {"interval": "10s", "timeout": "3s"},
            }},
        }},
        "load_assignment": {
            "cluster_name": CONTROL,
            "endpoints": [{"lb_endpoints": [{"endpoint": {
                "address": {"socket_address": {"address": xds.ip().to_string(), "port_value": xds.port()}},
            }}]}],
        },
    })
}

fn with_admin(mut file: Value, admin: Option<SocketAddr>) -> Value {
    if let Some(admin) = admin {
        file["admin"] = json!({
            "address": {"socket_address": {"address": admin.ip().to_string(), "port_value": admin.port()}},
        });
    }
    file
}
