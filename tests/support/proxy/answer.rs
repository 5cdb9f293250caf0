//! The words of an answer.
//!
//! Duty: from the request and the fault that strikes it, what to say; ask the node where it is needed.
//! Leaves to others: how it is put on the wire (`connection`).

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::{Shared, Truth, behind};
use crate::{Answer, Fault};

/// What is to be said.
#[derive(Debug)]
pub(super) enum Said {
    /// A whole answer.
    Whole { status: u16, headers: Vec<(String, String)>, body: Vec<u8> },
    /// A string result of so many bytes, made while it is sent.
    Large { id: String, bytes: usize },
    /// Nothing, ever.
    Nothing,
    /// A reset instead of an answer.
    Reset,
}

/// One call of a request, as far as a provider looks at it.
#[derive(Debug, Deserialize)]
pub(super) struct Call<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    method: Cow<'a, str>,
}

impl Call<'_> {
    pub(super) fn id(&self) -> &str {
        self.id.map_or("null", RawValue::get)
    }

    pub(super) fn method(&self) -> &str {
        &self.method
    }
}

/// What a body asks.
#[derive(Debug)]
pub(super) enum Asked<'a> {
    One(Call<'a>),
    Many(Vec<Call<'a>>),
    Unreadable,
}

impl<'a> Asked<'a> {
    pub(super) fn read(body: &'a [u8]) -> Self {
        if let Ok(calls) = serde_json::from_slice(body) {
            return Self::Many(calls);
        }
        serde_json::from_slice(body).map_or(Self::Unreadable, Self::One)
    }

    pub(super) fn methods(&self) -> Vec<String> {
        match self {
            Self::One(call) => vec![call.method.clone().into_owned()],
            Self::Many(calls) => calls.iter().map(|call| call.method.clone().into_owned()).collect(),
            Self::Unreadable => Vec::new(),
        }
    }

    pub(super) fn id(&self) -> &str {
        match self {
            Self::One(call) => call.id(),
            Self::Many(_) | Self::Unreadable => "null",
        }
    }
}

/// What to say when `fault` strikes (none: the truth).
pub(super) async fn say(shared: &Shared, asked: &Asked<'_>, body: &[u8], fault: Option<&Fault>) -> Said {
    let Some(fault) = fault else { return truth(shared, body).await };
    match &fault.answer {
        Answer::Node => truth(shared, body).await,
        Answer::Text { status, headers, body } => Said::Whole {
            status: *status,
            headers: headers.clone(),
            body: body.replace("$ID", asked.id()).into_bytes(),
        },
        Answer::Error { status, error } => {
            per_call(shared, asked, body, fault, *status, &format!("\"error\":{error}")).await
        }
        Answer::Result(value) => per_call(shared, asked, body, fault, 200, &format!("\"result\":{value}")).await,
        Answer::Large(bytes) => Said::Large { id: asked.id().to_owned(), bytes: *bytes },
        Answer::Hang => Said::Nothing,
        Answer::Reset => Said::Reset,
    }
}

async fn per_call(shared: &Shared, asked: &Asked<'_>, body: &[u8], fault: &Fault, status: u16, what: &str) -> Said {
    let reply = |id: &str| format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},{what}}}");
    let Asked::Many(calls) = asked else {
        return json_with(status, reply(asked.id()));
    };
    let answered = calls.iter().filter(|call| call.id.is_some());
    if matches!(shared.truth, Truth::Nobody) {
        let struck = answered.filter(|call| fault.applies_to(&call.method));
        let replies: Vec<String> = struck.map(|call| reply(call.id())).collect();
        return json_with(status, format!("[{}]", replies.join(",")));
    }
    let told = truth(shared, body).await;
    let Said::Whole { body: told, .. } = told else { return told };
    let mut replies: Vec<String> = serde_json::from_slice::<Vec<Box<RawValue>>>(&told)
        .unwrap_or_default()
        .iter()
        .map(|raw| raw.get().to_owned())
        .collect();
    // The node answers in the order it was asked; notifications have no entry.
    for (place, call) in replies.iter_mut().zip(answered) {
        if fault.applies_to(&call.method) {
            *place = reply(call.id());
        }
    }
    json_with(status, format!("[{}]", replies.join(",")))
}

pub(super) fn json_with(status: u16, body: String) -> Said {
    Said::Whole { status, headers: Vec::new(), body: body.into_bytes() }
}

async fn truth(shared: &Shared, body: &[u8]) -> Said {
    let blocks = shared.ledger().behind();
    if blocks == 0 { present(shared, body).await } else { behind::past(shared, body, blocks).await }
}

/// What is true now, whatever the faults.
pub(super) async fn present(shared: &Shared, body: &[u8]) -> Said {
    match &shared.truth {
        Truth::Nobody => Said::Whole { status: 404, headers: Vec::new(), body: Vec::new() },
        Truth::Made(chain) => json_with(200, chain.answer(body)),
        Truth::Node(node) => match shared.client.post(node, body.to_vec()).await {
            Ok(answered) => {
                let headers = Vec::new();
                Said::Whole { status: answered.status, headers, body: answered.body.to_vec() }
            }
            Err(error) => {
                let error: Value = json!({"code": -32603, "message": format!("fault proxy: {error:#}")});
                json_with(502, json!({"jsonrpc": "2.0", "id": null, "error": error}).to_string())
            }
        },
    }
}
