//! One keep-alive connection that asks one call at a time.

use std::net::SocketAddr;

use anyhow::{Context, bail};
use bytes::{Buf as _, BytesMut};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    calls::{Calls, is_result},
    message::frame,
};

/// What came back for a call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answered {
    /// The id that was asked with.
    pub(crate) id: u64,
    /// HTTP 200 with the call's own id and a result.
    pub(crate) whole: bool,
}

#[derive(Debug)]
pub(crate) struct Connection {
    socket: TcpStream,
    held: BytesMut,
    calls: Calls,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr, calls: Calls) -> anyhow::Result<Self> {
        let socket = TcpStream::connect(address).await.with_context(|| format!("nobody listens on {address}"))?;
        socket.set_nodelay(true)?;
        Ok(Self { socket, held: BytesMut::with_capacity(64 * 1024), calls })
    }

    /// The next call, to its answer's last byte.
    pub(crate) async fn ask(&mut self) -> anyhow::Result<Answered> {
        let (request, text, id) = self.calls.next();
        self.socket.write_all(request).await?;
        let frame = loop {
            if let Some(frame) = frame(&self.held) {
                break frame;
            }
            if self.socket.read_buf(&mut self.held).await? == 0 {
                bail!("the connection was closed in the middle of an answer");
            }
        };
        let (head, body) = (&self.held[..frame.head], &self.held[frame.head..frame.whole]);
        if body.is_empty() {
            bail!("an answer without a length: {}", String::from_utf8_lossy(head));
        }
        let whole = head.starts_with(b"HTTP/1.1 200") && is_result(body, &text);
        self.held.advance(frame.whole);
        Ok(Answered { id, whole })
    }
}
