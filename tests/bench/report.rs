//! What is printed and written.
//!
//! Invariant: a row is a ratio or a difference taken within this run; absolute figures stand apart and have no budget.

use std::{fmt::Write as _, fs, path::Path};

use lasso_tests::FilterKind;
use serde_json::{Value, json};

use crate::{machine::Layout, numbers::Middle};

/// What a measured value must be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Budget {
    AtMost(f64),
    AtLeast(f64),
    /// Told, not judged.
    None,
}

#[derive(Debug)]
struct Row {
    what: String,
    measured: Middle,
    unit: &'static str,
    budget: Budget,
}

impl Row {
    fn holds(&self) -> Option<bool> {
        match self.budget {
            Budget::AtMost(most) => Some(self.measured.median <= most),
            Budget::AtLeast(least) => Some(self.measured.median >= least),
            Budget::None => None,
        }
    }

    fn verdict(&self) -> &'static str {
        match self.holds() {
            Some(true) => "ok",
            Some(false) => "over",
            None => "",
        }
    }

    fn budget(&self) -> String {
        match self.budget {
            Budget::AtMost(most) => format!("<= {}{}", figure(most), self.unit),
            Budget::AtLeast(least) => format!(">= {}{}", figure(least), self.unit),
            Budget::None => String::new(),
        }
    }
}

/// The whole report.
#[derive(Debug, Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
    figures: Vec<(String, Middle, &'static str)>,
    doubts: Vec<String>,
}

impl Report {
    /// A row with a budget. `unit` is empty for a ratio, else begins with a space.
    pub(crate) fn row(&mut self, what: &str, measured: Middle, unit: &'static str, budget: Budget) {
        self.rows.push(Row { what: what.to_owned(), measured, unit, budget });
    }

    /// An absolute figure of this machine in this run.
    pub(crate) fn figure(&mut self, what: &str, measured: Middle, unit: &'static str) {
        self.figures.push((what.to_owned(), measured, unit));
    }

    /// A reason not to trust this run.
    pub(crate) fn doubt(&mut self, why: String) {
        self.doubts.push(why);
    }

    /// Whether every budget holds.
    pub(crate) fn holds(&self) -> bool {
        self.rows.iter().all(|row| row.holds() != Some(false))
    }

    /// As Markdown tables, which a terminal shows well enough.
    pub(crate) fn text(&self, layout: Layout) -> String {
        let mut table = vec![["what", "measured", "lowest .. highest", "budget", ""].map(str::to_owned)];
        for row in &self.rows {
            let measured = format!("{}{}", figure(row.measured.median), row.unit);
            table.push([row.what.clone(), measured, spread(row.measured), row.budget(), row.verdict().to_owned()]);
        }
        let mut figures = vec![["of this machine, in this run", "median", "lowest .. highest"].map(str::to_owned)];
        for (what, measured, unit) in &self.figures {
            figures.push([what.clone(), format!("{}{unit}", figure(measured.median)), spread(*measured)]);
        }
        let doubts: String = self.doubts.iter().map(|why| format!("DOUBTFUL: {why}\n")).collect();
        let placed = match layout {
            Layout::Pinned { envoy, load } => format!("Envoys on processor {envoy}, load and mock on {load}."),
            Layout::Free => "Nothing is pinned (one processor, or no taskset): do not trust small differences.".into(),
        };
        format!("{}\n{}\n{placed}\n{doubts}", aligned(&table), aligned(&figures))
    }

    /// For machines.
    pub(crate) fn write(&self, path: &Path, quick: bool, layout: Layout) -> anyhow::Result<()> {
        let rows = self.rows.iter().map(|row| {
            let budget = match row.budget {
                Budget::AtMost(most) => json!({"at_most": most}),
                Budget::AtLeast(least) => json!({"at_least": least}),
                Budget::None => Value::Null,
            };
            let mut value = values(&row.what, row.measured, row.unit);
            value["budget"] = budget;
            value["ok"] = json!(row.holds());
            value
        });
        let figures = self.figures.iter().map(|(what, measured, unit)| values(what, *measured, unit));
        let report = json!({
            "quick": quick,
            "doubts": self.doubts,
            "pinned": matches!(layout, Layout::Pinned { .. }),
            "rows": rows.collect::<Vec<_>>(),
            "figures": figures.collect::<Vec<_>>(),
        });
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        Ok(fs::write(path, serde_json::to_vec_pretty(&report)?)?)
    }
}

fn values(what: &str, measured: Middle, unit: &str) -> Value {
    json!({"what": what, "median": measured.median, "low": measured.low, "high": measured.high, "unit": unit.trim()})
}

/// Three digits that mean something.
/// What stands behind the rows of a kind of the filter: the default has the plain name.
pub(crate) const fn named(kind: FilterKind) -> &'static str {
    match kind {
        FilterKind::Wasm => "",
        FilterKind::Module => ", module",
    }
}

fn figure(value: f64) -> String {
    match value.abs() {
        ..10.0 => format!("{value:.3}"),
        ..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

fn spread(measured: Middle) -> String {
    format!("{} .. {}", figure(measured.low), figure(measured.high))
}

fn aligned<const N: usize>(table: &[[String; N]]) -> String {
    let widths: [usize; N] =
        std::array::from_fn(|column| table.iter().map(|row| row[column].chars().count()).max().unwrap_or_default());
    let mut out = String::new();
    for (number, row) in table.iter().enumerate() {
        for (cell, width) in row.iter().zip(widths) {
            let _ = write!(out, "| {cell:width$} ");
        }
        out.push_str("|\n");
        if number == 0 {
            for width in widths {
                let _ = write!(out, "|{:-<1$}", "", width + 2);
            }
            out.push_str("|\n");
        }
    }
    out
}
