//! DOWN: the filter in the HTTP chain, once for each client request.
//!
//! ```text
//! headers -> Holding -> body's end -> Answered            errors, local answers
//!                                  -> Routed  -> router and UP -> response: let go | replaced | Relaying
//!                                  -> Batching            sub-batches that DOWN sends itself
//! ```
//!
//! Duty: parse and screen the call, publish the plan, answer what Envoy or an exhausted plan would otherwise answer, conclude the request.
//! Invariants: a provider's path is never written here, so access logs and traces show the client's; every answer is JSON-RPC with the client's id.
//! Leaves to others: attempts through the router (UP), verdicts (`judge`), batches' bookkeeping ([`batch`]).

pub mod batch;
mod broadcast;
pub mod client;
pub mod parts;
mod plans;
mod recover;
pub mod relay;
mod replies;
mod say;
pub mod screen;
mod tally;
mod told;

use std::cell::RefCell;
use std::rc::Rc;

use lasso_jsonrpc::error::RpcError;
use lasso_jsonrpc::method::{Method, Safety};
use lasso_jsonrpc::request::{Call, Payload, Version, parse};
use lasso_routing::Catalog;
use lasso_routing::ledger::Started;
use lasso_routing::outcome::Failure;
use lasso_routing::plan::{Attempts, Question, plan};
use lasso_routing::report::Stage;
use lasso_routing::target::{Meta, Target, resolve};

use crate::exchange::{Ask, Exchange, Fate};
use crate::host::{Host, Moment};
use crate::stats::Counter;
use crate::up::{PLAN, plan_property};
use crate::worker::Worker;
use crate::{Flow, meta, record, reply};

use self::batch::Batch;
use self::broadcast::Broadcast;
use self::client::Client;
use self::say::FOR_PAGES;
use self::screen::{Screened, Wanted, screen};
use self::told::Ending;

/// Filter state that selects the route without replay.
pub const ONCE: &str = "lasso_once";
/// The route's own per-try timeout: only another one is written.
const ROUTE_PER_TRY_MS: u64 = 500;

#[derive(Debug)]
enum State {
    /// Not ours: Envoy goes on as if we were not there.
    Passing,
    /// Headers read, the body is awaited.
    Holding(Box<Client>),
    /// With the router.
    Routed(Rc<RefCell<Exchange>>),
    /// DOWN sends the attempts of one call itself.
    Relaying(Rc<RefCell<Exchange>>, u32),
    /// DOWN sends sub-batches.
    Batching(Box<Batch>),
    /// DOWN sends one transaction to several channels.
    Broadcasting(Box<Broadcast>),
    /// Answered from here.
    Answered,
}

/// One client request's context.
#[derive(Debug)]
pub struct Down<H> {
    host: H,
    worker: Rc<RefCell<Worker>>,
    state: State,
    body_size: usize,
    /// Whether a web page will read the answer; unknown until the head came.
    is_for_page: Option<bool>,
    /// When the head came, if anybody will be told.
    arrived: Option<Moment>,
    /// The ledger's side of the request, until it ends.
    started: Option<Started>,
    ending: Ending,
}

impl<H: Host> Down<H> {
    /// A context before its request.
    pub fn new(host: H, worker: Rc<RefCell<Worker>>) -> Self {
        Self {
            host,
            worker,
            state: State::Passing,
            body_size: 0,
            is_for_page: None,
            arrived: None,
            started: None,
            ending: Ending::Open,
        }
    }

    /// The request's head came.
    pub fn request_headers(&mut self, end: bool) -> Flow {
        let catalog = self.worker.borrow().catalog();
        let Some(catalog) = catalog else { return Flow::Continue };
        let client = Client::read(&self.host);
        let is_call = client.is_call(&catalog);
        self.is_for_page = Some(is_call && client.is_page);
        if !is_call {
            return Flow::Continue;
        }
        if !client.is_probe(&catalog) {
            self.worker.borrow_mut().stats().count(Counter::Requests);
        }
        self.arrived = catalog.request_log().map(|_| self.host.now());
        if client.content_length > u64::from(catalog.max_body_bytes()) {
            return self.refuse_size(&catalog, &client);
        }
        if end {
            return self.refuse(400, "null", &RpcError::parse_error(), &client, None);
        }
        self.state = State::Holding(Box::new(client));
        Flow::Pause
    }

    /// `size` bytes of the body are buffered.
    pub fn request_body(&mut self, size: usize, end: bool) -> Flow {
        match &self.state {
            State::Passing => return Flow::Continue,
            State::Holding(_) => {}
            State::Routed(_) | State::Relaying(..) | State::Batching(_) | State::Broadcasting(_) | State::Answered => {
                return Flow::Pause;
            }
        }
        self.body_size = size;
        let Some(catalog) = self.worker.borrow().catalog() else { return Flow::Continue };
        if size > catalog.max_body_bytes() as usize {
            let State::Holding(client) = std::mem::replace(&mut self.state, State::Answered) else {
                return Flow::Pause;
            };
            return self.refuse_size(&catalog, &client);
        }
        if end { self.serve(&catalog) } else { Flow::Pause }
    }

    /// The body ended with trailers.
    pub fn request_trailers(&mut self) -> Flow {
        match &self.state {
            State::Holding(_) => {
                let Some(catalog) = self.worker.borrow().catalog() else { return Flow::Continue };
                self.serve(&catalog)
            }
            State::Passing | State::Routed(_) => Flow::Continue,
            State::Relaying(..) | State::Batching(_) | State::Broadcasting(_) | State::Answered => Flow::Pause,
        }
    }

    fn serve(&mut self, catalog: &Rc<Catalog>) -> Flow {
        let State::Holding(client) = std::mem::replace(&mut self.state, State::Answered) else { return Flow::Pause };
        let body = self.host.request_body(self.body_size);
        let payload = match parse(&body, catalog.max_batch() as usize) {
            Ok(payload) => payload,
            Err(error) => {
                let (status, id) = (u32::from(error.http_status()), error.id().as_raw());
                return self.refuse(status, id, &error.error(), &client, None);
            }
        };
        let target = resolve(catalog, &client.host, &client.path, &|name| client.lasso_header(name));
        // A probe is no request, unless it is a batch.
        if let Some(target) =
            target.as_ref().ok().filter(|target| !target.probe || matches!(payload, Payload::Batch(_)))
        {
            self.started = Some(self.worker.borrow_mut().ledger().started(target.chain));
        }
        let flow = match payload {
            Payload::Single(call) => {
                let id = call.id.map_or("null", |id| id.as_raw());
                match target {
                    Ok(target) => self.single(catalog, &client, target, &call, &body),
                    Err(error) => self.refuse_target(id, &error, &client, Some(&call.method)),
                }
            }
            Payload::Batch(items) => match target {
                // A probe is one call.
                Ok(target) => self.batch(catalog, &client, Target { probe: false, ..target }, &items),
                Err(error) => self.refuse_target("null", &error, &client, None),
            },
        };
        if let State::Routed(exchange) = &self.state {
            self.worker.borrow_mut().keep(&mut exchange.borrow_mut(), body);
        }
        flow
    }

    fn single(&mut self, catalog: &Rc<Catalog>, client: &Client, target: Target, call: &Call<'_>, body: &[u8]) -> Flow {
        #[cfg(feature = "inject-panic")]
        #[expect(clippy::panic, reason = "this build exists to test what a panic does")]
        if call.method == "lasso_panic" {
            panic!("injected");
        }
        let id = call.id.map_or("null", |id| id.as_raw());
        let wanted = match screen(catalog, &target, call, &|| client.websocket_url()) {
            Screened::Refused(error) => {
                self.reached(Stage::Refused);
                return self.refuse(200, id, &error, client, Some(&call.method));
            }
            Screened::Answered(result) => {
                self.reached(Stage::Answered);
                self.worker.borrow_mut().stats().count(Counter::AnsweredLocally);
                let status = if call.id.is_none() { 204 } else { 200 };
                self.note_answer(catalog, status, client, &call.method);
                return self.answer(call.id.is_none(), &reply::result(id, &result));
            }
            Screened::Wanted(wanted) => wanted,
        };
        let exchange = match self.exchange(catalog, target, call, wanted) {
            Ok(exchange) => exchange,
            Err(error) => {
                self.reached(Stage::Failed);
                self.note_refusal(200, &error, client, Some(&call.method));
                self.respond(200, &reply::error(id, &error));
                return Flow::Pause;
            }
        };
        let copies = copies(catalog, &exchange.borrow());
        if copies > 1 {
            exchange.borrow_mut().ask.keep(body);
            return self.broadcast(exchange, copies);
        }
        let rewritten = std::mem::take(&mut exchange.borrow_mut().ask.body);
        if !rewritten.is_empty() {
            self.host.set_request_body(self.body_size, &rewritten);
            self.host.set_request_header("content-length", Some(&rewritten.len().to_string()));
            exchange.borrow_mut().ask.body = rewritten;
        }
        self.commit(client, exchange)
    }

    /// Plans the call. Its body is kept only where it is another than the client's.
    fn exchange(
        &self,
        catalog: &Rc<Catalog>,
        target: Target,
        call: &Call<'_>,
        wanted: Wanted,
    ) -> Result<Rc<RefCell<Exchange>>, RpcError> {
        let now = self.host.now();
        let mut worker = self.worker.borrow_mut();
        let seed = worker.chance();
        let question = Question {
            target: &target,
            method: &Method::of(&call.method),
            class: wanted.class,
            blocks: &wanted.blocks,
            sticky: wanted.sticky,
            seed,
            now: now.at,
        };
        let plan = plan(catalog, worker.ledger(), &question).map_err(|none| {
            worker.stats().count(Counter::Unserved);
            none.error(catalog, &call.method)
        })?;
        let id = call.id.map_or("0", |id| id.as_raw()).to_owned();
        let body = rewritten(call, &wanted, &id).unwrap_or_default();
        let timed = target.include_meta.wanted() || catalog.request_log().is_some() || catalog.sync_cluster().is_some();
        let ask = Ask {
            target,
            method: call.method.clone().into_owned(),
            class: wanted.class,
            blocks: wanted.blocks,
            id,
            notification: call.id.is_none(),
            filter: wanted.filter,
            params_present: call.params.is_some(),
            params_digest: catalog
                .request_log()
                .filter(|log| log.params_digest)
                .and_then(|_| call.params.map(record::digest)),
            params: call.params.map(str::to_owned).filter(|_| plan.attempts == Attempts::Once),
            body,
        };
        let exchange = worker.open(|number| Exchange::new(number, Rc::clone(catalog), ask, plan, now, seed));
        if timed {
            exchange.borrow_mut().selection = self.host.now().since(now);
        }
        Ok(exchange)
    }

    /// Publishes the plan and hands the request to the router. The header writes come last: they make Envoy look at the route again.
    fn commit(&mut self, client: &Client, exchange: Rc<RefCell<Exchange>>) -> Flow {
        // First, since what the client sends under a name that we write must not undo ours.
        for name in &client.strip {
            self.host.set_request_header(name, None);
        }
        {
            let exchange = exchange.borrow();
            self.host.set_property(PLAN, &plan_property(&exchange));
            if exchange.plan.attempts == Attempts::Once {
                self.host.set_property(ONCE, b"1");
            }
            let per_try = exchange.per_try().0;
            if per_try != ROUTE_PER_TRY_MS {
                self.host.set_request_header("x-envoy-upstream-rq-per-try-timeout-ms", Some(&per_try.to_string()));
            }
        }
        if !client.is_json {
            self.host.set_request_header("content-type", Some("application/json"));
        }
        self.host.set_request_header("x-envoy-original-path", Some(client.path_without_query()));
        self.state = State::Routed(exchange);
        Flow::Continue
    }

    /// A response is on its way to the client: a provider's, or one of Envoy's own.
    pub fn response_headers(&mut self) -> Flow {
        if self.is_for_page() {
            FOR_PAGES.iter().for_each(|(name, value)| self.host.set_response_header(name, Some(value)));
        }
        let State::Routed(exchange) = &self.state else { return Flow::Continue };
        let exchange = Rc::clone(exchange);
        let fate = {
            let mut exchange = exchange.borrow_mut();
            let replaced = exchange.ask.notification || exchange.fate != Fate::Passed;
            if !replaced && exchange.ask.target.include_meta == Meta::None {
                return Flow::Continue;
            }
            std::mem::replace(&mut exchange.fate, Fate::Passed)
        };
        match fate {
            Fate::Open => self.recover(&exchange),
            Fate::Replaced(body) => self.finish(&exchange, &body),
            Fate::Passed | Fate::PassedAsOk if exchange.borrow().ask.notification => self.finish(&exchange, b""),
            Fate::Passed => self.pass_with_meta(&exchange),
            Fate::PassedAsOk => {
                self.host.set_response_header(":status", Some("200"));
                self.pass_with_meta(&exchange)
            }
        }
    }

    /// Bytes of a response: held back while DOWN looks for a better answer, since letting a body go lets its paused head go too.
    pub fn response_body(&self) -> Flow {
        match &self.state {
            State::Relaying(..) => Flow::Pause,
            State::Passing
            | State::Holding(_)
            | State::Routed(_)
            | State::Batching(_)
            | State::Broadcasting(_)
            | State::Answered => Flow::Continue,
        }
    }

    fn pass_with_meta(&self, exchange: &Rc<RefCell<Exchange>>) -> Flow {
        let exchange = exchange.borrow();
        if exchange.ask.target.include_meta != Meta::None {
            for (name, value) in meta::headers(&exchange, self.worker.borrow_mut().ledger(), self.host.now(), true) {
                self.host.set_response_header(name, Some(&value));
            }
        }
        Flow::Continue
    }

    fn fail(&mut self, exchange: &Rc<RefCell<Exchange>>) -> Flow {
        let failure = exchange.borrow().failed(self.host.now());
        // What the client believes is an answer, also when nobody confirmed it.
        if !exchange.borrow().ask.target.probe && !failure.is_result {
            let mut worker = self.worker.borrow_mut();
            let stats = worker.stats();
            stats.count(if failure.indeterminate { Counter::Indeterminate } else { Counter::Exhausted });
        }
        if failure.is_result {
            exchange.borrow_mut().fate = Fate::Passed;
        } else {
            exchange.borrow_mut().error = Some(failure.body.clone());
        }
        self.finish(exchange, &failure.body)
    }

    /// The client's answer to a single call.
    fn finish(&mut self, exchange: &Rc<RefCell<Exchange>>, body: &[u8]) -> Flow {
        {
            let exchange = exchange.borrow();
            if exchange.ask.notification {
                self.say(204, &[], b"");
            } else if exchange.ask.target.include_meta != Meta::None {
                let mut worker = self.worker.borrow_mut();
                let now = self.host.now();
                let headers = meta::headers(&exchange, worker.ledger(), now, false);
                let with_meta = meta::body(&exchange, worker.ledger(), now, body);
                drop(worker);
                let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
                self.say(200, &headers, with_meta.as_deref().unwrap_or(body));
            } else {
                self.say(200, &[], body);
            }
        }
        self.close(exchange);
        (self.state, self.ending) = (State::Answered, Ending::Call(Rc::clone(exchange)));
        Flow::Pause
    }

    fn close(&self, exchange: &Rc<RefCell<Exchange>>) {
        let mut worker = self.worker.borrow_mut();
        let mut exchange = exchange.borrow_mut();
        worker.close(&exchange);
        if exchange.has_loose_ends() {
            exchange.conclude(&mut worker, self.host.now());
        }
    }

    /// Envoy is done with the request.
    pub fn done(&mut self) {
        match std::mem::replace(&mut self.state, State::Answered) {
            State::Routed(exchange) | State::Relaying(exchange, _) => {
                self.close(&exchange);
                self.ending = Ending::Call(exchange);
            }
            State::Broadcasting(broadcast) => {
                let exchange = Rc::clone(&broadcast.exchange);
                self.close(&exchange);
                self.end_broadcast(*broadcast);
                self.ending = Ending::Call(exchange);
            }
            State::Batching(mut batch) => {
                batch.abandon(&mut self.worker.borrow_mut(), &replies::unreached(Failure::Cancelled), self.host.now());
                batch.end(None);
                self.ending = Ending::Batch(batch);
            }
            State::Passing | State::Holding(_) | State::Answered => {}
        }
    }
}

/// To how many channels the call goes at once.
fn copies(catalog: &Catalog, exchange: &Exchange) -> usize {
    let profile = catalog.profile(exchange.ask.target.profile);
    let broadcast = profile.map_or(1, |profile| profile.broadcast() as usize);
    // Nearly always; and then nobody needs to know what the method is.
    if broadcast <= 1 || Method::of(&exchange.ask.method).safety() != Safety::Broadcast {
        return 1;
    }
    broadcast.min(exchange.plan.admitted())
}

/// The body for providers where the client's cannot go as it is: a notification gets an id (so that its outcome can be judged), a missing version is added,
/// a filter's tag is taken off.
fn rewritten(call: &Call<'_>, wanted: &Wanted, id: &str) -> Option<Vec<u8>> {
    let as_it_is = call.id.is_some() && call.version == Version::Two && wanted.params.is_none();
    if as_it_is {
        return None;
    }
    let call = match &wanted.params {
        Some(params) => Call { params: Some(params), ..call.clone() },
        None => call.clone(),
    };
    let mut body = Vec::new();
    call.write(id, &mut body);
    Some(body)
}
