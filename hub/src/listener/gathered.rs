//! The socket of an HTTP/2 connection: many frames go out in one write.
//!
//! Duty: keep what is written until the connection has nothing more to say for now, then give it to the system at once.
//! Invariant: [`MOST`] bytes are kept, and what is over that waits; an idle connection keeps nothing. Who drives the connection calls [`Gathered::poll_send`]
//! after each turn: flushing does nothing.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Bytes: an event for some hundred clients.
const MOST: usize = 256 * 1_024;

/// Clones are the same one.
#[derive(Debug, Clone)]
pub(super) struct Gathered(Arc<Socket>);

#[derive(Debug)]
struct Socket {
    socket: TcpStream,
    kept: Mutex<BytesMut>,
}

impl Gathered {
    pub(super) fn new(socket: TcpStream) -> Self {
        Self(Arc::new(Socket { socket, kept: Mutex::default() }))
    }

    /// Gives everything to the system.
    pub(super) fn poll_send(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_send_all(&mut self.kept(), cx)
    }

    fn poll_send_all(&self, kept: &mut BytesMut, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !kept.is_empty() {
            ready!(self.0.socket.poll_write_ready(cx))?;
            match self.0.socket.try_write(kept) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(written) => kept.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        *kept = BytesMut::new();
        Poll::Ready(Ok(()))
    }

    fn kept(&self) -> MutexGuard<'_, BytesMut> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps as much as there is room for.
    fn keep(&self, slices: &[IoSlice<'_>], cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut kept = self.kept();
        if kept.len() >= MOST {
            ready!(self.poll_send_all(&mut kept, cx))?;
        }
        let mut taken = 0;
        for slice in slices {
            let bytes = slice.len().min(MOST - kept.len());
            kept.extend_from_slice(slice.get(..bytes).unwrap_or_default());
            taken += bytes;
        }
        Poll::Ready(Ok(taken))
    }
}

impl AsyncRead for Gathered {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.0.socket.poll_read_ready(cx))?;
            match self.0.socket.try_read_buf(buffer) {
                Ok(_) => return Poll::Ready(Ok(())),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Gathered {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.keep(&[IoSlice::new(bytes)], cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.keep(slices, cx)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The last clone closes it.
        self.poll_send(cx)
    }
}
