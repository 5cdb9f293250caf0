//! Processors: who runs where, and how much time it took there.
//!
//! Invariant: where there are two processors and `taskset`, Envoy has one for itself and everything else the other; where not,
//! nothing is pinned and the report says so. What is measured over both says so in its name.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, ensure};
use lasso_tests::{Process, Scratch, tools};

/// Who runs where.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Layout {
    /// Envoy there, load and mock here.
    Pinned { envoy: u32, load: u32 },
    /// Wherever the system likes.
    Free,
}

impl Layout {
    /// Moves this process, before it has threads, to its processor.
    pub(crate) fn take() -> anyhow::Result<Self> {
        let allowed = allowed()?;
        let &[envoy, .., load] = allowed.as_slice() else { return Ok(Self::Free) };
        Ok(if moved(std::process::id(), &load.to_string()) { Self::Pinned { envoy, load } } else { Self::Free })
    }

    /// Where Envoys run, and whatever is measured with them.
    pub(crate) const fn envoy(self) -> Option<u32> {
        match self {
            Self::Pinned { envoy, .. } => Some(envoy),
            Self::Free => None,
        }
    }

    /// Lets this process, and what it starts, run on both processors. How many those are.
    pub(crate) fn spread(self) -> anyhow::Result<u32> {
        match self {
            Self::Pinned { envoy, load } => {
                ensure!(moved(std::process::id(), &format!("{envoy},{load}")), "taskset did not move us");
                Ok(2)
            }
            Self::Free => Ok(u32::try_from(thread::available_parallelism()?.get())?),
        }
    }

    /// Keeps Envoy's processor from sleeping while little is asked of it, until this is dropped: whoever has anything to do there goes before. On a virtual
    /// machine waking up takes longer than a call, and the host decides how long.
    pub(crate) fn stay_awake(self) -> anyhow::Result<Awake> {
        let Self::Pinned { envoy, .. } = self else { return Ok(Awake(None)) };
        let scratch = Scratch::new()?;
        let mut spin = tools::on(Some(envoy), Path::new("chrt"));
        spin.args(["--idle", "0", "sh", "-c", "while :; do :; done"]);
        Ok(Awake(Some((Process::start("spin", &mut spin, &scratch)?, scratch))))
    }

    /// Moves this process back to its own.
    pub(crate) fn gather(self) -> anyhow::Result<()> {
        if let Self::Pinned { load, .. } = self {
            ensure!(moved(std::process::id(), &load.to_string()), "taskset did not move us back");
        }
        Ok(())
    }
}

/// A process that does nothing, where one is needed.
#[derive(Debug)]
pub(crate) struct Awake(Option<(Process, Scratch)>);

impl Awake {
    /// Fails when it did not run: then what was measured meanwhile is something else.
    pub(crate) fn must_live(&self) -> anyhow::Result<()> {
        self.0.as_ref().map_or(Ok(()), |(spinner, _)| spinner.must_live())
    }
}

/// Moves all threads of a process to these processors. Whether that was done.
fn moved(pid: u32, processors: &str) -> bool {
    let taskset = Command::new("taskset")
        .args(["-a", "-p", "-c", processors, &pid.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    taskset.is_ok_and(|status| status.success())
}

/// The processors that this process may use.
fn allowed() -> anyhow::Result<Vec<u32>> {
    let status = fs::read_to_string("/proc/self/status").context("only Linux tells who runs where")?;
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap_or_default().trim();
    let mut allowed = Vec::new();
    for range in list.split(',').filter(|range| !range.is_empty()) {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        allowed.extend(first.parse::<u32>()?..=last.parse::<u32>()?);
    }
    Ok(allowed)
}

/// Processor time that all threads of a process have used.
pub(crate) fn processor_time(pid: u32) -> anyhow::Result<Duration> {
    let mut total = Duration::ZERO;
    for thread in fs::read_dir(format!("/proc/{pid}/task")).context("the process is gone")? {
        let path = thread?.path().join("schedstat");
        let line = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let ran = line.split_whitespace().next().unwrap_or_default();
        total += Duration::from_nanos(ran.parse().with_context(|| format!("{line:?} is not a schedstat"))?);
    }
    ensure!(!total.is_zero(), "the kernel keeps no schedstat");
    Ok(total)
}
