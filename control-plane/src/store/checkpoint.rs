//! What of a fleet outlives a panic of the task that owns it.
//!
//! Invariant: channels are from the last change, evidence from [`super::EVIDENCE_EVERY`] ago at most; both are handed out as of one instant. Sockets
//! are as the hub said last, which says it once: they outlive the task, and not the process, whose hub ends with it.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use lasso_routing::fleet::saved::{SavedChannels, SavedEvidence};
use lasso_routing::time::Millis;
use tokio::time::Instant;

use crate::history::Restored;

#[derive(Debug)]
pub(super) struct Checkpoint {
    saved: Mutex<Option<Saved>>,
    /// Channels that have a socket, by id.
    sockets: Mutex<BTreeSet<Box<str>>>,
}

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
        let saved = restored.map(|Restored { channels, evidence, ago }| Saved {
            channels,
            channels_at: now,
            evidence,
            evidence_at: now,
            before: ago,
        });
        Self { saved: Mutex::new(saved), sockets: Mutex::default() }
    }

    /// A socket came or went.
    pub(super) fn note_socket(&self, channel: &str, connected: bool) {
        let mut sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        if connected {
            sockets.insert(channel.into());
        } else {
            sockets.remove(channel);
        }
    }

    /// Channels that have a socket.
    pub(super) fn sockets(&self) -> BTreeSet<Box<str>> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Everything.
    pub(super) fn save(&self, channels: SavedChannels, evidence: SavedEvidence) {
        let now = Instant::now();
        let saved = Saved { channels, channels_at: now, evidence, evidence_at: now, before: Millis(0) };
        *self.saved.lock().unwrap_or_else(PoisonError::into_inner) = Some(saved);
    }

    /// Only what changed at once.
    pub(super) fn save_channels(&self, channels: SavedChannels) {
        let now = Instant::now();
        let mut place = self.saved.lock().unwrap_or_else(PoisonError::into_inner);
        let (evidence, evidence_at) = match place.take() {
            Some(saved) => (grown_older(saved.evidence, saved.before), saved.evidence_at),
            None => (SavedEvidence::default(), now),
        };
        *place = Some(Saved { channels, channels_at: now, evidence, evidence_at, before: Millis(0) });
    }

    /// What a fleet goes on from.
    pub(super) fn restored(&self) -> Option<Restored> {
        let place = self.saved.lock().unwrap_or_else(PoisonError::into_inner);
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
