//! What is told of a request when it is over: its line in the request log, its place among a report's decisions.
//!
//! Duty: know how each request ended until Envoy is done with it, and tell it once.
//! Invariant: a request that is in neither costs some comparisons; telling changes nothing about the answer.
//! Leaves to others: what a line has ([`crate::record`]), what a decision has ([`crate::decision`]).

use std::cell::RefCell;
use std::rc::Rc;

use lasso_jsonrpc::error::RpcError;
use lasso_routing::Catalog;
use lasso_routing::report::Stage;

use super::Down;
use super::batch::Batch;
use super::client::Client;
use crate::decision;
use crate::exchange::{Exchange, Fate};
use crate::host::Host;
use crate::record::{self, Frame, LINE, Own, ResultType, is_logged};
use crate::worker::Worker;

/// How a request ended.
#[derive(Debug)]
pub(super) enum Ending {
    /// Not yet, or it is none of ours.
    Open,
    /// A call that was planned.
    Call(Rc<RefCell<Exchange>>),
    /// A batch, its items gone.
    Batch(Box<Batch>),
    /// Answered without a provider.
    Own(Box<Own>),
}

impl<H: Host> Down<H> {
    /// Envoy is about to write its access log.
    pub fn logged(&mut self) {
        // What is still open ends here, so that it can be told.
        self.done();
        match std::mem::replace(&mut self.ending, Ending::Open) {
            Ending::Open => {}
            Ending::Call(exchange) => {
                let stage = stage_of(&exchange.borrow());
                self.reached(stage);
                self.tell_call(&exchange.borrow());
            }
            Ending::Batch(batch) => {
                let result = result_of(&batch);
                self.reached(match result {
                    ResultType::Result => Stage::Answered,
                    ResultType::Error => Stage::Failed,
                    ResultType::Cancelled => Stage::Cancelled,
                });
                self.tell_batch(&batch, result);
            }
            Ending::Own(own) => {
                let catalog = self.worker.borrow().catalog();
                if let Some(catalog) = catalog {
                    self.write(&catalog, |frame, _| record::of_own(&own, frame));
                }
            }
        }
    }

    /// The request ended for the client; told once.
    pub(super) fn reached(&mut self, stage: Stage) {
        if let Some(started) = self.started.take() {
            self.worker.borrow_mut().ledger().ended(&started, stage);
        }
    }

    fn tell_call(&self, exchange: &Exchange) {
        let answered = exchange.fate != Fate::Open;
        let result = match &exchange.error {
            Some(_) => ResultType::Error,
            None if answered => ResultType::Result,
            None => ResultType::Cancelled,
        };
        let probe = exchange.ask.target.probe;
        let asked = exchange.ask.target.include_meta.wanted();
        if !probe && self.worker.borrow_mut().wants_decision(answered, asked) {
            let decision = decision::of_call(exchange, answered, self.host.now());
            self.worker.borrow_mut().ledger().decided(decision);
        }
        // Nobody waits for a probe: those that succeed would only drown what clients asked.
        let failed = result == ResultType::Error;
        if (failed || !probe) && is_logged(&exchange.catalog, failed, exchange.request_id) {
            self.write(&exchange.catalog, |frame, worker| record::of_call(exchange, result, worker.ledger(), frame));
        }
    }

    fn tell_batch(&self, batch: &Batch, result: ResultType) {
        let (answered, asked) = (result == ResultType::Result, batch.target.include_meta.wanted());
        if self.worker.borrow_mut().wants_decision(answered, asked)
            && let Some(decision) = decision::of_batch(batch, answered, self.host.now())
        {
            self.worker.borrow_mut().ledger().decided(decision);
        }
        if is_logged(&batch.catalog, result == ResultType::Error, batch.request_id) {
            self.write(&batch.catalog, |frame, worker| record::of_batch(batch, result, worker.ledger(), frame));
        }
    }

    fn write(&self, catalog: &Catalog, line: impl FnOnce(&Frame<'_>, &mut Worker) -> Vec<u8>) {
        let Some(log) = catalog.request_log() else { return };
        let mut worker = self.worker.borrow_mut();
        let region = worker.sync().region().to_owned();
        let now = self.host.now();
        let arrived = self.arrived.unwrap_or(now);
        let frame = Frame { log, region: &region, wall_ms: self.host.wall_ms(), arrived, now };
        self.host.set_property(LINE, &line(&frame, &mut worker));
    }

    /// Keeps what the log says of a refusal.
    pub(super) fn note_refusal(&mut self, status: u32, error: &RpcError, client: &Client, method: Option<&str>) {
        let logs = self.worker.borrow().catalog().is_some_and(|catalog| catalog.request_log().is_some());
        if logs {
            let error = Some((error.code, error.message.clone()));
            self.note(status, error, client, method);
        }
    }

    /// Keeps what the log says of an answer of ours, if it is one of the share that is told.
    pub(super) fn note_answer(&mut self, catalog: &Catalog, status: u32, client: &Client, method: &str) {
        let drawn = self.worker.borrow_mut().chance();
        if is_logged(catalog, false, drawn) {
            self.note(status, None, client, Some(method));
        }
    }

    fn note(&mut self, status: u32, error: Option<(i64, String)>, client: &Client, method: Option<&str>) {
        let path = client.path_without_query().to_owned();
        self.ending = Ending::Own(Box::new(Own { status, error, path, method: method.map(str::to_owned) }));
    }
}

/// How a call ended for its client. A provider's error is an answer.
fn stage_of(exchange: &Exchange) -> Stage {
    match (&exchange.fate, &exchange.error) {
        (Fate::Passed | Fate::PassedAsOk | Fate::Replaced(_), _) => Stage::Answered,
        (Fate::Open, Some(_)) => Stage::Failed,
        (Fate::Open, None) => Stage::Cancelled,
    }
}

fn result_of(batch: &Batch) -> ResultType {
    match batch.end.status {
        None => ResultType::Cancelled,
        Some(_) if batch.end.failed > 0 => ResultType::Error,
        Some(_) => ResultType::Result,
    }
}
