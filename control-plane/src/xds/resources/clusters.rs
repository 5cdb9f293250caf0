//! One cluster for each channel, and the one that clients' WebSockets go to.
//!
//! Duty: reach a provider quickly, keep its connections, notice dead ones; reach a ws channel by the hub, which has the sockets.
//! Invariant: no cluster limits what the filter decided (Envoy's default of 3 concurrent retries would). Of clients that share a connection to the hub none waits
//! for another: the connection's window has room for all of theirs.
//! Leaves to others: paths, keys and headers (the filter writes them), choosing.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::{HUB, Site, type_url};
use crate::compile::{ClusterPlan, Destination};
use crate::config::{Location, LocationHost};

/// How much may be in flight to one provider. Not a limit: a bound for when everything else failed.
const PLENTY: u32 = 100_000;

/// Connections to providers are given up before the provider does it: a request on a connection that is just being closed is reset.
const IDLE_TIMEOUT: &str = "50s";

/// Clients' sockets that share a connection to the hub, and its end.
const SOCKETS_A_CONNECTION: u32 = 512;

/// What Envoy takes of one of them while its client does not read, in bytes. It has room of its own for each client besides.
const SOCKET_WINDOW: u32 = 65_536;

/// Of a channel.
pub(crate) fn cluster(plan: &ClusterPlan, site: &Site) -> Value {
    match &plan.leads_to {
        Destination::Provider(location) => to_provider(&plan.name, location, site),
        Destination::Hub(address) => to_hub(&plan.name, *address, &over_http2()),
    }
}

/// Where WebSockets of clients go: many over one connection (RFC 8441), so that Envoy reads what many are told at once.
pub(crate) fn hub(address: SocketAddr) -> Value {
    let mut http2 = http2();
    http2["allow_connect"] = json!(true);
    // What finds a hub that hangs. It must hang for longer than a busy machine makes it, since all sockets end with their connection.
    http2["connection_keepalive"] = json!({"interval": "15s", "timeout": "20s"});
    http2["max_concurrent_streams"] = json!(SOCKETS_A_CONNECTION);
    http2["initial_stream_window_size"] = json!(SOCKET_WINDOW);
    http2["initial_connection_window_size"] = json!(SOCKETS_A_CONNECTION * SOCKET_WINDOW);
    let mut cluster = to_hub(HUB, address, &json!({"explicit_http_config": {"http2_protocol_options": http2}}));
    // So it must not end either when what Envoy has for a hub that hangs is more than the kernel holds: pings have that.
    if let Some(cluster) = cluster.as_object_mut() {
        cluster.remove("upstream_bind_config");
    }
    cluster
}

fn to_provider(name: &str, location: &Location, site: &Site) -> Value {
    let mut cluster = plain(name, &location.host, location.port, "1s");
    cluster["preconnect_policy"] = json!({"per_upstream_preconnect_ratio": 1.1});
    let mut options = match location.tls {
        true => json!({"auto_config": {"http_protocol_options": {}, "http2_protocol_options": http2()}}),
        false => json!({"explicit_http_config": {"http_protocol_options": {}}}),
    };
    options["common_http_protocol_options"] = json!({"idle_timeout": IDLE_TIMEOUT});
    speak(&mut cluster, &options);
    if location.tls {
        cluster["transport_socket"] = tls(location, site);
    }
    cluster
}

/// The hub is on this machine: who does not take the connection at once is not there.
fn to_hub(name: &str, address: SocketAddr, options: &Value) -> Value {
    let mut cluster = plain(name, &LocationHost::Ip(address.ip()), address.port(), "0.5s");
    speak(&mut cluster, options);
    cluster
}

/// Many calls over one connection: without TLS nobody can say what the other speaks, so both must know.
fn over_http2() -> Value {
    json!({"explicit_http_config": {"http2_protocol_options": http2()}})
}

fn http2() -> Value {
    json!({
        "initial_stream_window_size": 1_048_576,
        "initial_connection_window_size": 16_777_216,
        "connection_keepalive": {"interval": "30s", "timeout": "5s"},
    })
}

/// What all of them have.
fn plain(name: &str, host: &LocationHost, port: u16, connect_timeout: &str) -> Value {
    let address = match host {
        LocationHost::Name(name) => name.clone(),
        LocationHost::Ip(ip) => ip.to_string(),
    };
    let mut cluster = json!({
        "name": name,
        "connect_timeout": connect_timeout,
        "per_connection_buffer_limit_bytes": 1_048_576,
        "circuit_breakers": {"thresholds": [{
            "max_connections": PLENTY,
            "max_pending_requests": PLENTY,
            "max_requests": PLENTY,
            "max_retries": PLENTY,
        }]},
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {
                "address": {"socket_address": {"address": address, "port_value": port}},
            }}]}],
        },
        "upstream_connection_options": {
            "tcp_keepalive": {"keepalive_time": 10, "keepalive_interval": 2, "keepalive_probes": 3},
        },
        "upstream_bind_config": {"socket_options": [tcp_user_timeout()]},
    });
    match host {
        LocationHost::Name(_) => cluster["cluster_type"] = dns(),
        LocationHost::Ip(_) => cluster["type"] = json!("STATIC"),
    }
    cluster
}

/// Sets which HTTP a cluster speaks.
fn speak(cluster: &mut Value, options: &Value) {
    const OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    let mut options = options.clone();
    options["@type"] = json!(type_url(OPTIONS));
    cluster["typed_extension_protocol_options"] = json!({OPTIONS: options});
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
