//! What was, kept: over a day in memory, over a restart and a week on disk.
//!
//! ```text
//! store --Keep--> keeper (one thread) --> disk: lasso.sqlite in data_dir --> Restored, at the start
//! store --View--> recorder: differ -> detail (a day, in memory) --> History::query
//!                     '--minutes, hourly leaderboards--> keeper
//! ```
//!
//! Duty: persist what the store hands over, record what its views show, answer questions about both.
//! Invariant: nobody waits for the disk; without a `data_dir` everything works until the process ends.
//! Leaves to others: what breakers and evidence mean (the store), HTTP.

mod cell;
mod data_dir;
mod detail;
mod differ;
mod disk;
mod keeper;
mod leaderboard;
mod query;
mod recorder;
#[cfg(test)]
mod sample;
mod schema;
mod wall;

use std::path::{Path, PathBuf};

use lasso_routing::catalog::spec::Token;
use lasso_routing::fleet::saved::{SavedChannels, SavedEvidence};
use lasso_routing::time::Millis;
use tracing::{info, warn};

use crate::compile::Tokens;
use cell::Minute;
use data_dir::{DataDir, Refusal};
use disk::{Disk, Saved};
use wall::now_ms;

pub(crate) use keeper::{Keeper, Pace, Writer};
pub(crate) use query::{Hours, Past, Question, Unanswered};
pub(crate) use recorder::History;

/// Something that must survive a restart.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Keep {
    /// Breakers, marks and decisions: written at once.
    Channels(SavedChannels),
    /// Evidence: written every few seconds.
    Evidence(SavedEvidence),
}

/// What survived.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Restored {
    pub(crate) channels: SavedChannels,
    pub(crate) evidence: SavedEvidence,
    /// How long ago that was, by the wall clock.
    pub(crate) ago: Millis,
}

/// What there is at the start.
#[derive(Debug)]
pub(crate) struct Kept {
    /// `None` without a `data_dir`, or in a fresh one.
    pub(crate) restored: Option<Restored>,
    /// By which filters know probes, and the hub Envoys. The same in every start with the same `data_dir`.
    pub(crate) tokens: Tokens,
    /// Where the store and the recorder give what is to be kept. `None` without a `data_dir`.
    pub(crate) keeper: Option<Keeper>,
    /// To be stopped last, when nothing more comes.
    pub(crate) writer: Option<Writer>,
    /// For the recorder.
    day: Vec<Minute>,
    file: Option<PathBuf>,
}

impl Kept {
    /// Opens `data_dir` and reads what is there. The error names the key.
    pub(crate) fn open(data_dir: Option<&Path>, pace: Pace) -> anyhow::Result<Self> {
        let Some(path) = data_dir else {
            warn!("no data_dir (LASSO_DATA_DIR): breakers, marks, evidence and history do not survive a restart");
            let tokens = Tokens { probe: fresh_token()?, hub: fresh_token()? };
            return Ok(Self { restored: None, tokens, keeper: None, writer: None, day: Vec::new(), file: None });
        };
        let directory = DataDir::take(path)?;
        let mut disk = directory.open()?;
        let now = now_ms();
        let restored = restored(&disk, now)?;
        let probe = token(&mut disk, Saved::ProbeToken, now)?;
        let tokens = Tokens { probe, hub: token(&mut disk, Saved::HubToken, now)? };
        let day = disk.minutes(now / 60_000 - detail::KEPT_MINUTES.min(now / 60_000)).map_err(Refusal::from)?;
        let ago = restored.as_ref().map(|restored| restored.ago.0);
        info!(data_dir = %path.display(), restored_ms_ago = ago, minutes = day.len(), "kept from before");
        let file = Some(directory.file());
        let (keeper, writer) = Writer::start(directory, disk, pace)?;
        Ok(Self { restored, tokens, keeper: Some(keeper), writer: Some(writer), day, file })
    }
}

/// Both as of one moment: the later of the two writings.
fn restored(disk: &Disk, now: u64) -> Result<Option<Restored>, Refusal> {
    let channels: Option<(SavedChannels, u64)> = disk.saved(Saved::Channels)?;
    let evidence: Option<(SavedEvidence, u64)> = disk.saved(Saved::Evidence)?;
    let moments = [channels.as_ref().map(|(_, at)| *at), evidence.as_ref().map(|(_, at)| *at)];
    let Some(moment) = moments.into_iter().flatten().max() else { return Ok(None) };
    let channels = channels.map_or_else(SavedChannels::default, |(channels, at)| as_of(channels, moment - at));
    let mut evidence_then = SavedEvidence::default();
    if let Some((evidence, at)) = evidence {
        evidence_then = evidence;
        evidence_then.cells.iter_mut().for_each(|cell| cell.age_ms = cell.age_ms.saturating_add(moment - at));
    }
    Ok(Some(Restored { channels, evidence: evidence_then, ago: disk::age(moment, now) }))
}

/// What was left of openings and marks so much later.
fn as_of(mut saved: SavedChannels, later: u64) -> SavedChannels {
    for channel in &mut saved.channels {
        channel.open_ms = channel.open_ms.map(|left| left.saturating_sub(later));
        channel.limited_ms = channel.limited_ms.map(|left| left.saturating_sub(later)).filter(|left| *left > 0);
    }
    saved
}

fn token(disk: &mut Disk, what: Saved, now: u64) -> anyhow::Result<Token> {
    if let Some((token, _)) = disk.saved::<Token>(what).map_err(Refusal::from)? {
        return Ok(token);
    }
    let token = fresh_token()?;
    disk.save(what, &token, now).map_err(Refusal::from)?;
    Ok(token)
}

fn fresh_token() -> anyhow::Result<Token> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| anyhow::anyhow!("no randomness for a token: {error}"))?;
    Ok(Token::from(random))
}

#[cfg(test)]
mod tests;
