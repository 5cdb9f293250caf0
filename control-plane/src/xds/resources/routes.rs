//! The route configuration: from a request that the filter has judged to the cluster of its next attempt.
//!
//! Duty: match the cluster on what the filter published, retry what it marked, lead WebSockets to the hub, keep clients' headers from providers and providers'
//! from clients.
//! Invariant: Envoy retries nothing that the filter let through: no status codes in `retry_on`. A request without a published cluster
//! gets a local reply, which the filter turns into a JSON-RPC error. What a client sends under the names of [`Told`] decides nothing: filter state is not
//! a client's, and the headers are a hop's own, which Envoy takes off every request before anything looks at it.
//! Leaves to others: everything that depends on the call (the filter).

use std::collections::BTreeSet;

use lasso_routing::header::{ANY_ORIGIN, EXPOSED, FROM_PROVIDERS, MODULE_ONCE, MODULE_PLAN, RETRY};
use lasso_routing::time::Millis;
use serde_json::{Map, Value, json};

use super::filters::FilterKind;
use super::{HUB, NAME, type_url};
use crate::compile::Deployment;

const FOR_ANYTHING: &str = "reset,connect-failure,refused-stream,retriable-headers";
/// Only what never reached a provider.
const FOR_WRITES: &str = "connect-failure,refused-stream";

/// The routes to a deployment's clusters, and to others that an earlier catalog may still name.
pub(crate) fn route_configuration(deployment: &Deployment, others: &BTreeSet<String>, kind: FilterKind) -> Value {
    let has_hosts =
        deployment.catalog.profiles.iter().flat_map(|profile| &profile.chains).any(|chain| !chain.hosts.is_empty());
    let told = Told::by(kind);
    let times = Times::of(deployment);
    let clusters = deployment.clusters.iter().map(|plan| &plan.name).chain(others);
    let clusters = cluster_by_plan(&told, clusters);
    // Calls first: Envoy looks twice for each, and from the top.
    let posted = json!({"path_separated_prefix": "/rpc", "headers": [method("POST")]});
    let mut once = call("once", &told.once, FOR_WRITES, &told, &times, &clusters);
    once["request_headers_to_remove"] = json!([FROM_CLIENTS, told.in_headers].concat());
    let mut routes = vec![
        once,
        call("call", &posted, FOR_ANYTHING, &told, &times, &clusters),
        upgrade(),
        health(),
        preflight(),
        not_post(),
    ];
    if has_hosts {
        routes.push(call("host", &json!({"path": "/"}), FOR_ANYTHING, &told, &times, &clusters));
    }
    routes.push(not_found());
    json!({
        "name": kind.routes(),
        "validate_clusters": false,
        "virtual_hosts": [{
            "name": NAME,
            "domains": ["*"],
            "routes": routes,
        }],
    })
}

/// What the filter decided, as it tells it to the routes: WebAssembly in filter state. A module cannot write that twice, and says it in request headers: two that no
/// request has (above), and that Envoy finds without a search, which every call would pay for.
#[derive(Debug)]
struct Told {
    /// Where the next attempt's cluster and the request's number are.
    plan: Value,
    /// Stands between them.
    separator: char,
    /// Matches a call that must not be sent twice.
    once: Value,
    /// Request headers that say so, and that no provider may see.
    in_headers: &'static [&'static str],
    /// What the route puts on answers. What web pages need besides the content type, the filter says where it can: it knows who asks, and a header here costs every
    /// call. The CORS filter, which only preflights need, would cost it a place in the chain.
    on_answers: &'static [(&'static str, &'static str)],
    /// What the route takes off answers: nothing where the filter does, which can afford to look at what is there.
    off_answers: &'static [&'static str],
}

impl Told {
    fn by(kind: FilterKind) -> Self {
        match kind {
            FilterKind::Wasm => Self {
                plan: json!({
                    "@type": type_url("envoy.extensions.matching.common_inputs.network.v3.FilterStateInput"),
                    "key": "wasm.lasso_plan",
                }),
                separator: '\u{7f}',
                once: json!({
                    "prefix": "/",
                    "filter_state": [{"key": "wasm.lasso_once", "string_match": {"exact": "1"}}],
                }),
                in_headers: &[],
                on_answers: &[JSON, ANY_ORIGIN, EXPOSED],
                off_answers: FROM_PROVIDERS,
            },
            FilterKind::Module => Self {
                plan: json!({
                    "@type": type_url("envoy.type.matcher.v3.HttpRequestHeaderMatchInput"),
                    "header_name": MODULE_PLAN,
                }),
                separator: ';',
                once: json!({
                    "prefix": "/",
                    "headers": [{"name": MODULE_ONCE, "string_match": {"exact": "1"}}],
                }),
                in_headers: &[MODULE_ONCE],
                on_answers: &[JSON],
                off_answers: &[],
            },
        }
    }
}

/// The per-try timeouts are the deadline; the route's own would cut a body that is streaming, so it comes this much later.
const BODY_TIME: u64 = 60_000;

/// A provider that says nothing is given up by the filter at the call's deadline, so Envoy waits this much longer.
const IDLE_TIME: u64 = 5_000;

/// The least that a silent stream is waited for, whatever the deadlines are.
const LEAST_IDLE: u64 = 30_000;

/// The longest built-in deadline (block traces).
pub(crate) const LONGEST_BUILT_IN: Millis = Millis(45_000);

/// How long the routes of calls wait, as Envoy has durations.
struct Times {
    whole: String,
    idle: String,
}

impl Times {
    fn of(deployment: &Deployment) -> Self {
        let Millis(deadline) = longest_deadline(deployment);
        Self { whole: super::seconds(deadline + BODY_TIME), idle: super::seconds(LEAST_IDLE.max(deadline + IDLE_TIME)) }
    }
}

/// The longest deadline that any method has.
pub(crate) fn longest_deadline(deployment: &Deployment) -> Millis {
    let configured = deployment.catalog.profiles.iter().flat_map(|profile| profile.methods.timeouts_ms.values());
    configured.map(|millis| Millis(u64::from(*millis))).fold(LONGEST_BUILT_IN, Millis::max)
}

/// WebSockets go to the hub, which says what is wrong with those that it does not take. Who is silent is found by pings: a client by the hub's, the hub by those
/// on its connections. A timer for each socket besides would be set again with whatever goes through it, which is a tenth of what that costs Envoy.
fn upgrade() -> Value {
    json!({
        "name": "upgrade",
        "match": {
            "safe_regex": {"regex": "/((ws/)?rpc(/.*)?)?"},
            "headers": [
                method("GET"),
                {"name": "upgrade", "string_match": {"exact": "websocket", "ignore_case": true}},
            ],
        },
        "route": {
            "cluster": HUB,
            "timeout": "0s",
            "idle_timeout": "0s",
            // For what a client that is gone did not read; without it, it would wait as long as the connection lives.
            "flush_timeout": "60s",
            "cluster_not_found_response_code": "SERVICE_UNAVAILABLE",
        },
    })
}

fn health() -> Value {
    json!({
        "name": "health",
        "match": {"path": "/healthz", "headers": [method("GET")]},
        "direct_response": {"status": 200, "body": {"inline_string": "ok\n"}},
        "response_headers_to_add": [set(&TEXT), set(&ANY_ORIGIN)],
    })
}

/// What a browser asks before it calls. The CORS filter, which is there for this route alone, answers it, but only on a route that is no direct response; the
/// cluster is never reached.
fn preflight() -> Value {
    json!({
        "name": "preflight",
        "match": {"prefix": "/", "headers": [
            method("OPTIONS"),
            {"name": "origin", "present_match": true},
            {"name": "access-control-request-method", "present_match": true},
        ]},
        "route": {"cluster": "none"},
        "typed_per_filter_config": {"envoy.filters.http.cors": {
            "@type": type_url("envoy.config.route.v3.FilterConfig"),
            "config": cors(),
        }},
    })
}

fn not_post() -> Value {
    let mut not_post = method("POST");
    not_post["invert_match"] = json!(true);
    json!({
        "name": "not-post",
        "match": {"prefix": "/", "headers": [not_post]},
        "direct_response": {"status": 405, "body": {"inline_string": "JSON-RPC needs POST\n"}},
        "response_headers_to_add": [set(&("allow", "POST")), set(&TEXT), set(&ANY_ORIGIN)],
    })
}

fn method(name: &str) -> Value {
    json!({"name": ":method", "string_match": {"exact": name}})
}

const JSON: (&str, &str) = ("content-type", "application/json");
const TEXT: (&str, &str) = ("content-type", "text/plain");

fn set((name, value): &(&str, &str)) -> Value {
    json!({"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"})
}

fn not_found() -> Value {
    const BODY: &str = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"nothing here: POST JSON-RPC to /rpc/{chain}"}}"#;
    json!({
        "name": "not-found",
        "match": {"prefix": "/"},
        "direct_response": {"status": 404, "body": {"inline_string": BODY}},
        "response_headers_to_add": [set(&JSON), set(&ANY_ORIGIN)],
    })
}

fn call(name: &str, matches: &Value, retry_on: &str, told: &Told, times: &Times, clusters: &Value) -> Value {
    json!({
        "name": name,
        "match": matches,
        "request_headers_to_remove": FROM_CLIENTS,
        "response_headers_to_remove": told.off_answers,
        "response_headers_to_add": told.on_answers.iter().map(set).collect::<Vec<_>>(),
        "route": {
            "timeout": times.whole,
            "idle_timeout": times.idle,
            "cluster_not_found_response_code": "SERVICE_UNAVAILABLE",
            // A POST that wants to be a WebSocket is neither, and would not pass the filter.
            "upgrade_configs": [{"upgrade_type": "websocket", "enabled": false}],
            "inline_cluster_specifier_plugin": {"extension": {
                "name": "envoy.router.cluster_specifier_plugin.matcher",
                "typed_config": clusters,
            }},
            "retry_policy": {
                "retry_on": retry_on,
                "retriable_headers": [{"name": RETRY.0, "string_match": {"exact": RETRY.1}}],
                "num_retries": 4,
                "per_try_timeout": "0.5s",
                "refresh_cluster_on_retry": true,
                "retry_back_off": {"base_interval": "0.001s", "max_interval": "0.001s"},
            },
        },
    })
}

fn cluster_by_plan<'a>(told: &Told, clusters: impl Iterator<Item = &'a String>) -> Value {
    let action = |cluster: &str| {
        json!({"action": {"name": "cluster", "typed_config": {
            "@type": type_url("envoy.extensions.router.cluster_specifiers.matcher.v3.ClusterAction"),
            "cluster": cluster,
        }}})
    };
    let map: Map<String, Value> = clusters.map(|name| (format!("{name}{}", told.separator), action(name))).collect();
    json!({
        "@type": type_url("envoy.extensions.router.cluster_specifiers.matcher.v3.MatcherClusterSpecifier"),
        "cluster_matcher": {"matcher_tree": {
            "input": {"name": "plan", "typed_config": told.plan},
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
        "expose_headers": EXPOSED.1,
        "max_age": "86400",
    })
}

/// Headers that come with nearly every request, from the client or from Envoy, and that no provider may see. The rest of what a client
/// may send is taken off by the filter, which sees what is there: each name in this list costs every request a look.
/// `accept-encoding`: the filter must be able to read answers.
const FROM_CLIENTS: &[&str] =
    &["accept-encoding", "x-forwarded-proto", "x-forwarded-for", "x-envoy-external-address", "x-envoy-internal"];
