//! The keys of the configuration: one table that checks files, fills defaults and writes `docs/configuration.md`.
//!
//! Duty: say for every key what it takes, what it is when absent, what it means, and whether it does something yet.
//! Invariant: a key that is not here is an error in a file, and a key that is here is documented.
//! Leaves to others: walking a file along the table (`checked`), rules between keys (`decode`).
//!
//! Paths: `*` stands for a name that the user gives, `[]` for the items of a list.

mod keys;

#[cfg(test)]
pub(crate) use keys::CATEGORIES;
pub(crate) use keys::{SUBSCRIPTIONS, all};

/// The strategies of the router, in the order in which they are explained.
pub(crate) const STRATEGIES: &[&str] =
    &["fastest", "latency-weighted", "load-balanced", "round-robin", "priority", "cheapest"];

/// The path of the providers of a chain: what an unset variable switches off.
pub(crate) const PROVIDERS: &str = "profiles.*.chains.*.providers[]";

/// One key.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) path: &'static str,
    pub(crate) shape: Shape,
    pub(crate) absent: Absent,
    pub(crate) meaning: &'static str,
    pub(crate) effect: Effect,
}

/// Whether this build does something with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    Now,
    /// Checked as strictly, and listed by `lasso check` as not in effect yet.
    Later,
}

/// What holds when a key is absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Absent {
    Required,
    /// Nothing is set; the text says what happens then.
    Unset(&'static str),
    /// As if this had been written.
    Is(&'static str),
}

/// How the values of a key are arranged.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shape {
    /// A mapping with the keys of this table.
    Section,
    /// A mapping of names that the user gives to sections. The text is what one of them is.
    Named(&'static str),
    /// A list of sections.
    Sections,
    One(Kind),
    List(Kind),
    /// A mapping of keys that the user gives to values.
    Table(Kind, Kind),
    /// A value, or a mapping of keys that the user gives to such values.
    OneOrTable(Kind, Kind),
}

/// What one value is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// The word `auto`, or the value.
    Auto(&'static Self),
    Flag,
    Choice(&'static [&'static str]),
    /// A whole number in a range, both ends included.
    Whole(u64, u64),
    /// A whole number of 32 bits, negative ones included.
    Integer,
    Number(f64, f64),
    /// Milliseconds in a range; written `500ms`, `12s`, `1m`, `2h`.
    Duration(u64, u64),
    Text,
    /// A name that can stand in a URL's path.
    Name,
    Host,
    /// `IP:port`.
    Address,
    /// `IP:port` on this machine: what goes over it is neither encrypted nor authenticated.
    LoopbackAddress,
    /// A URL with one of these schemes, or a vendor's shorthand. Secret beyond its host.
    Url(&'static [&'static str]),
    /// A method, or a pattern with `*`.
    Glob,
    HeaderName,
    /// Never shown.
    SecretText,
}

/// The keys right below a path.
pub(crate) fn children(parent: &str) -> impl Iterator<Item = (&'static str, &'static Key)> {
    all().filter_map(move |key| {
        let rest = key.path.strip_prefix(parent)?;
        let name = if parent.is_empty() { rest } else { rest.strip_prefix('.')? };
        (!name.is_empty() && !name.contains(['.', '['])).then_some((name, key))
    })
}

impl Shape {
    /// What the key takes, in words, for messages and the reference.
    pub(crate) fn wants(&self) -> String {
        match self {
            Self::Section => "a mapping".to_owned(),
            Self::Named(what) => format!("a mapping with one entry for each {what}"),
            Self::Sections => "a list of mappings".to_owned(),
            Self::One(kind) => kind.wants(),
            Self::List(kind) => format!("a list, each {}", kind.wants()),
            Self::Table(key, value) => format!("a mapping of {} to {}", key.wants(), value.wants()),
            Self::OneOrTable(one, key) => format!("{}, or a mapping of {} to one", one.wants(), key.wants()),
        }
    }
}

impl Kind {
    /// What the value is, in words.
    pub(crate) fn wants(&self) -> String {
        match self {
            Self::Auto(kind) => format!("`auto` or {}", kind.wants()),
            Self::Flag => "`true` or `false`".to_owned(),
            Self::Choice(words) => format!("one of {}", listed(words)),
            Self::Whole(min, max) => format!("a whole number from {min} to {max}"),
            Self::Integer => "a whole number".to_owned(),
            Self::Number(min, max) => format!("a number from {min} to {max}"),
            Self::Duration(min, max) => {
                format!("a duration from {} to {}, like `500ms`, `12s`, `1m`, `2h`", duration(*min), duration(*max))
            }
            Self::Text => "a text".to_owned(),
            Self::Name => "a name of at most 64 letters, digits, `-`, `_` and `.`".to_owned(),
            Self::Host => "a host name like `eth.example.com`".to_owned(),
            Self::Address => "an address like `0.0.0.0:10000`".to_owned(),
            Self::LoopbackAddress => "an address of this machine like `127.0.0.1:18000`".to_owned(),
            Self::Url(schemes) => {
                let plain: Vec<_> = schemes.iter().map(|scheme| format!("`{scheme}://host/path`")).collect();
                format!("a URL like {} or a vendor's shorthand like `alchemy://${{KEY}}`", plain.join(" or "))
            }
            Self::Glob => "a method like `eth_call` or a pattern like `debug_*`".to_owned(),
            Self::HeaderName => "a header name".to_owned(),
            Self::SecretText => "a text (secret)".to_owned(),
        }
    }

    /// Whether its values stay out of messages and of `lasso check`.
    pub(crate) fn is_secret(&self) -> bool {
        matches!(self, Self::Url(_) | Self::SecretText)
    }
}

/// "`a`, `b`, `c`".
pub(crate) fn listed(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

/// Milliseconds as one would write them.
pub(crate) fn duration(millis: u64) -> String {
    match millis {
        0 => "0s".to_owned(),
        ms if ms % 3_600_000 == 0 => format!("{}h", ms / 3_600_000),
        ms if ms % 60_000 == 0 => format!("{}m", ms / 60_000),
        ms if ms % 1_000 == 0 => format!("{}s", ms / 1_000),
        ms => format!("{ms}ms"),
    }
}
