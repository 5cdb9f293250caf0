//! Questions that fill gaps, by way of Envoy like every call.
//!
//! Duty: the body of an ask, and what its answer says. A question goes the way of every call, so failing over between providers is the filter's.
//! Invariant: an answer has a result for each call, or it is a failure as a whole.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use lasso_subscription::{Ask, FetchFailure};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use crate::Site;
use crate::budget::Budget;
use crate::calls::{Call, Calls};

/// How long a question may take; the machine asks again after that.
const PATIENCE: Duration = Duration::from_secs(10);

/// The answer to a POST, or why there is none; no secret in it.
pub(crate) type Posted = Pin<Box<dyn Future<Output = Result<Bytes, String>> + Send>>;

/// Where calls are sent.
pub(crate) trait Gateway: fmt::Debug + Send + Sync {
    /// Sends a body to a path of Envoy's own listener.
    fn post(&self, path: String, body: Bytes) -> Posted;
}

/// Envoy's listener, which the configuration names.
#[derive(Debug)]
pub(crate) struct ByEnvoy {
    calls: Calls,
    site: watch::Receiver<Arc<Site>>,
}

impl ByEnvoy {
    pub(crate) fn new(site: watch::Receiver<Arc<Site>>) -> Self {
        Self { calls: Calls::new(Budget::new()), site }
    }
}

impl Gateway for ByEnvoy {
    fn post(&self, path: String, body: Bytes) -> Posted {
        let (calls, to) = (self.calls.clone(), self.site.borrow().calls.clone());
        Box::pin(async move {
            let to = to.ok_or("no listener of Envoy's is known")?;
            let call = Call { to: &to, path, host: &to, body, long: Arc::new(Semaphore::new(1)) };
            let answered = calls.send(call, std::iter::empty()).await.map_err(|error| format!("Envoy {error}"))?;
            Ok(answered.body)
        })
    }
}

/// An answer to one call. Of what else is in it we need nothing.
#[derive(Deserialize)]
struct Reply<'a> {
    id: Option<u64>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    error: Option<Fault>,
}

#[derive(Deserialize)]
struct Fault {
    code: i64,
    message: String,
}

/// Asks. The results are in the order of the calls.
pub(super) async fn fetch(
    gateway: Arc<dyn Gateway>,
    path: Arc<str>,
    ask: Ask,
    most: usize,
) -> Result<Vec<Arc<str>>, FetchFailure> {
    let calls = ask.calls();
    let mut results = Vec::with_capacity(calls.len());
    for part in calls.chunks(most.max(1)) {
        let posted = timeout(PATIENCE, gateway.post(path.to_string(), body(part))).await;
        let answer = posted.map_err(|_| failure("no answer in time"))?.map_err(|error| failure(&error))?;
        results.extend(read(&answer, part.len())?);
    }
    Ok(results)
}

fn body(calls: &[(&'static str, String)]) -> Bytes {
    let call = |(id, (method, params)): (usize, &(&str, String))| {
        format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#)
    };
    let calls: Vec<String> = calls.iter().enumerate().map(call).collect();
    match calls.as_slice() {
        [one] => Bytes::from(one.clone()),
        many => Bytes::from(format!("[{}]", many.join(","))),
    }
}

fn read(answer: &[u8], count: usize) -> Result<Vec<Arc<str>>, FetchFailure> {
    let unreadable = |_| failure("the answer cannot be read");
    let replies: Vec<Reply<'_>> = if count == 1 {
        vec![serde_json::from_slice(answer).map_err(unreadable)?]
    } else {
        serde_json::from_slice(answer).map_err(unreadable)?
    };
    let mut results = vec![None; count];
    for reply in replies {
        if let Some(fault) = reply.error {
            return Err(failure(&format!("{} ({})", fault.message, fault.code)));
        }
        // An `Option` reads `null` as nothing, and `null` is a result.
        let result = reply.result.map_or("null", RawValue::get);
        let place = reply.id.and_then(|id| results.get_mut(usize::try_from(id).ok()?));
        *place.ok_or_else(|| failure("an answer to nothing that was asked"))? = Some(Arc::from(result));
    }
    results.into_iter().collect::<Option<Vec<_>>>().ok_or_else(|| failure("an answer is missing"))
}

fn failure(message: &str) -> FetchFailure {
    FetchFailure { message: message.chars().take(256).collect() }
}

#[cfg(test)]
mod tests {
    use super::{body, read};

    #[track_caller]
    fn check(answer: &str, count: usize, expected: Result<&[&str], &str>) {
        let found = read(answer.as_bytes(), count);
        let found = found.as_ref().map(|results| results.iter().map(|result| &**result).collect::<Vec<_>>());
        assert_eq!(found.map_err(|failure| &*failure.message), expected.map(<[_]>::to_vec), "{answer}");
    }

    #[test]
    fn an_answer_has_a_result_for_each_call_or_is_a_failure() {
        check(r#"{"jsonrpc":"2.0","id":0,"result":{"a": 1}}"#, 1, Ok(&[r#"{"a": 1}"#]));
        check(r#"{"jsonrpc":"2.0","id":0,"result":null}"#, 1, Ok(&["null"]));
        check(r#"[{"id":1,"result":2},{"id":0,"result":[]}]"#, 2, Ok(&["[]", "2"]));
        check(r#"[{"id":1,"result":2},{"id":0,"error":{"code":-32000,"message":"no"}}]"#, 2, Err("no (-32000)"));
        check(r#"[{"id":1,"result":2}]"#, 2, Err("an answer is missing"));
        check(r#"[{"id":7,"result":2}]"#, 2, Err("an answer to nothing that was asked"));
        check("<html>", 1, Err("the answer cannot be read"));
    }

    #[test]
    fn one_call_is_no_batch() {
        let calls = [("eth_getLogs", "[{}]".to_owned()), ("eth_chainId", "[]".to_owned())];
        assert_eq!(&body(&calls[..1])[..], br#"{"jsonrpc":"2.0","id":0,"method":"eth_getLogs","params":[{}]}"#);
        assert!(body(&calls).starts_with(b"[{") && body(&calls).ends_with(b"]"));
    }
}
