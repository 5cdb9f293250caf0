//! What of a fleet outlives a panic of the task that owns it.
//!
//! Invariant: channels are from the last change, evidence from [`super::EVIDENCE_EVERY`] ago at most; both are handed out as of one instant.

use std::sync::{Mutex, PoisonError};

use lasso_routing::fleet::saved::{SavedChannels, SavedEvidence};
use lasso_routing::time::Millis;
use tokio::time::Instant;

use crate::history::Restored;

#[derive(Debug)]
pub(super) struct Checkpoint(Mutex<Option<Saved>>);

#[derive(Debug)]
struct Saved {
    channels: SavedChannels,
    channels_at: Instant,
    evidence: SavedEvidence,
    evidence_at: Instant,
    /// How old all that was when it was saved: it survived a restart of the process.
    before: Millis,
}

impl Checkpoint {
    pub(super) fn new(restored: Option<Restored>) -> Self {
        let now = Instant::now();
        Self(Mutex::new(restored.map(|Restored { channels, evidence, ago }| Saved {
            channels,
            channels_at: now,
            evidence,
            evidence_at: now,
            before: ago,
        })))
    }

    /// Everything.
    pub(super) fn save(&self, channels: SavedChannels, evidence: SavedEvidence) {
        let now = Instant::now();
        let saved = Saved { channels, channels_at: now, evidence, evidence_at: now, before: Millis(0) };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(saved);
    }

    /// Only what changed at once.
    pub(super) fn save_channels(&self, channels: SavedChannels) {
        let now = Instant::now();
        let mut place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (evidence, evidence_at) = match place.take() {
            Some(saved) => (grown_older(saved.evidence, saved.before), saved.evidence_at),
            None => (SavedEvidence::default(), now),
        };
        *place = Some(Saved { channels, channels_at: now, evidence, evidence_at, before: Millis(0) });
    }

    /// What a fleet goes on from.
    pub(super) fn restored(&self) -> Option<Restored> {
        let place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let saved = place.as_ref()?;
        let between = millis(saved.channels_at.saturating_duration_since(saved.evidence_at));
        let ago = millis(saved.channels_at.elapsed()).0.saturating_add(saved.before.0);
        Some(Restored {
            channels: saved.channels.clone(),
            evidence: grown_older(saved.evidence.clone(), between),
            ago: Millis(ago),
        })
    }
}

fn grown_older(mut evidence: SavedEvidence, by: Millis) -> SavedEvidence {
    for cell in &mut evidence.cells {
        cell.age_ms = cell.age_ms.saturating_add(by.0);
    }
    evidence
}

fn millis(length: std::time::Duration) -> Millis {
    Millis(u64::try_from(length.as_millis()).unwrap_or(u64::MAX))
}
