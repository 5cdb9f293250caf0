//! What a client says: messages out of its frames, by tungstenite.
//!
//! Duty: whole messages, and what is wrong with those that are none.
//! Invariant: what tungstenite would answer by itself (pongs, the echo of a close) is not written: the session says it between its own frames. A buffer
//! that grew for a long message does not stay. What a message takes beyond [`FREE`] is counted, from its first bytes until the next one is asked for.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::StreamExt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{Error, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::{Message, Role, WebSocketConfig};

use crate::budget::{Budget, Held};
use crate::stream::Reading;
use crate::tally::Close;

/// One for each socket, so it is small: long messages get a buffer of their own.
const BUFFER: usize = 4_096;
/// Of each message: most are shorter.
const FREE: usize = 16 * 1_024;
/// Room is taken in steps of this.
const STEP: usize = 64 * 1_024;
/// Header of a short frame of a client.
const HEADER: usize = 6;

/// Something a client did.
#[derive(Debug)]
pub(super) enum Heard {
    /// A message, text or binary.
    Message(Bytes),
    Ping(Bytes),
    Pong,
    /// It closes, with this code.
    Close(Option<u16>),
    /// The socket cannot be read any more.
    Over(Close),
}

/// The reading half of a client's socket.
#[derive(Debug)]
pub(super) struct Ear {
    frames: WebSocketStream<Mute>,
    /// The latest message. While somebody holds its bytes tungstenite cannot take the buffer that they are in back, and begins a small one.
    latest: Option<Bytes>,
    /// The latest message is whole.
    whole: bool,
}

impl Ear {
    /// `read` came behind the request's head.
    pub(super) async fn new(half: Reading, read: &[u8], most_bytes: usize, budget: Budget) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER)
            .write_buffer_size(0)
            .max_message_size(Some(most_bytes))
            .max_frame_size(Some(most_bytes));
        let stream = Mute { half, budget, read: 0, held: None, roomy: FREE, is_full: false };
        let frames = WebSocketStream::from_partially_read(stream, read.to_vec(), Role::Server, Some(config)).await;
        Self { frames, latest: None, whole: false }
    }

    /// The next thing; while nobody `listens` there is none. May be dropped and asked again.
    pub(super) async fn next(&mut self, listens: bool) -> Heard {
        if !listens {
            self.frames.get_mut().half.hold().await;
        }
        let next = std::future::poll_fn(|cx| {
            if self.whole {
                self.frames.get_mut().forget();
                self.whole = false;
            }
            let next = self.frames.poll_next_unpin(cx);
            self.latest = None;
            next
        });
        match next.await {
            Some(Ok(message)) => self.heard(message),
            Some(Err(_)) if self.frames.get_ref().is_full => Heard::Over(Close::NoRoom),
            Some(Err(error)) => Heard::Over(wrong(&error)),
            None => Heard::Over(Close::Lost),
        }
    }

    fn heard(&mut self, message: Message) -> Heard {
        match message {
            Message::Text(_) | Message::Binary(_) => {
                self.whole = true;
                let bytes = message.into_data();
                self.latest = (bytes.len() > BUFFER).then(|| bytes.clone());
                Heard::Message(bytes)
            }
            Message::Ping(payload) => {
                self.frames.get_mut().discount(HEADER + payload.len());
                Heard::Ping(payload)
            }
            Message::Pong(payload) => {
                self.frames.get_mut().discount(HEADER + payload.len());
                Heard::Pong
            }
            Message::Close(frame) => Heard::Close(frame.map(|frame| frame.code.into())),
            // Only ever made by writers.
            Message::Frame(_) => Heard::Over(Close::Protocol),
        }
    }

    /// Whether others use its connection.
    pub(super) fn is_shared(&self) -> bool {
        matches!(self.frames.get_ref().half, Reading::Shared { .. })
    }

    /// Reads and forgets until the client is done, so that no reset overtakes our last frame.
    pub(super) async fn drain(&mut self) {
        let mut forgotten = vec![0; BUFFER];
        while matches!(self.frames.get_mut().half.read(&mut forgotten).await, Ok(1..)) {}
    }
}

fn wrong(error: &Error) -> Close {
    match error {
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)
        | Error::ConnectionClosed
        | Error::AlreadyClosed
        | Error::Io(_)
        | Error::Tls(_)
        | Error::WriteBufferFull(_)
        | Error::Url(_)
        | Error::Http(_)
        | Error::HttpFormat(_) => Close::Lost,
        Error::Protocol(_) | Error::AttackAttempt => Close::Protocol,
        Error::Capacity(_) => Close::TooLarge,
        Error::Utf8(_) => Close::NotText,
    }
}

/// A stream that forgets what is written to it.
#[derive(Debug)]
struct Mute {
    half: Reading,
    budget: Budget,
    /// Bytes of a message that is not whole, headers and all.
    read: usize,
    held: Option<Held>,
    /// Of those, so many have room.
    roomy: usize,
    is_full: bool,
}

impl Mute {
    /// A message was whole, and is somebody else's.
    fn forget(&mut self) {
        (self.read, self.held, self.roomy) = (0, None, FREE);
    }

    /// Whether so many bytes more may be held.
    fn hold(&mut self, bytes: usize) -> bool {
        self.read += bytes;
        while self.read > self.roomy && !self.is_full {
            self.is_full = !self.budget.add(&mut self.held, STEP);
            self.roomy += STEP;
        }
        !self.is_full
    }

    /// So many of them were no part of a message.
    fn discount(&mut self, bytes: usize) {
        self.read = self.read.saturating_sub(bytes);
    }
}

impl AsyncRead for Mute {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.half).poll_read(cx, buffer);
        let bytes = buffer.filled().len().saturating_sub(before);
        if bytes > 0 && !self.hold(bytes) {
            return Poll::Ready(Err(io::Error::other("no room")));
        }
        read
    }
}

impl AsyncWrite for Mute {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    const LONG: usize = 100 * 1_024;

    async fn pair(budget: Budget) -> (Ear, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (half, _) = crate::stream::own(listener.accept().await.unwrap().0);
        (Ear::new(half, &[], 2 * LONG, budget).await, client)
    }

    /// A text of so many bytes, its mask all zeros.
    fn text(bytes: usize) -> Vec<u8> {
        let mut frame = vec![0x81, 0xff];
        frame.extend_from_slice(&(bytes as u64).to_be_bytes());
        frame.extend_from_slice(&[0; 4]);
        frame.resize(frame.len() + bytes, b' ');
        frame
    }

    #[tokio::test]
    async fn room_is_taken_for_a_long_message_and_given_back_after_it() {
        // For one such message at a time.
        let budget = Budget::of(2 * STEP);
        let (mut ear, mut client) = pair(budget.clone()).await;
        for _ in 0..3 {
            client.write_all(&text(LONG)).await.unwrap();
            assert!(matches!(ear.next(true).await, Heard::Message(message) if message.len() == LONG));
            assert!(budget.take(STEP).is_none(), "it is still held");
            client.write_all(&[0x8a, 0x80, 0, 0, 0, 0]).await.unwrap();
            assert!(matches!(ear.next(true).await, Heard::Pong));
            assert!(budget.take(2 * STEP).is_some(), "nobody has it any more");
        }
    }

    #[tokio::test]
    async fn a_message_that_finds_no_room_ends_its_socket() {
        let budget = Budget::of(2 * STEP);
        let (mut ear, mut client) = pair(budget.clone()).await;
        let _other = budget.take(STEP);
        client.write_all(&text(LONG)).await.unwrap();
        assert!(matches!(ear.next(true).await, Heard::Over(Close::NoRoom)));
    }

    #[tokio::test]
    async fn pings_take_no_room() {
        let (mut ear, mut client) = pair(Budget::of(0)).await;
        let ping = [&[0x89, 0x80 | 100, 0, 0, 0, 0][..], &[0; 100]].concat();
        for _ in 0..2 * FREE / ping.len() {
            client.write_all(&ping).await.unwrap();
            assert!(matches!(ear.next(true).await, Heard::Ping(payload) if payload.len() == 100));
        }
    }
}
