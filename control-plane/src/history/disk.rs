//! What stands in the file.
//!
//! Duty: write and read each kind of thing, prune what is old.
//! Invariant: one write is one transaction: after a kill it is there whole or not at all. Nothing read here is trusted: what does not parse is as if it
//! were not there.
//! Leaves to others: when (`keeper`), the tables (`schema`).

use std::collections::BTreeMap;
use std::sync::Arc;

use lasso_jsonrpc::method::MethodClass;
use lasso_routing::time::Millis;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::cell::{Cell, Minute, Series};
use super::leaderboard::{Hour, Place};

/// Everything with a time is kept this long.
const KEPT_MINUTES: u64 = 7 * 24 * 60;

/// The open file.
#[derive(Debug)]
pub(crate) struct Disk(Connection);

/// What is saved under a name, and the newest of it only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Saved {
    Channels,
    Evidence,
    ProbeToken,
    HubToken,
}

impl Saved {
    const fn name(self) -> &'static str {
        match self {
            Self::Channels => "channels",
            Self::Evidence => "evidence",
            Self::ProbeToken => "probe_token",
            Self::HubToken => "hub_token",
        }
    }
}

impl Disk {
    pub(super) const fn new(connection: Connection) -> Self {
        Self(connection)
    }

    /// Replaces what is saved under that name. `at`: milliseconds of the wall clock.
    pub(super) fn save<T: Serialize>(&mut self, what: Saved, content: &T, at: u64) -> rusqlite::Result<()> {
        let content =
            serde_json::to_string(content).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
        let sql = "INSERT INTO saved (what, at_ms, content) VALUES (?1, ?2, ?3)
                   ON CONFLICT (what) DO UPDATE SET at_ms = ?2, content = ?3";
        self.0.prepare_cached(sql)?.execute(params![what.name(), signed(at), content])?;
        Ok(())
    }

    /// What is saved under that name, and when it was. `None`: nothing, or nothing that this build can read.
    pub(super) fn saved<T: DeserializeOwned>(&self, what: Saved) -> rusqlite::Result<Option<(T, u64)>> {
        let sql = "SELECT content, at_ms FROM saved WHERE what = ?1";
        let read = |row: &Row<'_>| Ok((row.get::<_, String>(0)?, unsigned(row.get(1)?)));
        let found = self.0.query_row(sql, [what.name()], read).optional()?;
        Ok(found.and_then(|(content, at)| Some((serde_json::from_str(&content).ok()?, at))))
    }

    /// Adds a minute of detail and forgets what is older than a week. A minute that was written before is replaced cell by cell.
    pub(super) fn add_minute(&mut self, minute: &Minute) -> rusqlite::Result<()> {
        let transaction = self.0.transaction()?;
        {
            let mut insert = transaction
                .prepare_cached("INSERT OR REPLACE INTO detail VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")?;
            for (series, cell) in &minute.cells {
                let id = series_id(&transaction, series)?;
                let (p50, p95, p99) = (cell.p50, cell.p95, cell.p99);
                let counts = (cell.calls, cell.successes, cell.failures, signed(cell.latency));
                insert.execute(params![
                    signed(minute.at),
                    id,
                    counts.0,
                    counts.1,
                    counts.2,
                    counts.3,
                    p50,
                    p95,
                    p99
                ])?;
            }
        }
        let oldest = signed(minute.at.saturating_sub(KEPT_MINUTES));
        transaction.prepare_cached("DELETE FROM detail WHERE minute < ?1")?.execute([oldest])?;
        transaction.commit()
    }

    /// The detail of the minutes from `from` on, oldest first.
    pub(super) fn minutes(&self, from: u64) -> rusqlite::Result<Vec<Minute>> {
        let names = self.series()?;
        let sql = "SELECT minute, series, calls, successes, failures, latency_us, p50_us, p95_us, p99_us
                   FROM detail WHERE minute >= ?1 ORDER BY minute, series";
        let mut statement = self.0.prepare(sql)?;
        let mut rows = statement.query([signed(from)])?;
        let mut minutes: Vec<Minute> = Vec::new();
        while let Some(row) = rows.next()? {
            let Some(series) = names.get(&row.get(1)?) else { continue };
            let cell = Cell {
                calls: row.get(2)?,
                successes: row.get(3)?,
                failures: row.get(4)?,
                latency: unsigned(row.get(5)?),
                p50: row.get(6)?,
                p95: row.get(7)?,
                p99: row.get(8)?,
            };
            let at = unsigned(row.get(0)?);
            match minutes.last_mut().filter(|minute| minute.at == at) {
                Some(minute) => minute.cells.push((Arc::clone(series), cell)),
                None => minutes.push(Minute { at, cells: vec![(Arc::clone(series), cell)] }),
            }
        }
        Ok(minutes)
    }

    /// Adds a leaderboard and forgets those older than a week, and the names that nothing speaks of any more.
    pub(super) fn add_hour(&mut self, hour: &Hour) -> rusqlite::Result<()> {
        let transaction = self.0.transaction()?;
        {
            let mut insert = transaction.prepare_cached(
                "INSERT OR REPLACE INTO leaderboard VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            )?;
            for (series, place) in &hour.places {
                let id = series_id(&transaction, series)?;
                let calls = signed(place.calls);
                let Place { rank, score, success, share, mean, p50, p95, p99, .. } = place;
                insert.execute(params![
                    signed(hour.at),
                    id,
                    rank,
                    score,
                    success,
                    share,
                    calls,
                    mean,
                    p50,
                    p95,
                    p99
                ])?;
            }
        }
        let oldest = signed(hour.at.saturating_sub(KEPT_MINUTES / 60));
        transaction.execute("DELETE FROM leaderboard WHERE hour < ?1", [oldest])?;
        let unused = "DELETE FROM series WHERE id NOT IN (SELECT series FROM detail) AND id NOT IN (SELECT series FROM leaderboard)";
        transaction.execute(unused, [])?;
        transaction.commit()
    }

    fn series(&self) -> rusqlite::Result<BTreeMap<i64, Arc<Series>>> {
        let mut statement = self.0.prepare("SELECT id, profile, chain, channel, provider, class FROM series")?;
        let mut rows = statement.query([])?;
        let mut names = BTreeMap::new();
        while let Some(row) = rows.next()? {
            // A class that this build does not have is not shown.
            let Some(class) = MethodClass::named(&row.get::<_, String>(5)?) else { continue };
            let name = |column| row.get::<_, String>(column).map(String::into_boxed_str);
            let series = Series { profile: name(1)?, chain: name(2)?, channel: name(3)?, provider: name(4)?, class };
            names.insert(row.get(0)?, Arc::new(series));
        }
        Ok(names)
    }
}

fn series_id(transaction: &Transaction<'_>, series: &Series) -> rusqlite::Result<i64> {
    let Series { profile, chain, channel, provider, class } = series;
    let names = params![profile, chain, channel, provider, class.name()];
    let find =
        "SELECT id FROM series WHERE profile = ?1 AND chain = ?2 AND channel = ?3 AND provider = ?4 AND class = ?5";
    if let Some(id) = transaction.prepare_cached(find)?.query_row(names, |row| row.get(0)).optional()? {
        return Ok(id);
    }
    let add = "INSERT INTO series (profile, chain, channel, provider, class) VALUES (?1, ?2, ?3, ?4, ?5)";
    transaction.prepare_cached(add)?.insert(names)
}

/// How long ago that was; nothing when the clock went back since.
pub(super) const fn age(at: u64, now: u64) -> Millis {
    Millis(now.saturating_sub(at))
}

/// SQLite has signed integers only; ours are times and counts, far below the sign.
const fn signed(value: u64) -> i64 {
    value.cast_signed()
}

const fn unsigned(value: i64) -> u64 {
    if value < 0 { 0 } else { value.cast_unsigned() }
}
