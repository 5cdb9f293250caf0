//! Keys of a profile.

use super::super::{
    Absent::{Is, Required, Unset},
    Key, Kind, STRATEGIES, Shape,
};
use super::{MINUTE, later, now};

pub(super) const KEYS: &[Key] = &[
    now(
        "profiles",
        Shape::Named("profile"),
        Required,
        "What clients may name under `/rpc/profile/{profile}`; `public` is the one that needs no name in the \
         path. In a directory each file other than `lasso.yaml` is the profile of its name.",
    ),
    now(
        "profiles.*.strategy",
        Shape::One(Kind::Choice(STRATEGIES)),
        Unset("`defaults.strategy`"),
        "Strategy of the profile's chains.",
    ),
    now("profiles.*.explore", Shape::One(Kind::Flag), Unset("`defaults.explore`"), "Exploring in this profile."),
    later("profiles.*.rate_limit", Shape::Section, Unset("no limit"), "How much its clients may ask in all."),
    later(
        "profiles.*.rate_limit.requests_per_second",
        Shape::One(Kind::Number(0.001, 1e9)),
        Required,
        "Sustained rate of calls.",
    ),
    later(
        "profiles.*.rate_limit.burst",
        Shape::One(Kind::Whole(1, 1_000_000_000)),
        Unset("one second's worth"),
        "Calls at once.",
    ),
    now(
        "profiles.*.methods",
        Shape::Section,
        Unset(""),
        "Rules by method. Of several patterns that match, the longest counts.",
    ),
    now(
        "profiles.*.methods.block",
        Shape::List(Kind::Glob),
        Is("[]"),
        "Blocked in addition to the built-in list (`eth_sendTransaction`, `eth_sign*`, `eth_accounts`, \
         `personal_*`, `wallet_*`, `admin_*`, `miner_*`, `engine_*`, `eth_coinbase`, `eth_submit*`, \
         `eth_getWork`).",
    ),
    now(
        "profiles.*.methods.allow",
        Shape::List(Kind::Glob),
        Is("[]"),
        "Allowed although the built-in list or `block` has them.",
    ),
    now(
        "profiles.*.methods.timeouts",
        Shape::Table(Kind::Glob, Kind::Duration(100, 10 * MINUTE)),
        Is("{}"),
        "Total deadline instead of the built-in one (3 s for light methods, 5 s for calls, logs, receipts of a \
         block and transactions, 30 s and 45 s for traces, else 10 s).",
    ),
    now(
        "profiles.*.methods.strategies",
        Shape::Table(Kind::Glob, Kind::Choice(STRATEGIES)),
        Is("{}"),
        "Strategy for these methods instead of the chain's.",
    ),
    now(
        "profiles.*.methods.confirm_null",
        Shape::List(Kind::Text),
        Is("[]"),
        "Methods whose `null` is confirmed by one more provider, beside the built-in ones (blocks and \
         transactions by hash or number, receipts); `!name` takes one out.",
    ),
    now(
        "profiles.*.methods.broadcast",
        Shape::One(Kind::Whole(1, 10)),
        Is("1"),
        "To how many providers `eth_sendRawTransaction` goes at once. The first success wins.",
    ),
    now(
        "profiles.*.chains",
        Shape::Named("chain"),
        Required,
        "The chains of the profile, by the name that stands in the path.",
    ),
];
