//! Restarts, on real files.

use super::*;
use crate::history::sample::{saved_channels, saved_evidence};
use crate::testing::Directory;

fn channels(open_ms: u64) -> SavedChannels {
    saved_channels(2, open_ms)
}

fn start(files: &Directory) -> Kept {
    Kept::open(Some(&files.path("data")), Pace::default()).unwrap()
}

fn stop(kept: Kept) {
    drop(kept.keeper);
    kept.writer.unwrap().stop();
}

#[track_caller]
fn check_refused(files: &Directory, path: &str, expected: &str) {
    let error = Kept::open(Some(&files.path(path)), Pace::default()).unwrap_err().to_string();
    assert!(error.starts_with("data_dir: ") && error.contains(expected), "{error}");
}

/// As if saved at these moments and restored at that one.
fn restored_at(channels_at: u64, evidence_at: u64, now: u64) -> Restored {
    let files = Directory::with(&[]);
    let mut disk = DataDir::take(&files.path("data")).unwrap().open().unwrap();
    disk.save(Saved::Channels, &channels(5_000), channels_at).unwrap();
    disk.save(Saved::Evidence, &saved_evidence(100), evidence_at).unwrap();
    restored(&disk, now).unwrap().unwrap()
}

#[test]
fn what_was_kept_is_there_after_a_restart_and_the_tokens_are_the_same() {
    let files = Directory::with(&[]);
    let first = start(&files);
    assert_eq!(first.restored, None);
    let keeper = first.keeper.clone().unwrap();
    keeper.keep(Keep::Evidence(saved_evidence(0)));
    keeper.keep(Keep::Channels(channels(5_000)));
    drop(keeper);
    let tokens = first.tokens.clone();
    assert_ne!(tokens.probe, tokens.hub);
    stop(first);
    let second = start(&files);
    let restored = second.restored.clone().unwrap();
    assert_eq!(restored.channels.channels[0].opens, 2);
    assert_eq!(restored.evidence.cells[0].latencies, [(40, 3)]);
    assert!(restored.ago.0 < 60_000);
    assert_eq!(second.tokens, tokens);
    stop(second);
}

#[test]
fn without_a_directory_everything_starts_anew() {
    let (first, second) = (Kept::open(None, Pace::default()).unwrap(), Kept::open(None, Pace::default()).unwrap());
    assert!(first.restored.is_none() && first.keeper.is_none());
    assert_ne!(first.tokens.probe, second.tokens.probe);
    assert_ne!(first.tokens.hub, second.tokens.hub);
}

#[test]
fn both_writings_are_restored_as_of_the_later_one() {
    let later_evidence = restored_at(1_000, 4_000, 10_000);
    assert_eq!(later_evidence.ago, Millis(6_000));
    assert_eq!(later_evidence.channels.channels[0].open_ms, Some(2_000));
    assert_eq!(later_evidence.channels.channels[0].limited_ms, None, "it ended in between");
    assert_eq!(later_evidence.evidence.cells[0].age_ms, 100);
    let later_channels = restored_at(4_000, 1_000, 10_000);
    assert_eq!(later_channels.channels.channels[0].open_ms, Some(5_000));
    assert_eq!(later_channels.evidence.cells[0].age_ms, 3_100);
    assert_eq!(restored_at(1_000, 60_000, 60_000).channels.channels[0].open_ms, Some(0), "half-open");
}

#[test]
fn a_clock_that_went_back_makes_nothing_older_than_now() {
    assert_eq!(restored_at(50_000, 50_000, 10_000).ago, Millis::ZERO);
}

#[test]
fn a_broken_file_is_moved_aside_and_a_fresh_one_started() {
    let cases: [(&str, &[u8]); 2] =
        [("text", b"this was never a database, and it is long enough to be one"), ("page", &[0x53; 8_192])];
    for (name, content) in cases {
        let files = Directory::with(&[]);
        stop(start(&files));
        std::fs::write(files.path("data/lasso.sqlite"), content).unwrap();
        let kept = start(&files);
        assert_eq!(kept.restored, None, "{name}");
        assert_eq!(std::fs::read(files.path("data/lasso.sqlite.broken")).unwrap(), content, "{name}");
        kept.keeper.as_ref().unwrap().keep(Keep::Channels(channels(1)));
        stop(kept);
        let again = start(&files);
        assert!(again.restored.is_some(), "{name}");
        stop(again);
    }
}

#[test]
fn a_file_whose_middle_is_broken_is_found_out_too() {
    let files = Directory::with(&[]);
    let kept = start(&files);
    let mut many = saved_evidence(0);
    many.cells = vec![many.cells[0].clone(); 2_000];
    kept.keeper.as_ref().unwrap().keep(Keep::Evidence(many));
    stop(kept);
    let mut content = std::fs::read(files.path("data/lasso.sqlite")).unwrap();
    content[4_096..].iter_mut().for_each(|byte| *byte ^= 0x5a);
    std::fs::write(files.path("data/lasso.sqlite"), content).unwrap();
    let kept = start(&files);
    assert_eq!(kept.restored, None);
    assert!(files.path("data/lasso.sqlite.broken").exists());
    stop(kept);
}

#[test]
fn what_another_build_wrote_and_this_one_cannot_read_is_as_if_it_were_not_there() {
    let files = Directory::with(&[]);
    let mut disk = DataDir::take(&files.path("data")).unwrap().open().unwrap();
    disk.save(Saved::Channels, &serde_json::json!({"channels": [{"other": 1}]}), 1).unwrap();
    disk.save(Saved::Evidence, &saved_evidence(0), 1).unwrap();
    let restored = restored(&disk, 2).unwrap().unwrap();
    assert_eq!((restored.channels.channels.len(), restored.evidence.cells.len()), (0, 1));
}

#[test]
fn a_file_of_a_newer_build_refuses_the_start_and_stays_as_it_is() {
    let files = Directory::with(&[]);
    stop(start(&files));
    let file = rusqlite::Connection::open(files.path("data/lasso.sqlite")).unwrap();
    file.pragma_update(None, "user_version", 99).unwrap();
    drop(file);
    check_refused(&files, "data", "schema version 99 and this build knows 1");
    assert!(!files.path("data/lasso.sqlite.broken").exists());
}

#[test]
fn an_older_file_is_brought_forward() {
    let files = Directory::with(&[]);
    std::fs::create_dir(files.path("data")).unwrap();
    drop(rusqlite::Connection::open(files.path("data/lasso.sqlite")).unwrap());
    stop(start(&files));
    let file = rusqlite::Connection::open(files.path("data/lasso.sqlite")).unwrap();
    let version: i64 = file.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    assert_eq!(version, schema::VERSION);
}

#[test]
fn a_directory_that_cannot_be_written_refuses_the_start() {
    let files = Directory::with(&[("file", "")]);
    check_refused(&files, "file", "cannot write to");
    check_refused(&files, "file/below", "cannot write to");
}

#[test]
fn two_processes_do_not_share_a_directory() {
    let files = Directory::with(&[]);
    let kept = start(&files);
    check_refused(&files, "data", "in use by another");
    stop(kept);
    stop(start(&files));
}

#[test]
fn nobody_else_can_read_what_is_kept() {
    use std::os::unix::fs::PermissionsExt;
    let files = Directory::with(&[]);
    let kept = start(&files);
    for name in ["lasso.sqlite", "lasso.sqlite-wal"] {
        let mode = std::fs::metadata(files.path("data").join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name}");
    }
    assert!(!format!("{kept:?}").contains(kept.tokens.probe.as_str()));
    stop(kept);
}
