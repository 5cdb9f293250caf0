//! Reading HTTP/1.1 requests off a socket.
//!
//! Invariant: a request is given whole or not at all; at most 64 KiB of head and 64 MiB of body.

use std::io;

use tokio::{io::AsyncReadExt, net::TcpStream};

const MOST_HEAD: usize = 64 << 10;
const MOST_BODY: usize = 64 << 20;

/// A request, whole.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) verb: String,
    pub(super) path: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Request {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(named, _)| named == name).map(|(_, value)| value.as_str())
    }

    /// The key of a WebSocket handshake, when it is one.
    pub(super) fn socket_key(&self) -> Option<&str> {
        let upgrades = self.header("upgrade").is_some_and(|value| value.eq_ignore_ascii_case("websocket"));
        self.header("sec-websocket-key").filter(|_| upgrades)
    }

    /// Whether the client wants the connection closed after the answer.
    pub(super) fn wants_close(&self) -> bool {
        self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }
}

/// Requests of one connection.
#[derive(Debug, Default)]
pub(super) struct Reader {
    held: Vec<u8>,
}

impl Reader {
    /// What was read and not asked for.
    pub(super) fn rest(&self) -> &[u8] {
        &self.held
    }

    /// The next request; `None` when the other side is done.
    pub(super) async fn next(&mut self, stream: &mut TcpStream) -> io::Result<Option<Request>> {
        let mut request = loop {
            if let Some((head, used)) = parse_head(&self.held)? {
                self.held.drain(..used);
                break head;
            }
            if self.held.len() > MOST_HEAD {
                return Err(broken("head too long"));
            }
            if !self.more(stream).await? {
                return Ok(None);
            }
        };
        let chunked = request.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
        request.body = if chunked {
            self.chunks(stream).await?
        } else {
            let length = request.header("content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
            self.exactly(stream, length).await?
        };
        Ok(Some(request))
    }

    async fn more(&mut self, stream: &mut TcpStream) -> io::Result<bool> {
        Ok(stream.read_buf(&mut self.held).await? > 0)
    }

    async fn exactly(&mut self, stream: &mut TcpStream, length: usize) -> io::Result<Vec<u8>> {
        if length > MOST_BODY {
            return Err(broken("body too long"));
        }
        while self.held.len() < length {
            if !self.more(stream).await? {
                return Err(broken("body ends early"));
            }
        }
        Ok(self.held.drain(..length).collect())
    }

    async fn chunks(&mut self, stream: &mut TcpStream) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let size = self.line(stream).await?;
            let size = size.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(size, 16).map_err(|_| broken("bad chunk size"))?;
            if size == 0 {
                while !self.line(stream).await?.is_empty() {}
                return Ok(body);
            }
            body.extend(self.exactly(stream, size).await?);
            self.line(stream).await?;
            if body.len() > MOST_BODY {
                return Err(broken("body too long"));
            }
        }
    }

    async fn line(&mut self, stream: &mut TcpStream) -> io::Result<String> {
        loop {
            if let Some(end) = self.held.windows(2).position(|two| two == b"\r\n") {
                let line: Vec<u8> = self.held.drain(..end + 2).take(end).collect();
                return Ok(String::from_utf8_lossy(&line).into_owned());
            }
            if !self.more(stream).await? {
                return Err(broken("line ends early"));
            }
        }
    }
}

fn parse_head(held: &[u8]) -> io::Result<Option<(Request, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; 100];
    let mut head = httparse::Request::new(&mut headers);
    let used = match head.parse(held) {
        Ok(httparse::Status::Complete(used)) => used,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(broken(&error.to_string())),
    };
    let request = Request {
        verb: head.method.unwrap_or_default().to_owned(),
        path: head.path.unwrap_or_default().to_owned(),
        headers: head
            .headers
            .iter()
            .map(|header| (header.name.to_ascii_lowercase(), String::from_utf8_lossy(header.value).into_owned()))
            .collect(),
        body: Vec::new(),
    };
    Ok(Some((request, used)))
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
