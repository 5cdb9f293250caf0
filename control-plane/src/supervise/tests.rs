use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

/// A task that panics the first `panics` times, and how often it was started until it ended by itself.
async fn starts(supervisor: &Supervisor, panics: u32) -> u32 {
    let starts = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&starts);
    let start = move || {
        let start = counted.fetch_add(1, Ordering::Relaxed);
        async move { assert!(start >= panics, "a panic that a test wanted") }
    };
    supervisor.keep_up("probe", start).await;
    starts.load(Ordering::Relaxed)
}

#[tokio::test(start_paused = true)]
async fn a_task_that_panics_is_started_again_and_one_that_ends_is_not() {
    let supervisor = Supervisor::new();
    assert_eq!(starts(&supervisor, 0).await, 1);
    assert!(supervisor.panics().is_empty());
    assert_eq!(starts(&supervisor, 3).await, 4);
    assert_eq!(supervisor.panics(), BTreeMap::from([("probe", 3)]));
}

#[tokio::test(start_paused = true)]
async fn every_start_comes_within_half_a_second_of_the_panic_and_later_while_it_goes_on() {
    let supervisor = Supervisor::new();
    let mut notices = supervisor.subscribe();
    let panicking = supervisor.clone();
    let task = tokio::spawn(async move { panicking.keep_up("feed", || async { panic!("a test wants it") }).await });
    let mut at = Vec::new();
    for times in 1..=6 {
        assert_eq!(notices.recv().await.unwrap(), Panicked { task: "feed", times });
        at.push(Instant::now());
    }
    let pauses: Vec<_> = at.windows(2).map(|pair| (pair[1] - pair[0]).as_millis()).collect();
    assert_eq!(pauses, [50, 100, 200, 400, 400]);
    task.abort();
}

#[tokio::test(start_paused = true)]
async fn a_task_that_was_sound_for_a_while_is_started_again_at_once() {
    let supervisor = Supervisor::new();
    let mut notices = supervisor.subscribe();
    let panicking = supervisor.clone();
    let start = || async {
        sleep(SOUND * 2).await;
        panic!("a test wants it")
    };
    let task = tokio::spawn(async move { panicking.keep_up("feed", start).await });
    let mut last = Instant::now();
    for _ in 0..5 {
        notices.recv().await.unwrap();
        assert!(last.elapsed() <= SOUND * 2 + SHORTEST_PAUSE);
        last = Instant::now();
    }
    task.abort();
}

#[tokio::test]
async fn a_task_ends_with_who_supervises_it() {
    let alive = Arc::new(());
    let held = Arc::clone(&alive);
    let supervisor = Supervisor::new();
    let start = move || {
        let held = Arc::clone(&held);
        async move {
            let _held = held;
            std::future::pending().await
        }
    };
    let task = tokio::spawn(async move { supervisor.keep_up("feed", start).await });
    while Arc::strong_count(&alive) < 3 {
        tokio::task::yield_now().await;
    }
    task.abort();
    while Arc::strong_count(&alive) > 1 {
        tokio::task::yield_now().await;
    }
}
