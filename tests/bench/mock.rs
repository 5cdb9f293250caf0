//! The cheapest provider there is.
//!
//! Invariant: answers at once and always the same, so whatever differs between two Envoys in front of it is theirs.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::{Buf as _, BytesMut};
use lasso_tests::loopback;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::AbortHandle,
};

use crate::{calls::Answers, message::frame};

/// How it behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Every call gets its result.
    Healthy,
    /// Each fourth id gets -32603. Not more: a channel that fails half of its calls is left alone.
    FailsEachFourth,
}

/// One provider on its own port. It ends when dropped.
#[derive(Debug)]
pub(crate) struct Mock {
    address: SocketAddr,
    asked: Arc<AtomicU64>,
    listening: AbortHandle,
}

impl Mock {
    pub(crate) async fn start(manner: Manner) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(loopback(0)).await?;
        let address = listener.local_addr()?;
        let asked = Arc::new(AtomicU64::new(0));
        let (count, answers) = (Arc::clone(&asked), Arc::new(Answers::new()));
        let listening = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                // A connection that breaks is its peer's story; the load sees it as a call without an answer.
                tokio::spawn(serve(socket, manner, Arc::clone(&answers), Arc::clone(&count)));
            }
        });
        Ok(Self { address, asked, listening: listening.abort_handle() })
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Calls that arrived so far.
    pub(crate) fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn serve(
    mut socket: TcpStream,
    manner: Manner,
    answers: Arc<Answers>,
    asked: Arc<AtomicU64>,
) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    let mut held = BytesMut::with_capacity(16 * 1024);
    let mut answer = Vec::new();
    let fails = |id: usize| manner == Manner::FailsEachFourth && id.is_multiple_of(4);
    loop {
        while let Some(frame) = frame(&held) {
            asked.fetch_add(1, Ordering::Relaxed);
            answers.write(&held[frame.head..frame.whole], fails, &mut answer);
            held.advance(frame.whole);
            socket.write_all(&answer).await?;
        }
        if socket.read_buf(&mut held).await? == 0 {
            return Ok(());
        }
    }
}
