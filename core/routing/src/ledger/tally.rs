//! What attempts add up to, for the next report: by seat.
//!
//! Duty: one line for each seat that had traffic since the last report. Lines keep their memory from report to report, so adding an attempt
//! allocates nothing in the long run.
//! Invariant: an attempt is in exactly one line. There are at most [`MOST_TALLIES`] lines by class; what would need another is counted under
//! `other`, one line a channel and chain.
//! Leaves to others: names ([`super::archive`]), when a report is made ([`super::reporting`]).

use std::collections::BTreeMap;

use lasso_jsonrpc::method::MethodClass;

use super::Book;
use crate::catalog::ChainIdx;
use crate::evidence::bucket_of;
use crate::outcome::{Row, Verdict};
use crate::report::{Ending, MOST_TALLIES, Sums};
use crate::time::Micros;

/// Number of a line, as a seat remembers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LineNo(u16);

const _: () = assert!(MOST_TALLIES < u16::MAX as usize);

impl Default for LineNo {
    fn default() -> Self {
        Self::NONE
    }
}

impl LineNo {
    const NONE: Self = Self(u16::MAX);
}

/// Whose attempts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spot {
    pub(super) chain: ChainIdx,
    pub(super) class: MethodClass,
    pub(super) place: usize,
}

/// An attempt's end, as it is counted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ended {
    pub(super) ending: Ending,
    pub(super) latency: Micros,
    timed_out: bool,
}

impl Ended {
    pub(super) fn of(verdict: &Verdict, latency: Micros) -> Self {
        Self { ending: Ending::from(verdict), latency, timed_out: verdict.row == Row::TimedOut }
    }

    const fn shows_latency(&self) -> bool {
        self.timed_out || matches!(self.ending, Ending::Success)
    }
}

#[derive(Debug)]
struct Line {
    spot: Spot,
    sums: Sums,
}

/// The lines since the last report.
#[derive(Debug, Default)]
pub(super) struct Sheet {
    lines: Vec<Line>,
    used: usize,
    /// What was counted under `other` for want of a line, by chain and place.
    coarse: BTreeMap<(ChainIdx, usize), Sums>,
}

impl Sheet {
    /// Adds an attempt to the line of a seat. False when there was no room for another line and it went under `other`.
    pub(super) fn add(&mut self, line: &mut LineNo, spot: Spot, ended: &Ended) -> bool {
        if *line == LineNo::NONE {
            if self.used >= MOST_TALLIES {
                count(self.coarse.entry((spot.chain, spot.place)).or_default(), ended);
                return false;
            }
            *line = LineNo(self.used as u16);
            match self.lines.get_mut(self.used) {
                Some(spare) => spare.spot = spot,
                None => self.lines.push(Line { spot, sums: Sums::default() }),
            }
            self.used += 1;
        }
        if let Some(line) = self.lines.get_mut(usize::from(line.0)) {
            add(&mut line.sums, ended);
        }
        true
    }

    /// Whose sums are on it.
    pub(super) fn lines(&self) -> impl Iterator<Item = (Spot, &Sums)> {
        let lines = self.lines.iter().take(self.used).map(|line| (line.spot, &line.sums));
        let spot = |(chain, place): (ChainIdx, usize)| Spot { chain, class: MethodClass::OTHER, place };
        lines.chain(self.coarse.iter().map(move |(key, sums)| (spot(*key), sums)))
    }

    /// Takes a line off the sheet and gives its seat up; the line's memory stays.
    pub(super) fn draw(&mut self, books: &mut [Book]) -> Option<(Spot, Sums)> {
        if let Some(last) = self.used.checked_sub(1) {
            let line = self.lines.get_mut(last)?;
            self.used = last;
            let spot = line.spot;
            let seat = books.get_mut(spot.chain.index()).and_then(|book| book.seat(spot.class, spot.place));
            if let Some(seat) = seat {
                seat.line = LineNo::NONE;
            }
            let sums = line.sums.clone();
            clear(&mut line.sums);
            return Some((spot, sums));
        }
        let ((chain, place), sums) = self.coarse.pop_first()?;
        Some((Spot { chain, class: MethodClass::OTHER, place }, sums))
    }
}

fn clear(sums: &mut Sums) {
    let mut latencies = std::mem::take(&mut sums.latencies);
    latencies.clear();
    *sums = Sums { latencies, ..Sums::default() };
}

/// Adds an attempt.
pub(super) fn add(sums: &mut Sums, ended: &Ended) {
    count(sums, ended);
    if ended.shows_latency() {
        add_latency(sums, bucket_of(ended.latency), 1);
    }
}

/// Adds an attempt, all but its place in the histogram.
pub(super) fn count(sums: &mut Sums, ended: &Ended) {
    if let Some(count) = sums.endings.get_mut(ended.ending as usize) {
        *count = count.saturating_add(1);
    }
    if ended.ending == Ending::Success {
        let latency = ended.latency.max(Micros(1));
        sums.trailing_failures = 0;
        sums.latency = Micros(sums.latency.0.saturating_add(latency.0));
        sums.fastest = if sums.fastest == Micros(0) { latency } else { sums.fastest.min(latency) };
        sums.slowest = sums.slowest.max(latency);
    } else if ended.ending.is_blamed() {
        sums.trailing_failures = sums.trailing_failures.saturating_add(1);
    }
}

/// Adds what came after it.
pub(super) fn merge(sums: &mut Sums, later: &Sums) {
    let before = sums.trailing_failures;
    merge_counts(sums, later);
    sums.trailing_failures = match later.ended(Ending::Success) {
        0 => before.saturating_add(later.trailing_failures),
        _ => later.trailing_failures,
    };
    for &(bucket, answers) in &later.latencies {
        add_latency(sums, bucket, answers);
    }
}

/// Adds what came after it, all but the histogram.
pub(super) fn merge_counts(sums: &mut Sums, later: &Sums) {
    for (count, more) in sums.endings.iter_mut().zip(later.endings) {
        *count = count.saturating_add(more);
    }
    sums.latency = Micros(sums.latency.0.saturating_add(later.latency.0));
    sums.fastest = match (sums.fastest, later.fastest) {
        (Micros(0), fastest) | (fastest, Micros(0)) => fastest,
        (own, more) => own.min(more),
    };
    sums.slowest = sums.slowest.max(later.slowest);
    sums.trailing_failures = sums.trailing_failures.saturating_add(later.trailing_failures);
}

fn add_latency(sums: &mut Sums, bucket: u8, answers: u32) {
    match sums.latencies.binary_search_by_key(&bucket, |(bucket, _)| *bucket) {
        Ok(place) => {
            if let Some((_, count)) = sums.latencies.get_mut(place) {
                *count = count.saturating_add(answers);
            }
        }
        Err(place) => sums.latencies.insert(place, (bucket, answers)),
    }
}

/// The same without its histogram, for evidence whose own histogram has the answers already.
pub(super) fn without_histogram(sums: &Sums) -> Sums {
    let Sums { endings, trailing_failures, latency, fastest, slowest, latencies: _ } = *sums;
    Sums { endings, trailing_failures, latency, fastest, slowest, latencies: Vec::new() }
}
