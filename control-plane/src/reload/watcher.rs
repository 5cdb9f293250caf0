//! Seeing that the configuration changed.
//!
//! Duty: order a reload when what the files say is different and has stopped changing, however it came about: written in place, renamed
//! over, a link that leads elsewhere (as Kubernetes swaps a ConfigMap), files that come and go in a directory.
//! Invariant: the system's word that something happened only wakes us; what counts is the content. So a noisy folder costs a look
//! now and then, and a file system that says nothing is looked at every [`LOOK_AGAIN`].
//! Leaves to others: reading it (`loader`).

use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio::time::sleep;
use tracing::warn;

use super::{Cause, Order};
use crate::config::files_at;

const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// An editor writes in several steps.
const QUIET: Duration = Duration::from_millis(100);

/// A file that changes all the time is read all the same after so many looks.
const MOST_LOOKS: usize = 20;

/// Watches until nobody takes orders any more.
pub(super) async fn watch(path: PathBuf, orders: mpsc::Sender<Order>) {
    // Held here too: without a watcher it would be closed, and a closed channel is always ready.
    let (wake, mut woken) = mpsc::channel(1);
    let _watching = match told_by_the_system(&path, wake.clone()) {
        Ok(watcher) => Some(watcher),
        Err(error) => {
            warn!(%error, "the system does not tell when the configuration changes; it is looked at instead");
            None
        }
    };
    // Nothing was seen yet: a change since the start must not be missed.
    let mut seen = None;
    loop {
        let mut last = look(&path).await;
        if seen.is_some() && seen == last {
            tokio::select! {
                _ = woken.recv() => sleep(QUIET).await,
                () = sleep(LOOK_AGAIN) => {}
            }
            continue;
        }
        for _ in 0..MOST_LOOKS {
            sleep(QUIET).await;
            let next = look(&path).await;
            if next == last {
                break;
            }
            last = next;
        }
        seen = last;
        if orders.send(Order::Read(Cause::File, None)).await.is_err() {
            return;
        }
    }
}

fn told_by_the_system(path: &Path, wake: mpsc::Sender<()>) -> notify::Result<RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        if event.is_ok_and(|event| is_change(event.kind)) {
            // One that waits already says as much.
            let _ = wake.try_send(());
        }
    })?;
    watcher.watch(&folder(path), RecursiveMode::NonRecursive)?;
    // Behind a link: a file that is written in place there changes nothing here.
    if let Ok(real) = path.canonicalize()
        && folder(&real) != folder(path)
    {
        let _ = watcher.watch(&folder(&real), RecursiveMode::NonRecursive);
    }
    Ok(watcher)
}

/// Reading is none, or our own looks would wake us.
fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(access) => access == AccessKind::Close(AccessMode::Write),
        EventKind::Any | EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_) | EventKind::Other => true,
    }
}

/// A file that is renamed over is another one: only its folder tells.
fn folder(path: &Path) -> PathBuf {
    if path.is_dir() {
        return path.to_owned();
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.map_or_else(|| PathBuf::from("."), Path::to_owned)
}

/// What the files say; nothing when the look failed.
async fn look(path: &Path) -> Option<[u8; 32]> {
    let path = path.to_owned();
    tokio::task::spawn_blocking(move || digest(&path)).await.ok()
}

fn digest(path: &Path) -> [u8; 32] {
    let mut digest = Sha256::new();
    for file in files_at(path).unwrap_or_default() {
        let content = std::fs::read(&file).ok();
        digest.update(format!("{file:?} {:?} ", content.as_ref().map(Vec::len)));
        digest.update(content.unwrap_or_default());
    }
    digest.finalize().into()
}
