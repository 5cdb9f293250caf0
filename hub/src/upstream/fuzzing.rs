//! A door for fuzzing: any bytes as what a provider sends.
//!
//! Invariant that it holds: nothing panics; an answer's number stands where it is said to; no binding hears anything before its acceptance or after its end.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::desk::book::{Book, Told};
use super::message::{self, Said};
use super::meter::Metered;
use super::pulse::Proof;
use super::wire::{Heard, Wire};
use super::{BindingId, Happened};

/// Bindings that are asked for.
const BINDINGS: u64 = 3;
const MOST_BYTES: usize = 64 * 1024;

/// Brings these bytes, then ends; takes all that is written.
struct Script {
    bytes: Vec<u8>,
    read: usize,
}

/// Reads the bytes as frames of a provider, on a socket with bindings.
pub(crate) fn provider(bytes: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    if let Ok(runtime) = runtime {
        runtime.block_on(hear(bytes.to_vec()));
    }
}

async fn hear(bytes: Vec<u8>) {
    let (io, meter) = Metered::new(Box::new(Script { bytes, read: 0 }));
    let config = WebSocketConfig::default().max_message_size(Some(MOST_BYTES)).max_frame_size(Some(MOST_BYTES));
    let socket = WebSocketStream::from_raw_socket(io, Role::Client, Some(config)).await;
    let (mut wire, _jobs) = Wire::new((socket, meter), Proof::Anything, |_| true);
    let (signals, _signalled) = mpsc::channel(1);
    let (mut book, mut live) = (Book::default(), BTreeMap::new());
    book.up();
    for binding in 1..=BINDINGS {
        let _ = book.open(BindingId(binding), "[]", &signals);
        live.insert(binding, false);
    }
    while let Ok(heard) = wire.next().await {
        let Heard::Text(text) = heard else { continue };
        assert!(text.len() <= MOST_BYTES);
        if let Said::Answer { number, place, .. } = message::read(&text) {
            assert_eq!(text.get(place).and_then(|place| place.parse().ok()), Some(number));
        }
        book.hear(&text).iter().for_each(|told| follow(&mut live, told));
        while book.next_job().is_some() {}
        // One that was accepted is left at once, so that its name can come again.
        for (binding, _) in live.iter().filter(|(_, accepted)| **accepted) {
            book.close(BindingId(*binding));
        }
        live.retain(|_, accepted| !*accepted);
    }
    let lost = book.fall("over");
    assert_eq!(lost.len(), live.len());
}

fn follow(live: &mut BTreeMap<u64, bool>, Told { signal, .. }: &Told) {
    let accepted = live.get_mut(&signal.binding.0);
    match &signal.happened {
        Happened::Accepted => assert_eq!(accepted.map(|accepted| std::mem::replace(accepted, true)), Some(false)),
        Happened::Arrived(_) => assert_eq!(accepted, Some(&mut true)),
        Happened::Refused { .. } | Happened::Lost(_) => assert!(live.remove(&signal.binding.0).is_some()),
    }
}

impl AsyncRead for Script {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let rest = self.bytes.get(self.read..).unwrap_or_default();
        let taken = rest.len().min(buf.remaining());
        buf.put_slice(rest.get(..taken).unwrap_or_default());
        self.read += taken;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Script {
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
    use super::*;
    use crate::upstream::backoff::Chance;

    fn frame(text: &str) -> Vec<u8> {
        let length = u8::try_from(text.len()).unwrap();
        assert!(length < 126, "{text}");
        [&[0x81, length], text.as_bytes()].concat()
    }

    #[test]
    fn what_providers_send_and_what_becomes_of_it_on_the_way_panics_nowhere() {
        let said = [
            r#"{"params":{"subscription":7,"result":1}}"#,
            r#"{"id":1,"result":7}"#,
            r#"{"id":2,"result":7}"#,
            r#"{"params":{"subscription":7,"result":2}}"#,
            r#"{"id":4,"result":true}"#,
            r#"{"id":3,"error":{"code":-32601,"message":"no"}}"#,
            r#"{"params":{"subscription":7,"error":{}}}"#,
        ];
        let script: Vec<u8> = said.iter().flat_map(|text| frame(text)).collect();
        provider(&script);
        // The same with bytes flipped, and cut off.
        let mut chance = Chance::of_system();
        for _ in 0..500 {
            let mut script = script.clone();
            for _ in 0..3 {
                let place =
                    usize::try_from(chance.below(std::time::Duration::from_nanos(script.len() as u64)).as_nanos());
                script[place.unwrap()] ^= 1 << chance.below(std::time::Duration::from_nanos(8)).as_nanos();
            }
            provider(&script);
            script.truncate(script.len() / 2);
            provider(&script);
        }
    }
}
