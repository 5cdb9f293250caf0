//! A way to a server that can be cut.
//!
//! Duty: pass bytes between whoever connects and the server behind, and drop every connection on command: what a stream sees when a control plane, a
//! load balancer or a network goes away in the middle of it.
//! Invariant: listens on 127.0.0.1 only; ends with its owner.

use std::net::SocketAddr;

use anyhow::Context;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::broadcast,
    task::JoinSet,
};

use crate::{free_port, loopback};

/// A relay to one server.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    cuts: broadcast::Sender<()>,
    _tasks: JoinSet<()>,
}

impl Relay {
    /// Relays to a server, which need not listen yet.
    pub async fn to(server: SocketAddr) -> anyhow::Result<Self> {
        let address = loopback(free_port());
        let listener = TcpListener::bind(address).await.context("cannot listen")?;
        let (cuts, _) = broadcast::channel(1);
        let mut tasks = JoinSet::new();
        tasks.spawn(relay(listener, server, cuts.clone()));
        Ok(Self { address, cuts, _tasks: tasks })
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Drops every connection there is. New ones are let in.
    pub fn cut(&self) {
        // Nobody connected: nothing to cut.
        let _ = self.cuts.send(());
    }
}

async fn relay(listener: TcpListener, server: SocketAddr, cuts: broadcast::Sender<()>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((client, _)) = accepted else { continue };
                let cut = cuts.subscribe();
                connections.spawn(pass(client, server, cut));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn pass(mut client: TcpStream, server: SocketAddr, mut cut: broadcast::Receiver<()>) {
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut server) => {}
        _ = cut.recv() => {}
    }
}
