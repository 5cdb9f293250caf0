//! Sending a batch, part by part.
//!
//! Duty: screen the items, put those that go to one channel next into parts, send them, reply when nothing is open.
//! Invariants: what was sent once and may not be sent twice is answered from that part, with its fate if need be; each round passes over at least one channel
//! for each of its items, so it ends; nothing is sent after the deadline.
//! Leaves to others: bookkeeping ([`super::batch`]), who may answer ([`super::plans`]), what came back ([`super::replies`]).

use std::rc::Rc;

use lasso_jsonrpc::error::RpcError;
use lasso_jsonrpc::method::{Method, Safety};
use lasso_jsonrpc::request::{Call, Invalid};
use lasso_routing::Catalog;
use lasso_routing::catalog::Channel;
use lasso_routing::outcome::Failure;
use lasso_routing::plan::{Candidate, Plan};
use lasso_routing::target::{Meta, Target};

use super::batch::{Batch, BatchEnd, Course, Flight, Item, MOST_IN_FLIGHT, OpenItem, PART_ITEMS, Part};
use super::client::Client;
use super::plans::plan_items;
use super::relay::send;
use super::replies::unreached;
use super::screen::{Screened, screen};
use super::told::Ending;
use super::{Down, State};
use crate::host::{Host, Moment};
use crate::stats::Counter;
use crate::worker::Worker;
use crate::{Flow, meta};

/// Items that go to one channel next.
struct Group {
    candidate: Candidate,
    plan: Rc<Plan>,
    items: Vec<usize>,
}

impl<H: Host> Down<H> {
    /// A batch came.
    pub(super) fn batch(
        &mut self,
        catalog: &Rc<Catalog>,
        client: &Client,
        target: Target,
        calls: &[Result<Call<'_>, Invalid<'_>>],
    ) -> Flow {
        let now = self.host.now();
        let items: Vec<Item> = calls.iter().map(|call| item(catalog, &target, call, client)).collect();
        let open = || items.iter().filter_map(|item| item.open.as_ref());
        let profile = catalog.profile(target.profile);
        let deadline =
            |open: &OpenItem| profile.map_or(0, |profile| profile.method(&Method::of(&open.method)).deadline.0);
        let deadline_ms = open().map(deadline).max().unwrap_or_default();
        let bytes = open().map(|open| open.method.len() + open.params.as_ref().map_or(0, String::len)).sum();
        let mut batch = {
            let mut worker = self.worker.borrow_mut();
            worker.stats().add(Counter::BatchItems, i64::try_from(items.len()).unwrap_or(i64::MAX));
            Batch {
                catalog: Rc::clone(catalog),
                target,
                request_id: worker.chance(),
                items,
                waiting: Vec::new(),
                flights: Vec::new(),
                silent: Vec::new(),
                started: now,
                deadline_ms,
                selection: lasso_routing::time::Micros(0),
                retries: 0,
                last: None,
                kept: 0,
                end: BatchEnd::default(),
            }
        };
        {
            let mut worker = self.worker.borrow_mut();
            if batch.hold(&mut worker, bytes) {
                plan_items(&mut batch, &mut worker, now.at);
            } else {
                batch.unplaced().into_iter().for_each(|index| batch.refuse(index, &RpcError::no_room()));
            }
        }
        batch.selection = self.host.now().since(now);
        self.proceed(Box::new(batch))
    }

    /// Sends what may be sent; replies when nothing is under way.
    pub(super) fn proceed(&mut self, mut batch: Box<Batch>) -> Flow {
        loop {
            while batch.flights.len() < MOST_IN_FLIGHT {
                let Some(part) = batch.waiting.pop() else { break };
                self.launch(&mut batch, part);
            }
            if batch.flights.len() >= MOST_IN_FLIGHT {
                break;
            }
            place(&mut batch, &mut self.worker.borrow_mut(), self.host.now());
            if batch.waiting.is_empty() {
                break;
            }
        }
        if batch.flights.is_empty() {
            return self.reply_batch(batch);
        }
        self.state = State::Batching(batch);
        Flow::Pause
    }

    fn launch(&self, batch: &mut Batch, part: Part) {
        let now = self.host.now();
        let left = batch.left_ms(now);
        if left == 0 {
            return batch.put_back(&part);
        }
        let timeout_ms = per_try_ms(batch, &part).min(left);
        let body = batch.body(&part);
        let mut again = false;
        for index in &part.items {
            let Some(course) = batch.course_mut(*index) else { continue };
            course.pass(part.candidate.channel);
            if part.halvings == 0 {
                course.tried += 1;
                again |= course.tried > 1;
            }
        }
        let token = batch
            .catalog
            .channel(part.candidate.channel)
            .and_then(|channel| send(&self.host, channel, &body, u32::try_from(timeout_ms).unwrap_or(u32::MAX)));
        let mut worker = self.worker.borrow_mut();
        worker.stats().count(Counter::Attempts);
        if again {
            worker.stats().count(Counter::Failovers);
            worker.ledger().failed_over(&part.candidate, &part.plan);
            batch.retries += 1;
        }
        let begun = worker.ledger().begin(&part.candidate, &part.plan, now.at);
        let flight = Flight { token: token.unwrap_or_default(), part, begun, sent: now, timeout_ms };
        if token.is_some() {
            batch.flights.push(flight);
            return;
        }
        // Envoy knows no such cluster, or no host of it: nothing left.
        batch.settle_plain(&mut worker, &flight, &unreached(Failure::Connect), now);
        batch.put_back(&flight.part);
    }

    fn reply_batch(&mut self, mut batch: Box<Batch>) -> Flow {
        let body = batch.reply();
        let headers = {
            let mut worker = self.worker.borrow_mut();
            batch.conclude(&mut worker);
            match batch.target.include_meta {
                Meta::None => Vec::new(),
                // An array has no place for it, so both kinds are told in headers.
                Meta::Headers | Meta::Body => meta::batch_headers(&batch, worker.ledger(), self.host.now()),
            }
        };
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let status = if body.is_some() { 200 } else { 204 };
        self.say(status, &headers, body.as_deref().unwrap_or_default());
        batch.end(Some(status));
        (self.state, self.ending) = (State::Answered, Ending::Batch(batch));
        Flow::Pause
    }
}

/// Puts every item that is in no part into one, and answers those that nobody is left for.
fn place(batch: &mut Batch, worker: &mut Worker, now: Moment) {
    let late = batch.left_ms(now) == 0;
    let mut groups: Vec<Group> = Vec::new();
    for index in batch.unplaced() {
        let next = batch.open(index).filter(|_| !late).and_then(|open| {
            let candidate = open.next(worker.ledger(), now.at)?;
            Some((candidate, Rc::clone(open.course.plan.as_ref()?)))
        });
        let Some((candidate, plan)) = next else {
            settle_unserved(batch, worker, index, now);
            continue;
        };
        // One view of the chain: as many items as possible go to one channel.
        match groups.iter_mut().find(|group| group.candidate.channel == candidate.channel) {
            Some(group) => group.items.push(index),
            None => groups.push(Group { candidate, plan, items: vec![index] }),
        }
    }
    for Group { candidate, plan, items } in groups {
        for index in &items {
            if let Some(course) = batch.course_mut(*index) {
                course.placed = true;
            }
        }
        let size = part_size(batch, worker, candidate, now);
        batch.waiting.extend(items.chunks(size).map(|items| Part {
            candidate,
            plan: Rc::clone(&plan),
            items: items.to_vec(),
            halvings: 0,
            learning: None,
        }));
    }
}

/// The last word on an item that no channel is left for.
fn settle_unserved(batch: &mut Batch, worker: &mut Worker, index: usize, now: Moment) {
    let Some(open) = batch.open(index) else { return };
    let course = &open.course;
    if course.null_at.is_some() {
        return batch.answer(worker, index, "null");
    }
    if let Some(error) = course.last_error.clone() {
        worker.stats().count(Counter::Exhausted);
        return batch.answer_error(worker, index, &error);
    }
    let error = if course.made > 0 && !open.replayable {
        worker.stats().count(Counter::Indeterminate);
        RpcError::indeterminate()
    } else if course.timed_out || batch.left_ms(now) == 0 {
        worker.stats().count(Counter::Exhausted);
        RpcError::deadline(now.since(batch.started).0 / 1_000, course.tried)
    } else {
        worker.stats().count(Counter::Exhausted);
        let chain = batch.catalog.chain(batch.target.chain).map_or("", |chain| chain.id());
        RpcError::all_failed(&open.method, chain, course.tried)
    };
    batch.refuse(index, &error);
}

/// How long a part may take: the longest share of its items', as for single calls. What is sent once, and what nobody else can be asked, is not cut before the
/// deadline.
fn per_try_ms(batch: &Batch, part: &Part) -> u64 {
    let share = |open: &OpenItem| {
        let others = open.course.plan.as_ref().map_or((0, 0), |plan| (plan.candidates.len(), plan.admitted()));
        let is_heavy = Method::of(&open.method).heavy_tailed();
        match others {
            (..=1, _) => 100,
            _ if !open.replayable => 100,
            // Before last resorts, which are most likely dead.
            (_, ..=1) => {
                if is_heavy {
                    100
                } else {
                    70
                }
            }
            _ if is_heavy => 45,
            _ => 30,
        }
    };
    let longest = part.items.iter().filter_map(|index| batch.open(*index)).map(share).max();
    batch.deadline_ms * longest.unwrap_or(100) / 100
}

fn part_size(batch: &Batch, worker: &Worker, candidate: Candidate, now: Moment) -> usize {
    let chain = batch.catalog.chain(batch.target.chain);
    let declared = chain.and_then(|chain| chain.providers().get(chain.provider_of(candidate.channel)?)?.max_batch());
    let channel = batch.catalog.channel(candidate.channel).map_or("", Channel::id);
    let most = declared.map_or(PART_ITEMS, |most| most as usize);
    worker.bounds().of(channel, now.at).map_or(most, |learned| most.min(learned)).max(1)
}

fn item(catalog: &Catalog, target: &Target, call: &Result<Call<'_>, Invalid<'_>>, client: &Client) -> Item {
    let call = match call {
        Ok(call) => call,
        Err(invalid) => {
            let id = invalid.id.as_raw().to_owned();
            let reply = Some(crate::reply::error(&id, &invalid.error()));
            return Item { reply, failed: true, id: Some(id), open: None };
        }
    };
    let id = call.id.map(|id| id.as_raw().to_owned());
    let raw_id = id.clone().unwrap_or_else(|| "null".to_owned());
    match screen(catalog, target, call, &|| client.websocket_url()) {
        Screened::Refused(error) => {
            Item { id, reply: Some(crate::reply::error(&raw_id, &error)), failed: true, open: None }
        }
        Screened::Answered(result) => {
            Item { id, reply: Some(crate::reply::result(&raw_id, &result)), failed: false, open: None }
        }
        Screened::Wanted(wanted) => {
            let open = OpenItem {
                method: call.method.clone().into_owned(),
                params: wanted.params.or_else(|| call.params.map(str::to_owned)),
                blocks: wanted.blocks,
                filter: wanted.filter,
                sticky: wanted.sticky,
                replayable: Method::of(&call.method).safety() == Safety::Replay,
                course: Course::default(),
            };
            Item { id, reply: None, failed: false, open: Some(open) }
        }
    }
}
