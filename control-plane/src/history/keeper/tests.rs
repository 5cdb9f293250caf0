use std::path::Path;

use super::*;
use crate::history::data_dir::DataDir;
use crate::history::sample::{saved_channels, saved_evidence};
use crate::testing::Directory;

const QUICK: Pace =
    Pace { evidence: Duration::from_secs(3_600), again: Duration::from_millis(5), complaint: Duration::from_secs(60) };

fn channels(opens: u32) -> SavedChannels {
    saved_channels(opens, 0)
}

fn start(path: &Path) -> (Keeper, Writer) {
    let directory = DataDir::take(path).unwrap();
    let disk = directory.open().unwrap();
    Writer::start(directory, disk, QUICK).unwrap()
}

/// What another connection sees of a file that is being written.
fn seen(path: &Path) -> rusqlite::Connection {
    rusqlite::Connection::open(path.join("lasso.sqlite")).unwrap()
}

fn opens(file: &rusqlite::Connection) -> Option<u64> {
    let sql = "SELECT content ->> '$.channels[0].opens' FROM saved WHERE what = 'channels'";
    file.query_row(sql, [], |row| row.get(0)).ok()
}

fn age(file: &rusqlite::Connection) -> Option<u64> {
    let sql = "SELECT content ->> '$.cells[0].age_ms' FROM saved WHERE what = 'evidence'";
    file.query_row(sql, [], |row| row.get(0)).ok()
}

#[track_caller]
fn wait_until(condition: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < end, "waited in vain");
        std::thread::yield_now();
    }
}

#[test]
fn breakers_are_written_at_once_and_evidence_only_so_often() {
    let files = Directory::with(&[]);
    let (keeper, writer) = start(&files.path("data"));
    let file = seen(&files.path("data"));
    keeper.keep(Keep::Evidence(saved_evidence(1)));
    wait_until(|| age(&file) == Some(1));
    keeper.keep(Keep::Evidence(saved_evidence(2)));
    keeper.keep(Keep::Channels(channels(1)));
    wait_until(|| opens(&file) == Some(1));
    keeper.keep(Keep::Channels(channels(2)));
    wait_until(|| opens(&file) == Some(2));
    assert_eq!(age(&file), Some(1), "the hour is not over");
    drop(keeper);
    writer.stop();
    assert_eq!(age(&file), Some(2), "the end does not wait for it");
}

#[test]
fn of_what_waits_the_latest_is_written() {
    let files = Directory::with(&[]);
    let (keeper, writer) = start(&files.path("data"));
    for opens in 1..=500 {
        keeper.keep(Keep::Channels(channels(opens)));
    }
    drop(keeper);
    writer.stop();
    assert_eq!(opens(&seen(&files.path("data"))), Some(500));
}

#[test]
fn what_could_not_be_written_is_written_when_it_can_unless_something_newer_came() {
    let files = Directory::with(&[]);
    let (keeper, writer) = start(&files.path("data"));
    let file = seen(&files.path("data"));
    // As if the disk were full: every insert fails until the trigger goes.
    file.execute_batch("CREATE TRIGGER full BEFORE INSERT ON saved BEGIN SELECT RAISE(ABORT, 'disk full'); END")
        .unwrap();
    keeper.keep(Keep::Channels(channels(1)));
    keeper.keep(Keep::Evidence(saved_evidence(7)));
    keeper.keep(Keep::Channels(channels(2)));
    file.execute_batch("DROP TRIGGER full").unwrap();
    wait_until(|| opens(&file) == Some(2) && age(&file) == Some(7));
    drop(keeper);
    writer.stop();
}

#[test]
fn minutes_that_nobody_can_write_are_bounded_and_counted() {
    let mut waiting = Waiting::default();
    for at in 0..MOST_MINUTES as u64 + 3 {
        waiting.add_minute(Minute { at, cells: Vec::new() });
    }
    assert_eq!((waiting.minutes.len(), waiting.minutes_lost), (MOST_MINUTES, 3));
    assert_eq!(waiting.most_minutes, MOST_MINUTES as u64);
    let mut newer = Waiting::default();
    newer.add_minute(Minute { at: 1_000, cells: Vec::new() });
    newer.channels = Some(channels(9));
    waiting.channels = Some(channels(1));
    newer.put_back(waiting);
    assert_eq!(newer.minutes.back().map(|minute| minute.at), Some(1_000));
    assert_eq!(newer.minutes.len(), MOST_MINUTES);
    assert_eq!(newer.channels, Some(channels(9)));
}

#[test]
fn a_process_that_is_killed_leaves_whole_writings_only() {
    let files = Directory::with(&[]);
    let path = files.path("data");
    let (keeper, writer) = start(&path);
    keeper.keep(Keep::Channels(channels(1)));
    wait_until(|| opens(&seen(&path)) == Some(1));
    // A writing that was begun and never committed: what a kill leaves is the files as they are now.
    let file = seen(&path);
    file.execute_batch("PRAGMA wal_autocheckpoint = 0; BEGIN IMMEDIATE; UPDATE saved SET content = '{\"chan'").unwrap();
    let copy = files.path("after");
    std::fs::create_dir(&copy).unwrap();
    for name in ["lasso.sqlite", "lasso.sqlite-wal"] {
        std::fs::copy(path.join(name), copy.join(name)).unwrap();
    }
    file.execute_batch("ROLLBACK").unwrap();
    drop(keeper);
    writer.stop();
    let (keeper, writer) = start(&copy);
    assert_eq!(opens(&seen(&copy)), Some(1));
    drop(keeper);
    writer.stop();
}
