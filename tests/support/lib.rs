//! What the end-to-end tests and the demo are made of.
//!
//! Duty: real processes and real bytes. [`FaultProxy`] is a provider that misbehaves on command, [`Node`] a local Ethereum node,
//! [`TlsProvider`] one behind TLS, [`Mesh`] Envoy with our filter in front of providers, [`Client`] sends JSON-RPC and shows every byte that came back,
//! [`Socket`] does so over WebSocket. A [`Link`] loses all packets on command.
//! Invariant: nothing listens or connects off 127.0.0.1, except over a [`Link`], which no other process sees; every wait has a deadline; every child process ends with its owner.
//! Leaves to others: what is asserted (tests/e2e), what is shown (tests/demo).

mod client;
mod config;
mod control;
mod envoy;
mod fault;
mod filter;
pub mod frame;
#[cfg(target_os = "linux")]
mod link;
mod made;
mod mesh;
mod node;
mod ports;
mod process;
mod proxy;
mod relay;
mod socket;
mod tls;
pub mod tools;
pub mod wait;

pub use client::{Answered, Client};
pub use config::{ChainConfig, Config, Listen};
pub use control::{FakeControl, Heard};
pub use envoy::Envoy;
pub use fault::{Answer, Delivery, Fault, Over, SocketFault};
pub use filter::FilterKind;
#[cfg(target_os = "linux")]
pub use link::{Link, in_own_network};
pub use made::{MADE_LOGS, MadeChain};
pub use mesh::{Mesh, Options};
pub use node::{ACCOUNT, Node};
pub use ports::{free_port, free_ports, loopback};
pub use process::{Process, Scratch, run_within};
pub use proxy::{Counts, Door, FaultProxy, Recorded, SocketCounts};
pub use relay::Relay;
pub use socket::{End, Event, Inbox, Refusal, Socket};
pub use tls::{Authority, Handshakes, TlsProvider};
