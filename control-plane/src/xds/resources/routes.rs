//! The route configuration: from a request that the filter has judged to the cluster of its next attempt.
//!
//! Duty: match the cluster on what the filter published, retry what it marked, keep clients' headers from providers and providers'
//! from clients.
//! Invariant: Envoy retries nothing that the filter let through: no status codes in `retry_on`. A request without a published cluster
//! gets a local reply, which the filter turns into a JSON-RPC error.
//! Leaves to others: everything that depends on the call (the filter).

use serde_json::{Map, Value, json};

use super::{NAME, type_url};
use crate::compile::Deployment;

/// Filter state that the filter sets: the next attempt's cluster and the request's number, with this between them.
const PLAN: &str = "wasm.lasso_plan";
const PLAN_SEPARATOR: char = '\u{7f}';
/// Filter state of a call that must not be sent twice.
const ONCE: &str = "wasm.lasso_once";

const FOR_ANYTHING: &str = "reset,connect-failure,refused-stream,retriable-headers";
/// Only what never reached a provider.
const FOR_WRITES: &str = "connect-failure,refused-stream";

/// Added by the filter to an answer that must be retried; Envoy never sends it on.
const RETRY_MARK: &str = "x-rpc-retry";

pub(crate) fn route_configuration(deployment: &Deployment) -> Value {
    let timeout = super::seconds(longest_deadline(deployment) + BODY_TIME);
    let once = json!({"prefix": "/", "filter_state": [{"key": ONCE, "string_match": {"exact": "1"}}]});
    let mut routes = vec![
        health(),
        preflight(),
        not_post(),
        call("once", &once, FOR_WRITES, &timeout, deployment),
        call("call", &json!({"path_separated_prefix": "/rpc"}), FOR_ANYTHING, &timeout, deployment),
    ];
    if deployment.catalog.profiles.iter().flat_map(|profile| &profile.chains).any(|chain| !chain.hosts.is_empty()) {
        routes.push(call("host", &json!({"path": "/"}), FOR_ANYTHING, &timeout, deployment));
    }
    routes.push(not_found());
    json!({
        "name": NAME,
        "validate_clusters": false,
        "virtual_hosts": [{
            "name": NAME,
            "domains": ["*"],
            "typed_per_filter_config": {"envoy.filters.http.cors": cors()},
            "routes": routes,
        }],
    })
}

/// The per-try timeouts are the deadline; the route's own would cut a body that is streaming, so it comes this much later.
const BODY_TIME: u64 = 60_000;

/// The longest built-in deadline (block traces).
const LONGEST_BUILT_IN: u64 = 45_000;

fn longest_deadline(deployment: &Deployment) -> u64 {
    let configured = deployment.catalog.profiles.iter().flat_map(|profile| profile.methods.timeouts_ms.values());
    configured.map(|millis| u64::from(*millis)).fold(LONGEST_BUILT_IN, u64::max)
}

fn health() -> Value {
    json!({
        "name": "health",
        "match": {"path": "/healthz", "headers": [method("GET")]},
        "direct_response": {"status": 200, "body": {"inline_string": "ok\n"}},
        "response_headers_to_add": [set("content-type", "text/plain")],
    })
}

/// What a browser asks before it calls. The CORS filter answers it, but only on a route that is no direct response; the cluster is
/// never reached.
fn preflight() -> Value {
    json!({
        "name": "preflight",
        "match": {"prefix": "/", "headers": [
            method("OPTIONS"),
            {"name": "origin", "present_match": true},
            {"name": "access-control-request-method", "present_match": true},
        ]},
        "route": {"cluster": "none"},
    })
}

fn not_post() -> Value {
    let mut not_post = method("POST");
    not_post["invert_match"] = json!(true);
    json!({
        "name": "not-post",
        "match": {"prefix": "/", "headers": [not_post]},
        "direct_response": {"status": 405, "body": {"inline_string": "JSON-RPC needs POST\n"}},
        "response_headers_to_add": [set("allow", "POST"), set("content-type", "text/plain")],
    })
}

fn method(name: &str) -> Value {
    json!({"name": ":method", "string_match": {"exact": name}})
}

fn set(name: &str, value: &str) -> Value {
    json!({"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"})
}

fn not_found() -> Value {
    const BODY: &str = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"nothing here: POST JSON-RPC to /rpc/{chain}"}}"#;
    json!({
        "name": "not-found",
        "match": {"prefix": "/"},
        "direct_response": {"status": 404, "body": {"inline_string": BODY}},
        "response_headers_to_add": [set("content-type", "application/json"), set("access-control-allow-origin", "*")],
    })
}

fn call(name: &str, matches: &Value, retry_on: &str, timeout: &str, deployment: &Deployment) -> Value {
    json!({
        "name": name,
        "match": matches,
        "request_headers_to_remove": FROM_CLIENTS,
        "response_headers_to_remove": FROM_PROVIDERS,
        // Replies that the filter sends in place of a provider's do not pass the CORS filter, so the route lets browsers read them.
        "response_headers_to_add": [set("content-type", "application/json"), set("access-control-allow-origin", "*")],
        "route": {
            "timeout": timeout,
            "idle_timeout": "30s",
            "cluster_not_found_response_code": "SERVICE_UNAVAILABLE",
            "inline_cluster_specifier_plugin": {"extension": {
                "name": "envoy.router.cluster_specifier_plugin.matcher",
                "typed_config": cluster_by_plan(deployment),
            }},
            "retry_policy": {
                "retry_on": retry_on,
                "retriable_headers": [{"name": RETRY_MARK, "present_match": true}],
                "num_retries": 4,
                "per_try_timeout": "0.5s",
                "refresh_cluster_on_retry": true,
                "retry_back_off": {"base_interval": "0.001s", "max_interval": "0.001s"},
            },
        },
    })
}

fn cluster_by_plan(deployment: &Deployment) -> Value {
    let action = |cluster: &str| {
        json!({"action": {"name": "cluster", "typed_config": {
            "@type": type_url("envoy.extensions.router.cluster_specifiers.matcher.v3.ClusterAction"),
            "cluster": cluster,
        }}})
    };
    let clusters = deployment.clusters.iter();
    let map: Map<String, Value> =
        clusters.map(|plan| (format!("{}{PLAN_SEPARATOR}", plan.name), action(&plan.name))).collect();
    json!({
        "@type": type_url("envoy.extensions.router.cluster_specifiers.matcher.v3.MatcherClusterSpecifier"),
        "cluster_matcher": {"matcher_tree": {
            "input": {"name": "plan", "typed_config": {
                "@type": type_url("envoy.extensions.matching.common_inputs.network.v3.FilterStateInput"),
                "key": PLAN,
            }},
            "prefix_match_map": {"map": map},
        }},
    })
}

/// Browsers call JSON-RPC endpoints from any page, without credentials.
fn cors() -> Value {
    json!({
        "@type": type_url("envoy.extensions.filters.http.cors.v3.CorsPolicy"),
        "allow_origin_string_match": [{"safe_regex": {"regex": ".*"}}],
        "allow_methods": "POST",
        "allow_headers": "*,authorization",
        "expose_headers": "x-lasso-request-id,x-lasso-meta",
        "max_age": "86400",
    })
}

/// What a client may send and a provider must not see. `accept-encoding`: the filter must be able to read answers.
const FROM_CLIENTS: &[&str] = &[
    "accept-encoding",
    "authorization",
    "proxy-authorization",
    "cookie",
    "forwarded",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-forwarded-client-cert",
    "x-forwarded-prefix",
    "x-real-ip",
    "x-client-ip",
    "true-client-ip",
    "cf-connecting-ip",
    "x-request-id",
    "origin",
    "referer",
    "traceparent",
    "tracestate",
    "x-lasso-provider",
    "x-lasso-transport",
    "x-lasso-include-meta",
    "x-lasso-exclude",
    "x-lasso-probe",
    "x-lasso-request-id",
    "x-lasso-meta",
];

/// What a provider may send and a client must not see: who it is, and what belongs to its own site.
const FROM_PROVIDERS: &[&str] = &[
    RETRY_MARK,
    "content-type",
    "set-cookie",
    "alt-svc",
    "location",
    "link",
    "via",
    "server",
    "server-timing",
    "x-powered-by",
    "www-authenticate",
    "strict-transport-security",
    "report-to",
    "nel",
    "cf-ray",
    "cf-cache-status",
    "x-request-id",
    "x-served-by",
    "x-cache",
    "x-amzn-requestid",
    "apigw-requestid",
    "cache-control",
    "expires",
    "pragma",
    "age",
    "etag",
    "vary",
    "content-disposition",
    "content-security-policy",
    "x-frame-options",
    "x-content-type-options",
    "x-xss-protection",
    "access-control-allow-origin",
    "access-control-allow-methods",
    "access-control-allow-headers",
    "access-control-allow-credentials",
    "access-control-expose-headers",
    "access-control-max-age",
];
