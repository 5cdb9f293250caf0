//! gRPC messages in an HTTP/2 body.
//!
//! Duty: put the five bytes before a message, and find messages in bytes that come as they like (gRPC over HTTP/2, "Length-Prefixed-Message").
//! Bound: a message that says to be longer than the reader's bound ends the reading; nothing of it is kept.

/// A byte that says whether it is compressed, and the length, big-endian.
const PREFIX: usize = 5;

/// A message as it is sent.
pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let mut bytes = Vec::with_capacity(PREFIX + message.len());
    bytes.push(0);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(message);
    bytes
}

/// What a message's reader finds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// A whole one.
    Message(Vec<u8>),
    /// One that is compressed or longer than the bound: its length.
    Unreadable(usize),
}

/// Bytes of which messages are to be read.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    bytes: Vec<u8>,
}

impl Frames {
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next message of at most `most` bytes.
    pub(crate) fn next(&mut self, most: usize) -> Option<Frame> {
        let (prefix, rest) = self.bytes.split_first_chunk::<PREFIX>()?;
        let [compressed, length @ ..] = *prefix;
        let length = u32::from_be_bytes(length) as usize;
        if compressed != 0 || length > most {
            self.bytes = Vec::new();
            return Some(Frame::Unreadable(length.max(most + 1)));
        }
        let message = rest.get(..length)?.to_vec();
        self.bytes.drain(..PREFIX + length);
        Some(Frame::Message(message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_however_they_are_cut() {
        let messages: [&[u8]; 3] = [b"one", b"", b"three"];
        let bytes: Vec<u8> = messages.iter().flat_map(|message| framed(message)).collect();
        for cut in 1..=bytes.len() {
            let mut frames = Frames::default();
            let mut read = Vec::new();
            for piece in bytes.chunks(cut) {
                frames.take(piece);
                while let Some(frame) = frames.next(16) {
                    read.push(frame);
                }
            }
            assert_eq!(read, messages.map(|message| Frame::Message(message.to_vec())), "pieces of {cut}");
        }
    }

    #[test]
    fn what_is_too_long_or_compressed_is_not_read() {
        let table: [(Vec<u8>, usize); 2] = [(framed(&[7; 17]), 17), (vec![1, 0, 0, 0, 1, 9], 17)];
        for (bytes, length) in table {
            let mut frames = Frames::default();
            frames.take(&bytes);
            assert_eq!(frames.next(16), Some(Frame::Unreadable(length)), "{bytes:?}");
            assert_eq!(frames.next(16), None, "{bytes:?}");
        }
    }
}
