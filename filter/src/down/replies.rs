//! What came back for a part of a batch.
//!
//! Duty: sort the replies into their items, judge each by its own method, judge the part as a whole for the channel's evidence.
//! Invariant: an item is answered by a reply with its own upstream id or not at all; a part that died for its size is halved, not blamed.
//! Leaves to others: where what is still open goes next ([`super::parts`]).

use std::rc::Rc;

use lasso_jsonrpc::block::Blocks;
use lasso_jsonrpc::id::Id;
use lasso_jsonrpc::method::{FilterOp, Method};
use lasso_jsonrpc::response::{Reply, read, read_batch};
use lasso_routing::catalog::Channel;
use lasso_routing::outcome::{Blame, Failure, Held, Next, Observed, Row, Verdict, classify};
use lasso_routing::sticky;

use super::batch::{Batch, Flight, MOST_ANSWER_BYTES, MOST_HALVINGS, Part};
use super::relay::dispatched_envelope;
use super::{Down, State};
use crate::host::Host;
use crate::judge::Envelope;

impl<H: Host> Down<H> {
    /// A part's answer came, or none did.
    pub(super) fn sub_batch_ended(&mut self, token: u32, answered: bool, size: usize) {
        let State::Batching(mut batch) = std::mem::replace(&mut self.state, State::Answered) else { return };
        let Some(at) = batch.flights.iter().position(|flight| flight.token == token) else {
            self.state = State::Batching(batch);
            return;
        };
        let flight = batch.flights.swap_remove(at);
        self.sort(&mut batch, &flight, answered, size);
        self.place(&mut batch);
        self.proceed(batch);
    }

    /// Sorts a part's answer into its items.
    fn sort(&self, batch: &mut Batch, flight: &Flight, answered: bool, size: usize) {
        let now = self.host.now();
        let timed_out = now.since(flight.sent).0 / 1_000 + 5 >= u64::from(batch.per_try_ms);
        let envelope = if answered { dispatched_envelope(&self.host) } else { Envelope::default() };
        let verdict = if !answered && !timed_out || size > MOST_ANSWER_BYTES {
            // No status and no connect error: it died for its size, or the connection broke under it.
            if halve(batch, flight) {
                return self.settle_part(batch, flight, &excused(&unreached(Failure::Reset)));
            }
            unreached(Failure::Reset)
        } else if timed_out {
            unreached(Failure::Timeout)
        } else {
            let body = self.host.dispatched_body(size);
            match read_batch(&body) {
                Ok(replies) => return self.sort_replies(batch, flight, &replies, &envelope),
                Err(_) => match self.sort_whole(batch, flight, &body, &envelope) {
                    Some(verdict) => verdict,
                    None => return,
                },
            }
        };
        self.settle_part(batch, flight, &verdict);
    }

    /// One reply for the whole part: an error that speaks of all of it, or no JSON-RPC at all. `None` when the part goes again in halves.
    fn sort_whole(&self, batch: &mut Batch, flight: &Flight, body: &[u8], envelope: &Envelope) -> Option<Verdict> {
        let reply = read(body, true);
        let verdict = classify(&Observed {
            held: Held::Reply(&reply),
            ..observed(&Method::of("batch"), &Blocks::None, envelope)
        });
        if let Reply::Error { error, .. } = &reply {
            // A provider that takes fewer items says so in many ways; all of them are calls that it takes one by one.
            let about_size = matches!(
                verdict.row,
                Row::InvalidRequest | Row::UnknownServerError | Row::UnknownError | Row::RangeTooLarge
            ) || matches!(verdict.row, Row::InvalidParamsText | Row::InvalidParamsCode);
            if about_size && halve(batch, flight) {
                self.settle_part(batch, flight, &excused(&verdict));
                return None;
            }
            let raw = error.raw.to_owned();
            for index in &flight.part.items {
                if let Some(open) = batch.open_mut(*index) {
                    open.last_error = Some(raw.clone());
                }
            }
        }
        Some(verdict)
    }

    fn sort_replies(&self, batch: &mut Batch, flight: &Flight, replies: &[Reply<'_>], envelope: &Envelope) {
        let mut answered = 0_usize;
        let mut blamed: Option<Verdict> = None;
        let catalog = Rc::clone(&batch.catalog);
        let channel = catalog.channel(flight.part.candidate.channel).map_or("", Channel::id);
        let best_head = self.worker.borrow_mut().ledger().best_head(batch.target.chain, self.host.now().at);
        for (place, index) in flight.part.items.iter().enumerate() {
            let place = place.to_string();
            let reply = replies
                .iter()
                .find(|reply| reply.id().is_some_and(|id| Id::of_raw(&place).is_some_and(|place| place.matches(id))));
            let Some(reply) = reply else { continue };
            let Some(open) = batch.open_mut(*index) else { continue };
            let method = Method::of(&open.method);
            let verdict = classify(&Observed {
                held: Held::Reply(reply),
                best_head,
                confirms_null: method.confirms_null() && !open.null_seen,
                ..observed(&method, &open.blocks, envelope)
            });
            if verdict.blame == Blame::None {
                answered += 1;
            } else {
                blamed = Some(verdict);
            }
            sort_one(batch, *index, reply, &verdict, channel);
        }
        let verdict = match blamed {
            Some(verdict) if answered == 0 => verdict,
            Some(_) | None if answered > 0 => classify(&Observed {
                held: Held::Streaming,
                ..observed(&Method::of("batch"), &Blocks::None, &Envelope { status: 200, retry_after: None })
            }),
            Some(_) | None => classify(&Observed {
                held: Held::Reply(&Reply::Malformed(lasso_jsonrpc::Malformed::Neither)),
                ..observed(&Method::of("batch"), &Blocks::None, envelope)
            }),
        };
        self.settle_part(batch, flight, &verdict);
    }

    fn settle_part(&self, batch: &Batch, flight: &Flight, verdict: &Verdict) {
        batch.settle(&mut self.worker.borrow_mut(), flight, verdict, self.host.now());
    }
}

fn sort_one(batch: &mut Batch, index: usize, reply: &Reply<'_>, verdict: &Verdict, channel: &str) {
    let Some(open) = batch.open_mut(index) else { return };
    match reply {
        Reply::Result { raw: Some(raw), .. } => match verdict.next {
            Next::HighestHeadOnce => open.null_seen = true,
            Next::Stop | Next::Another | Next::AnotherProvider if matches!(open.filter, Some(FilterOp::Create)) => {
                batch.answer(index, &sticky::tag(channel, raw));
            }
            Next::Stop | Next::Another | Next::AnotherProvider => batch.answer(index, raw),
        },
        Reply::Error { error, .. } if verdict.hash_is_result => {
            let hash = open.params.as_deref().and_then(crate::reply::transaction_hash);
            match hash {
                Some(hash) => batch.answer(index, &hash),
                None => batch.answer_error(index, error.raw),
            }
        }
        Reply::Error { error, .. } if verdict.next == Next::Stop => batch.answer_error(index, error.raw),
        Reply::Error { error, .. } => open.last_error = Some(error.raw.to_owned()),
        Reply::Result { raw: None, .. } | Reply::Malformed(_) => {}
    }
}

/// Puts a part back in two halves for the same channel. `false` when it cannot be halved, or something in it may not be sent twice.
fn halve(batch: &mut Batch, flight: &Flight) -> bool {
    let items = &flight.part.items;
    let replayable =
        |index: &usize| batch.items.get(*index).and_then(|item| item.open.as_ref()).is_some_and(|open| open.replayable);
    if items.len() < 2 || flight.part.halvings >= MOST_HALVINGS || !items.iter().all(replayable) {
        return false;
    }
    for half in items.chunks(items.len().div_ceil(2)) {
        for index in half {
            if let Some(open) = batch.open_mut(*index) {
                open.asked.retain(|channel| *channel != flight.part.candidate.channel);
            }
        }
        let halvings = flight.part.halvings + 1;
        batch.waiting.push(Part { items: half.to_vec(), halvings, ..flight.part.clone() });
    }
    true
}

const fn observed<'a>(method: &'a Method<'a>, blocks: &'a Blocks, envelope: &'a Envelope) -> Observed<'a> {
    Observed {
        method,
        status: envelope.status,
        held: Held::Streaming,
        retry_after: match &envelope.retry_after {
            Some(value) => Some(value.as_str()),
            None => None,
        },
        wrong_id: false,
        best_head: None,
        blocks,
        confirms_null: false,
        rules: &[],
    }
}

pub(super) fn unreached(failure: Failure) -> Verdict {
    let envelope = Envelope::default();
    classify(&Observed { held: Held::NoResponse(failure), ..observed(&Method::of("batch"), &Blocks::None, &envelope) })
}

const fn excused(verdict: &Verdict) -> Verdict {
    Verdict { blame: Blame::Ignored, ..*verdict }
}
