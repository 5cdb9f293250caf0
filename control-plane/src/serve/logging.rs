//! Logs as JSON on standard error.
//!
//! Duty: start them, and follow `observability.log_level` while `lasso serve` runs.
//! Invariant: the libraries below speak of frames and tasks: only their warnings are logged, at any level.
//! Leaves to others: what is said.

use std::sync::Arc;

use tokio::sync::watch;
use tracing::{info, warn};
use tracing_subscriber::EnvFilter;

use crate::reload::Current;

/// Sets the lowest level that is logged.
type Set = dyn Fn(&str) -> anyhow::Result<()> + Send;

/// Logs that were started.
pub(super) struct Log {
    set: Box<Set>,
    level: String,
}

/// Starts logging.
pub(super) fn start(level: &str) -> anyhow::Result<Log> {
    let logs = tracing_subscriber::fmt().json().flatten_event(true).with_writer(std::io::stderr);
    let logs = logs.with_env_filter(filter(level)?).with_filter_reloading();
    let handle = logs.reload_handle();
    logs.try_init().map_err(|error| anyhow::anyhow!("logging cannot start: {error}"))?;
    Ok(Log { set: Box::new(move |level| Ok(handle.reload(filter(level)?)?)), level: level.to_owned() })
}

fn filter(level: &str) -> anyhow::Result<EnvFilter> {
    Ok(EnvFilter::try_new(format!("warn,lasso={level}"))?)
}

impl Log {
    /// Follows the configuration for as long as there is one.
    pub(super) async fn follow(mut self, mut current: watch::Receiver<Arc<Current>>) {
        while current.changed().await.is_ok() {
            let level = current.borrow_and_update().loaded.config.log_level.clone();
            if level == self.level {
                continue;
            }
            match (self.set)(&level) {
                Ok(()) => info!(level, "log level changed"),
                Err(error) => warn!(%error, level, "log level not changed"),
            }
            self.level = level;
        }
    }
}
