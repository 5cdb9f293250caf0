//! One cluster for each HTTP channel.
//!
//! Duty: reach a provider quickly, keep its connections, notice dead ones.
//! Invariant: no cluster limits what the filter decided (Envoy's default of 3 concurrent retries would).
//! Leaves to others: paths, keys and headers (the filter writes them), choosing.

use serde_json::{Value, json};

use super::{Site, type_url};
use crate::compile::ClusterPlan;
use crate::config::{Location, LocationHost};

/// How much may be in flight to one provider. Not a limit: a bound for when everything else failed.
const PLENTY: u32 = 100_000;

/// Connections to providers are given up before the provider does it: a request on a connection that is just being closed is reset.
const IDLE_TIMEOUT: &str = "50s";

pub(crate) fn cluster(plan: &ClusterPlan, site: &Site) -> Value {
    let address = match &plan.location.host {
        LocationHost::Name(name) => name.clone(),
        LocationHost::Ip(ip) => ip.to_string(),
    };
    let mut cluster = json!({
        "name": plan.name,
        "connect_timeout": "1s",
        "per_connection_buffer_limit_bytes": 1_048_576,
        "circuit_breakers": {"thresholds": [{
            "max_connections": PLENTY,
            "max_pending_requests": PLENTY,
            "max_requests": PLENTY,
            "max_retries": PLENTY,
        }]},
        "load_assignment": {
            "cluster_name": plan.name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {
                "address": {"socket_address": {"address": address, "port_value": plan.location.port}},
            }}]}],
        },
        "preconnect_policy": {"per_upstream_preconnect_ratio": 1.1},
        "upstream_connection_options": {
            "tcp_keepalive": {"keepalive_time": 10, "keepalive_interval": 2, "keepalive_probes": 3},
        },
        "upstream_bind_config": {"socket_options": [tcp_user_timeout()]},
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": protocol_options(&plan.location),
        },
    });
    match &plan.location.host {
        LocationHost::Name(_) => cluster["cluster_type"] = dns(),
        LocationHost::Ip(_) => cluster["type"] = json!("STATIC"),
    }
    if plan.location.tls {
        cluster["transport_socket"] = tls(&plan.location, site);
    }
    cluster
}

/// What STRICT_DNS has become: one host for each address.
fn dns() -> Value {
    json!({"name": "envoy.cluster.dns", "typed_config": {
        "@type": type_url("envoy.extensions.clusters.dns.v3.DnsCluster"),
        "dns_lookup_family": "V4_PREFERRED",
        "respect_dns_ttl": true,
        "dns_failure_refresh_rate": {"base_interval": "0.5s", "max_interval": "5s"},
    }})
}

/// Keepalive probes are not sent while data is unacknowledged; this ends a connection whose peer vanished in the middle of a request.
fn tcp_user_timeout() -> Value {
    json!({"description": "TCP_USER_TIMEOUT", "level": 6, "name": 18, "int_value": 5_000, "state": "STATE_PREBIND"})
}

fn protocol_options(location: &Location) -> Value {
    let mut options = json!({
        "@type": type_url("envoy.extensions.upstreams.http.v3.HttpProtocolOptions"),
        "common_http_protocol_options": {"idle_timeout": IDLE_TIMEOUT},
    });
    if location.tls {
        options["auto_config"] = json!({
            "http_protocol_options": {},
            "http2_protocol_options": {
                "initial_stream_window_size": 1_048_576,
                "initial_connection_window_size": 16_777_216,
                "connection_keepalive": {"interval": "30s", "timeout": "5s"},
            },
        });
    } else {
        options["explicit_http_config"] = json!({"http_protocol_options": {}});
    }
    options
}

fn tls(location: &Location, site: &Site) -> Value {
    let (name, kind) = match &location.host {
        LocationHost::Name(name) => (name.clone(), "DNS"),
        LocationHost::Ip(ip) => (ip.to_string(), "IP_ADDRESS"),
    };
    let mut context = json!({
        "@type": type_url("envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"),
        "common_tls_context": {"validation_context": {
            "trusted_ca": {"filename": site.ca_bundle},
            "match_typed_subject_alt_names": [{"san_type": kind, "matcher": {"exact": name}}],
        }},
    });
    // Server names are names: an address must not be sent as one.
    if kind == "DNS" {
        context["sni"] = json!(name);
    }
    json!({"name": "envoy.transport_sockets.tls", "typed_config": context})
}
