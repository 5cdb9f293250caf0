//! Calls: planned, attempted one channel after the other, settled as a shell would.

use lasso_jsonrpc::method::{Method, MethodClass};

use super::mesh::{Happening, METHOD, Mesh, PROVIDERS};
use super::provider::{Doing, Provider};
use crate::breaker::Category;
use crate::fixture::{LATEST, failed};
use crate::ledger::{Begun, End};
use crate::outcome::{Blame, Row, Verdict};
use crate::plan::{Plan, Question, plan};
use crate::time::{Micros, Timestamp};

/// One client's call.
#[derive(Debug)]
pub(super) struct Call {
    worker: usize,
    plan: Plan,
    next: usize,
    made: u32,
    all_fast: bool,
    began: Timestamp,
    /// Timeouts, which are settled when the call has ended.
    silent: Vec<(Begun, Micros, usize)>,
}

impl Mesh {
    /// A client asks a worker.
    pub(super) fn call(&mut self, number: usize) {
        let method = Method::of(METHOD);
        let question = Question {
            target: &self.target,
            method: &method,
            class: MethodClass::of(&method, &LATEST),
            blocks: &LATEST,
            sticky: None,
            seed: self.chance.bits(),
            now: self.now,
        };
        let served = plan(&self.catalog, &mut self.workers[number].ledger, &question);
        let Ok(plan) = served else {
            self.note(7);
            return self.ended(number, false, self.now);
        };
        let call = Call { worker: number, plan, next: 0, made: 0, all_fast: true, began: self.now, silent: Vec::new() };
        self.calls.push(Some(call));
        self.attempt(self.calls.len() - 1);
    }

    /// Starts the call's next attempt, or ends it.
    fn attempt(&mut self, index: usize) {
        let Some(mut call) = self.calls[index].take() else { return };
        let ledger = &mut self.workers[call.worker].ledger;
        while let Some(candidate) = call.plan.candidates.get(call.next).copied() {
            let may = call.made == 0 || call.plan.attempts.may_continue(call.made, call.all_fast);
            call.next += 1;
            if !may || !ledger.admits(&call.plan, &candidate, self.now) {
                continue;
            }
            let place = PROVIDERS.iter().position(|name| {
                self.catalog.channel(candidate.channel).unwrap().id() == format!("ethereum/{name}/http")
            });
            let place = place.unwrap();
            let begun = ledger.begin(&candidate, &call.plan, self.now);
            self.rules.began(call.worker, place, candidate.why, &begun, self.now);
            call.made += 1;
            self.asked[place] += 1;
            let provider = self.providers[place];
            let isolated = self.isolated == Some(call.worker);
            let doing = if isolated { Doing::Dead } else { provider.doing };
            let (latency, verdict) = Provider { doing, ..provider }.answer(call.plan.per_try, &mut self.chance);
            self.due(latency.as_millis(), Happening::Answer { call: index, place, begun, latency, verdict });
            self.calls[index] = Some(call);
            return;
        }
        self.end(&call, None);
    }

    /// An attempt ended.
    pub(super) fn answer(&mut self, index: usize, place: usize, begun: Begun, latency: Micros, verdict: &Verdict) {
        self.rules.ended(place, &begun);
        self.note(place as u64 * 31 + latency.0);
        let Some(call) = self.calls[index].as_mut() else { return };
        call.all_fast &= latency.as_millis() <= crate::plan::Attempts::FAST;
        let number = call.worker;
        if verdict.row == Row::TimedOut {
            call.silent.push((begun, latency, place));
            return self.attempt(index);
        }
        self.settle(number, place, begun, latency, verdict);
        if verdict.success {
            if let Some(call) = self.calls[index].take() {
                self.end(&call, Some(place));
            }
        } else {
            self.attempt(index);
        }
    }

    fn end(&mut self, call: &Call, answered_by: Option<usize>) {
        for &(begun, latency, place) in &call.silent {
            let blamed = Verdict { row: Row::TimedOut, ..failed(Category::Timeout) };
            let excused = Verdict { blame: Blame::None, ..blamed };
            let verdict = if answered_by.is_some() { blamed } else { excused };
            self.settle(call.worker, place, begun, latency, &verdict);
        }
        self.ended(call.worker, answered_by.is_some(), call.began);
    }

    fn ended(&mut self, worker: usize, answered: bool, began: Timestamp) {
        let reachable: &[Provider] = if self.isolated == Some(worker) { &[] } else { &self.providers };
        self.rules.call_ended(answered, began, self.now, reachable);
    }

    fn settle(&mut self, number: usize, place: usize, begun: Begun, latency: Micros, verdict: &Verdict) {
        let method = Method::of(METHOD);
        let end = End { begun, method: &method, blocks: &LATEST, latency, verdict, head: None, now: self.now };
        let worker = &mut self.workers[number];
        worker.ledger.settle(&end);
        worker.settled += 1;
        self.rules.settled(number, place, &begun, verdict.success);
    }
}
