//! The bytes of one connection.
//!
//! Duty: read requests, have them recorded, put answers on the wire in the way the fault wants: whole, in parts, cut, reset.
//! Invariant: the state of the door is obeyed within a request too: a reset or deaf provider stops where it is.

use std::{io, io::Write as _, sync::Arc, time::Duration};

use flate2::{Compression, write::GzEncoder};
use tokio::{io::AsyncWriteExt, net::TcpStream, sync::watch};

use super::{
    Door, Recorded, Shared,
    answer::{Asked, Said, say},
    http::{Reader, Request},
    socket,
};
use crate::{Delivery, Fault, Over, wait};

/// How a connection goes on after an answer.
enum Next {
    Keep,
    Close,
    Reset,
    /// It is a socket from here on. The bytes behind the handshake were read already.
    Upgrade(Request, Vec<u8>),
}

/// Serves one connection to its end.
pub(super) async fn serve(shared: Arc<Shared>, mut stream: TcpStream) {
    let mut door = shared.door.subscribe();
    let _ = stream.set_nodelay(true);
    loop {
        let now = *door.borrow_and_update();
        match now {
            Door::Open => {}
            Door::Refusing => return reset(&stream),
            Door::Deaf | Door::Gone => {
                let _ = door.changed().await;
                continue;
            }
        }
        let served = tokio::select! {
            served = exchanges(&shared, &mut stream) => served,
            _ = not_open(&mut door) => continue,
        };
        return match served {
            Ok(Next::Upgrade(request, held)) => socket::serve(shared, stream, request, &held).await,
            Ok(Next::Reset) => reset(&stream),
            Ok(Next::Keep | Next::Close) | Err(_) => {}
        };
    }
}

async fn not_open(door: &mut watch::Receiver<Door>) {
    let _ = door.wait_for(|now| *now != Door::Open).await;
}

/// Lingering for no time makes the close a reset.
pub(super) fn reset(stream: &TcpStream) {
    let _ = stream.set_zero_linger();
}

async fn exchanges(shared: &Shared, stream: &mut TcpStream) -> io::Result<Next> {
    let mut reader = Reader::default();
    while let Some(request) = reader.next(stream).await? {
        if request.socket_key().is_some() {
            return Ok(Next::Upgrade(request, reader.rest().to_vec()));
        }
        let close = request.wants_close();
        match exchange(shared, stream, request).await? {
            Next::Keep if close => return Ok(Next::Close),
            Next::Keep => {}
            other @ (Next::Close | Next::Reset | Next::Upgrade(..)) => return Ok(other),
        }
    }
    Ok(Next::Close)
}

async fn exchange(shared: &Shared, stream: &mut TcpStream, request: Request) -> io::Result<Next> {
    let Request { verb, path, headers, body } = request;
    let asked = Asked::read(&body);
    let recorded = Recorded { over: Over::Http, verb, path, headers, methods: asked.methods(), body: body.clone() };
    let faults = shared.ledger().received(recorded);
    let latency = faults.iter().map(|fault| fault.latency_ms).sum();
    if latency > 0 {
        wait::pass(Duration::from_millis(latency)).await;
    }
    let fault = faults.iter().find(|fault| !fault.is_only_slow());
    let delivery = fault.map(|fault| fault.delivery.clone()).unwrap_or_default();
    match say(shared, &asked, &body, fault).await {
        Said::Whole { status, headers, body } => deliver(stream, status, &headers, body, &delivery).await,
        Said::Large { id, bytes } => deliver_large(stream, &id, bytes, &delivery).await,
        Said::Nothing => std::future::pending().await,
        Said::Reset => Ok(Next::Reset),
    }
}

async fn deliver(
    stream: &mut TcpStream,
    status: u16,
    headers: &[(String, String)],
    mut body: Vec<u8>,
    delivery: &Delivery,
) -> io::Result<Next> {
    if let Some(keep) = delivery.keep {
        body.truncate(keep);
    }
    let mut head = head(status, headers, body.first().copied());
    if delivery.gzip {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&body)?;
        body = encoder.finish()?;
        head.push_str("content-encoding: gzip\r\n");
    }
    let cut = delivery.reset_after.or(delivery.close_after);
    let sent = cut.map_or(body.as_slice(), |cut| body.get(..cut).unwrap_or(&body));
    if delivery.chunked {
        head.push_str("transfer-encoding: chunked\r\n\r\n");
    } else {
        head.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
    }
    let parts: Vec<&[u8]> = match delivery.pause_ms {
        Some(_) => vec![sent.get(..sent.len() / 2).unwrap_or_default(), sent.get(sent.len() / 2..).unwrap_or_default()],
        None => vec![sent],
    };
    // Head and first part leave in one packet, as from any server.
    let mut out = head.into_bytes();
    for (index, part) in parts.into_iter().enumerate() {
        if index > 0 {
            stream.write_all(&out).await?;
            out.clear();
            wait::pass(Duration::from_millis(delivery.pause_ms.unwrap_or_default())).await;
        }
        put(&mut out, part, delivery.chunked);
    }
    if delivery.chunked && cut.is_none() {
        out.extend(b"0\r\n\r\n");
    }
    stream.write_all(&out).await?;
    stream.flush().await?;
    end(stream, delivery).await
}

fn put(out: &mut Vec<u8>, part: &[u8], chunked: bool) {
    if !chunked {
        out.extend(part);
    } else if !part.is_empty() {
        out.extend(format!("{:x}\r\n", part.len()).as_bytes());
        out.extend(part);
        out.extend(b"\r\n");
    }
}

async fn end(stream: &mut TcpStream, delivery: &Delivery) -> io::Result<Next> {
    if delivery.reset_after.is_some() {
        // A reset overtakes bytes that were not read yet: the other side must have seen them for this to be a reset in the body.
        wait::pass(Duration::from_millis(20)).await;
        return Ok(Next::Reset);
    }
    if delivery.close_after.is_some() {
        stream.shutdown().await?;
        return Ok(Next::Close);
    }
    Ok(Next::Keep)
}

async fn deliver_large(stream: &mut TcpStream, id: &str, bytes: usize, delivery: &Delivery) -> io::Result<Next> {
    const PIECE: usize = 64 << 10;
    let open = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":\"0x");
    let close = "\"}";
    let mut head = head(200, &[], Some(b'{'));
    if delivery.chunked {
        head.push_str("transfer-encoding: chunked\r\n\r\n");
    } else {
        head.push_str(&format!("content-length: {}\r\n\r\n", open.len() + bytes + close.len()));
    }
    let mut out = head.into_bytes();
    put(&mut out, open.as_bytes(), delivery.chunked);
    stream.write_all(&out).await?;
    let piece = vec![b'a'; PIECE];
    let mut left = bytes.min(delivery.reset_after.or(delivery.close_after).unwrap_or(bytes));
    while left > 0 {
        let now = left.min(PIECE);
        out.clear();
        put(&mut out, piece.get(..now).unwrap_or(&piece), delivery.chunked);
        stream.write_all(&out).await?;
        left -= now;
    }
    if delivery.reset_after.is_none() && delivery.close_after.is_none() {
        out.clear();
        put(&mut out, close.as_bytes(), delivery.chunked);
        if delivery.chunked {
            out.extend(b"0\r\n\r\n");
        }
        stream.write_all(&out).await?;
    }
    stream.flush().await?;
    end(stream, delivery).await
}

fn head(status: u16, headers: &[(String, String)], first: Option<u8>) -> String {
    let mut head = format!("HTTP/1.1 {status} {}\r\n", if status < 400 { "OK" } else { "Not OK" });
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
        let kind = if first == Some(b'<') { "text/html" } else { "application/json" };
        head.push_str(&format!("content-type: {kind}\r\n"));
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head
}

impl Fault {
    /// Whether it changes nothing but the time of the answer.
    pub(super) fn is_only_slow(&self) -> bool {
        let Delivery { chunked, gzip, pause_ms, keep, reset_after, close_after } = &self.delivery;
        let plain =
            !chunked && !gzip && pause_ms.is_none() && keep.is_none() && reset_after.is_none() && close_after.is_none();
        matches!(self.answer, crate::Answer::Node) && plain
    }
}
