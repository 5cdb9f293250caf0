//! The listener for clients, where Lasso sets it up.
//!
//! Duty: HTTP in, the filter chain (CORS, DOWN, router with UP), another one for WebSockets, the request log.
//! Invariant: the request log has no path that the filter wrote and no upstream header: those are secrets. The body limit is above the
//! filter's own, so that a body that is too long gets a JSON-RPC error and not Envoy's.
//! Leaves to others: listeners of a mesh, which are the user's (`envoy/mesh.yaml`).

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::filters::{FilterKind, Places};
use super::{NAME, Site, type_url};

/// How the listener comes by its parts.
#[derive(Debug)]
pub(crate) enum Parts<'a> {
    /// Everything in one file.
    Inline { routes: &'a Value, filters: &'a Places<Value> },
    /// Routes by RDS, the filter by ECDS, over the stream that brought the listener.
    Discovered,
}

pub(crate) fn listener(address: SocketAddr, max_body_bytes: u32, site: &Site, parts: &Parts<'_>) -> Value {
    json!({
        "name": NAME,
        "address": {"socket_address": {"address": address.ip().to_string(), "port_value": address.port()}},
        "per_connection_buffer_limit_bytes": max_body_bytes + 1_048_576,
        "filter_chains": [{"filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": connection_manager(site, parts),
        }]}],
    })
}

fn connection_manager(site: &Site, parts: &Parts<'_>) -> Value {
    let filters = filters(site.filter.kind, parts);
    let mut manager = json!({
        "@type": type_url("envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": NAME,
        "codec_type": "AUTO",
        "server_name": NAME,
        "generate_request_id": false,
        "use_remote_address": true,
        "skip_xff_append": true,
        "stream_idle_timeout": "60s",
        "request_headers_timeout": "10s",
        "common_http_protocol_options": {"idle_timeout": "300s", "headers_with_underscores_action": "DROP_HEADER"},
        "http2_protocol_options": {
            "max_concurrent_streams": 1_000,
            "initial_stream_window_size": 1_048_576,
            "initial_connection_window_size": 16_777_216,
            // WebSockets over HTTP/2 (RFC 8441).
            "allow_connect": true,
        },
        "upgrade_configs": [upgrade()],
        "local_reply_config": {"mappers": [no_hub()]},
        "access_log": access_logs(site),
        "http_filters": [
            // The route for preflights has it.
            {"name": "envoy.filters.http.cors", "disabled": true, "typed_config": {
                "@type": type_url("envoy.extensions.filters.http.cors.v3.Cors"),
            }},
            filters.down,
            {"name": "envoy.filters.http.router", "typed_config": {
                "@type": type_url("envoy.extensions.filters.http.router.v3.Router"),
                "suppress_envoy_headers": true,
                "upstream_http_filters": [
                    filters.up,
                    {"name": "envoy.filters.http.upstream_codec", "typed_config": {
                        "@type": type_url("envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec"),
                    }},
                ],
            }},
        ],
    });
    match parts {
        Parts::Inline { routes, .. } => manager["route_config"] = (*routes).clone(),
        Parts::Discovered => {
            manager["rds"] = json!({"route_config_name": site.filter.kind.routes(), "config_source": discovered()});
        }
    }
    manager
}

/// A WebSocket has a filter chain of its own, with nothing in it but the router: ours would see frames it can do nothing with, and a socket would
/// keep the filter's configuration alive for as long as it lasts.
fn upgrade() -> Value {
    json!({
        "upgrade_type": "websocket",
        "filters": [{"name": "envoy.filters.http.router", "typed_config": {
            "@type": type_url("envoy.extensions.filters.http.router.v3.Router"),
            "suppress_envoy_headers": true,
        }}],
    })
}

/// What a WebSocket client is told where the hub is not to be reached.
fn no_hub() -> Value {
    const BODY: &str = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"no WebSocket now: the hub is not there; HTTP still works"}}"#;
    json!({
        "filter": {"and_filter": {"filters": [
            {"status_code_filter": {"comparison": {
                "op": "EQ",
                "value": {"default_value": 503, "runtime_key": "lasso.no_hub"},
            }}},
            {"header_filter": {"header": {"name": "upgrade", "present_match": true}}},
        ]}},
        "body_format_override": {
            "content_type": "application/json",
            "text_format_source": {"inline_string": BODY},
        },
    })
}

fn filters(kind: FilterKind, parts: &Parts<'_>) -> Places<Value> {
    let names = kind.names();
    match parts {
        Parts::Inline { filters, .. } => Places {
            down: json!({"name": names.down, "typed_config": filters.down}),
            up: json!({"name": names.up, "typed_config": filters.up}),
        },
        Parts::Discovered => {
            let discovered = |name: &str| {
                json!({"name": name, "config_discovery": {
                    "config_source": discovered(),
                    "type_urls": [type_url(kind.message())],
                }})
            };
            Places { down: discovered(names.down), up: discovered(names.up) }
        }
    }
}

fn discovered() -> Value {
    json!({"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "10s"})
}

/// Two loggers. The filter leaves its line in filter state, for errors and for the share of successes that is sampled; where there is none, nothing is
/// written. What never came to the filter's end (Envoy's own refusals, a filter that died) has no such line, and is told by Envoy.
fn access_logs(site: &Site) -> Value {
    json!([
        logger(
            site,
            None,
            &json!({
                "omit_empty_values": true,
                "text_format_source": {"inline_string": "%FILTER_STATE(wasm.lasso_log:PLAIN)%"},
            })
        ),
        logger(
            site,
            Some(refused_by_envoy()),
            &json!({"json_format": {
                "event": "http.request.refused",
                "time": "%START_TIME%",
                "method": "%REQ(:METHOD)%",
                "path": "%REQ(X-ENVOY-ORIGINAL-PATH)%",
                "protocol": "%PROTOCOL%",
                "status": "%RESPONSE_CODE%",
                "details": "%RESPONSE_CODE_DETAILS%",
                "flags": "%RESPONSE_FLAGS%",
                "end_to_end_ms": "%DURATION%",
            }})
        ),
    ])
}

fn refused_by_envoy() -> Value {
    json!({"and_filter": {"filters": [
        {"status_code_filter": {"comparison": {
            "op": "GE",
            "value": {"default_value": 400, "runtime_key": "lasso.refused_from"},
        }}},
        {"extension_filter": {"name": "envoy.access_loggers.extension_filters.cel", "typed_config": {
            "@type": type_url("envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter"),
            "expression": "!('wasm.lasso_log' in filter_state)",
        }}},
    ]}})
}

fn logger(site: &Site, filter: Option<Value>, format: &Value) -> Value {
    let mut logger = match &site.access_log {
        Some(path) => json!({"name": "envoy.access_loggers.file", "typed_config": {
            "@type": type_url("envoy.extensions.access_loggers.file.v3.FileAccessLog"),
            "path": path,
            "log_format": format,
        }}),
        None => json!({"name": "envoy.access_loggers.stdout", "typed_config": {
            "@type": type_url("envoy.extensions.access_loggers.stream.v3.StdoutAccessLog"),
            "log_format": format,
        }}),
    };
    if let Some(filter) = filter {
        logger["filter"] = filter;
    }
    logger
}
