use super::*;
use crate::history::sample::view;
use crate::history::{Pace, query};
use crate::testing::Directory;

fn question() -> Question {
    let (profile, chain) = ("public".to_owned(), "ethereum".to_owned());
    Question { profile, chain, method: None, from: Some(0), to: None, resolution: None }
}

fn open(files: &Directory) -> Kept {
    Kept::open(Some(&files.path("data")), Pace::default()).unwrap()
}

#[tokio::test]
async fn minutes_and_leaderboards_outlive_a_restart() {
    let files = Directory::with(&[]);
    let mut kept = open(&files);
    let (views, seen) = watch::channel(Arc::new(view(&[])));
    let (history, mut recorder) = History::new(&mut kept, seen);
    let hour = now_ms() / 3_600_000;
    views.send_replace(Arc::new(view(&[("a", 3, 1)])));
    recorder.minute_ended(hour * 60 - 1);
    views.send_replace(Arc::new(view(&[("a", 5, 1), ("b", 1, 0)])));
    recorder.minute_ended(hour * 60);
    drop((history, recorder, kept.keeper.take()));
    kept.writer.take().unwrap().stop();

    let mut kept = open(&files);
    let (_views, seen) = watch::channel(Arc::new(view(&[])));
    let (history, mut recorder) = History::new(&mut kept, seen);
    let asked = history.clone();
    let answers = tokio::spawn(async move { (asked.past(question()).await, asked.hours(question()).await) });
    let (past, hours) = tokio::select! {
        answers = answers => answers.unwrap(),
        () = recorder.run() => panic!("it runs while somebody may ask"),
    };
    let past = past.unwrap();
    let rows: Vec<_> = past.rows.iter().map(|row| (row.at, row.provider.as_str(), row.calls, row.failures)).collect();
    let first = (hour * 60 - 2) * 60;
    assert_eq!(rows, [(first, "a", 4, 1), (first + 60, "a", 2, 0), (first + 60, "b", 1, 0)]);
    assert_eq!((past.rows[0].method, past.rows[0].seconds, past.rows[0].mean_ms), ("eth_call", 60, Some(1.0)));
    let hours = hours.unwrap();
    let rows: Vec<_> = hours.rows.iter().map(|row| (row.at, row.provider.as_str(), row.rank, row.calls)).collect();
    assert_eq!(rows, [(hour * 3_600, "a", 1, 6), (hour * 3_600, "b", 2, 1)]);
    drop((history, recorder, kept.keeper.take()));
    kept.writer.take().unwrap().stop();
}

#[tokio::test]
async fn without_a_directory_there_is_a_day_and_no_week() {
    let mut kept = Kept::open(None, Pace::default()).unwrap();
    let (views, seen) = watch::channel(Arc::new(view(&[])));
    let (history, mut recorder) = History::new(&mut kept, seen);
    views.send_replace(Arc::new(view(&[("a", 3, 1)])));
    recorder.minute_ended(600);
    assert_eq!(query::past(&recorder.detail, &question(), 700).rows.len(), 1);
    assert_eq!(history.hours(question()).await, Ok(Hours::default()));
    drop(recorder);
    assert_eq!(history.past(question()).await, Err(Unanswered::Busy));
}

#[test]
fn the_next_end_of_a_minute_is_never_the_one_that_was() {
    #[track_caller]
    fn check(now: u64, wait: u64) {
        assert_eq!(to_the_minute(now), Duration::from_millis(wait));
    }
    check(600_000, 60_000);
    check(600_007, 59_993);
    check(659_990, 60_010);
    check(630_000, 30_000);
}

#[test]
fn what_is_a_week_old_goes() {
    let files = Directory::with(&[]);
    let directory = crate::history::data_dir::DataDir::take(&files.path("data")).unwrap();
    let mut disk = directory.open().unwrap();
    let cells = |provider| Differ::default().step(&view(&[(provider, 1, 0)]));
    disk.add_minute(&Minute { at: 1_000, cells: cells("old") }).unwrap();
    disk.add_minute(&Minute { at: 1_000 + 7 * 24 * 60, cells: cells("a") }).unwrap();
    assert_eq!(disk.minutes(0).unwrap().len(), 2);
    disk.add_minute(&Minute { at: 1_001 + 7 * 24 * 60, cells: cells("a") }).unwrap();
    assert_eq!(disk.minutes(0).unwrap().len(), 2);
    disk.add_hour(&Hour::of(&view(&[("a", 1, 0)]), 200)).unwrap();
    let file = rusqlite::Connection::open(files.path("data/lasso.sqlite")).unwrap();
    let names: i64 = file.query_row("SELECT count(*) FROM series", [], |row| row.get(0)).unwrap();
    assert_eq!(names, 1, "nothing speaks of the old one any more");
}
