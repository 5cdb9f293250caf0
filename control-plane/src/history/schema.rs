//! The shape of the file, and how older files get it.
//!
//! Duty: bring a file forward, one numbered step after the other, all of them or none.
//! Invariant: a step that was released never changes: files of every age exist. A file from a newer build is left alone.
//! Leaves to others: what stands in the tables (`disk`).

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::data_dir::Refusal;

/// Step `n` makes a file of version `n - 1` one of version `n`.
const STEPS: [&str; 1] = [
    // Names stand once in `series`; `detail` and `leaderboard` are many narrow rows that are found, and pruned, by time.
    "CREATE TABLE saved (
        what TEXT PRIMARY KEY,
        at_ms INTEGER NOT NULL,
        content TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE series (
        id INTEGER PRIMARY KEY,
        profile TEXT NOT NULL,
        chain TEXT NOT NULL,
        channel TEXT NOT NULL,
        provider TEXT NOT NULL,
        class TEXT NOT NULL,
        UNIQUE (profile, chain, channel, provider, class)
    ) STRICT;
    CREATE TABLE detail (
        minute INTEGER NOT NULL,
        series INTEGER NOT NULL REFERENCES series (id),
        calls INTEGER NOT NULL,
        successes INTEGER NOT NULL,
        failures INTEGER NOT NULL,
        latency_us INTEGER NOT NULL,
        p50_us INTEGER NOT NULL,
        p95_us INTEGER NOT NULL,
        p99_us INTEGER NOT NULL,
        PRIMARY KEY (minute, series)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE leaderboard (
        hour INTEGER NOT NULL,
        series INTEGER NOT NULL REFERENCES series (id),
        rank INTEGER NOT NULL,
        score REAL NOT NULL,
        success REAL NOT NULL,
        share REAL NOT NULL,
        calls INTEGER NOT NULL,
        mean_us INTEGER,
        p50_us INTEGER,
        p95_us INTEGER,
        p99_us INTEGER,
        PRIMARY KEY (hour, series)
    ) STRICT, WITHOUT ROWID;",
];

/// The version that this build writes.
pub(super) const VERSION: i64 = STEPS.len() as i64;

/// Brings the file to [`VERSION`].
pub(super) fn migrate(connection: &mut Connection) -> Result<(), Refusal> {
    // Two that start at once must not both find version 0: the lock comes before the look.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found > VERSION {
        return Err(Refusal::Newer { found, known: VERSION });
    }
    for (step, version) in STEPS.iter().zip(1_i64..).filter(|(_, version)| *version > found) {
        apply(&transaction, step, version)?;
    }
    transaction.commit()?;
    Ok(())
}

fn apply(transaction: &Transaction<'_>, step: &str, version: i64) -> rusqlite::Result<()> {
    transaction.execute_batch(step)?;
    transaction.pragma_update(None, "user_version", version)
}
