//! The text format of Prometheus, version 0.0.4.
//!
//! Invariant: a metric's HELP and TYPE come before its samples, once; label values are escaped; every sample has the region.
//! Leaves to others: values.

use std::fmt::{Display, Write};

use super::table::{Kind, Metric};

/// A page as it grows.
#[derive(Debug)]
pub(super) struct Page {
    text: String,
    /// ` region="..."`, escaped.
    region: String,
}

impl Page {
    pub(super) fn new(region: &str) -> Self {
        Self { text: String::new(), region: format!("region=\"{}\"", escaped(region)) }
    }

    /// Opens a metric. It has no samples yet.
    pub(super) fn metric(&mut self, metric: &'static Metric) -> Samples<'_> {
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let _ = writeln!(self.text, "# HELP {} {}\n# TYPE {} {kind}", metric.name, metric.meaning, metric.name);
        Samples { page: self, metric }
    }

    /// A metric with one sample.
    pub(super) fn one(&mut self, metric: &'static Metric, labels: &[&str], value: impl Display) {
        self.metric(metric).sample(labels, value);
    }

    /// A metric and its samples.
    pub(super) fn all<'a, const LABELS: usize, V: Display>(
        &mut self,
        metric: &'static Metric,
        samples: impl IntoIterator<Item = ([&'a str; LABELS], V)>,
    ) {
        let mut page = self.metric(metric);
        for (labels, value) in samples {
            page.sample(&labels, value);
        }
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }
}

/// The samples of one metric.
#[derive(Debug)]
pub(super) struct Samples<'a> {
    page: &'a mut Page,
    metric: &'static Metric,
}

impl Samples<'_> {
    /// Values of the metric's labels, in their order.
    pub(super) fn sample(&mut self, labels: &[&str], value: impl Display) {
        self.line("", labels, None, value);
    }

    /// A histogram: cumulative counts by upper end in seconds, all of them, their sum in seconds.
    pub(super) fn histogram(&mut self, labels: &[&str], buckets: &[(f64, u64)], count: u64, sum: f64) {
        for (end, below) in buckets {
            self.line("_bucket", labels, Some(&end.to_string()), below);
        }
        self.line("_bucket", labels, Some("+Inf"), count);
        self.line("_sum", labels, None, sum);
        self.line("_count", labels, None, count);
    }

    // Writing to a String cannot fail.
    fn line(&mut self, suffix: &str, labels: &[&str], end: Option<&str>, value: impl Display) {
        debug_assert_eq!(labels.len(), self.metric.labels.len(), "{} has other labels", self.metric.name);
        let Page { text, region } = &mut *self.page;
        let _ = write!(text, "{}{suffix}{{{region}", self.metric.name);
        for (name, value) in self.metric.labels.iter().zip(labels) {
            let _ = write!(text, ",{name}=\"{}\"", escaped(value));
        }
        if let Some(end) = end {
            let _ = write!(text, ",le=\"{end}\"");
        }
        let _ = writeln!(text, "}} {value}");
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
