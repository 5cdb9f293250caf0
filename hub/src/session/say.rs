//! What a session says itself.
//!
//! Invariant: ids and payloads are written as they came; nothing is read again.

use lasso_jsonrpc::RpcError;
use lasso_jsonrpc::error::write_result;
use lasso_jsonrpc::method::{Method, Safety};
use lasso_jsonrpc::request::{Call, Payload, parse};

use crate::calls::Unanswered;

/// An error of ours.
pub(super) fn error(id: &str, error: &RpcError) -> Vec<u8> {
    let mut out = Vec::with_capacity(160);
    error.write(id, &mut out);
    out
}

/// A result, which is raw JSON.
pub(super) fn result(id: &str, raw: &str) -> Vec<u8> {
    let mut out = Vec::new();
    write_result(id, raw, &mut out);
    out
}

/// The confirmation of a subscription.
pub(super) fn subscribed(request: &str, name: &str) -> Vec<u8> {
    result(request, &format!("\"{name}\""))
}

/// The last word about a subscription.
pub(super) fn ended(name: &str, because: &str) -> Vec<u8> {
    let because = serde_json::Value::from(because);
    format!(
        r#"{{"jsonrpc":"2.0","method":"eth_subscription","params":{{"subscription":"{name}","error":{{"code":-32000,"message":{because}}}}}}}"#
    )
    .into_bytes()
}

/// How a call was served, by the client's id; both are raw JSON.
pub(super) fn meta(id: &str, meta: &str) -> Vec<u8> {
    format!(r#"{{"jsonrpc":"2.0","method":"lasso_meta","params":{{"id":{id},"meta":{meta}}}}}"#).into_bytes()
}

/// What is said for a body that was sent on and not answered; `None` when nobody waits for an answer.
pub(super) fn unanswered(body: &[u8], error_of: impl Fn(&Method<'_>) -> RpcError) -> Option<Vec<u8>> {
    let of = |call: &Call<'_>| Some(error(call.id?.as_raw(), &error_of(&Method::of(&call.method))));
    match parse(body, usize::MAX).ok()? {
        Payload::Single(call) => of(&call),
        Payload::Batch(items) => {
            let mut array = Vec::new();
            let answers = items.iter().filter_map(|item| match item {
                Ok(call) => of(call),
                Err(invalid) => Some(error(invalid.id.as_raw(), &invalid.error())),
            });
            for answer in answers {
                array.push(if array.is_empty() { b'[' } else { b',' });
                array.extend_from_slice(&answer);
            }
            array.push(b']');
            (array.len() > 1).then_some(array)
        }
    }
}

/// What is said for one of its calls: where nobody knows whether a write happened, that.
pub(super) fn lost(why: Unanswered, method: &Method<'_>) -> RpcError {
    match (why, method.safety()) {
        (Unanswered::Unreached, _) | (_, Safety::Replay | Safety::Filter) => RpcError::gateway(&why.to_string()),
        (
            Unanswered::Broken | Unanswered::Late | Unanswered::TooLong | Unanswered::NoRoom,
            Safety::Once | Safety::Broadcast,
        ) => RpcError::indeterminate(),
    }
}
