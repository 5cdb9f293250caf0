//! What came back for a part of a batch.
//!
//! Duty: sort the replies into their items, judge each by its own method, judge the part as a whole for the channel's evidence.
//! Invariants: an item is answered by a reply with its own upstream id or not at all; a part that died for its size is halved, not blamed; what Envoy says in
//! a provider's place is nobody's answer.
//! Leaves to others: where what is still open goes next ([`super::parts`]), what a part's items add up to ([`super::tally`]).

use std::rc::Rc;

use lasso_jsonrpc::Malformed;
use lasso_jsonrpc::block::Blocks;
use lasso_jsonrpc::error::RpcError;
use lasso_jsonrpc::id::Id;
use lasso_jsonrpc::method::{FilterOp, Method};
use lasso_jsonrpc::response::{Reply, read, read_batch};
use lasso_routing::catalog::{Channel, Provider};
use lasso_routing::ledger::End;
use lasso_routing::outcome::{Blame, ErrorRule, Failure, Held, Next, Observed, Row, Verdict, classify};
use lasso_routing::plan::Attempts;
use lasso_routing::sticky;

use super::batch::{Batch, Flight, LastPart, MOST_ANSWER_BYTES, MOST_HALVINGS, Part, Shown};
use super::relay::{dispatched_envelope, lost};
use super::tally::Tally;
use super::{Down, State};
use crate::exchange::count;
use crate::host::{Host, Moment};
use crate::judge::{Envelope, shown_head};
use crate::worker::Worker;

/// Envoy's timer and ours do not tick together.
const SLACK_MS: u64 = 5;
/// A provider takes no body of this size.
const CONTENT_TOO_LARGE: u16 = 413;

impl<H: Host> Down<H> {
    /// A part's answer came, or none did.
    pub(super) fn sub_batch_ended(&mut self, token: u32, answered: bool, size: usize) {
        let State::Batching(mut batch) = std::mem::replace(&mut self.state, State::Answered) else { return };
        let Some(at) = batch.flights.iter().position(|flight| flight.token == token) else {
            self.state = State::Batching(batch);
            return;
        };
        let flight = batch.flights.swap_remove(at);
        self.sort(&mut batch, flight, answered, size);
        self.proceed(batch);
    }

    /// Sorts a part's answer into its items.
    fn sort(&self, batch: &mut Batch, flight: Flight, answered: bool, size: usize) {
        let now = self.host.now();
        let mut worker = self.worker.borrow_mut();
        let worker = &mut *worker;
        batch.put_back(&flight.part);
        batch.last = Some(LastPart {
            plan: Rc::clone(&flight.part.plan),
            channel: flight.part.candidate.channel,
            latency: now.since(flight.sent),
            outcome: "unanswered",
        });
        let oversized = size > MOST_ANSWER_BYTES;
        let body = if answered && !oversized { self.host.dispatched_body(size) } else { Vec::new() };
        let out_of_time = now.since(flight.sent).0 / 1_000 + SLACK_MS >= flight.timeout_ms;
        let failure = if oversized { Some(Failure::Reset) } else { lost(&self.host, answered, &body, out_of_time) };
        match failure {
            Some(failure) => {
                // No status and no connect error: it died for its size, or the connection broke under it.
                let sizeable = failure == Failure::Reset && (oversized || !answered);
                if sizeable && halve(batch, &flight, false) {
                    batch.settle_plain(worker, &flight, &excused(&unreached(failure)), now);
                } else if oversized {
                    // The bound is ours, so it says nothing about the channel, and another would answer as much.
                    batch.settle_plain(worker, &flight, &excused(&unreached(failure)), now);
                    for index in &flight.part.items {
                        batch.refuse(*index, &RpcError::answer_too_large(MOST_ANSWER_BYTES));
                    }
                } else {
                    part_lost(batch, worker, flight, failure, now);
                }
            }
            None => {
                let envelope = dispatched_envelope(&self.host);
                match read_batch(&body) {
                    Ok(replies) => sort_replies(batch, worker, &flight, &replies, &envelope, now),
                    Err(malformed) => sort_whole(batch, worker, &flight, (&body, malformed), &envelope, now),
                }
            }
        }
    }
}

/// Nobody answered a part. Silence is settled when the batch ends: whom to blame shows only then.
fn part_lost(batch: &mut Batch, worker: &mut Worker, flight: Flight, failure: Failure, now: Moment) {
    if failure != Failure::Connect {
        delivered(batch, &flight, now);
    }
    let verdict = unreached(failure);
    for index in &flight.part.items {
        if let Some(course) = batch.course_mut(*index) {
            course.timed_out = verdict.row == Row::TimedOut;
        }
    }
    if verdict.row == Row::TimedOut {
        count(worker.stats(), &verdict);
        batch.note(&flight, &verdict);
        batch.silent.push((flight, now));
    } else {
        batch.settle_plain(worker, &flight, &verdict, now);
    }
}

/// A channel may have got the part.
fn delivered(batch: &mut Batch, flight: &Flight, now: Moment) {
    let slow = now.since(flight.sent) > Attempts::FAST.as_micros();
    for index in &flight.part.items {
        if let Some(course) = batch.course_mut(*index) {
            course.made += 1;
            course.slow |= slow;
            course.timed_out = false;
        }
    }
}

/// One reply for the whole part: its only item's, an error that speaks of all of it, or no JSON-RPC at all.
fn sort_whole(
    batch: &mut Batch,
    worker: &mut Worker,
    flight: &Flight,
    (body, malformed): (&[u8], Malformed),
    envelope: &Envelope,
    now: Moment,
) {
    let reply = read(body, true);
    if flight.part.items.len() == 1 && is_for(&reply, 0) {
        return sort_replies(batch, worker, flight, std::slice::from_ref(&reply), envelope, now);
    }
    // A result is nobody's where several were asked for.
    let reply = match reply {
        Reply::Result { .. } => Reply::Malformed(malformed),
        Reply::Error { .. } | Reply::Malformed(_) => reply,
    };
    let catalog = Rc::clone(&batch.catalog);
    let rules = provider(batch, &catalog, flight).map_or(&[][..], Provider::error_rules);
    let verdict = classify(&Observed {
        held: Held::Reply(&reply),
        rules,
        ..observed(&Method::of("batch"), &Blocks::None, envelope)
    });
    // A provider that takes fewer items says so in many ways; the items are looked at one by one where that is the reason.
    let about_size =
        matches!(verdict.row, Row::InvalidRequest | Row::UnknownServerError | Row::UnknownError | Row::RangeTooLarge)
            || matches!(verdict.row, Row::InvalidParamsText | Row::InvalidParamsCode);
    let refused = about_size && matches!(reply, Reply::Error { .. }) || envelope.status == CONTENT_TOO_LARGE;
    if refused && halve(batch, flight, true) {
        return batch.settle_plain(worker, flight, &excused(&verdict), now);
    }
    delivered(batch, flight, now);
    if let Reply::Error { error, .. } = &reply
        && batch.hold(worker, error.raw.len())
    {
        let raw: Rc<str> = error.raw.into();
        for index in &flight.part.items {
            if let Some(course) = batch.course_mut(*index) {
                course.last_error = Some(Rc::clone(&raw));
            }
        }
    }
    batch.settle_plain(worker, flight, &verdict, now);
}

fn sort_replies(
    batch: &mut Batch,
    worker: &mut Worker,
    flight: &Flight,
    replies: &[Reply<'_>],
    envelope: &Envelope,
    now: Moment,
) {
    delivered(batch, flight, now);
    let catalog = Rc::clone(&batch.catalog);
    let rules = provider(batch, &catalog, flight).map_or(&[][..], Provider::error_rules);
    let best_head = worker.ledger().best_head_for(&flight.part.plan, now.at);
    let mut tally = Tally::default();
    for (place, index) in flight.part.items.iter().enumerate() {
        // Nearly always in the order of the questions.
        let in_place = replies.get(place).filter(|reply| is_for(reply, place));
        let Some(reply) = in_place.or_else(|| replies.iter().find(|reply| is_for(reply, place))) else { continue };
        let Some(open) = batch.open(*index) else { continue };
        let method = Method::of(&open.method);
        let confirmed = catalog.profile(batch.target.profile).map(|profile| profile.method(&method).confirms_null);
        let verdict = classify(&Observed {
            held: Held::Reply(reply),
            best_head,
            confirms_null: confirmed.unwrap_or_default() && open.course.null_at.is_none(),
            rules,
            ..observed(&method, &open.blocks, envelope)
        });
        tally.add(&verdict, *index, shown_head(&open.blocks, &method, reply));
        sort_one(batch, worker, flight, (*index, reply, &verdict), now);
    }
    let verdict = tally.verdict().unwrap_or_else(|| {
        // An array, but of nothing that was asked for.
        let none = Reply::Malformed(Malformed::Neither);
        classify(&Observed { held: Held::Reply(&none), ..observed(&Method::of("batch"), &Blocks::None, envelope) })
    });
    let channel = catalog.channel(flight.part.candidate.channel).map_or("", Channel::id);
    if let Some(items) = flight.part.learning.filter(|_| verdict.success) {
        worker.bounds_mut().learn(channel, items, now.at);
    }
    tally.count(worker.stats(), &verdict);
    batch.note(flight, &verdict);
    let shower = tally.head().and_then(|(_, index)| batch.open(index));
    let subject = tally.subject().and_then(|index| batch.open(index));
    let shown = Shown {
        method: &Method::of(shower.map_or("batch", |open| &open.method)),
        blocks: subject.map_or(&Blocks::None, |open| &open.blocks),
        head: tally.head().map(|(number, _)| number),
    };
    batch.settle(worker, flight, &verdict, &shown, now);
}

/// Whether a reply carries the upstream id of that place.
fn is_for(reply: &Reply<'_>, place: usize) -> bool {
    let place = place.to_string();
    reply.id().is_some_and(|id| id == place || Id::of_raw(&place).is_some_and(|place| place.matches(id)))
}

fn sort_one(
    batch: &mut Batch,
    worker: &mut Worker,
    flight: &Flight,
    (index, reply, verdict): (usize, &Reply<'_>, &Verdict),
    now: Moment,
) {
    let answered = verdict.next == Next::Stop;
    let catalog = Rc::clone(&batch.catalog);
    match reply {
        Reply::Result { raw: Some(raw), .. } if answered => {
            let tagged = batch.open(index).is_some_and(|open| matches!(open.filter, Some(FilterOp::Create)));
            let channel = catalog.channel(flight.part.candidate.channel).map_or("", Channel::id);
            if tagged {
                batch.answer(worker, index, &sticky::tag(channel, raw));
            } else {
                batch.answer(worker, index, raw);
            }
        }
        Reply::Error { error, .. } if answered => {
            let params = batch.open(index).and_then(|open| open.params.as_deref());
            match params.filter(|_| verdict.hash_is_result).and_then(crate::reply::transaction_hash) {
                Some(hash) => batch.answer(worker, index, &hash),
                None => batch.answer_error(worker, index, error.raw),
            }
        }
        Reply::Error { error, .. } => {
            let held = batch.hold(worker, error.raw.len());
            if let Some(course) = batch.course_mut(index).filter(|_| held) {
                course.last_error = Some(error.raw.into());
            }
        }
        Reply::Result { .. } | Reply::Malformed(_) => {}
    }
    if answered && verdict.blame == Blame::None {
        learn(batch, worker, flight, index, now);
    }
    if !answered {
        go_on(batch, flight, index, verdict);
    }
}

/// An item has its answer: what other channels said about themselves is believed now.
fn learn(batch: &mut Batch, worker: &mut Worker, flight: &Flight, index: usize, now: Moment) {
    let Some(course) = batch.course_mut(index) else { return };
    course.answered_by = Some(flight.part.candidate.channel);
    let lessons = std::mem::take(&mut course.lessons);
    let Some(open) = batch.open(index) else { return };
    for (begun, verdict) in &lessons {
        worker.ledger().learned(&End {
            begun: *begun,
            method: &Method::of(&open.method),
            blocks: &open.blocks,
            latency: now.since(flight.sent),
            verdict,
            head: None,
            now: now.at,
        });
    }
}

/// An item whose answer another channel may better.
fn go_on(batch: &mut Batch, flight: &Flight, index: usize, verdict: &Verdict) {
    let catalog = Rc::clone(&batch.catalog);
    // A provider that lacks the method lacks it on its other transport too.
    let lacking = provider(batch, &catalog, flight).filter(|_| verdict.next == Next::AnotherProvider);
    let Some(course) = batch.course_mut(index) else { return };
    if verdict.next == Next::HighestHeadOnce {
        course.null_at = Some(course.made);
    }
    for channel in lacking.map_or(&[][..], Provider::channels) {
        course.pass(*channel);
    }
    course.lessons.push((flight.begun, *verdict));
}

fn provider<'c>(batch: &Batch, catalog: &'c lasso_routing::Catalog, flight: &Flight) -> Option<&'c Provider> {
    let chain = catalog.chain(batch.target.chain)?;
    chain.providers().get(chain.provider_of(flight.part.candidate.channel)?)
}

/// Puts a part back in two halves for the same channel. `false` when it cannot be halved, or something in it may not be sent twice.
fn halve(batch: &mut Batch, flight: &Flight, refused: bool) -> bool {
    let part = &flight.part;
    let replayable = |index: &usize| batch.open(*index).is_some_and(|open| open.replayable);
    // One that says that it takes fewer takes one at last; one that breaks may break for another reason.
    let enough = !refused && part.halvings >= MOST_HALVINGS;
    if part.items.len() < 2 || enough || !part.items.iter().all(replayable) {
        return false;
    }
    let size = part.items.len().div_ceil(2);
    for half in part.items.chunks(size) {
        for index in half {
            if let Some(course) = batch.course_mut(*index) {
                course.placed = true;
            }
        }
        let learning = refused.then_some(size);
        batch.waiting.push(Part { items: half.to_vec(), halvings: part.halvings + 1, learning, ..part.clone() });
    }
    true
}

const fn observed<'a>(method: &'a Method<'a>, blocks: &'a Blocks, envelope: &'a Envelope) -> Observed<'a> {
    const NO_RULES: &[ErrorRule] = &[];
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
        rules: NO_RULES,
    }
}

pub(super) fn unreached(failure: Failure) -> Verdict {
    let envelope = Envelope::default();
    classify(&Observed { held: Held::NoResponse(failure), ..observed(&Method::of("batch"), &Blocks::None, &envelope) })
}

const fn excused(verdict: &Verdict) -> Verdict {
    Verdict { blame: Blame::Ignored, ..*verdict }
}
