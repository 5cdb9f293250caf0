//! Sending a batch, part by part.
//!
//! Duty: screen the items, group those that one channel can serve, send the parts, sort the replies, send again what another channel may answer, reply.
//! Invariant: what was sent once and may not be sent twice is answered from that part, with its fate if need be.
//! Leaves to others: bookkeeping ([`super::batch`]).

use std::rc::Rc;

use lasso_jsonrpc::error::RpcError;
use lasso_jsonrpc::method::{Method, MethodClass, Safety};
use lasso_jsonrpc::request::{Call, Invalid};
use lasso_routing::Catalog;
use lasso_routing::catalog::ChannelIdx;
use lasso_routing::outcome::Failure;
use lasso_routing::plan::{Plan, Question, plan};
use lasso_routing::target::Target;

use super::batch::{Batch, Flight, Item, MOST_IN_FLIGHT, MOST_ROUNDS, OpenItem, Part};
use super::client::Client;
use super::relay::send;
use super::replies::unreached;
use super::screen::{Screened, screen};
use super::{Down, State};
use crate::Flow;
use crate::host::Host;
use crate::stats::Counter;

/// Items that one channel can serve.
#[derive(Debug)]
struct Group {
    plan: Plan,
    items: Vec<usize>,
}

impl Group {
    fn shares(&self, plan: &Plan) -> bool {
        self.plan.candidates.iter().any(|own| plan.candidates.iter().any(|other| other.channel == own.channel))
    }
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
        {
            let mut worker = self.worker.borrow_mut();
            worker.stats().add(Counter::BatchItems, i64::try_from(items.len()).unwrap_or(i64::MAX));
        }
        let open = || items.iter().filter_map(|item| item.open.as_ref());
        let profile = catalog.profile(target.profile);
        let deadline =
            |open: &OpenItem| profile.map_or(0, |profile| profile.method(&Method::of(&open.method)).deadline.0);
        let deadline_ms = open().map(deadline).max().unwrap_or_default();
        let heavy = open().any(|open| Method::of(&open.method).heavy_tailed());
        // What is sent once is not cut before the deadline; the shares of it are those of single calls.
        let share = if open().any(|open| !open.replayable) {
            100
        } else if heavy {
            45
        } else {
            30
        };
        let per_try_ms = u32::try_from(deadline_ms * share / 100).unwrap_or(u32::MAX);
        let mut batch = Batch {
            catalog: Rc::clone(catalog),
            target,
            items,
            waiting: Vec::new(),
            flights: Vec::new(),
            per_try_ms,
            started: now,
            deadline_ms,
        };
        self.place(&mut batch);
        self.proceed(Box::new(batch))
    }

    /// Gives every item without a part a channel, and answers those that nobody can serve.
    pub(super) fn place(&self, batch: &mut Batch) {
        let now = self.host.now();
        let late = now.since(batch.started).0 / 1_000 >= batch.deadline_ms;
        let mut groups: Vec<Group> = Vec::new();
        for index in batch.unplaced() {
            let Some(plan) = (if late { None } else { self.plan_for(batch, index) }) else {
                self.settle_unserved(batch, index);
                continue;
            };
            // One view of the chain: as many items as possible go to one channel.
            match groups.iter_mut().find(|group| group.shares(&plan)) {
                Some(group) => {
                    group
                        .plan
                        .candidates
                        .retain(|own| plan.candidates.iter().any(|other| other.channel == own.channel));
                    group.items.push(index);
                }
                None => groups.push(Group { plan, items: vec![index] }),
            }
        }
        for Group { plan, items } in groups {
            let Some(candidate) = plan.candidates.first().copied() else { continue };
            let size = part_size(batch, candidate.channel);
            let plan = Rc::new(plan);
            batch.waiting.extend(items.chunks(size).map(|items| Part {
                candidate,
                plan: Rc::clone(&plan),
                items: items.to_vec(),
                halvings: 0,
            }));
        }
    }

    /// Who may answer an item, without those that were asked; `None` when nobody is left.
    fn plan_for(&self, batch: &mut Batch, index: usize) -> Option<Plan> {
        let open = batch.items.get(index)?.open.as_ref()?;
        let rounds = u32::try_from(open.asked.len()).unwrap_or(u32::MAX);
        let most = if open.null_seen { 2 } else { MOST_ROUNDS };
        if rounds >= most || (rounds > 0 && !open.replayable) {
            return None;
        }
        let mut worker = self.worker.borrow_mut();
        let question = Question {
            target: &batch.target,
            method: &Method::of(&open.method),
            class: MethodClass::BATCH,
            blocks: &open.blocks,
            sticky: open.sticky,
            // The same seed for all items: the same order of equals, so that they stay together.
            seed: batch.started.micros.0,
            now: self.host.now().at,
        };
        match plan(&batch.catalog, worker.ledger(), &question) {
            Ok(mut plan) => {
                plan.candidates.retain(|candidate| !open.asked.contains(&candidate.channel));
                (!plan.candidates.is_empty()).then_some(plan)
            }
            Err(none) => {
                worker.stats().count(Counter::Unserved);
                let error = none.error(&batch.catalog, &open.method);
                drop(worker);
                if open.asked.is_empty() {
                    batch.refuse(index, &error);
                }
                None
            }
        }
    }

    /// The last word on an item that no channel is left for.
    fn settle_unserved(&self, batch: &mut Batch, index: usize) {
        let Some(item) = batch.items.get_mut(index) else { return };
        if item.reply.is_some() {
            return;
        }
        let Some(open) = item.open.take() else { return };
        if open.null_seen {
            batch.answer(index, "null");
        } else if let Some(error) = open.last_error {
            batch.answer_error(index, &error);
        } else {
            let chain = batch.catalog.chain(batch.target.chain).map_or("", |chain| chain.id()).to_owned();
            let attempts = u32::try_from(open.asked.len()).unwrap_or(u32::MAX);
            let error = if open.replayable || attempts == 0 {
                RpcError::all_failed(&open.method, &chain, attempts)
            } else {
                RpcError::indeterminate()
            };
            batch.refuse(index, &error);
        }
    }

    /// Sends what may be sent; replies when nothing is under way.
    pub(super) fn proceed(&mut self, mut batch: Box<Batch>) -> Flow {
        while batch.flights.len() < MOST_IN_FLIGHT {
            let Some(part) = batch.waiting.pop() else { break };
            self.launch(&mut batch, part);
            if batch.waiting.is_empty() && batch.flights.len() < MOST_IN_FLIGHT {
                self.place(&mut batch);
            }
        }
        if batch.flights.is_empty() {
            return self.reply_batch(&batch);
        }
        self.state = State::Batching(batch);
        Flow::Pause
    }

    fn launch(&self, batch: &mut Batch, part: Part) {
        let now = self.host.now();
        let body = batch.body(&part);
        for index in &part.items {
            if let Some(open) = batch.open_mut(*index) {
                open.asked.push(part.candidate.channel);
            }
        }
        let token = batch
            .catalog
            .channel(part.candidate.channel)
            .and_then(|channel| send(&self.host, channel, &body, batch.per_try_ms));
        let mut worker = self.worker.borrow_mut();
        worker.stats().count(Counter::Attempts);
        let begun = worker.ledger().begin(&part.candidate, &part.plan, now.at);
        let flight = Flight { token: token.unwrap_or_default(), part, begun, sent: now };
        if token.is_some() {
            batch.flights.push(flight);
            return;
        }
        // Envoy knows no such cluster: nothing left.
        let verdict = unreached(Failure::Connect);
        batch.settle(&mut worker, &flight, &verdict, now);
        for index in &flight.part.items {
            let unsent = batch.open_mut(*index).filter(|open| !open.replayable);
            if let Some(open) = unsent {
                open.asked.clear();
            }
        }
    }

    fn reply_batch(&mut self, batch: &Batch) -> Flow {
        match batch.reply() {
            Some(body) => self.respond(200, &body),
            None => {
                self.host.send_response(204, &[], b"");
                self.state = State::Answered;
            }
        }
        Flow::Pause
    }
}

fn item(catalog: &Catalog, target: &Target, call: &Result<Call<'_>, Invalid<'_>>, client: &Client) -> Item {
    let call = match call {
        Ok(call) => call,
        Err(invalid) => {
            let id = invalid.id.as_raw().to_owned();
            return Item { reply: Some(crate::reply::error(&id, &invalid.error())), id: Some(id), open: None };
        }
    };
    let id = call.id.map(|id| id.as_raw().to_owned());
    let raw_id = id.clone().unwrap_or_else(|| "null".to_owned());
    match screen(catalog, target, call, &|| client.websocket_url()) {
        Screened::Refused(error) => Item { id, reply: Some(crate::reply::error(&raw_id, &error)), open: None },
        Screened::Answered(result) => Item { id, reply: Some(crate::reply::result(&raw_id, &result)), open: None },
        Screened::Wanted(wanted) => {
            let open = OpenItem {
                method: call.method.clone().into_owned(),
                params: wanted.params.or_else(|| call.params.map(str::to_owned)),
                class: wanted.class,
                blocks: wanted.blocks,
                filter: wanted.filter,
                sticky: wanted.sticky,
                replayable: Method::of(&call.method).safety() == Safety::Replay,
                asked: Vec::new(),
                null_seen: false,
                last_error: None,
            };
            Item { id, reply: None, open: Some(open) }
        }
    }
}

fn part_size(batch: &Batch, channel: ChannelIdx) -> usize {
    let declared = batch
        .catalog
        .chain(batch.target.chain)
        .and_then(|chain| chain.providers().get(chain.provider_of(channel)?)?.max_batch());
    declared.map_or(super::batch::PART_ITEMS, |most| most.max(1) as usize)
}
