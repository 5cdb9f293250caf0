//! Ports for servers that must know theirs beforehand.
//!
//! Invariant: a port is given once per process until its block is used up, comes from below the range that the system takes for
//! outgoing connections (so no stranger takes it between two binds), and was free when it was given. Test programs that run side by
//! side have blocks of their own.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::{
        LazyLock,
        atomic::{AtomicU16, Ordering},
    },
};

use tokio::net::TcpSocket;

const FIRST: u16 = 20_000;
const BLOCKS: u16 = 12;
const BLOCK: u16 = 1_000;

/// What this process has claimed: its first port is listened on for as long as the process lives.
struct Claim {
    first: u16,
    next: AtomicU16,
    _held: Option<TcpListener>,
}

static CLAIM: LazyLock<Claim> = LazyLock::new(|| {
    let own = u16::try_from(std::process::id() % u32::from(BLOCKS)).unwrap_or_default();
    let blocks = (0..BLOCKS).map(|step| FIRST + (own + step) % BLOCKS * BLOCK);
    let claim = blocks.into_iter().find_map(|first| Some((first, TcpListener::bind(loopback(first)).ok()?)));
    let (first, held) = claim.map_or((FIRST + own * BLOCK, None), |(first, held)| (first, Some(held)));
    Claim { first, next: AtomicU16::new(0), _held: held }
});

/// The address of a port on this machine, the only place anything here listens.
pub fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// A port nobody listens on.
pub fn free_port() -> u16 {
    free_ports(1)
}

/// The first of `count` ports in a row that nobody listens on.
pub fn free_ports(count: u16) -> u16 {
    loop {
        let step = CLAIM.next.fetch_add(count, Ordering::Relaxed) % BLOCK;
        let row = CLAIM.first + step..CLAIM.first + step + count;
        let inside = step + count <= BLOCK;
        if inside && row.clone().all(is_free) {
            return row.start;
        }
    }
}

/// Binds and does not listen: a child that is being started has our sockets until its program runs, and one that listens would keep
/// the port for as long.
fn is_free(port: u16) -> bool {
    TcpSocket::new_v4()
        .and_then(|socket| {
            socket.set_reuseaddr(true)?;
            socket.bind(loopback(port))
        })
        .is_ok()
}
