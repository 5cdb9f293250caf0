//! What must be there until this control plane is of use.
//!
//! Duty: name the parts that are still missing. Each is named before the API listens, and comes once.
//! Leaves to others: being there; whether the store answers (`http`).

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::watch;

/// The configuration is in effect, and everything that Envoys get of it is encoded.
pub(crate) const CONFIGURATION: &str = "configuration";
/// The store is restored.
pub(crate) const STORE: &str = "store";
/// WebSockets are served.
pub(crate) const HUB: &str = "hub";
/// Envoys are served: their configuration,
pub(crate) const ADS: &str = "ads";
/// and the streams of their workers.
pub(crate) const SYNC: &str = "sync";

/// The parts that are missing. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Readiness(Arc<watch::Sender<BTreeSet<&'static str>>>);

impl Readiness {
    /// Nothing of this is there yet.
    pub(crate) fn of(parts: &[&'static str]) -> Self {
        Self(Arc::new(watch::Sender::new(parts.iter().copied().collect())))
    }

    /// That part is there.
    pub(crate) fn has(&self, part: &'static str) {
        self.0.send_modify(|missing| {
            missing.remove(part);
        });
    }

    /// What is missing, by name.
    pub(crate) fn missing(&self) -> Vec<String> {
        self.0.borrow().iter().map(|part| (*part).to_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_missing_until_they_come() {
        let readiness = Readiness::of(&[STORE, ADS]);
        assert_eq!(readiness.missing(), ["ads", "store"]);
        readiness.clone().has(STORE);
        readiness.has(SYNC);
        assert_eq!(readiness.missing(), ["ads"]);
        readiness.has(ADS);
        assert!(readiness.missing().is_empty());
    }
}
