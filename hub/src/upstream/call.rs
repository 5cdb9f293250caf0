//! Calls: from a request to the channel's sockets, and back to an answer.
//!
//! Duty: choose the socket with the fewest calls under way; give every answer the id that its caller wrote; put the answers to a batch together.
//! Invariant: of an answer only the id changes. A batch goes over one socket, one item after the other, and is answered whole or lost: providers limit
//! batches, and a caller that must know which half arrived would ask for each alone.
//! A request without an id is sent with one, so that we know what became of it; its answer is dropped.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use lasso_jsonrpc::request::{self, Payload};
use lasso_jsonrpc::{Call, Id, RpcError};
use tokio::time::{Instant, timeout_at};

use super::Lost;
use super::lane::{Answer, Lane, MOST_PENDING, Ticket};

/// One of a request's places in the answer.
enum Item {
    /// Raw JSON of the id that its answer gets; `None`: it gets none.
    Asked(Option<Box<str>>),
    /// What we say ourselves.
    Said(Vec<u8>),
}

/// The answer to a request.
pub(super) async fn call(lanes: &[Arc<Lane>], body: &[u8], patience: Duration) -> Result<Bytes, Lost> {
    let deadline = Instant::now() + patience;
    match request::parse(body, MOST_PENDING) {
        Err(error) => Ok(said(&error.error(), &error.id()).into()),
        Ok(Payload::Single(call)) => {
            let tickets = submit(lanes, &[&call])?;
            let answers = all(tickets, deadline).await?;
            let id = call.id.map(|id| id.as_raw());
            Ok(answers.into_iter().zip(id).map(|(answer, id)| answer.under(id)).next().unwrap_or_default().into())
        }
        Ok(Payload::Batch(items)) => {
            let calls: Vec<&Call<'_>> = items.iter().filter_map(|item| item.as_ref().ok()).collect();
            let tickets = submit(lanes, &calls)?;
            let items = items.iter().map(|item| match item {
                Ok(call) => Item::Asked(call.id.map(|id| id.as_raw().into())),
                Err(invalid) => Item::Said(said(&invalid.error(), &invalid.id)),
            });
            let items: Vec<_> = items.collect();
            Ok(together(items, all(tickets, deadline).await?).into())
        }
    }
}

fn said(error: &RpcError, id: &Id<'_>) -> Vec<u8> {
    let mut said = Vec::new();
    error.write(id.as_raw(), &mut said);
    said
}

/// Gives the calls to the socket with the fewest, or to the next where that has no room.
fn submit(lanes: &[Arc<Lane>], calls: &[&Call<'_>]) -> Result<Vec<Ticket>, Lost> {
    let mut up: Vec<_> = lanes.iter().filter_map(|lane| Some((lane.load()?, lane))).collect();
    up.sort_by_key(|(load, _)| *load);
    up.into_iter().find_map(|(_, lane)| lane.submit(calls)).ok_or(Lost::Unsent)
}

/// All answers, or why one is missing. What was sent counts before what was not: only where nothing was, nothing can have happened.
async fn all(tickets: Vec<Ticket>, deadline: Instant) -> Result<Vec<Answer>, Lost> {
    let mut answers = Vec::with_capacity(tickets.len());
    let mut lost = None;
    for mut ticket in tickets {
        let answer = match timeout_at(deadline, ticket.answer()).await {
            Ok(answer) => answer,
            Err(_) => Err(ticket.give_up()),
        };
        match answer {
            Ok(answer) => answers.push(answer),
            Err(because) => lost = lost.filter(|lost| *lost != Lost::Unsent).or(Some(because)),
        }
    }
    match lost {
        None => Ok(answers),
        Some(Lost::Unsent) if !answers.is_empty() => Err(Lost::Broken),
        Some(lost) => Err(lost),
    }
}

fn together(items: Vec<Item>, answers: Vec<Answer>) -> Vec<u8> {
    let mut answers = answers.into_iter();
    let mut body = Vec::new();
    for item in items {
        let answer = match item {
            Item::Said(said) => said,
            Item::Asked(id) => match (answers.next(), id) {
                (Some(answer), Some(id)) => answer.under(&id),
                (Some(_), None) | (None, _) => continue,
            },
        };
        body.push(if body.is_empty() { b'[' } else { b',' });
        body.extend_from_slice(&answer);
    }
    if !body.is_empty() {
        body.push(b']');
    }
    body
}

impl Answer {
    /// The answer with the caller's own id.
    fn under(&self, id: &str) -> Vec<u8> {
        let text = self.text.as_bytes();
        let (before, after) = (text.get(..self.place.start), text.get(self.place.end..));
        [before.unwrap_or_default(), id.as_bytes(), after.unwrap_or_default()].concat()
    }
}
