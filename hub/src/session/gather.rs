//! A batch with subscriptions in it: answered from here, from the feeds and from Envoy, in one array.
//!
//! Invariant: answers stand in the order of the requests; what is not to be answered has no place. The array is complete before it is said, and what its
//! subscriptions are told before that waits in `held`, which is bounded as the outlet is.

use bytes::Bytes;
use lasso_jsonrpc::RpcError;
use serde_json::value::RawValue;

use crate::outlet::Outgoing;

#[derive(Debug)]
enum Slot {
    Said(Vec<u8>),
    /// A subscription that the feeds have not answered.
    Asked,
    /// A call that Envoy has, by its id.
    Sent(Box<str>),
}

#[derive(Debug, Default)]
pub(super) struct Gather {
    slots: Vec<Slot>,
    /// Slots that are not said.
    open: usize,
    held: Vec<Outgoing>,
}

impl Gather {
    /// The place of the next item.
    pub(super) fn next(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn said(&mut self, answer: Vec<u8>) {
        self.slots.push(Slot::Said(answer));
    }

    pub(super) fn asked(&mut self) {
        self.open += 1;
        self.slots.push(Slot::Asked);
    }

    pub(super) fn sent(&mut self, id: &str) {
        self.open += 1;
        self.slots.push(Slot::Sent(id.into()));
    }

    pub(super) fn is_whole(&self) -> bool {
        self.open == 0
    }

    /// The feeds answered an item.
    pub(super) fn put(&mut self, item: usize, answer: Vec<u8>) {
        if let Some(slot @ Slot::Asked) = self.slots.get_mut(item) {
            *slot = Slot::Said(answer);
            self.open -= 1;
        }
    }

    /// Envoy answered what it had: an array in the order of the calls, or one error for all of them.
    pub(super) fn fill(&mut self, body: &[u8]) {
        let answers: Vec<&RawValue> = serde_json::from_slice(body).unwrap_or_default();
        let sent = self.slots.iter().filter(|slot| matches!(slot, Slot::Sent(_))).count();
        let (counted, error) = (answers.len() == sent, Whole::error(body));
        // Any other number of them cannot be told apart.
        let mut answers = answers.into_iter().take(if counted { sent } else { 0 });
        for slot in &mut self.slots {
            let Slot::Sent(id) = slot else { continue };
            let said = match (answers.next(), error) {
                (Some(answer), _) => answer.get().as_bytes().to_vec(),
                (None, Some(error)) => format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#).into_bytes(),
                (None, None) => super::say::error(id, &RpcError::gateway("left calls of the batch unanswered")),
            };
            *slot = Slot::Said(said);
            self.open -= 1;
        }
    }

    /// Keeps what a subscription of this batch is told too early; how many there are now.
    pub(super) fn hold(&mut self, outgoing: Outgoing) -> usize {
        self.held.push(outgoing);
        self.held.len()
    }

    /// The array, if there is anything to say, and what waited for it.
    pub(super) fn end(self) -> (Option<Bytes>, Vec<Outgoing>) {
        let mut array = Vec::new();
        for slot in self.slots {
            let Slot::Said(answer) = slot else { continue };
            array.push(if array.is_empty() { b'[' } else { b',' });
            array.extend_from_slice(&answer);
        }
        if array.is_empty() {
            return (None, self.held);
        }
        array.push(b']');
        (Some(array.into()), self.held)
    }
}

#[derive(serde::Deserialize)]
struct Whole<'a> {
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

impl<'a> Whole<'a> {
    fn error(body: &'a [u8]) -> Option<&'a str> {
        serde_json::from_slice::<Self>(body).ok()?.error.map(RawValue::get)
    }
}
