//! The admin port of a fault proxy, for people at a terminal.
//!
//! `POST /down` refuse connections, `POST /deaf` never answer, `POST /gone` as if the machine were away, `POST /up` heal;
//! `POST /sockets/reset` resets the open sockets, `POST /sockets/close` closes them with 1012;
//! `POST /faults` adds a fault, `PUT /faults` replaces all (a JSON array), `DELETE /faults` removes all, `GET /faults` lists;
//! `GET /stats` counts, `GET /log` the last requests. A fault is JSON: `{"latency_ms": 300, "methods": ["eth_call"]}`.

use std::sync::Arc;

use serde::Serialize;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
};

use super::{
    Door, Hangup, Shared,
    http::{Reader, Request},
};
use crate::Fault;

pub(super) async fn serve(shared: Arc<Shared>, listener: TcpListener) {
    loop {
        if let Ok((mut stream, _)) = listener.accept().await {
            // One exchange a connection, one after the other: this port is for a person.
            let _ = tokio::time::timeout(std::time::Duration::from_secs(5), answer(&shared, &mut stream)).await;
        }
    }
}

async fn answer(shared: &Shared, stream: &mut TcpStream) -> std::io::Result<()> {
    let Some(request) = Reader::default().next(stream).await? else { return Ok(()) };
    let (status, body) = act(shared, &request).unwrap_or_else(|error| (400, format!("{error}\n")));
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
    );
    stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).await?;
    stream.shutdown().await
}

fn act(shared: &Shared, request: &Request) -> serde_json::Result<(u16, String)> {
    let door = |door: Door| {
        shared.door.send_replace(door);
        Ok((200, format!("{door:?}\n")))
    };
    let hang_up = |hangup: Hangup| {
        // Nobody there: nobody to hang up on.
        let sockets = shared.hangups.send(hangup).unwrap_or_default();
        Ok((200, format!("{sockets} sockets\n")))
    };
    match (request.verb.as_str(), request.path.as_str()) {
        ("POST", "/down") => door(Door::Refusing),
        ("POST", "/deaf") => door(Door::Deaf),
        ("POST", "/gone") => door(Door::Gone),
        ("POST", "/up") => door(Door::Open),
        ("POST", "/sockets/reset") => hang_up(Hangup::Reset),
        ("POST", "/sockets/close") => hang_up(Hangup::Close(1012)),
        ("POST", "/faults") => {
            let fault: Fault = serde_json::from_slice(&request.body)?;
            shared.ledger().add(fault);
            shared.faults.send_replace(());
            page(shared.ledger().faults())
        }
        ("PUT", "/faults") => {
            let faults: Vec<Fault> = serde_json::from_slice(&request.body)?;
            shared.ledger().set(faults);
            shared.faults.send_replace(());
            page(shared.ledger().faults())
        }
        ("DELETE", "/faults") => {
            shared.ledger().set([]);
            shared.faults.send_replace(());
            page(shared.ledger().faults())
        }
        ("GET", "/faults") => page(shared.ledger().faults()),
        ("GET", "/stats") => page(shared.ledger().counts()),
        ("GET", "/log") => page(&shared.ledger().requests()),
        _ => Ok((
            404,
            "POST /down /deaf /gone /up /sockets/reset /sockets/close /faults, PUT /faults, DELETE /faults, GET /faults /stats /log\n".to_owned(),
        )),
    }
}

fn page<T: Serialize + ?Sized>(value: &T) -> serde_json::Result<(u16, String)> {
    Ok((200, format!("{}\n", serde_json::to_string_pretty(value)?)))
}
