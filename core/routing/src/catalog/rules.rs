//! Rules by method, looked up once for each known method when the catalog is made.
//!
//! Duty: globs to tables. A known method (or class) is an index; an unknown one is matched against the globs when it is asked for.
//! Invariant: the longest matching pattern wins; of `block` and `allow` patterns of the same length, `allow`.
//! Leaves to others: built-in properties of methods (`lasso-jsonrpc`).

use std::collections::BTreeMap;

use lasso_jsonrpc::block::Blocks;
use lasso_jsonrpc::method::{Method, MethodClass, glob};

use super::spec::{CostSpec, MethodRulesSpec};
use crate::strategy::Strategy;
use crate::time::Millis;

/// What holds for a method in a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MethodRule {
    /// Answered with an error here, never sent.
    pub blocked: bool,
    /// Total deadline.
    pub deadline: Millis,
    /// Strategy instead of the chain's.
    pub strategy: Option<Strategy>,
    /// A `null` result is confirmed by one more channel.
    pub confirms_null: bool,
}

/// The rules of a profile.
#[derive(Debug, Clone)]
pub(crate) struct MethodRules {
    globs: Globs,
    /// By class; only entries of classes that stand for one known method are meant to be read.
    table: Box<[MethodRule]>,
}

#[derive(Debug, Clone)]
struct Globs {
    block: Vec<Box<str>>,
    allow: Vec<Box<str>>,
    timeouts: Vec<(Box<str>, Millis)>,
    strategies: Vec<(Box<str>, Strategy)>,
    confirm_null: Vec<(Box<str>, bool)>,
}

impl MethodRules {
    /// The strategies were checked before.
    pub(super) fn new(spec: &MethodRulesSpec, strategies: Vec<(Box<str>, Strategy)>) -> Self {
        let boxed = |patterns: &[String]| patterns.iter().map(|pattern| pattern.as_str().into()).collect();
        let globs = Globs {
            block: boxed(&spec.block),
            allow: boxed(&spec.allow),
            timeouts: spec.timeouts_ms.iter().map(|(glob, &ms)| (glob.as_str().into(), Millis(ms.into()))).collect(),
            strategies,
            confirm_null: spec
                .confirm_null
                .iter()
                .map(|pattern| match pattern.strip_prefix('!') {
                    Some(without) => (without.into(), false),
                    None => (pattern.as_str().into(), true),
                })
                .collect(),
        };
        let table = MethodClass::all().map(|class| globs.rule(&Method::of(name_of(class)))).collect();
        Self { globs, table }
    }

    pub(super) fn of(&self, method: &Method<'_>) -> MethodRule {
        let row = Keyed::of(method).class.and_then(|class| self.table.get(class.index()));
        row.copied().unwrap_or_else(|| self.globs.rule(method))
    }
}

impl Globs {
    fn rule(&self, method: &Method<'_>) -> MethodRule {
        let name = method.name();
        MethodRule {
            blocked: self.blocks(method),
            deadline: longest(&self.timeouts, name).unwrap_or(Millis(method.deadline().into())),
            strategy: longest(&self.strategies, name),
            confirms_null: longest(&self.confirm_null, name).unwrap_or_else(|| method.confirms_null()),
        }
    }

    fn blocks(&self, method: &Method<'_>) -> bool {
        let longest = |globs: &[Box<str>]| {
            globs.iter().filter(|pattern| glob(pattern, method.name())).map(|pattern| pattern.len()).max()
        };
        match (longest(&self.block), longest(&self.allow)) {
            (Some(block), Some(allow)) => block > allow,
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (None, None) => method.blocked_by_default(),
        }
    }
}

/// The value of the longest pattern that matches.
fn longest<T: Copy>(globs: &[(Box<str>, T)], name: &str) -> Option<T> {
    let matching = globs.iter().filter(|(pattern, _)| glob(pattern, name));
    matching.max_by_key(|(pattern, _)| pattern.len()).map(|&(_, value)| value)
}

/// The method that a class stands for; `eth_getLogs` has three.
pub(crate) fn name_of(class: MethodClass) -> &'static str {
    let name = class.name();
    name.split_once(['<', '>']).map_or(name, |(method, _)| method)
}

/// A method with its key in these tables: its own class if it is a known one. Not the class of the call: a batch has one of its own, and
/// its methods keep theirs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keyed<'a> {
    name: &'a str,
    class: Option<MethodClass>,
}

impl<'a> Keyed<'a> {
    pub(crate) fn of(method: &Method<'a>) -> Self {
        let class = method.is_known().then(|| MethodClass::of(method, &Blocks::None));
        Self { name: method.name(), class }
    }
}

/// Which methods, by globs.
#[derive(Debug, Clone)]
pub(crate) struct MethodSet {
    globs: Vec<Box<str>>,
    classes: u128,
}

// The set of known methods is one word.
const _: () = assert!(MethodClass::COUNT <= 128);

impl MethodSet {
    pub(super) fn new(globs: &[String]) -> Self {
        let matches = |name: &str| globs.iter().any(|pattern| glob(pattern, name));
        let classes =
            MethodClass::all().filter(|&class| matches(name_of(class))).fold(0, |set, class| set | bit(class));
        Self { globs: globs.iter().map(|pattern| pattern.as_str().into()).collect(), classes }
    }

    pub(crate) fn has(&self, method: Keyed<'_>) -> bool {
        match method.class {
            Some(class) => self.classes & bit(class) != 0,
            None => self.globs.iter().any(|pattern| glob(pattern, method.name)),
        }
    }
}

fn bit(class: MethodClass) -> u128 {
    1_u128.checked_shl(u32::try_from(class.index()).unwrap_or(u32::MAX)).unwrap_or(0)
}

/// Prices of a provider. Unknown ones are infinite, so that they stand after all known ones.
#[derive(Debug, Clone)]
pub(crate) enum Costs {
    Flat(f64),
    ByMethod { globs: Vec<(Box<str>, f64)>, table: Box<[f64]> },
}

impl Costs {
    pub(super) fn new(spec: Option<&CostSpec>) -> Self {
        match spec {
            None => Self::Flat(f64::INFINITY),
            Some(CostSpec::Flat(cost)) => Self::Flat(*cost),
            Some(CostSpec::ByMethod(by_glob)) => {
                let globs = as_list(by_glob);
                let table = MethodClass::all().map(|class| price(&globs, name_of(class))).collect();
                Self::ByMethod { globs, table }
            }
        }
    }

    pub(crate) fn of(&self, method: Keyed<'_>) -> f64 {
        match self {
            Self::Flat(cost) => *cost,
            Self::ByMethod { globs, table } => method
                .class
                .and_then(|class| table.get(class.index()).copied())
                .unwrap_or_else(|| price(globs, method.name)),
        }
    }
}

fn as_list(by_glob: &BTreeMap<String, f64>) -> Vec<(Box<str>, f64)> {
    by_glob.iter().map(|(pattern, &cost)| (pattern.as_str().into(), cost)).collect()
}

fn price(globs: &[(Box<str>, f64)], name: &str) -> f64 {
    longest(globs, name).unwrap_or(f64::INFINITY)
}
