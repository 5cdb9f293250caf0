//! What outlives a restart.
//!
//! Invariant: plain data; times are lengths left and ages at the moment of saving, so that whoever restores says how long ago that was.

use serde::{Deserialize, Serialize};

use super::event::Manual;

/// Breakers, marks and decisions of people; written whenever one changes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SavedChannels {
    /// Those that are not as they start.
    pub channels: Vec<SavedChannel>,
}

/// One channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SavedChannel {
    /// Its id.
    pub channel: String,
    /// Open: for how many more milliseconds. 0: half-open. `None`: closed.
    pub open_ms: Option<u64>,
    /// Name of the category that opened it.
    pub because: Option<String>,
    /// Openings in a row.
    pub opens: u32,
    /// What a person said: `open`, `close` or `auto`.
    pub manual: SavedManual,
    /// Milliseconds that its rate-limit mark lasts.
    pub limited_ms: Option<u64>,
    /// Marks in a row whose length was made up.
    pub own_marks: u32,
    /// It answers for another chain.
    pub wrong_chain: bool,
}

/// [`Manual`] on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SavedManual {
    /// Open.
    Open,
    /// Closed.
    Close,
    /// As outcomes say.
    #[default]
    Auto,
}

impl From<Manual> for SavedManual {
    fn from(manual: Manual) -> Self {
        match manual {
            Manual::Open => Self::Open,
            Manual::Close => Self::Close,
            Manual::Auto => Self::Auto,
        }
    }
}

impl From<SavedManual> for Manual {
    fn from(manual: SavedManual) -> Self {
        match manual {
            SavedManual::Open => Self::Open,
            SavedManual::Close => Self::Close,
            SavedManual::Auto => Self::Auto,
        }
    }
}

/// Evidence; written every few seconds.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SavedEvidence {
    /// One for each (profile, chain, channel, class) with evidence.
    pub cells: Vec<SavedCell>,
}

/// Evidence of one class on one channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SavedCell {
    /// Profile.
    pub profile: String,
    /// Chain.
    pub chain: String,
    /// Channel.
    pub channel: String,
    /// The class's name.
    pub class: String,
    /// Mean latency, microseconds.
    pub mean: f32,
    /// Weight, successes and failures, `age_ms` before saving.
    pub weight: f32,
    /// See `weight`.
    pub successes: f32,
    /// See `weight`.
    pub failures: f32,
    /// Blamed failures in a row.
    pub failures_in_a_row: u8,
    /// Milliseconds since it changed.
    pub age_ms: u64,
    /// The histogram, as (bucket, count).
    pub latencies: Vec<(u8, u32)>,
}
