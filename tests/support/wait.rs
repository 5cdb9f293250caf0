//! Waiting, always bounded.
//!
//! Invariant: a wait is for a thing, looked at every few milliseconds, and says what it waited for when the deadline passes.

use std::time::{Duration, Instant};

use anyhow::bail;

const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Looks until `thing` gives a value, at most `within`.
pub async fn until<T, F>(what: &str, within: Duration, mut thing: impl FnMut() -> F) -> anyhow::Result<T>
where
    F: Future<Output = Option<T>>,
{
    let started = Instant::now();
    let mut looks = tokio::time::interval(LOOK_EVERY);
    loop {
        looks.tick().await;
        if let Some(value) = thing().await {
            return Ok(value);
        }
        if started.elapsed() > within {
            bail!("waited {within:?} for {what}");
        }
    }
}

/// Like [`until`] for a plain condition.
pub async fn until_true(what: &str, within: Duration, mut condition: impl FnMut() -> bool) -> anyhow::Result<()> {
    until(what, within, || {
        let holds = condition();
        async move { holds.then_some(()) }
    })
    .await
}

/// Lets time pass: for faults whose nature is to be slow, never for hoping that something is done.
pub async fn pass(duration: Duration) {
    // Nothing is ever ready here, so only the time can end it.
    let _ = tokio::time::timeout(duration, std::future::pending::<()>()).await;
}
