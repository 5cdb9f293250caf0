//! What came on a socket, sorted.

use std::{collections::BTreeMap, time::Instant};

use serde::Deserialize;
use serde_json::{Value, json};

use super::End;

/// One event of a subscription.
#[derive(Debug, Clone)]
pub struct Event {
    /// When it came.
    pub at: Instant,
    /// `params.result`, or the whole `params` when there is no result.
    pub result: Value,
}

impl Event {
    /// A number in one of its fields, as JSON-RPC writes numbers.
    pub fn number(&self, field: &str) -> u64 {
        let text = self.result[field].as_str().unwrap_or_default();
        u64::from_str_radix(text.trim_start_matches("0x"), 16).unwrap_or(u64::MAX)
    }

    /// A text in one of its fields.
    pub fn text(&self, field: &str) -> &str {
        self.result[field].as_str().unwrap_or_default()
    }
}

/// What came so far.
#[derive(Debug, Clone, Default)]
pub struct Inbox {
    /// Everything that is no event, as it came.
    pub replies: Vec<String>,
    /// Events by subscription.
    pub events: BTreeMap<String, Vec<Event>>,
    /// Order of arrival: the subscription's id for an event, nothing for a reply.
    pub order: Vec<Option<String>>,
    /// Pings that came.
    pub pings: u64,
    /// How it ended, if it has.
    pub end: Option<End>,
}

#[derive(Deserialize)]
struct Notified<'a> {
    method: &'a str,
    params: Params,
}

#[derive(Deserialize)]
struct Params {
    subscription: String,
    result: Option<Value>,
    error: Option<Value>,
}

impl Inbox {
    pub(super) fn take(&mut self, text: &str) {
        let notified = serde_json::from_str::<Notified<'_>>(text).ok().filter(|it| it.method == "eth_subscription");
        let Some(Notified { params: Params { subscription, result, error }, .. }) = notified else {
            self.order.push(None);
            self.replies.push(text.to_owned());
            return;
        };
        let event = Event { at: Instant::now(), result: result.unwrap_or_else(|| json!({"error": error})) };
        self.order.push(Some(subscription.clone()));
        self.events.entry(subscription).or_default().push(event);
    }
}
