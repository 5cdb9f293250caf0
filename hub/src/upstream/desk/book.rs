//! Who subscribed to what, under which name at the provider.
//!
//! Invariant: an event goes to the bindings that have its name. One that comes before the answer that gives the name waits, up to [`MOST_STRAYS`] of them and
//! [`MOST_STRAY_BYTES`], the oldest out first: whoever binds fetches what was before its first event. One of a name that is being left waits for nobody.
//! Bounds: [`MOST_BINDINGS`]; twice as many requests without an answer.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use lasso_jsonrpc::Reply;
use lasso_jsonrpc::response;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::upstream::lane::Job;
use crate::upstream::message::{self, Said};
use crate::upstream::wire::OURS;
use crate::upstream::{BindingId, Happened, Signal};

/// On one channel, for all scopes together: as many as four of them may have. Most providers allow fewer.
const MOST_BINDINGS: usize = 4_096;
const MOST_ASKED: usize = 2 * MOST_BINDINGS;
const MOST_STRAYS: usize = 256;
const MOST_STRAY_BYTES: usize = 4 * 1024 * 1024;
const ENDED: &str = "ended by the provider";

/// The bindings of a channel.
#[derive(Debug, Default)]
pub(in crate::upstream) struct Book {
    up: bool,
    /// The last one that was given.
    number: u64,
    bindings: BTreeMap<BindingId, Binding>,
    /// By the provider's name, raw JSON. Some give equal subscriptions the same one.
    names: BTreeMap<Box<str>, Vec<BindingId>>,
    asked: BTreeMap<u64, Asked>,
    jobs: VecDeque<Job>,
    /// Names that were given back, by the request that did it: until that is answered, they may still bring something.
    leaving: BTreeMap<Box<str>, u64>,
    strays: VecDeque<(Box<str>, Arc<str>)>,
    stray_bytes: usize,
}

#[derive(Debug)]
struct Binding {
    signals: mpsc::Sender<Signal>,
    /// From its acceptance.
    name: Option<Box<str>>,
}

#[derive(Debug)]
enum Asked {
    Subscribe(BindingId),
    Unsubscribe(Box<str>),
}

/// Something to signal, and to whom.
#[derive(Debug)]
pub(in crate::upstream) struct Told {
    pub(in crate::upstream) signals: mpsc::Sender<Signal>,
    pub(in crate::upstream) signal: Signal,
}

impl Book {
    /// There is a socket.
    pub(in crate::upstream) fn up(&mut self) {
        self.up = true;
    }

    /// The socket is gone, and with it all bindings.
    pub(in crate::upstream) fn fall(&mut self, because: &'static str) -> Vec<Told> {
        let fallen = std::mem::take(self);
        let told = |(binding, Binding { signals, .. })| Told {
            signals,
            signal: Signal { binding, happened: Happened::Lost(because) },
        };
        fallen.bindings.into_iter().map(told).collect()
    }

    pub(in crate::upstream) fn open(
        &mut self,
        binding: BindingId,
        params: &str,
        signals: &mpsc::Sender<Signal>,
    ) -> Result<(), &'static str> {
        if !self.up {
            return Err("no socket");
        }
        if self.bindings.len() >= MOST_BINDINGS {
            return Err("too many subscriptions on the channel");
        }
        self.bindings.insert(binding, Binding { signals: signals.clone(), name: None });
        self.ask("eth_subscribe", params, Asked::Subscribe(binding));
        Ok(())
    }

    pub(in crate::upstream) fn close(&mut self, binding: BindingId) {
        let Some(Binding { name: Some(name), .. }) = self.bindings.remove(&binding) else { return };
        if let Some(sharing) = self.names.get_mut(&name) {
            sharing.retain(|other| *other != binding);
            if sharing.is_empty() {
                self.leave(&name);
            }
        }
    }

    /// What is to be sent next.
    pub(in crate::upstream) fn next_job(&mut self) -> Option<Job> {
        self.jobs.pop_front()
    }

    /// Whether the provider leaves too much unanswered.
    pub(in crate::upstream) fn is_deaf(&self) -> bool {
        self.asked.len() > MOST_ASKED
    }

    /// What follows from what the provider said.
    pub(in crate::upstream) fn hear(&mut self, text: &str) -> Vec<Told> {
        match message::read(text) {
            // Of a question in a ping's place.
            Said::Answer { number: OURS, .. } | Said::Nothing => Vec::new(),
            Said::Answer { number, result, .. } => self.answered(number, result, text),
            Said::Event { subscription, payload } => self.happened(subscription, payload),
        }
    }

    fn answered(&mut self, number: u64, result: Option<&str>, text: &str) -> Vec<Told> {
        let told = match self.asked.remove(&number) {
            Some(Asked::Subscribe(binding)) => match result {
                Some(name) => self.accepted(number, binding, name),
                None => self.refused(binding, text),
            },
            Some(Asked::Unsubscribe(name)) => {
                if self.leaving.get(&name) == Some(&number) {
                    self.leaving.remove(&name);
                }
                Vec::new()
            }
            None => Vec::new(),
        };
        if !self.awaits_names() {
            self.strays.clear();
            self.stray_bytes = 0;
        }
        told
    }

    fn accepted(&mut self, number: u64, id: BindingId, name: &str) -> Vec<Told> {
        let Some(binding) = self.bindings.get_mut(&id) else {
            // It was closed meanwhile.
            if !self.names.contains_key(name) {
                self.leave(name);
            }
            return Vec::new();
        };
        let signals = binding.signals.clone();
        let told = |happened| Told { signals: signals.clone(), signal: Signal { binding: id, happened } };
        // Where equal subscriptions share a name, it may have been given back after this one was asked for.
        if self.leaving.get(name).is_some_and(|left| *left > number) {
            self.bindings.remove(&id);
            return vec![told(Happened::Lost(ENDED))];
        }
        self.leaving.remove(name);
        binding.name = Some(name.into());
        self.names.entry(name.into()).or_default().push(id);
        let held = self.strays.iter().filter(|(of, _)| **of == *name);
        let arrived = held.map(|(_, payload)| told(Happened::Arrived(Arc::clone(payload))));
        [told(Happened::Accepted)].into_iter().chain(arrived).collect()
    }

    fn refused(&mut self, id: BindingId, text: &str) -> Vec<Told> {
        let Some(Binding { signals, .. }) = self.bindings.remove(&id) else { return Vec::new() };
        let (code, message) = match response::read(text.as_bytes(), true) {
            Reply::Error { error, .. } => (error.code, error.message.into_owned()),
            Reply::Result { .. } | Reply::Malformed(_) => (0, "no subscription in the answer".to_owned()),
        };
        vec![Told { signals, signal: Signal { binding: id, happened: Happened::Refused { code, message } } }]
    }

    fn happened(&mut self, name: &str, payload: Option<&str>) -> Vec<Told> {
        let Some(payload) = payload else { return self.ended(name) };
        let payload: Arc<str> = payload.into();
        let Some(sharing) = self.names.get(name) else {
            self.hold(name, payload);
            return Vec::new();
        };
        let told = |id: &BindingId| {
            let happened = Happened::Arrived(Arc::clone(&payload));
            let signals = self.bindings.get(id)?.signals.clone();
            Some(Told { signals, signal: Signal { binding: *id, happened } })
        };
        sharing.iter().filter_map(told).collect()
    }

    /// The provider gave a subscription up.
    fn ended(&mut self, name: &str) -> Vec<Told> {
        let sharing = self.names.remove(name).unwrap_or_default();
        let told = |id: BindingId| {
            let signals = self.bindings.remove(&id)?.signals;
            Some(Told { signals, signal: Signal { binding: id, happened: Happened::Lost(ENDED) } })
        };
        sharing.into_iter().filter_map(told).collect()
    }

    fn hold(&mut self, name: &str, payload: Arc<str>) {
        if self.leaving.contains_key(name) || !self.awaits_names() {
            return;
        }
        self.stray_bytes += payload.len();
        self.strays.push_back((name.into(), payload));
        while self.strays.len() > MOST_STRAYS || self.stray_bytes > MOST_STRAY_BYTES {
            let Some((_, oldest)) = self.strays.pop_front() else { return };
            self.stray_bytes -= oldest.len();
        }
    }

    fn awaits_names(&self) -> bool {
        self.asked.values().any(|asked| matches!(asked, Asked::Subscribe(_)))
    }

    fn leave(&mut self, name: &str) {
        self.names.remove(name);
        let number = self.ask("eth_unsubscribe", &format!("[{name}]"), Asked::Unsubscribe(name.into()));
        self.leaving.insert(name.into(), number);
    }

    fn ask(&mut self, method: &str, params: &str, asked: Asked) -> u64 {
        self.number += 1;
        let number = self.number;
        let text = format!(r#"{{"jsonrpc":"2.0","id":{number},"method":"{method}","params":{params}}}"#);
        self.jobs.push_back(Job { number, text: Utf8Bytes::from(text) });
        self.asked.insert(number, asked);
        number
    }
}

#[cfg(test)]
mod tests;
