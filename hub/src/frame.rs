//! Frames to clients, and the one of an event that many of them are told.
//!
//! Duty: the bytes of a frame.
//! Invariant: frames to clients are not masked, so that the framing is a header of at most ten bytes. Names and payloads are written as they came;
//! nothing is read again.
//! Leaves to others: writing them (`session::mouth`, `outlet`).

use std::ops::Range;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

pub(crate) const TEXT: u8 = 0x1;
pub(crate) const CLOSE: u8 = 0x8;
pub(crate) const PING: u8 = 0x9;
pub(crate) const PONG: u8 = 0xa;

/// An event that many are told: its frame is made once, and only the name in it is another for each.
#[derive(Debug)]
pub(crate) struct Telling {
    payload: Arc<str>,
    /// Empty until somebody is named.
    frame: BytesMut,
    /// Where the name stands.
    name: Range<usize>,
}

impl Telling {
    /// `payload` is `params.result`, as JSON.
    pub(crate) fn new(payload: Arc<str>) -> Self {
        Self { payload, frame: BytesMut::new(), name: 0..0 }
    }

    pub(crate) fn payload(&self) -> &Arc<str> {
        &self.payload
    }

    /// The frame for the subscription of this name.
    pub(crate) fn named(&mut self, name: &str) -> &[u8] {
        match self.frame.get_mut(self.name.clone()) {
            // All names are of one length.
            Some(place) if place.len() == name.len() => place.copy_from_slice(name.as_bytes()),
            Some(_) | None => {
                let parts = event(name, &self.payload);
                self.frame = joined(TEXT, &parts);
                let after: usize = parts.iter().skip(2).map(|part| part.len()).sum();
                let end = self.frame.len() - after;
                self.name = end - name.len()..end;
            }
        }
        &self.frame
    }
}

/// An event, in parts.
pub(crate) fn event<'a>(name: &'a str, payload: &'a str) -> [&'a [u8]; 5] {
    const BEFORE: &[u8] = br#"{"jsonrpc":"2.0","method":"eth_subscription","params":{"subscription":""#;
    [BEFORE, name.as_bytes(), br#"","result":"#, payload.as_bytes(), b"}}"]
}

/// A whole frame in one piece.
pub(crate) fn frame(opcode: u8, parts: &[&[u8]]) -> Bytes {
    joined(opcode, parts).freeze()
}

fn joined(opcode: u8, parts: &[&[u8]]) -> BytesMut {
    let len = parts.iter().map(|part| part.len()).sum();
    let mut frame = header(opcode, len, len);
    for part in parts {
        frame.put_slice(part);
    }
    frame
}

/// The beginning of a frame, with room for so much more.
pub(crate) fn header(opcode: u8, len: usize, room: usize) -> BytesMut {
    const FINAL: u8 = 0x80;
    let whole = |header: usize| BytesMut::with_capacity(header + room);
    let first = FINAL | opcode;
    match (u8::try_from(len), u16::try_from(len)) {
        (Ok(short), _) if short < 126 => {
            let mut header = whole(2);
            header.put_slice(&[first, short]);
            header
        }
        (_, Ok(medium)) => {
            let mut header = whole(4);
            header.put_slice(&[first, 126]);
            header.put_u16(medium);
            header
        }
        (_, Err(_)) => {
            let mut header = whole(10);
            header.put_slice(&[first, 127]);
            header.put_u64(len as u64);
            header
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frame_of_an_event_is_made_once_and_named_for_each() {
        for length in [0, 30, 40_000, 70_000] {
            let payload: Arc<str> = "1".repeat(length).into();
            let mut telling = Telling::new(Arc::clone(&payload));
            for name in ["0xaa", "0xbb", "0xlonger", "0xcc"] {
                let told = telling.named(name).to_vec();
                assert_eq!(told, frame(TEXT, &event(name, &payload)), "{name}, {length} bytes");
            }
        }
    }
}
