//! Keys outside of profiles.

use super::super::{
    Absent::{Is, Unset},
    Key, Kind, STRATEGIES, Shape,
};
use super::now;

pub(super) const KEYS: &[Key] = &[
    now(
        "region",
        Shape::One(Kind::Name),
        Unset("`LASSO_REGION`, else none"),
        "Labels metrics, events and leaderboards.",
    ),
    now(
        "on_missing_env",
        Shape::One(Kind::Choice(&["disable", "fail"])),
        Is("disable"),
        "What an unset `${VAR}` without a default does inside a provider: that provider is left out with a \
         warning, or the start fails. Elsewhere it is always an error.",
    ),
    now(
        "data_dir",
        Shape::One(Kind::Text),
        Unset("`LASSO_DATA_DIR`, else nothing survives a restart"),
        "Directory where `lasso serve` keeps breakers, marks, evidence and history; made where it is not there. Each \
         `lasso serve` needs its own. Read at the start only.",
    ),
    now(
        "workers",
        Shape::One(Kind::Whole(1, 1_024)),
        Unset("1, with a warning where it matters"),
        "How many Envoy workers share a provider's `rate_limit` when no control plane splits it: Envoy's \
         `--concurrency` times the number of Envoys. `--workers` of `lasso serve` and `lasso render envoy` \
         comes before it.",
    ),
    now("max_batch", Shape::One(Kind::Whole(1, 100_000)), Is("1000"), "Most calls in one batch."),
    now(
        "max_body_bytes",
        Shape::One(Kind::Whole(1_024, 64_000_000)),
        Is("8000000"),
        "Largest request body in bytes; longer ones get HTTP 413.",
    ),
    now(
        "probe_via",
        Shape::One(Kind::Text),
        Unset("`listen.rpc`, and past Envoy while nobody listens there"),
        "`HOST:PORT` of an Envoy listener through which the control plane probes providers, so that probes take the path \
         of calls; or `direct`, past Envoy. Read at the start only.",
    ),
    now(
        "calls_via",
        Shape::One(Kind::Text),
        Unset("`listen.rpc`"),
        "`HOST:PORT` of an Envoy listener for clients: calls of WebSocket clients, and what fills gaps of subscriptions, go \
         through it like any other call. Read at the start only.",
    ),
    now("ws_sockets", Shape::One(Kind::Whole(1, 64)), Is("2"), "Sockets to each `ws_url` for calls."),
    now("hub", Shape::Section, Unset(""), "How much the hub holds: what clients' WebSockets lead to."),
    now(
        "hub.max_sockets",
        Shape::One(Kind::Whole(1, 1_000_000)),
        Is("10000"),
        "Clients' sockets at once; one more is refused with 503.",
    ),
    now(
        "hub.max_subscriptions",
        Shape::One(Kind::Whole(1, 10_000)),
        Is("128"),
        "Subscriptions of one socket; one more is an error.",
    ),
    now("listen", Shape::Section, Unset(""), "Where things listen."),
    now(
        "listen.rpc",
        Shape::One(Kind::Address),
        Is("127.0.0.1:10000"),
        "The Envoy listener for clients, where Lasso sets it up (`lasso render envoy`, and `lasso serve` by \
         LDS).",
    ),
    now(
        "listen.xds",
        Shape::One(Kind::LoopbackAddress),
        Is("127.0.0.1:18000"),
        "ADS for Envoys, gRPC. It carries provider keys in the clear.",
    ),
    now(
        "listen.hub",
        Shape::One(Kind::LoopbackAddress),
        Is("127.0.0.1:18001"),
        "The hub: WebSocket upgrades and ws channels, for Envoy only. It believes what Envoy forwards.",
    ),
    now(
        "listen.http",
        Shape::One(Kind::Address),
        Is("127.0.0.1:18002"),
        "The API and `/metrics`. What changes something needs the token in `LASSO_ADMIN_TOKEN`; only on a loopback address it \
         may be unset.",
    ),
    now("defaults", Shape::Section, Unset(""), "What profiles and chains have unless they say otherwise."),
    now("defaults.strategy", Shape::One(Kind::Choice(STRATEGIES)), Is("fastest"), "Strategy of every chain."),
    now(
        "defaults.explore",
        Shape::One(Kind::Flag),
        Is("true"),
        "Whether channels that nobody asked for a while are tried with cheap replay-safe calls.",
    ),
    now("observability", Shape::Section, Unset(""), "What is told, and how much of it."),
    now(
        "observability.log_level",
        Shape::One(Kind::Choice(&["error", "warn", "info", "debug", "trace"])),
        Is("info"),
        "Lowest level that `lasso serve` logs.",
    ),
    now(
        "observability.sampling",
        Shape::One(Kind::Number(0.0, 1.0)),
        Is("1"),
        "Share of successful requests in the request log (Envoy's access log); errors are always there.",
    ),
    now(
        "observability.include_params_digest",
        Shape::One(Kind::Flag),
        Is("false"),
        "Whether the request log has a SHA-256 of the params.",
    ),
    now(
        "observability.max_error_message_chars",
        Shape::One(Kind::Whole(16, 4_096)),
        Is("256"),
        "Where error messages are cut in logs.",
    ),
    now(
        "observability.max_meta_header_bytes",
        Shape::One(Kind::Whole(256, 32_768)),
        Is("4096"),
        "Longest `X-Lasso-Meta` in bytes; a longer one is left out.",
    ),
];
