//! Questions about the past, and their answers as JSON has them.
//!
//! Duty: the words of `GET /api/history`. Invariant: at most [`MOST_ROWS`] rows; when there are more, the newest, and the answer says so. Times are seconds
//! since 1970, latencies milliseconds, names as in the configuration.
//! Leaves to others: HTTP and the query string.

use rusqlite::{Connection, OpenFlags, Row, params};
use serde::Serialize;
use utoipa::ToSchema;

use lasso_routing::catalog::Catalog;

use super::cell::Series;
use super::detail::{Detail, KEPT_MINUTES, Lost, Span, Window};

/// Rows of one answer.
pub(crate) const MOST_ROWS: usize = 20_000;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) profile: String,
    pub(crate) chain: String,
    /// A method or one of its classes; all when absent.
    pub(crate) method: Option<String>,
    /// Seconds since 1970; a day ago when absent.
    pub(crate) from: Option<u64>,
    /// Seconds since 1970, included; now when absent.
    pub(crate) to: Option<u64>,
    /// Seconds; a minute when absent, and at least.
    pub(crate) resolution: Option<u64>,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unanswered {
    /// Too many ask at once, or we are about to end.
    #[error("history is busy; ask again")]
    Busy,
    /// The file cannot be read now.
    #[error("the history file cannot be read")]
    Unreadable,
}

/// What happened, oldest first.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Past {
    pub(crate) rows: Vec<PastRow>,
    /// Older rows were left out.
    pub(crate) truncated: bool,
    pub(crate) lost: Lost,
}

/// One class on one channel over some time.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct PastRow {
    /// Start.
    pub(crate) at: u64,
    pub(crate) seconds: u64,
    pub(crate) channel: String,
    pub(crate) provider: String,
    /// Its class.
    pub(crate) method: &'static str,
    pub(crate) calls: u32,
    pub(crate) successes: u32,
    /// Those that the channel is to blame for.
    pub(crate) failures: u32,
    pub(crate) mean_ms: Option<f64>,
    pub(crate) p50_ms: Option<f64>,
    pub(crate) p95_ms: Option<f64>,
    pub(crate) p99_ms: Option<f64>,
}

/// Hourly leaderboards, oldest first.
#[derive(Debug, Clone, PartialEq, Default, Serialize, ToSchema)]
pub(crate) struct Hours {
    pub(crate) rows: Vec<HourRow>,
    /// Older rows were left out.
    pub(crate) truncated: bool,
}

/// One place on a leaderboard.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct HourRow {
    pub(crate) at: u64,
    pub(crate) channel: String,
    pub(crate) provider: String,
    pub(crate) method: String,
    pub(crate) rank: u32,
    pub(crate) score: f64,
    /// 0 to 1.
    pub(crate) success: f64,
    /// Of the class's attempts, 0 to 1.
    pub(crate) share: f64,
    /// Attempts since the control plane of that time started.
    pub(crate) calls: u64,
    pub(crate) mean_ms: Option<f64>,
    pub(crate) p50_ms: Option<f64>,
    pub(crate) p95_ms: Option<f64>,
    pub(crate) p99_ms: Option<f64>,
}

impl Question {
    fn window(&self, now_minute: u64) -> Window {
        Window {
            from: self.from.map_or(now_minute.saturating_sub(KEPT_MINUTES), |from| from / 60),
            to: self.to.map_or(now_minute, |to| to / 60),
            resolution: self.resolution.map_or(1, |seconds| seconds.div_ceil(60)).clamp(1, KEPT_MINUTES),
        }
    }

    fn profile(&self) -> &str {
        if self.profile == "default" { Catalog::PUBLIC } else { &self.profile }
    }

    /// `eth_getLogs` means all its classes.
    fn wants(&self, class: &str) -> bool {
        self.method.as_deref().is_none_or(|method| {
            class.strip_prefix(method).is_some_and(|rest| rest.is_empty() || rest.starts_with(['<', '>']))
        })
    }
}

/// Answers from the day in memory.
pub(super) fn past(detail: &Detail, question: &Question, now_minute: u64) -> Past {
    let wanted = |series: &Series| question.wants(series.class.name());
    let mut spans = detail.spans((question.profile(), &question.chain), question.window(now_minute), wanted);
    let excess = spans.len().saturating_sub(MOST_ROWS);
    spans.drain(..excess);
    Past { rows: spans.iter().map(past_row).collect(), truncated: excess > 0, lost: detail.lost() }
}

fn past_row(span: &Span) -> PastRow {
    let known = |micros: u32| (micros > 0).then(|| f64::from(micros) / 1_000.0);
    let cell = &span.cell;
    PastRow {
        at: span.at * 60,
        seconds: span.minutes * 60,
        channel: span.series.channel.to_string(),
        provider: span.series.provider.to_string(),
        method: span.series.class.name(),
        calls: cell.calls,
        successes: cell.successes,
        failures: cell.failures,
        mean_ms: cell.mean().map(|micros| micros as f64 / 1_000.0),
        p50_ms: known(cell.p50),
        p95_ms: known(cell.p95),
        p99_ms: known(cell.p99),
    }
}

/// Answers from the file, over a connection of its own: readers do not wait for the writer.
pub(super) fn hours(file: &std::path::Path, question: &Question, now_minute: u64) -> rusqlite::Result<Hours> {
    const SQL: &str =
        "SELECT hour, channel, provider, class, rank, score, success, share, calls, mean_us, p50_us, p95_us, p99_us
        FROM leaderboard JOIN series ON series.id = leaderboard.series
        WHERE profile = ?1 AND chain = ?2 AND hour BETWEEN ?3 AND ?4
        ORDER BY hour DESC, class, rank";
    let connection =
        Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(std::time::Duration::from_secs(1))?;
    let window = question.window(now_minute);
    let mut statement = connection.prepare(SQL)?;
    let (from, to) = (window.from.div_ceil(60), window.to / 60);
    let mut found = statement.query(params![question.profile(), question.chain, from as i64, to as i64])?;
    let mut hours = Hours::default();
    while let Some(row) = found.next()? {
        let row = hour_row(row)?;
        if !question.wants(&row.method) {
            continue;
        }
        if hours.rows.len() == MOST_ROWS {
            hours.truncated = true;
            break;
        }
        hours.rows.push(row);
    }
    // The newest were read first; within an hour the order is by class and rank already.
    hours.rows.sort_by_key(|row| row.at);
    Ok(hours)
}

fn hour_row(row: &Row<'_>) -> rusqlite::Result<HourRow> {
    let millis =
        |column| Ok::<_, rusqlite::Error>(row.get::<_, Option<u32>>(column)?.map(|micros| f64::from(micros) / 1_000.0));
    Ok(HourRow {
        at: row.get::<_, i64>(0)?.max(0).cast_unsigned() * 3_600,
        channel: row.get(1)?,
        provider: row.get(2)?,
        method: row.get(3)?,
        rank: row.get(4)?,
        score: row.get(5)?,
        success: row.get(6)?,
        share: row.get(7)?,
        calls: row.get::<_, i64>(8)?.max(0).cast_unsigned(),
        mean_ms: millis(9)?,
        p50_ms: millis(10)?,
        p95_ms: millis(11)?,
        p99_ms: millis(12)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(method: Option<&str>) -> Question {
        Question {
            profile: "public".into(),
            chain: "ethereum".into(),
            method: method.map(str::to_owned),
            from: None,
            to: None,
            resolution: None,
        }
    }

    #[test]
    fn a_method_means_all_its_classes_and_no_other_method() {
        #[track_caller]
        fn check(method: Option<&str>, class: &str, wanted: bool) {
            assert_eq!(question(method).wants(class), wanted, "{method:?} {class}");
        }
        check(None, "eth_call", true);
        check(Some("eth_call"), "eth_call", true);
        check(Some("eth_call"), "eth_callMany", false);
        check(Some("eth_getLogs"), "eth_getLogs<=10", true);
        check(Some("eth_getLogs"), "eth_getLogs>1000", true);
        check(Some("eth_getLogs<=10"), "eth_getLogs<=1000", false);
    }

    #[test]
    fn a_question_without_times_is_about_the_last_day() {
        assert_eq!(question(None).window(10_000), Window { from: 10_000 - KEPT_MINUTES, to: 10_000, resolution: 1 });
        let exact = Question { from: Some(120), to: Some(300), resolution: Some(61), ..question(None) };
        assert_eq!(exact.window(10_000), Window { from: 2, to: 5, resolution: 2 });
    }
}
