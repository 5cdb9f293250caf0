//! WebSocket frames, byte for byte.
//!
//! Duty: put a frame into bytes, masked or not, right or wrong; take frames out of a stream of bytes and put messages together.
//! Invariant: written from RFC 6455 and nothing else, so that a mistake of the library the product uses is not made here too; a frame is at most
//! [`MOST_PAYLOAD`] bytes.
//! Leaves to others: handshakes that are looked at, pongs and close codes (`socket`, `proxy`).

use std::io;

use bytes::{Buf as _, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
};

const MOST_PAYLOAD: usize = 64 << 20;
const MOST_HEAD: usize = 16 << 10;
/// The nonce of RFC 6455: ours need not be unguessable.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// What a client masks with: nothing here is secret, and a test should be the same in every run.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// The `opcode` of a frame.
pub mod opcode {
    /// More of the message before.
    pub const MORE: u8 = 0;
    /// Text.
    pub const TEXT: u8 = 1;
    /// Bytes.
    pub const BINARY: u8 = 2;
    /// The end.
    pub const CLOSE: u8 = 8;
    /// Are you there?
    pub const PING: u8 = 9;
    /// I am.
    pub const PONG: u8 = 10;
}

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The last of its message.
    pub last: bool,
    /// The three bits that nobody may set.
    pub reserved: u8,
    /// What it is: [`opcode`].
    pub opcode: u8,
    /// Unmasked.
    pub payload: Vec<u8>,
}

impl Frame {
    /// A whole message or a control frame.
    pub fn new(opcode: u8, payload: impl Into<Vec<u8>>) -> Self {
        Self { last: true, reserved: 0, opcode, payload: payload.into() }
    }

    /// A whole text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::new(opcode::TEXT, text.into())
    }

    /// The end, with a code.
    pub fn close(code: u16, reason: &str) -> Self {
        Self::new(opcode::CLOSE, [&code.to_be_bytes(), reason.as_bytes()].concat())
    }

    /// More of its message follows.
    #[must_use]
    pub fn unfinished(mut self) -> Self {
        self.last = false;
        self
    }

    /// With these reserved bits.
    #[must_use]
    pub fn reserved(mut self, bits: u8) -> Self {
        self.reserved = bits & 7;
        self
    }

    /// As a client must send it.
    pub fn masked(&self) -> Vec<u8> {
        let mut bytes = self.head(0x80);
        bytes.extend(MASK);
        bytes.extend(self.payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        bytes
    }

    /// As a server must send it, and a client must not.
    pub fn unmasked(&self) -> Vec<u8> {
        let mut bytes = self.head(0);
        bytes.extend(&self.payload);
        bytes
    }

    fn head(&self, masked: u8) -> Vec<u8> {
        let mut head = vec![u8::from(self.last) << 7 | self.reserved << 4 | self.opcode];
        match (u8::try_from(self.payload.len()), u16::try_from(self.payload.len())) {
            (Ok(short @ ..=125), _) => head.push(masked | short),
            (_, Ok(length)) => {
                head.push(masked | 126);
                head.extend(length.to_be_bytes());
            }
            (_, Err(_)) => {
                head.push(masked | 127);
                head.extend((self.payload.len() as u64).to_be_bytes());
            }
        }
        head
    }

    /// Code and reason of a close frame.
    pub fn closes_with(&self) -> Option<(u16, String)> {
        let (code, reason) = self.payload.split_first_chunk::<2>()?;
        (self.opcode == opcode::CLOSE)
            .then(|| (u16::from_be_bytes(*code), String::from_utf8_lossy(reason).into_owned()))
    }

    /// The first frame of these bytes, and how many it takes; `None` when it is not whole yet.
    pub fn read(bytes: &[u8]) -> io::Result<Option<(Self, usize)>> {
        let Some((&[first, second], rest)) = bytes.split_first_chunk::<2>() else { return Ok(None) };
        let (length, rest) = match second & 0x7f {
            126 => match rest.split_first_chunk::<2>() {
                Some((length, rest)) => (usize::from(u16::from_be_bytes(*length)), rest),
                None => return Ok(None),
            },
            127 => match rest.split_first_chunk::<8>() {
                Some((length, rest)) => (usize::try_from(u64::from_be_bytes(*length)).unwrap_or(usize::MAX), rest),
                None => return Ok(None),
            },
            short => (usize::from(short), rest),
        };
        if length > MOST_PAYLOAD {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "frame too long"));
        }
        let (mask, rest) = if second & 0x80 == 0 {
            (None, rest)
        } else {
            match rest.split_first_chunk::<4>() {
                Some((mask, rest)) => (Some(*mask), rest),
                None => return Ok(None),
            }
        };
        let Some(payload) = rest.get(..length) else { return Ok(None) };
        let payload = match mask {
            Some(mask) => payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect(),
            None => payload.to_vec(),
        };
        let frame = Self { last: first & 0x80 != 0, reserved: first >> 4 & 7, opcode: first & 0xf, payload };
        Ok(Some((frame, bytes.len() - rest.len() + length)))
    }
}

/// Frames off a stream of bytes.
#[derive(Debug)]
pub struct Frames<S> {
    stream: S,
    held: BytesMut,
    /// What there is of a message in several frames.
    parts: Option<Frame>,
}

impl Frames<TcpStream> {
    /// Opens a socket at `host:port`, with as little as it takes.
    pub async fn dial(host: &str, path: &str) -> io::Result<Self> {
        let mut stream = TcpStream::connect(host).await?;
        stream.set_nodelay(true)?;
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: {host}\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: {KEY}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut held = Vec::new();
        let end = loop {
            if let Some(end) = held.windows(4).position(|four| four == b"\r\n\r\n") {
                break end;
            }
            if held.len() > MOST_HEAD || stream.read_buf(&mut held).await? == 0 {
                return Err(io::Error::other("no answer to a handshake"));
            }
        };
        if !held.starts_with(b"HTTP/1.1 101") {
            return Err(io::Error::other("the handshake was refused"));
        }
        Ok(Self::new(stream, held.get(end + 4..).unwrap_or_default()))
    }
}

impl<S: AsyncRead + Unpin> Frames<S> {
    /// Frames of a stream of which these bytes were read already.
    pub fn new(stream: S, held: &[u8]) -> Self {
        Self { stream, held: BytesMut::from(held), parts: None }
    }

    /// The next frame as it came; `None` when the other side is done. Loses nothing when it is dropped.
    pub async fn frame(&mut self) -> io::Result<Option<Frame>> {
        loop {
            if let Some((frame, taken)) = Frame::read(&self.held)? {
                self.held.advance(taken);
                return Ok(Some(frame));
            }
            if self.stream.read_buf(&mut self.held).await? == 0 {
                return Ok(None);
            }
        }
    }

    /// The next message or control frame; messages in several frames are put together.
    pub async fn message(&mut self) -> io::Result<Option<Frame>> {
        while let Some(frame) = self.frame().await? {
            match (frame.opcode, self.parts.take()) {
                (opcode::CLOSE.., parts) => {
                    self.parts = parts;
                    return Ok(Some(frame));
                }
                (opcode::MORE, Some(mut whole)) => {
                    whole.payload.extend(frame.payload);
                    whole.last = frame.last;
                    self.parts = Some(whole);
                }
                (_, _) => self.parts = Some(frame),
            }
            if let Some(whole) = self.parts.take_if(|whole| whole.last) {
                return Ok(Some(whole));
            }
        }
        Ok(None)
    }

    /// The stream.
    pub fn stream(&self) -> &S {
        &self.stream
    }
}

impl<S: AsyncWrite + Unpin> Frames<S> {
    /// Puts bytes on the wire.
    pub async fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }
}

#[cfg(test)]
mod tests {
    use super::{Frame, opcode};

    #[test]
    fn frames_are_read_as_they_were_put() {
        for length in [0, 1, 125, 126, 127, 65_535, 65_536, 100_000] {
            let frame = Frame::new(opcode::BINARY, vec![7; length]);
            for bytes in [frame.masked(), frame.unmasked()] {
                let (read, taken) = Frame::read(&bytes).unwrap().unwrap();
                assert_eq!((&read, taken), (&frame, bytes.len()));
                assert_eq!(Frame::read(&bytes[..bytes.len() - 1]).unwrap(), None, "{length} bytes, one missing");
            }
        }
    }

    #[test]
    fn the_examples_of_rfc_6455_are_ours() {
        let hello = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
        assert_eq!(Frame::text("Hello").masked(), hello);
        assert_eq!(Frame::text("Hel").unfinished().unmasked(), [0x01, 0x03, 0x48, 0x65, 0x6c]);
        assert_eq!(Frame::new(opcode::MORE, "lo").unmasked(), [0x80, 0x02, 0x6c, 0x6f]);
        assert_eq!(Frame::close(1001, "bye").closes_with(), Some((1001, "bye".to_owned())));
    }
}
