//! A provider that misbehaves on command.
//!
//! Duty: stand in front of a node as one provider, for HTTP and WebSocket on one port: pass calls and subscriptions on, strike with the [`Fault`]s in
//! force, count and remember what arrived. Faults change at run time, in this process or by the admin port.
//! Invariant: what was received is recorded before anything is answered; memory is bounded. Listens on 127.0.0.1 only, unless it is given a listener.
//! Leaves to others: the bytes of one connection (`connection`) or socket (`socket`, `events`), the words of an answer (`answer`, `behind`), the admin
//! port (`admin`).

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::Context;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{broadcast, watch},
    task::JoinSet,
};

use crate::{Client, Fault, MadeChain, free_port, loopback};

mod admin;
mod answer;
mod behind;
mod connection;
mod events;
mod http;
mod ledger;
mod socket;

use ledger::Ledger;
pub use ledger::{Counts, Recorded, SocketCounts};

/// What the port does with connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// Lets them in.
    Open,
    /// Nobody listens; open connections were reset.
    Refusing,
    /// Lets them in and never reads a byte, on the open ones too.
    Deaf,
    /// The machine is gone: connecting never ends, open connections are never read.
    Gone,
}

/// One provider. Dropping it closes its port.
#[derive(Debug)]
pub struct FaultProxy {
    shared: Arc<Shared>,
    address: SocketAddr,
    tasks: JoinSet<()>,
}

/// What the tasks of one proxy share.
#[derive(Debug)]
struct Shared {
    ledger: Mutex<Ledger>,
    door: watch::Sender<Door>,
    /// Told whenever the faults in force are others.
    faults: watch::Sender<()>,
    hangups: broadcast::Sender<Hangup>,
    truth: Truth,
    client: Client,
}

/// Whose word is passed on.
#[derive(Debug)]
enum Truth {
    Node(String),
    Made(MadeChain),
    Nobody,
}

/// How open sockets are ended.
#[derive(Debug, Clone, Copy)]
enum Hangup {
    Reset,
    Close(u16),
}

impl Shared {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FaultProxy {
    /// A provider on a free port in front of `node` (a URL).
    pub async fn start(node: &str) -> anyhow::Result<Self> {
        Self::start_on(free_port(), Some(node)).await
    }

    /// A provider that answers only by faults; without one: an empty 404.
    pub async fn without_node() -> anyhow::Result<Self> {
        Self::start_on(free_port(), None).await
    }

    /// A provider on a free port of a chain that is made up; several may be of the same.
    pub async fn of_chain(chain: &MadeChain) -> anyhow::Result<Self> {
        Self::telling(free_port(), Truth::Made(chain.clone()))
    }

    /// A provider on this port.
    pub async fn start_on(port: u16, node: Option<&str>) -> anyhow::Result<Self> {
        Self::telling(port, node.map_or(Truth::Nobody, |node| Truth::Node(node.to_owned())))
    }

    /// A provider at a place of its own. Its door stays open: what it would listen on next is not there.
    pub fn start_at(listener: TcpListener, node: &str) -> anyhow::Result<Self> {
        Self::on(listener, Truth::Node(node.to_owned()))
    }

    fn telling(port: u16, truth: Truth) -> anyhow::Result<Self> {
        Self::on(listen(loopback(port), BACKLOG).with_context(|| format!("port {port} is taken"))?, truth)
    }

    fn on(listener: TcpListener, truth: Truth) -> anyhow::Result<Self> {
        let address = listener.local_addr().context("a listener without an address")?;
        let shared = Arc::new(Shared {
            ledger: Mutex::new(Ledger::default()),
            door: watch::Sender::new(Door::Open),
            faults: watch::Sender::new(()),
            hangups: broadcast::Sender::new(16),
            truth,
            client: Client::new(),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(keep_door(Arc::clone(&shared), address, listener));
        Ok(Self { shared, address, tasks })
    }

    /// Opens the admin port; see `admin` for what it understands.
    pub async fn with_admin(mut self, port: u16) -> anyhow::Result<Self> {
        let listener = listen(loopback(port), BACKLOG).with_context(|| format!("port {port} is taken"))?;
        self.tasks.spawn(admin::serve(Arc::clone(&self.shared), listener));
        Ok(self)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL with this path (which may hold a key, as providers' do).
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Its URL for sockets.
    pub fn ws_url(&self, path: &str) -> String {
        format!("ws://{}{path}", self.address)
    }

    /// These faults instead of all earlier ones.
    pub fn set(&self, faults: impl IntoIterator<Item = Fault>) {
        self.shared.ledger().set(faults);
        self.shared.faults.send_replace(());
    }

    /// One fault more.
    pub fn add(&self, fault: Fault) {
        self.shared.ledger().add(fault);
        self.shared.faults.send_replace(());
    }

    /// Resets every open socket. New ones are let in.
    pub fn reset_sockets(&self) {
        // No socket: nothing to reset.
        let _ = self.shared.hangups.send(Hangup::Reset);
    }

    /// Closes every open socket with this code.
    pub fn close_sockets(&self, code: u16) {
        let _ = self.shared.hangups.send(Hangup::Close(code));
    }

    /// No faults, door open, nothing counted.
    pub fn heal(&self) {
        self.set([]);
        self.shared.ledger().forget();
        self.door(Door::Open);
    }

    /// Opens, shuts or bricks up the door. Use [`Self::door_is`] to wait until it is so.
    pub fn door(&self, door: Door) {
        self.shared.door.send_replace(door);
    }

    /// Sets the door and waits until a newcomer would notice.
    pub async fn door_is(&self, door: Door) -> anyhow::Result<()> {
        self.door(door);
        let address = self.address;
        crate::wait::until(&format!("the door of {address} to be {door:?}"), Duration::from_secs(5), || async move {
            let tried = tokio::time::timeout(Duration::from_millis(50), TcpStream::connect(address)).await;
            let so = match (door, tried) {
                (Door::Open | Door::Deaf, Ok(Ok(_))) | (Door::Refusing, Ok(Err(_))) | (Door::Gone, Err(_)) => true,
                (Door::Open | Door::Deaf | Door::Refusing | Door::Gone, _) => false,
            };
            so.then_some(())
        })
        .await
    }

    /// What it counted since the start or the last [`Self::heal`].
    pub fn counts(&self) -> Counts {
        self.shared.ledger().counts().clone()
    }

    /// Calls of one method that came on sockets.
    pub fn count_ws(&self, method: &str) -> u64 {
        self.shared.ledger().counts().sockets.by_method.get(method).copied().unwrap_or_default()
    }

    /// Subscriptions of one kind (`newHeads`, `logs`) that there are now.
    pub fn subscriptions(&self, kind: &str) -> u64 {
        self.shared.ledger().counts().sockets.subscriptions.get(kind).copied().unwrap_or_default()
    }

    /// Calls of one method that came over HTTP (items of batches count one each).
    pub fn count(&self, method: &str) -> u64 {
        self.counts().by_method.get(method).copied().unwrap_or_default()
    }

    /// The last requests, oldest first.
    pub fn requests(&self) -> Vec<Recorded> {
        self.shared.ledger().requests()
    }
}

const BACKLOG: u32 = 1024;

fn listen(address: SocketAddr, backlog: u32) -> std::io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    // A port whose connections were reset a moment ago must be ours again at once.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(backlog)
}

/// Lets connections in while the door is open, and changes what listens when the door changes.
async fn keep_door(shared: Arc<Shared>, address: SocketAddr, first: TcpListener) {
    let mut door = shared.door.subscribe();
    let mut listener = Some(first);
    let mut connections = JoinSet::new();
    loop {
        let now = *door.borrow_and_update();
        match now {
            Door::Open | Door::Deaf => {
                let open = match listener.take() {
                    Some(open) => open,
                    None => match listen(address, BACKLOG) {
                        Ok(open) => open,
                        // Still being let go by the system: look again.
                        Err(_) => {
                            crate::wait::pass(Duration::from_millis(5)).await;
                            continue;
                        }
                    },
                };
                listener = let_in(&shared, &mut door, open, &mut connections).await;
            }
            Door::Refusing => {
                drop(listener.take());
                let _ = door.changed().await;
            }
            Door::Gone => {
                drop(listener.take());
                let _full = brick_up(address).await;
                let _ = door.changed().await;
            }
        }
    }
}

async fn let_in(
    shared: &Arc<Shared>,
    door: &mut watch::Receiver<Door>,
    listener: TcpListener,
    connections: &mut JoinSet<()>,
) -> Option<TcpListener> {
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    shared.ledger().connected();
                    connections.spawn(connection::serve(Arc::clone(shared), stream));
                }
            }
            _ = door.changed() => return Some(listener),
            Some(_) = connections.join_next() => {}
        }
    }
}

/// A listener whose queue is full and never emptied: the kernel drops further attempts, as if the machine were gone.
async fn brick_up(address: SocketAddr) -> Option<(TcpListener, Vec<TcpStream>)> {
    let listener = listen(address, 1).ok()?;
    let mut queued = Vec::new();
    for _ in 0..4 {
        let attempt = tokio::time::timeout(Duration::from_millis(50), TcpStream::connect(address)).await;
        let Ok(Ok(stream)) = attempt else { break };
        queued.push(stream);
    }
    Some((listener, queued))
}
