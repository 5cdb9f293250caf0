//! Links that can be cut without a word, in a network of our own.
//!
//! Duty: run a test again in a network namespace of its own; lead from there to further namespaces, each behind a pair of virtual interfaces; have every
//! packet on such a link dropped, both ways, on command: no end, no reset, no unreachable host.
//! Invariant: the machine's own network is never touched. Namespaces and interfaces end with the processes and sockets in them. A machine that grants no
//! namespaces fails the test and says what is missing.

use std::{
    env,
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr},
    os::fd::AsFd as _,
    path::Path,
    process::{Command, Stdio},
    sync::atomic::{AtomicU8, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::net::TcpListener;

use crate::{Process, Scratch, free_port, wait};

/// What the inner run of a test finds the outer one's namespace in.
const OUTSIDE: &str = "LASSO_OUTSIDE_NETWORK";
/// How a namespace may be had: as root, or as one that only looks like it.
const WAYS: [&[&str]; 2] = [&["--net"], &["--user", "--map-root-user", "--net"]];
/// What must work in there.
const TRIAL: &str = "ip link set lo up && ip link add near0 type veth peer name far0";
const STARTS_WITHIN: Duration = Duration::from_secs(10);

/// Runs the test of this name again in a network of its own. Says whether this is that run, and the test is to go on; if it is not, the other one has
/// ended well.
pub async fn in_own_network(test: &str, within: Duration) -> anyhow::Result<bool> {
    if env::var_os(OUTSIDE).is_some() {
        own_namespace()?;
        ip("link set lo up")?;
        return Ok(true);
    }
    let mut again = Command::new("unshare");
    again.args(way()?).arg(env::current_exe()?).args(["--exact", test, "--nocapture"]).env(OUTSIDE, namespace("self")?);
    let scratch = Scratch::new()?;
    let inner = Process::start("inside", &mut again, &scratch)?;
    let ended = wait::until("the test to end in its own network", within, || async { inner.ended() }).await;
    let log = inner.log();
    ensure!(ended.with_context(|| log.clone())?.success(), "in a network of its own:\n{log}");
    // A name that no test has is no failure to the harness.
    ensure!(log.contains("test result: ok. 1 passed"), "{test} did not run:\n{log}");
    eprint!("{log}");
    Ok(false)
}

/// How this machine grants a network of one's own.
fn way() -> anyhow::Result<&'static [&'static str]> {
    let mut refused = String::new();
    for way in WAYS {
        let tried = Command::new("unshare").args(way).args(["sh", "-c", TRIAL]).stdin(Stdio::null()).output();
        let tried = tried.context("cannot start unshare: install it, on Debian: apt-get install util-linux")?;
        if tried.status.success() {
            return Ok(way);
        }
        let said = String::from_utf8_lossy(&tried.stderr);
        refused.push_str(&format!("\n  unshare {}: {}", way.join(" "), said.trim()));
    }
    bail!(
        "this test needs a network namespace of its own with a veth pair in it, and this machine grants none. Needed are `ip` (on Debian: apt-get install \
         iproute2), the kernel's veth, and either root with CAP_SYS_ADMIN and CAP_NET_ADMIN (docker run --cap-add SYS_ADMIN --cap-add NET_ADMIN) or user \
         namespaces for everybody (sysctl kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0). Tried:{refused}"
    )
}

/// A link to a network namespace in which nobody else is.
#[derive(Debug)]
pub struct Link {
    number: u8,
    /// Holds it as long as we live.
    far: File,
}

/// The two ends of a link.
#[derive(Debug, Clone, Copy)]
enum End {
    Near,
    Far,
}

impl End {
    fn name(self, link: u8) -> String {
        match self {
            Self::Near => format!("near{link}"),
            Self::Far => format!("far{link}"),
        }
    }

    fn address(self, link: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, link, self.number())
    }

    fn hardware(self, link: u8) -> String {
        format!("02:00:00:00:{link:02x}:{:02x}", self.number())
    }

    const fn number(self) -> u8 {
        match self {
            Self::Near => 1,
            Self::Far => 2,
        }
    }
}

impl Link {
    /// A link and what it leads to. Only within [`in_own_network`].
    pub async fn new(scratch: &Scratch) -> anyhow::Result<Self> {
        static NEXT: AtomicU8 = AtomicU8::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let here = own_namespace()?;
        // It holds the namespace until we do.
        let mut sleeps = Command::new("unshare");
        let holder = Process::start(&format!("far{number}"), sleeps.args(["--net", "sleep", "60"]), scratch)?;
        let pid = holder.pid().to_string();
        let there = || async { namespace(&pid).is_ok_and(|there| there != here).then_some(()) };
        holder.until("it to be elsewhere", STARTS_WITHIN, there).await?;
        let far = File::open(format!("/proc/{pid}/ns/net")).context("cannot hold a namespace")?;
        let link = Self { number, far };
        let interface = |end: End| format!("name {} address {}", end.name(number), end.hardware(number));
        ip(&format!("link add {} type veth peer {} netns {pid}", interface(End::Near), interface(End::Far)))?;
        for end in [End::Near, End::Far] {
            link.at(end, || {
                let (name, address) = (end.name(number), end.address(number));
                ip(&format!("address add {address}/30 dev {name}"))?;
                ip("link set lo up")?;
                ip(&format!("link set {name} up"))
            })?;
        }
        link.mend()?;
        Ok(link)
    }

    /// A port at the far end.
    pub fn listener(&self) -> anyhow::Result<TcpListener> {
        let address = SocketAddr::from((End::Far.address(self.number), free_port()));
        let listener = self.at(End::Far, || {
            let listener = std::net::TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            Ok(listener)
        })?;
        TcpListener::from_std(listener).context("cannot listen")
    }

    /// From here on every packet is lost, both ways: each end believes the other to be at a hardware address that nobody has.
    pub fn cut(&self) -> anyhow::Result<()> {
        self.neighbours(|_| "02:00:00:00:00:00".to_owned())
    }

    /// Packets arrive again.
    pub fn mend(&self) -> anyhow::Result<()> {
        self.neighbours(|end| end.hardware(self.number))
    }

    fn neighbours(&self, hardware: impl Fn(End) -> String) -> anyhow::Result<()> {
        for (end, other) in [(End::Near, End::Far), (End::Far, End::Near)] {
            let (address, hardware) = (other.address(self.number), hardware(other));
            let name = end.name(self.number);
            self.at(end, || ip(&format!("neighbour replace {address} dev {name} lladdr {hardware} nud permanent")))?;
        }
        Ok(())
    }

    /// Does something at one end. A namespace is a thread's: the far one is entered by one that ends there.
    fn at<T: Send>(&self, end: End, work: impl FnOnce() -> anyhow::Result<T> + Send) -> anyhow::Result<T> {
        match end {
            End::Near => work(),
            End::Far => thread::scope(|scope| {
                let there = scope.spawn(|| {
                    move_into_link_name_space(self.far.as_fd(), Some(LinkNameSpaceType::Network))
                        .context("cannot enter a namespace")?;
                    work()
                });
                there.join().unwrap_or_else(|_| bail!("what was done at the far end panicked"))
            }),
        }
    }
}

/// The network namespace that we are in, if it is not the machine's.
fn own_namespace() -> anyhow::Result<String> {
    let here = namespace("self")?;
    let outside =
        env::var_os(OUTSIDE).with_context(|| format!("{OUTSIDE} is not set: this is no network of our own"))?;
    ensure!(outside != here.as_str(), "{OUTSIDE} is set, but this is no network of our own");
    Ok(here)
}

/// The network namespace that a process is in.
fn namespace(pid: &str) -> anyhow::Result<String> {
    let link = Path::new("/proc").join(pid).join("ns/net");
    let name = fs::read_link(&link).with_context(|| format!("cannot read {}", link.display()))?;
    Ok(name.display().to_string())
}

fn ip(arguments: &str) -> anyhow::Result<()> {
    let done = Command::new("ip").args(arguments.split_whitespace()).stdin(Stdio::null()).output();
    let done = done.context("cannot start ip: install it, on Debian: apt-get install iproute2")?;
    ensure!(done.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&done.stderr).trim());
    Ok(())
}
