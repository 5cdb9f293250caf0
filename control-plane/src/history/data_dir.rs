//! The directory that outlives us.
//!
//! Duty: make it, take it for this process alone, open the file in it.
//! Invariant: an operator's mistake (a directory that cannot be written, another process in it, a file of a newer build) refuses the start and
//! names the key; a broken file does not: it is moved aside, once, and a fresh one started.
//! Leaves to others: what is written (`disk`), when (`keeper`).

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode};
use tracing::warn;

use super::disk::Disk;
use super::schema;

/// The file, and where a broken one goes; the one before it is overwritten, so there are two at most.
const FILE: &str = "lasso.sqlite";
const BROKEN: &str = "lasso.sqlite.broken";
const LOCK: &str = "lasso.lock";

/// Why the directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// It cannot be made, or nothing can be written into it.
    #[error(
        "data_dir: cannot write to {path}: {error}; give a directory that this process may write to, or leave the key out"
    )]
    Unwritable { path: PathBuf, error: io::Error },
    /// Another process works in it.
    #[error("data_dir: {path} is in use by another `lasso serve`; give each its own")]
    Taken { path: PathBuf },
    /// A newer build wrote the file.
    #[error(
        "data_dir: {FILE} has schema version {found} and this build knows {known}; run the newer build, or give another directory"
    )]
    Newer { found: i64, known: i64 },
    /// SQLite cannot work with the file, although it is whole.
    #[error("data_dir: {FILE} cannot be used: {0}")]
    Unusable(#[from] rusqlite::Error),
}

impl Refusal {
    fn is_broken_file(&self) -> bool {
        match self {
            Self::Unusable(error) => is_broken(error),
            Self::Unwritable { .. } | Self::Taken { .. } | Self::Newer { .. } => false,
        }
    }
}

fn is_broken(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// A directory that is ours while this value lives.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    /// The system lets go of it when the process ends, however it ends.
    _lock: File,
}

impl DataDir {
    /// Takes the directory, making it where it is not there.
    pub(crate) fn take(path: &Path) -> Result<Self, Refusal> {
        let unwritable = |error| Refusal::Unwritable { path: path.to_owned(), error };
        std::fs::create_dir_all(path).map_err(unwritable)?;
        let mut lock = private(&path.join(LOCK)).map_err(unwritable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Refusal::Taken { path: path.to_owned() }),
            Err(TryLockError::Error(error)) => return Err(unwritable(error)),
        }
        // For people who look into the directory; and a disk that is full says so here.
        lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id())).map_err(unwritable)?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// Opens the file, moving a broken one aside.
    pub(crate) fn open(&self) -> Result<Disk, Refusal> {
        let file = self.file();
        match open(&file) {
            Err(refusal) if refusal.is_broken_file() => {
                let aside = self.path.join(BROKEN);
                warn!(moved_to = %aside.display(), error = %refusal, "data_dir: {FILE} is broken; a fresh one is started");
                let unwritable = |error| Refusal::Unwritable { path: self.path.clone(), error };
                std::fs::rename(&file, &aside).map_err(unwritable)?;
                for rest in ["-wal", "-shm"] {
                    // They belong to the file that went; mostly they are not there.
                    let _ = std::fs::remove_file(self.path.join(format!("{FILE}{rest}")));
                }
                open(&file)
            }
            opened => opened,
        }
    }

    /// Where readers of their own find it.
    pub(crate) fn file(&self) -> PathBuf {
        self.path.join(FILE)
    }
}

fn open(file: &Path) -> Result<Disk, Refusal> {
    let unwritable = |error| Refusal::Unwritable { path: file.to_owned(), error };
    // Made here, so that nobody else can read it: SQLite's own files beside it take over its mode.
    private(file).map_err(unwritable)?;
    let mut connection = Connection::open(file)?;
    connection.busy_timeout(std::time::Duration::from_secs(2))?;
    let found: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if found != "ok" {
        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
        return Err(Refusal::Unusable(rusqlite::Error::SqliteFailure(code, Some(found))));
    }
    // A process that is killed loses nothing that was committed, a machine that is may lose the last seconds: nothing of it is dear enough
    // to wait for the disk each time.
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "journal_size_limit", 16 * 1024 * 1024)?;
    schema::migrate(&mut connection)?;
    Ok(Disk::new(connection))
}

/// A file for this user only, made where it is not there.
fn private(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}
