//! What a client asks for, in one message.
//!
//! Duty: tell subscriptions from calls; send calls on; put a batch of both together again.
//! Invariant: every request with an id is answered once, under that id; what is wrong is answered as it would be over HTTP. A batch without subscriptions is
//! sent on as it came.

use std::sync::Arc;

use bytes::Bytes;
use lasso_jsonrpc::RpcError;
use lasso_jsonrpc::method::Method;
use lasso_jsonrpc::request::{Call, Invalid, Payload, parse};
use lasso_routing::target::Meta;

use super::book::{Entry, Spot, Stage, name};
use super::gather::Gather;
use super::meta::{self, Wish};
use super::{Session, say};
use crate::calls::{self, Answered, Unanswered};
use crate::feeds::Wanted;

/// A call or a batch that was sent on is over.
#[derive(Debug)]
pub(super) struct Done {
    purpose: Purpose,
    /// For who must be told what was not answered.
    body: Bytes,
    answer: Result<Answered, Fault>,
}

/// Where an answer goes.
#[derive(Debug, Clone)]
enum Purpose {
    /// To the client.
    Plain,
    /// To the client, and how it was served after it, under this id.
    Notify(Box<str>),
    /// Into a batch.
    Gather(u64),
}

#[derive(Debug)]
enum Fault {
    /// There is no listener to send it to.
    Nowhere,
    /// The hub holds as much as it may; it was not sent.
    NoRoom,
    Unanswered(Unanswered),
}

/// What becomes of a subscription's request.
enum Local {
    Said(Vec<u8>),
    /// The feeds will answer.
    Asked,
    /// Nobody waits for an answer.
    Silent,
}

impl Session {
    /// Takes a message.
    pub(super) fn take(&mut self, message: Bytes) {
        let most = self.shared.site().limits.batch;
        match parse(&message, most) {
            Err(error) => self.say(&say::error(error.id().as_raw(), &error.error())),
            Ok(Payload::Single(call)) => self.single(&call, &message),
            Ok(Payload::Batch(items)) if items.iter().flatten().any(is_ours) => self.batch(&items),
            Ok(Payload::Batch(_)) => self.send(message.clone(), Purpose::Plain, Meta::None),
        }
    }

    fn single(&mut self, call: &Call<'_>, message: &Bytes) {
        if is_ours(call) {
            match self.local(call, None) {
                Local::Said(answer) => self.say(&answer),
                Local::Asked | Local::Silent => {}
            }
            return;
        }
        let id = call.id.map(|id| id.as_raw());
        match meta::of(message) {
            Wish::None => self.send(message.clone(), Purpose::Plain, Meta::None),
            Wish::Wrong => {
                if let Some(id) = id {
                    let error = RpcError::invalid_params("lasso_meta: use \"notify\" or \"body\"");
                    self.say(&say::error(id, &error));
                }
            }
            Wish::Body => self.send(without_extras(call), Purpose::Plain, Meta::Body),
            Wish::Notify => {
                let purpose = id.map_or(Purpose::Plain, |id| Purpose::Notify(id.into()));
                self.send(without_extras(call), purpose, Meta::Headers);
            }
        }
    }

    /// A batch with subscriptions in it.
    fn batch(&mut self, items: &[Result<Call<'_>, Invalid<'_>>]) {
        self.batches += 1;
        let batch = self.batches;
        let mut gather = Gather::default();
        let mut body = Vec::new();
        for item in items {
            let call = match item {
                Ok(call) => call,
                Err(invalid) => {
                    gather.said(say::error(invalid.id.as_raw(), &invalid.error()));
                    continue;
                }
            };
            if is_ours(call) {
                match self.local(call, Some(Spot { batch, item: gather.next() })) {
                    Local::Said(answer) => gather.said(answer),
                    Local::Asked => gather.asked(),
                    Local::Silent => {}
                }
                continue;
            }
            body.push(if body.is_empty() { b'[' } else { b',' });
            body.extend_from_slice(&without_extras(call));
            if let Some(id) = call.id {
                gather.sent(id.as_raw());
            }
        }
        self.gathers.insert(batch, gather);
        if body.is_empty() {
            return self.conclude(batch);
        }
        body.push(b']');
        self.send(body.into(), Purpose::Gather(batch), Meta::None);
        // What was sent may all be notifications.
        self.conclude(batch);
    }

    /// `eth_subscribe` and `eth_unsubscribe`.
    fn local(&mut self, call: &Call<'_>, spot: Option<Spot>) -> Local {
        let answer = if call.method == SUBSCRIBE {
            // Without an id the client would never learn the subscription's name.
            let Some(id) = call.id else { return Local::Silent };
            match self.subscribe(id.as_raw(), call.params, spot) {
                Ok(()) => return Local::Asked,
                Err(error) => Err(error),
            }
        } else {
            self.unsubscribe(call.params)
        };
        let Some(id) = call.id else { return Local::Silent };
        Local::Said(match answer {
            Ok(known) => say::result(id.as_raw(), if known { "true" } else { "false" }),
            Err(error) => say::error(id.as_raw(), &error),
        })
    }

    fn subscribe(&mut self, request: &str, params: Option<&str>, spot: Option<Spot>) -> Result<(), RpcError> {
        let site = self.shared.site();
        // The configuration may be another than when the socket was opened.
        let target = self.head.target(&site.catalog).map_err(|error| error.rpc_error())?;
        let method = Method::of(SUBSCRIBE);
        if site.catalog.profile(target.profile).is_none_or(|profile| profile.method(&method).blocked) {
            return Err(RpcError::method_blocked(SUBSCRIBE));
        }
        let most = site.limits.subscriptions;
        if self.book.len() >= most {
            return Err(RpcError::too_many_subscriptions(most));
        }
        let name = name().ok_or_else(|| RpcError::gateway("has no randomness for a name"))?;
        let (subscription, request) = (self.shared.subscription(), Arc::<str>::from(request));
        self.book.ask(Entry {
            id: subscription,
            name: Arc::clone(&name),
            request: Arc::clone(&request),
            stage: Stage::Asked(spot),
        });
        self.wishes.push_back(Wanted {
            subscription,
            name,
            request,
            catalog: Arc::clone(&site.catalog),
            profile: target.profile,
            chain: target.chain,
            provider: target.provider.filter(|_| !target.allow_failover),
            exclude: target.exclude.clone(),
            params: params.map(Into::into),
            outlet: self.outlet.clone(),
        });
        Ok(())
    }

    /// Whether there was such a subscription.
    fn unsubscribe(&mut self, params: Option<&str>) -> Result<bool, RpcError> {
        let catalog = Arc::clone(&self.shared.site().catalog);
        let target = self.head.target(&catalog).ok();
        let method = Method::of(UNSUBSCRIBE);
        let profile = target.and_then(|target| catalog.profile(target.profile));
        if profile.is_some_and(|profile| profile.method(&method).blocked) {
            return Err(RpcError::method_blocked(UNSUBSCRIBE));
        }
        let named = params.and_then(|params| serde_json::from_str::<[String; 1]>(params).ok());
        let [name] = named.ok_or_else(|| RpcError::invalid_params("eth_unsubscribe takes [subscription]"))?;
        let Some(subscription) = self.book.live(&name) else { return Ok(false) };
        self.book.forget(subscription);
        Ok(true)
    }

    /// Sends a call or a batch on.
    fn send(&mut self, body: Bytes, purpose: Purpose, meta: Meta) {
        let (shared, head, long) = (Arc::clone(&self.shared), Arc::clone(&self.head), Arc::clone(&self.long));
        self.calls.spawn(async move {
            let site = shared.site();
            let Some(to) = site.calls.as_deref() else {
                return Done { purpose, body, answer: Err(Fault::Nowhere) };
            };
            let Some(_held) = shared.budget.take(body.len()) else {
                return Done { purpose, body, answer: Err(Fault::NoRoom) };
            };
            let _open = shared.tally.call();
            let call = calls::Call { to, path: head.path(meta), host: head.host(), body: body.clone(), long };
            let answer = shared.calls.send(call, head.headers()).await.map_err(Fault::Unanswered);
            Done { purpose, body, answer }
        });
    }

    /// A call or a batch that was sent on is over.
    pub(super) fn answer(&mut self, done: Done) {
        let Done { purpose, body, answer } = done;
        let (said, mut answered) = match answer {
            Ok(answered) if answered.status == 204 || is_json(&answered.body) => {
                (Some(answered.body.clone()), Some(answered))
            }
            Ok(answered) => (refusal(&body, answered.status), None),
            Err(Fault::Nowhere) => (say::unanswered(&body, |_| RpcError::no_calls()).map(Bytes::from), None),
            Err(Fault::NoRoom) => (say::unanswered(&body, |_| RpcError::no_room()).map(Bytes::from), None),
            Err(Fault::Unanswered(why)) => {
                (say::unanswered(&body, |method| say::lost(why, method)).map(Bytes::from), None)
            }
        };
        let said = said.unwrap_or_default();
        let kept = answered.as_mut().map(|answered| std::mem::take(&mut answered.kept)).unwrap_or_default();
        match purpose {
            Purpose::Gather(batch) => {
                if let Some(gather) = self.gathers.get_mut(&batch) {
                    gather.fill(&said);
                }
                self.conclude(batch);
            }
            Purpose::Plain | Purpose::Notify(_) if said.is_empty() => {}
            Purpose::Plain => self.say_long(text(said), kept),
            Purpose::Notify(id) => {
                self.say_long(text(said), kept);
                let told = answered.as_ref().and_then(|answered| meta::told(&answered.headers));
                self.say(&say::meta(&id, told.as_deref().unwrap_or("null")));
            }
        }
    }
}

const SUBSCRIBE: &str = "eth_subscribe";
const UNSUBSCRIBE: &str = "eth_unsubscribe";

/// Whether it is served here.
fn is_ours(call: &Call<'_>) -> bool {
    Method::of(&call.method).websocket_only()
}

/// The call with the four members only. A notification stays one.
fn without_extras(call: &Call<'_>) -> Bytes {
    let mut body = Vec::new();
    match call.id {
        Some(id) => call.write(id.as_raw(), &mut body),
        None => {
            let method = serde_json::Value::from(call.method.as_ref());
            let params = call.params.unwrap_or("[]");
            body.extend_from_slice(format!(r#"{{"jsonrpc":"2.0","method":{method},"params":{params}}}"#).as_bytes());
        }
    }
    body.into()
}

fn is_json(body: &[u8]) -> bool {
    body.iter().find(|byte| !byte.is_ascii_whitespace()).is_some_and(|byte| matches!(byte, b'{' | b'['))
}

/// Envoy answered by itself, in words for people.
fn refusal(body: &[u8], status: u16) -> Option<Bytes> {
    // An answer without a body is for those who want none; to who waits it says that there is none.
    let error = RpcError::gateway(&format!("answered with HTTP {status}"));
    say::unanswered(body, |_| error.clone()).map(Bytes::from)
}

/// A text must be UTF-8, or the client closes; what a provider wrote otherwise is replaced, letter by letter.
fn text(body: Bytes) -> Bytes {
    if std::str::from_utf8(&body).is_ok() {
        return body;
    }
    String::from_utf8_lossy(&body).into_owned().into()
}
