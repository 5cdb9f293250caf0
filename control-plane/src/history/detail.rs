//! A day of detail, minute by minute.
//!
//! Duty: keep the last 24 h of every chain in cells, and sum them up for whoever asks.
//! Invariant: pure. At most [`MOST_CELLS`] cells for a chain of a profile (about 6 MB): over it the oldest hour that still has minutes is merged to five
//! minutes, and when none has any the oldest slot goes; both are counted. A chain without cells is forgotten.
//! Leaves to others: where cells come from (`differ`), what outlives us (`disk`).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::cell::{Cell, Minute, Series, add};

/// Cells that a chain of a profile may have: ten channels with six classes each, every minute of a day.
pub(crate) const MOST_CELLS: usize = 86_400;
/// How far back detail goes.
pub(crate) const KEPT_MINUTES: u64 = 24 * 60;
/// What an old hour's minutes are merged to.
const MERGED: u64 = 5;
const HOUR: u64 = 60;

/// All chains.
#[derive(Debug)]
pub(crate) struct Detail {
    chains: BTreeMap<(Box<str>, Box<str>), Slots>,
    most_cells: usize,
    lost: Lost,
}

/// What the bound cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct Lost {
    /// Hours whose minutes were merged.
    pub(crate) hours_merged: u64,
    /// Cells that were let go before their day was over.
    pub(crate) cells_dropped: u64,
}

/// One chain of one profile.
#[derive(Debug, Default)]
struct Slots {
    /// By the minute they start with; they do not overlap.
    slots: BTreeMap<u64, Slot>,
    cells: usize,
}

#[derive(Debug)]
struct Slot {
    minutes: u64,
    /// Sorted by series.
    cells: Vec<(Arc<Series>, Cell)>,
}

/// A sum over some minutes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Span {
    /// First minute.
    pub(crate) at: u64,
    pub(crate) minutes: u64,
    pub(crate) series: Arc<Series>,
    pub(crate) cell: Cell,
}

/// What is to be summed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    /// First minute.
    pub(crate) from: u64,
    /// Last minute.
    pub(crate) to: u64,
    /// Minutes to a span. A slot belongs whole to the span that it starts in.
    pub(crate) resolution: u64,
}

impl Default for Detail {
    fn default() -> Self {
        Self::bounded(MOST_CELLS)
    }
}

impl Detail {
    fn bounded(most_cells: usize) -> Self {
        Self { chains: BTreeMap::new(), most_cells, lost: Lost::default() }
    }

    /// Takes a minute in. One that was there before (the clock went back) is added to.
    pub(crate) fn add(&mut self, minute: &Minute) {
        for (series, cell) in &minute.cells {
            let chain = (series.profile.clone(), series.chain.clone());
            self.chains.entry(chain).or_default().add(minute.at, series, *cell);
        }
        for slots in self.chains.values_mut() {
            slots.forget_before(minute.at.saturating_sub(KEPT_MINUTES - 1));
            slots.shrink(self.most_cells, &mut self.lost);
        }
        self.chains.retain(|_, slots| slots.cells > 0);
    }

    /// Sums over the window, oldest first, for the series that `wanted` holds for.
    pub(crate) fn spans(
        &self,
        (profile, chain): (&str, &str),
        window: Window,
        wanted: impl Fn(&Series) -> bool,
    ) -> Vec<Span> {
        let Some(slots) = self.chains.get(&(profile.into(), chain.into())) else { return Vec::new() };
        let mut spans: BTreeMap<u64, Slot> = BTreeMap::new();
        if window.from > window.to {
            return Vec::new();
        }
        let resolution = window.resolution.max(1);
        for (at, slot) in slots.slots.range(window.from..=window.to) {
            let minutes = resolution.max(slot.minutes);
            let span = spans.entry(at / resolution * resolution).or_insert(Slot { minutes, cells: Vec::new() });
            span.minutes = minutes;
            let cells = slot.cells.iter().filter(|(series, _)| wanted(series));
            cells.for_each(|(series, cell)| add(&mut span.cells, series, *cell));
        }
        let spread = |(at, slot): (u64, Slot)| {
            let minutes = slot.minutes;
            slot.cells.into_iter().map(move |(series, cell)| Span { at, minutes, series, cell })
        };
        spans.into_iter().flat_map(spread).collect()
    }

    pub(crate) const fn lost(&self) -> Lost {
        self.lost
    }
}

impl Slots {
    fn add(&mut self, minute: u64, series: &Arc<Series>, cell: Cell) {
        let covering = self.slots.range(..=minute).next_back();
        let start =
            covering.filter(|(start, slot)| **start + slot.minutes > minute).map_or(minute, |(start, _)| *start);
        let slot = self.slots.entry(start).or_insert(Slot { minutes: 1, cells: Vec::new() });
        let before = slot.cells.len();
        add(&mut slot.cells, series, cell);
        self.cells += slot.cells.len() - before;
    }

    fn forget_before(&mut self, oldest: u64) {
        while let Some(first) = self.slots.first_entry().filter(|first| first.key() + first.get().minutes <= oldest) {
            self.cells -= first.remove().cells.len();
        }
    }

    fn shrink(&mut self, most_cells: usize, lost: &mut Lost) {
        while self.cells > most_cells {
            if self.merge_oldest_hour() {
                lost.hours_merged += 1;
            } else if let Some((_, slot)) = self.slots.pop_first() {
                self.cells -= slot.cells.len();
                lost.cells_dropped += slot.cells.len() as u64;
            } else {
                return;
            }
        }
    }

    /// `false`: no hour has minutes any more.
    fn merge_oldest_hour(&mut self) -> bool {
        let Some(oldest) = self.slots.iter().find(|(_, slot)| slot.minutes == 1).map(|(start, _)| *start) else {
            return false;
        };
        let hour = oldest / HOUR * HOUR;
        let starts: Vec<u64> = self.slots.range(oldest..hour + HOUR).map(|(start, _)| *start).collect();
        for start in starts {
            let Some(slot) = self.slots.remove(&start) else { continue };
            self.cells -= slot.cells.len();
            let merged = start / MERGED * MERGED;
            let into = self.slots.entry(merged).or_insert(Slot { minutes: MERGED, cells: Vec::new() });
            let before = into.cells.len();
            slot.cells.iter().for_each(|(series, cell)| add(&mut into.cells, series, *cell));
            self.cells += into.cells.len() - before;
        }
        true
    }
}

#[cfg(test)]
mod tests;
