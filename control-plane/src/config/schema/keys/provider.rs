//! Keys of a provider.

use super::super::{
    Absent::{Is, Required, Unset},
    Key, Kind, Shape,
};
use super::now;

/// Kinds of `eth_subscribe`.
pub(crate) const SUBSCRIPTIONS: &[&str] = &["newHeads", "logs", "newPendingTransactions", "syncing"];

/// What a provider's own error rule may say an error is. The router's own names: a test compares.
pub(crate) const CATEGORIES: &[&str] = &[
    "revert",
    "already_known",
    "client_error",
    "range_too_large",
    "too_many_addresses",
    "missing_data",
    "behind",
    "tag_unsupported",
    "billing",
    "rate_limit",
    "auth",
    "capability",
    "plan",
    "timeout",
    "server_error",
    "another",
];

pub(super) const KEYS: &[Key] = &[
    now("profiles.*.chains.*.providers", Shape::Sections, Required, "Who may answer."),
    now("profiles.*.chains.*.providers[].id", Shape::One(Kind::Name), Required, "Name in paths, headers and reports."),
    now(
        "profiles.*.chains.*.providers[].url",
        Shape::One(Kind::Url(&["https", "http"])),
        Required,
        "Where it answers over HTTP. Two profiles with the same URL and headers share one channel: breaker, \
         marks and connections.",
    ),
    now(
        "profiles.*.chains.*.providers[].ws_url",
        Shape::One(Kind::Url(&["wss", "ws"])),
        Unset("no WebSocket"),
        "Where it answers over WebSocket: subscriptions, and calls over a second channel that is ranked beside its \
         HTTP one. The control plane dials it, with the same `headers`.",
    ),
    now(
        "profiles.*.chains.*.providers[].priority",
        Shape::One(Kind::Whole(0, 1_000_000)),
        Is("100"),
        "Lower is asked first by `priority`, and stands in where nothing is known yet.",
    ),
    now(
        "profiles.*.chains.*.providers[].cost",
        Shape::OneOrTable(Kind::Number(0.0, 1e9), Kind::Glob),
        Unset("after all known costs"),
        "Price per million calls, or a table by method pattern. `cheapest` ranks by it.",
    ),
    now(
        "profiles.*.chains.*.providers[].public",
        Shape::One(Kind::Flag),
        Is("false"),
        "A free public endpoint: its cost is 0.",
    ),
    now(
        "profiles.*.chains.*.providers[].headers",
        Shape::Table(Kind::HeaderName, Kind::SecretText),
        Is("{}"),
        "Headers of its requests. Values are secret.",
    ),
    now(
        "profiles.*.chains.*.providers[].archival",
        Shape::One(Kind::Flag),
        Is("true"),
        "Whether it has state older than `selection.archival_after_blocks`.",
    ),
    now("profiles.*.chains.*.providers[].rate_limit", Shape::Section, Unset("no limit"), "What it grants us."),
    now(
        "profiles.*.chains.*.providers[].rate_limit.requests_per_second",
        Shape::One(Kind::Number(0.001, 1e9)),
        Required,
        "We stay under it.",
    ),
    now("profiles.*.chains.*.providers[].capabilities", Shape::Section, Unset(""), "What it cannot do."),
    now(
        "profiles.*.chains.*.providers[].capabilities.unsupported_methods",
        Shape::List(Kind::Glob),
        Is("[]"),
        "Methods it does not serve.",
    ),
    now(
        "profiles.*.chains.*.providers[].capabilities.max_block_range",
        Shape::One(Kind::Whole(1, 1_000_000_000)),
        Unset("no limit until it is learned"),
        "Most blocks in one `eth_getLogs`.",
    ),
    now(
        "profiles.*.chains.*.providers[].capabilities.max_block_age",
        Shape::One(Kind::Whole(1, 1_000_000_000)),
        Unset("no limit until it is learned"),
        "Oldest block it has state for, in blocks behind the head.",
    ),
    now(
        "profiles.*.chains.*.providers[].capabilities.max_batch",
        Shape::One(Kind::Whole(1, 100_000)),
        Unset("100"),
        "Most calls in a batch it takes.",
    ),
    now(
        "profiles.*.chains.*.providers[].capabilities.subscriptions",
        Shape::List(Kind::Choice(SUBSCRIPTIONS)),
        Unset("all"),
        "Kinds of `eth_subscribe` that it serves over `ws_url`; `[]`: calls only.",
    ),
    now(
        "profiles.*.chains.*.providers[].capabilities.error_rules",
        Shape::Sections,
        Is("[]"),
        "Its own error dialect. These rules come before the built-in table; all that a rule gives must match.",
    ),
    now(
        "profiles.*.chains.*.providers[].capabilities.error_rules[].code",
        Shape::One(Kind::Integer),
        Unset("any code"),
        "JSON-RPC error code.",
    ),
    now(
        "profiles.*.chains.*.providers[].capabilities.error_rules[].message",
        Shape::One(Kind::Text),
        Unset("any message"),
        "Part of the message, in any case.",
    ),
    now(
        "profiles.*.chains.*.providers[].capabilities.error_rules[].category",
        Shape::One(Kind::Choice(CATEGORIES)),
        Required,
        "What such an error is.",
    ),
];
