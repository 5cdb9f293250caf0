//! A client's bytes, in and out: a connection of its own (HTTP/1.1), or one stream of a connection that many clients share (HTTP/2, RFC 8441).
//!
//! Duty: make the two one to whoever reads and writes. Writing is by trying: what is not taken at once is told to wait.
//! Invariant: of a shared connection a client takes what flow control gives it and no more, so that one who does not read holds up nobody: towards it no byte
//! is handed over for which there is no room in its window, and what came from it and is not read stays within its own.
//! Leaves to others: frames (`session`, `outlet`), the connection (`listener`).

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use h2::{RecvStream, SendStream};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// The halves of a client's own connection.
pub(crate) fn own(socket: TcpStream) -> (Reading, Writing) {
    let (reading, writing) = socket.into_split();
    (Reading::Own(reading), Writing::Own(writing))
}

/// The halves of a stream of a shared connection.
pub(crate) fn shared(reading: RecvStream, writing: SendStream<Bytes>) -> (Reading, Writing) {
    let reading = Reading::Shared { stream: reading, held: BytesMut::new() };
    (reading, Writing::Shared(Mutex::new(Voice(writing))))
}

/// What comes from a client.
#[derive(Debug)]
pub(crate) enum Reading {
    Own(OwnedReadHalf),
    Shared {
        stream: RecvStream,
        /// What came and was not read. The client may not send as much again before it is.
        held: BytesMut,
    },
}

impl Reading {
    /// While nobody reads: puts what comes in a heap. A thousand frames of one byte each would be a thousand entries of the connection's, and are a kilobyte
    /// here. It never ends.
    pub(crate) async fn hold(&mut self) {
        std::future::poll_fn(|cx| {
            let Self::Shared { stream, held } = self else { return Poll::Pending };
            // Who reads is told of the end, and of what is wrong, again.
            while let Poll::Ready(Some(Ok(bytes))) = stream.poll_data(cx) {
                held.extend_from_slice(&bytes);
            }
            Poll::Pending
        })
        .await
    }
}

impl AsyncRead for Reading {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Own(half) => Pin::new(half).poll_read(cx, buffer),
            Self::Shared { stream, held } => read(stream, held, cx, buffer),
        }
    }
}

fn read(
    stream: &mut RecvStream,
    held: &mut BytesMut,
    cx: &mut Context<'_>,
    buffer: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    while held.is_empty() {
        match ready!(stream.poll_data(cx)) {
            Some(Ok(bytes)) => held.extend_from_slice(&bytes),
            Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
            None => return Poll::Ready(Ok(())),
        }
    }
    let bytes = held.len().min(buffer.remaining());
    buffer.put_slice(held.get(..bytes).unwrap_or_default());
    held.advance(bytes);
    if held.is_empty() {
        *held = BytesMut::new();
    }
    // It fails only for more than came.
    let _ = stream.flow_control().release_capacity(bytes);
    Poll::Ready(Ok(()))
}

/// What goes to a client. The last who drops it ends the writing.
#[derive(Debug)]
pub(crate) enum Writing {
    Own(OwnedWriteHalf),
    Shared(Mutex<Voice>),
}

/// The writing half of a stream.
#[derive(Debug)]
pub(crate) struct Voice(SendStream<Bytes>);

impl Voice {
    fn of(voice: &Mutex<Self>) -> MutexGuard<'_, Self> {
        voice.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands over as much of `len` bytes as there is room for. What there is none for is asked for, so that [`Voice::poll_room`] can tell.
    fn hand(&mut self, len: usize, bytes: impl FnOnce(usize) -> Bytes) -> io::Result<usize> {
        self.0.reserve_capacity(len);
        let room = self.0.capacity().min(len);
        if room == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.0.send_data(bytes(room), false).map_err(io::Error::other)?;
        Ok(room)
    }

    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.0.capacity() == 0 {
            match ready!(self.0.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for Voice {
    fn drop(&mut self) {
        // Of a stream that has ended otherwise there is nothing to end.
        let _ = self.0.send_data(Bytes::new(), true);
    }
}

impl Writing {
    /// Writes what is taken at once; `WouldBlock`: nothing.
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Own(half) => half.try_write(bytes),
            Self::Shared(voice) => {
                Voice::of(voice).hand(bytes.len(), |room| Bytes::copy_from_slice(bytes.get(..room).unwrap_or_default()))
            }
        }
    }

    /// The same of several pieces.
    pub(crate) fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Own(half) => half.try_write_vectored(slices),
            Self::Shared(voice) => {
                let len = slices.iter().map(|slice| slice.len()).sum();
                Voice::of(voice).hand(len, |room| joined(slices, room))
            }
        }
    }

    /// Waits until something may be taken. To be asked after something was not.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        match self {
            Self::Own(half) => half.writable().await,
            Self::Shared(voice) => std::future::poll_fn(|cx| Voice::of(voice).poll_room(cx)).await,
        }
    }
}

/// The first so many bytes.
fn joined(slices: &[IoSlice<'_>], bytes: usize) -> Bytes {
    let mut joined = BytesMut::with_capacity(bytes);
    for slice in slices {
        let left = bytes - joined.len();
        joined.extend_from_slice(slice.get(..left.min(slice.len())).unwrap_or_default());
    }
    joined.freeze()
}

#[cfg(test)]
mod tests;
