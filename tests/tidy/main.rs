//! The house rules as tests.
//!
//! Duty: say with file, line, rule and remedy where the tree departs from what ARCHITECTURE.md and CONTRIBUTING.md promise.
//! Invariant: every rule is a function of a [`tree::Tree`] and has a self-test over a bad example, so a rule that no longer
//! fires is noticed. No network; the only processes are `git ls-files` and `cargo metadata --offline`.
//! Leaves to others: what the compiler, clippy and rustfmt can say (lints in Cargo.toml, clippy.toml, core/clippy.toml).

mod breach;
mod documents;
mod edges;
mod leftovers;
mod map;
mod modules;
mod names;
mod purity;
mod rust;
mod tree;
mod words;
