//! Keys of a chain.

use super::super::{
    Absent::{Is, Required, Unset},
    Key, Kind, STRATEGIES, Shape,
};
use super::{HOUR, MINUTE, now};

pub(super) const KEYS: &[Key] = &[
    now(
        "profiles.*.chains.*.chain_id",
        Shape::One(Kind::Whole(1, u64::MAX >> 1)),
        Required,
        "EIP-155 id. It stands in the path as well.",
    ),
    now("profiles.*.chains.*.aliases", Shape::List(Kind::Name), Is("[]"), "Other names in the path."),
    now("profiles.*.chains.*.hosts", Shape::List(Kind::Host), Is("[]"), "Host names on which `/` means this chain."),
    now(
        "profiles.*.chains.*.strategy",
        Shape::One(Kind::Choice(STRATEGIES)),
        Unset("the profile's"),
        "Strategy of this chain.",
    ),
    now(
        "profiles.*.chains.*.block_time",
        Shape::One(Kind::Duration(10, HOUR)),
        Unset("12s until measured"),
        "Expected time between blocks.",
    ),
    now("profiles.*.chains.*.selection", Shape::Section, Unset(""), "Who is out, and when."),
    now(
        "profiles.*.chains.*.selection.max_lag_blocks",
        Shape::One(Kind::Auto(&Kind::Whole(0, 1_000_000))),
        Is("auto"),
        "A provider further behind the best head is out. `auto`: the blocks of 3 s, at least 2.",
    ),
    now(
        "profiles.*.chains.*.selection.archival_after_blocks",
        Shape::One(Kind::Whole(0, 100_000_000)),
        Is("128"),
        "A block this far behind the head needs an archival provider.",
    ),
    now(
        "profiles.*.chains.*.subscriptions",
        Shape::Section,
        Unset(""),
        "Subscriptions (`eth_subscribe`) of its WebSocket clients.",
    ),
    now(
        "profiles.*.chains.*.subscriptions.fill",
        Shape::One(Kind::Flag),
        Is("true"),
        "Whether blocks and logs missed in a failover are fetched and delivered.",
    ),
    now(
        "profiles.*.chains.*.subscriptions.max_fill_blocks",
        Shape::One(Kind::Whole(1, 100_000)),
        Is("256"),
        "Longest gap that is filled, in blocks. Over it the client is told, and its socket closed: it subscribes again.",
    ),
    now(
        "profiles.*.chains.*.subscriptions.fill_timeout",
        Shape::One(Kind::Duration(100, 10 * MINUTE)),
        Is("30s"),
        "Time for a fill, retries with other providers included.",
    ),
    now(
        "profiles.*.chains.*.subscriptions.subscribe_timeout",
        Shape::One(Kind::Duration(100, 10 * MINUTE)),
        Is("10s"),
        "Time for a subscription to go live; after it the client gets an error.",
    ),
    now(
        "profiles.*.chains.*.subscriptions.stale_after",
        Shape::One(Kind::Auto(&Kind::Duration(500, HOUR))),
        Is("auto"),
        "A feed without an event for this long has failed. `auto`: 3.5 block times, at least 5 s.",
    ),
    now(
        "profiles.*.chains.*.subscriptions.linger",
        Shape::One(Kind::Duration(0, HOUR)),
        Is("60s"),
        "How long a feed outlives its last subscriber.",
    ),
    now("profiles.*.chains.*.breaker", Shape::Section, Unset(""), "When a channel of this chain is left alone."),
    now(
        "profiles.*.chains.*.breaker.failures",
        Shape::One(Kind::Whole(1, 1_000)),
        Is("5"),
        "Blamed failures in a row that open it.",
    ),
    now("profiles.*.chains.*.breaker.recovery", Shape::Section, Unset(""), "How long it stays open."),
    now(
        "profiles.*.chains.*.breaker.recovery.min",
        Shape::One(Kind::Duration(50, HOUR)),
        Is("1s"),
        "First opening; it doubles with each opening in a row.",
    ),
    now(
        "profiles.*.chains.*.breaker.recovery.max",
        Shape::One(Kind::Duration(50, 24 * HOUR)),
        Is("60s"),
        "Longest opening.",
    ),
    now(
        "profiles.*.chains.*.breaker.successes",
        Shape::One(Kind::Whole(1, 100)),
        Is("2"),
        "Successes in a row that close it from half-open.",
    ),
];
