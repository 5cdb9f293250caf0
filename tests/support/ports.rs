//! Ports for servers that must know theirs beforehand.
//!
//! Invariant: a port is given once per process, comes from below the range that the system takes for outgoing connections (so no
//! stranger takes it between two binds), and was free when it was given.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::atomic::{AtomicU16, Ordering},
};

const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// The address of a port on this machine, the only place anything here listens.
pub fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// A port nobody listens on.
pub fn free_port() -> u16 {
    // Processes start far apart, so that test programs running side by side do not try the same ports in the same order.
    let start = u16::try_from(u64::from(std::process::id()) * 397 % u64::from(COUNT)).unwrap_or_default();
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + (start.wrapping_add(step)) % COUNT;
        if TcpListener::bind(loopback(port)).is_ok() {
            return port;
        }
    }
}
