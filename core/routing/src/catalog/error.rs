//! What can be wrong with a catalog, and where.

use std::fmt;

/// A catalog that cannot be used: where, and what is wrong there. The first mistake found is reported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {mistake}")]
pub struct CatalogError {
    /// Path of what is wrong, as in `profiles[public].chains[ethereum].providers[alchemy].channels[0]`.
    pub path: String,
    /// What is wrong with it.
    pub mistake: Mistake,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mistake {
    /// A document of another shape.
    Version(u32),
    /// Nothing where at least one is needed.
    Empty,
    /// More than an index can count.
    TooMany(usize),
    /// A number below what makes sense.
    TooSmall {
        /// What it is.
        is: String,
        /// What it must be at least.
        at_least: u64,
    },
    /// A share that is not between 0 and 1.
    NotAShare(String),
    /// Not a price or rate: negative, infinite or not a number.
    NotAnAmount(String),
    /// A name that is taken.
    Duplicate(String),
    /// A name that the route table needs for itself.
    Reserved(String),
    /// A name with characters that do not belong in it.
    BadName(String),
    /// No channel of that id.
    UnknownChannel(String),
    /// No strategy of that name.
    UnknownStrategy(String),
    /// A header, path or authority that cannot be sent.
    Unsendable(&'static str),
    /// A channel that two chain ids claim.
    TwoChains {
        /// The chain id that it was first used for.
        first: u64,
        /// The other.
        other: u64,
    },
    /// Two values that exclude each other.
    Contradiction(&'static str),
    /// An error rule that cannot be read.
    ErrorRule(String),
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => {
                write!(f, "version {version} is not understood; this build reads {}", super::spec::CATALOG_VERSION)
            }
            Self::Empty => f.write_str("is empty; at least one is needed"),
            Self::TooMany(count) => write!(f, "{count} are too many; at most {}", u16::MAX),
            Self::TooSmall { is, at_least } => write!(f, "is {is}; must be at least {at_least}"),
            Self::NotAShare(value) => write!(f, "{value} is not a share; a number from 0 to 1"),
            Self::NotAnAmount(value) => write!(f, "{value} is not an amount; a finite number, not negative"),
            Self::Duplicate(name) => write!(f, "`{name}` is taken"),
            Self::Reserved(name) => write!(f, "`{name}` is a word of the route table; choose another name"),
            Self::BadName(name) => write!(f, "`{name}` is not a name; no spaces, slashes or control characters"),
            Self::UnknownChannel(name) => write!(f, "no channel `{name}`"),
            Self::UnknownStrategy(name) => {
                write!(f, "no strategy `{name}`; one of")?;
                crate::strategy::Strategy::ALL.iter().try_for_each(|strategy| write!(f, " {}", strategy.name()))
            }
            Self::Unsendable(why) => f.write_str(why),
            Self::TwoChains { first, other } => {
                write!(f, "this channel serves chain id {first} already; it cannot serve {other} too")
            }
            Self::Contradiction(what) => f.write_str(what),
            Self::ErrorRule(why) => f.write_str(why),
        }
    }
}
