//! Child processes that end with their owner.
//!
//! Invariant: a [`Process`] is killed when it is dropped, and also when this process dies without dropping anything: a shell that
//! waits on a pipe held by us kills it then. Its output goes to a file of the [`Scratch`] folder, never to a full pipe.

use std::{
    fs::{self, File},
    io::Read as _,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};

use crate::wait;

/// A folder for configurations, logs and access logs. Removed when dropped, kept when a test failed.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    kept: bool,
}

impl Scratch {
    /// A fresh folder among the system's temporary ones.
    pub fn new() -> anyhow::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("lasso-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self { path, kept: false })
    }

    /// This folder, which stays.
    pub fn at(path: impl Into<PathBuf>) -> anyhow::Result<Self> {
        let path = path.into();
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self { path, kept: true })
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a file in it.
    pub fn write(&self, name: &str, text: &str) -> anyhow::Result<PathBuf> {
        let path = self.file(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    /// It stays, and says where it is.
    pub fn keep(&mut self) {
        self.kept = true;
        eprintln!("logs and configurations are kept in {}", self.path.display());
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        if std::thread::panicking() {
            eprintln!("logs and configurations are kept in {}", self.path.display());
        } else {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// A running program.
#[derive(Debug)]
pub struct Process {
    name: String,
    pid: u32,
    child: Mutex<Child>,
    watchdog: Option<Child>,
    log: PathBuf,
}

impl Process {
    /// Starts a program; what it prints goes to `NAME.log` in `scratch`.
    pub fn start(name: &str, command: &mut Command, scratch: &Scratch) -> anyhow::Result<Self> {
        let log = scratch.file(&format!("{name}.log"));
        let out = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            // A group of its own: ctrl-c is for us, who then end it in our order.
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {name} ({})", command.get_program().display()))?;
        let pid = child.id();
        Ok(Self { name: name.to_owned(), pid, child: Mutex::new(child), watchdog: Some(watchdog(pid)?), log })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Everything it printed so far.
    pub fn log(&self) -> String {
        read_lossy(&self.log)
    }

    /// How it ended, if it has.
    pub fn ended(&self) -> Option<ExitStatus> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner).try_wait().ok().flatten()
    }

    /// Fails with its last words when it has ended.
    pub fn must_live(&self) -> anyhow::Result<()> {
        let Some(status) = self.ended() else { return Ok(()) };
        let log = self.log();
        let tail: Vec<&str> = log.lines().rev().take(25).collect();
        let tail: Vec<&str> = tail.into_iter().rev().collect();
        bail!("{} ended ({status}):\n{}", self.name, tail.join("\n"));
    }

    /// Waits until `thing` gives a value, unless the program ends first.
    pub async fn until<T, F>(&self, what: &str, within: Duration, mut thing: impl FnMut() -> F) -> anyhow::Result<T>
    where
        F: Future<Output = Option<T>>,
    {
        let found = wait::until(what, within, || {
            let lives = self.must_live();
            let look = thing();
            async move {
                match lives {
                    Err(error) => Some(Err(error)),
                    Ok(()) => look.await.map(Ok),
                }
            }
        })
        .await;
        found.with_context(|| format!("{} is not as it should be; it printed:\n{}", self.name, self.log()))?
    }

    /// Resident memory in bytes: now, and the most it ever had.
    pub fn memory(&self) -> anyhow::Result<(u64, u64)> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim().trim_end_matches(" kB").parse::<u64>().ok().map(|kib| kib * 1024)
        };
        field("VmRSS:").zip(field("VmHWM:")).with_context(|| format!("no memory figures of {}", self.name))
    }

    /// Sends it a signal by name.
    pub fn signal(&self, name: &str) -> anyhow::Result<()> {
        // The shell's own: a machine may lack the program of that name.
        let kill = format!("kill -{name} \"$0\"");
        let sent = Command::new("sh").args(["-c", &kill, &self.pid.to_string()]).status().context("cannot start sh")?;
        ensure!(sent.success(), "cannot send {name} to {}: {sent}", self.name);
        Ok(())
    }

    /// Asks it to end, waits, insists.
    pub fn stop(&mut self) {
        // The control plane takes leave of its clients for 12 seconds at most.
        const PATIENCE: Duration = Duration::from_secs(15);
        if self.ended().is_none() {
            let _ = self.signal("TERM");
            let asked = Instant::now();
            while self.ended().is_none() && asked.elapsed() < PATIENCE {
                std::thread::park_timeout(Duration::from_millis(10));
            }
        }
        self.kill();
    }

    /// Ends it at once, as `kill -9` does.
    pub fn kill(&mut self) {
        let child = self.child.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _ = child.kill();
        let _ = child.wait();
        // Its work is done, and the number of its charge may soon be a stranger's.
        if let Some(mut watchdog) = self.watchdog.take() {
            let _ = watchdog.kill();
            let _ = watchdog.wait();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs a program to its end, at most `within`, and gives what it printed.
pub async fn run_within(within: Duration, command: Command) -> anyhow::Result<Output> {
    let what = format!("{command:?}");
    let mut command = tokio::process::Command::from(command);
    // It ends with this wait.
    command.stdin(Stdio::null()).kill_on_drop(true);
    let ended = tokio::time::timeout(within, command.output()).await;
    ended
        .with_context(|| format!("{what} did not end within {within:?}"))?
        .with_context(|| format!("cannot run {what}"))
}

/// A shell that kills `pid` when our end of its pipe closes, which the system does for us when we cannot.
fn watchdog(pid: u32) -> anyhow::Result<Child> {
    Command::new("sh")
        .args(["-c", "read -r _; kill -9 \"$0\" 2>/dev/null", &pid.to_string()])
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start sh")
}

/// The text of a file that another process is writing.
pub(crate) fn read_lossy(path: &Path) -> String {
    let mut bytes = Vec::new();
    if let Ok(mut file) = File::open(path) {
        let _ = file.read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
