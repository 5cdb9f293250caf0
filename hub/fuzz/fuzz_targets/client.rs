//! Any bytes as a client's frames: no panic, no message over the limit, and what is written as a call is read as the same call.
//!
//! `cargo +nightly fuzz run client` in `hub`.
#![no_main]

use std::io::{self, Cursor, Read, Write};

use lasso_jsonrpc::Call;
use lasso_jsonrpc::request::{self, Payload};
use libfuzzer_sys::fuzz_target;
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Message, WebSocket};

const MOST_BYTES: usize = 64 * 1024;
const MOST_BATCH: usize = 64;

/// Brings the bytes, then ends; takes all that is written.
struct Script<'a>(Cursor<&'a [u8]>);

impl Read for Script<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Script<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fuzz_target!(|bytes: &[u8]| {
    // As the hub has it for its clients.
    let config = WebSocketConfig::default()
        .read_buffer_size(4_096)
        .write_buffer_size(0)
        .max_message_size(Some(MOST_BYTES))
        .max_frame_size(Some(MOST_BYTES));
    let mut socket = WebSocket::from_raw_socket(Script(Cursor::new(bytes)), Role::Server, Some(config));
    loop {
        match socket.read() {
            Ok(message @ (Message::Text(_) | Message::Binary(_))) => hear(&message.into_data()),
            Ok(Message::Ping(payload) | Message::Pong(payload)) => assert!(payload.len() <= 125),
            Ok(Message::Close(_)) => {}
            Ok(Message::Frame(_)) => panic!("raw frames are not read"),
            Err(_) => break,
        }
    }
});

fn hear(message: &[u8]) {
    assert!(message.len() <= MOST_BYTES);
    match request::parse(message, MOST_BATCH) {
        Ok(Payload::Single(call)) => check(&call),
        Ok(Payload::Batch(items)) => items.iter().flatten().for_each(check),
        Err(_) => {}
    }
}

fn check(call: &Call<'_>) {
    let mut out = Vec::new();
    call.write("7", &mut out);
    let Ok(Payload::Single(again)) = request::parse(&out, 1) else { panic!("what we write is a call") };
    assert_eq!(again.id.map(|id| id.as_raw()), Some("7"));
    assert_eq!(again.method, call.method);
}
