//! Plans for the items of a batch.
//!
//! Duty: one plan leads, and gives the order; every other class of needs (method, blocks) screens the channels for itself and goes along.
//! Invariants: a rotation's turn, a last resort's slot, an exploration are spent once for the whole batch, however many items it has; where an item may be
//! sent only once, the lead is planned as one that may not, so that it is nobody's trial. Planned when the batch comes, with the catalog in force.
//! Leaves to others: parts (`down/parts.rs`).

use std::collections::BTreeMap;
use std::rc::Rc;

use lasso_jsonrpc::block::Blocks;
use lasso_jsonrpc::method::{Method, MethodClass};
use lasso_routing::catalog::ChannelIdx;
use lasso_routing::plan::{NoChannel, Plan, Question, plan, plan_along};
use lasso_routing::time::Timestamp;

use super::batch::{Batch, OpenItem};
use crate::stats::Counter;
use crate::worker::Worker;

type Planned = Result<Rc<Plan>, NoChannel>;

/// Gives every open item its plan; an item that nobody may be asked for gets the reasons.
pub(super) fn plan_items(batch: &mut Batch, worker: &mut Worker, now: Timestamp) {
    let mut groups: Vec<(Option<ChannelIdx>, Vec<usize>)> = Vec::new();
    for index in batch.unplaced() {
        let sticky = batch.open(index).and_then(|open| open.sticky);
        match groups.iter_mut().find(|(own, _)| *own == sticky) {
            Some((_, items)) => items.push(index),
            None => groups.push((sticky, vec![index])),
        }
    }
    for (_, items) in groups {
        for (index, planned) in plan_group(batch, worker, &items, now) {
            match planned {
                Ok(plan) => {
                    if let Some(course) = batch.course_mut(index) {
                        course.plan = Some(plan);
                    }
                }
                Err(none) => {
                    worker.stats().count(Counter::Unserved);
                    let error = batch.open(index).map(|open| none.error(&batch.catalog, &open.method));
                    if let Some(error) = error {
                        batch.refuse(index, &error);
                    }
                }
            }
        }
    }
}

fn plan_group(batch: &Batch, worker: &mut Worker, items: &[usize], now: Timestamp) -> Vec<(usize, Planned)> {
    let open = |index: &usize| Some((*index, batch.open(*index)?));
    let once = items.iter().filter_map(open).find(|(_, open)| !open.replayable);
    let Some((first, leader)) = once.or_else(|| items.iter().filter_map(open).next()) else { return Vec::new() };
    let lead = ask(batch, leader, now, |question| plan(&batch.catalog, worker.ledger(), question));
    let mut planned: BTreeMap<(&str, Blocks), Planned> = BTreeMap::new();
    planned.insert((&leader.method, leader.blocks), lead.clone());
    let mut plans = Vec::with_capacity(items.len());
    for (index, open) in items.iter().filter_map(open) {
        let own = planned.entry((&open.method, open.blocks)).or_insert_with(|| match &lead {
            Ok(lead) => ask(batch, open, now, |question| plan_along(&batch.catalog, worker.ledger(), question, lead)),
            Err(none) => Err(none.clone()),
        });
        plans.push((index, if index == first { lead.clone() } else { own.clone() }));
    }
    plans
}

fn ask(
    batch: &Batch,
    open: &OpenItem,
    now: Timestamp,
    plan: impl FnOnce(&Question<'_>) -> Result<Plan, NoChannel>,
) -> Planned {
    let question = Question {
        target: &batch.target,
        method: &Method::of(&open.method),
        class: MethodClass::BATCH,
        blocks: &open.blocks,
        sticky: open.sticky,
        seed: batch.request_id,
        now,
    };
    plan(&question).map(Rc::new)
}
