//! From what came back to what was found.
//!
//! Duty: read a reply, as the filter or a provider gave it. Invariant: pure; only what a provider itself said, or verifiably did not say, is held against it.
//! Leaves to others: HTTP.

use lasso_jsonrpc::block::Blocks;
use lasso_jsonrpc::id::Id;
use lasso_jsonrpc::method::Method;
use lasso_jsonrpc::response::{Reply, read};
use lasso_routing::breaker::Category;
use lasso_routing::fleet::event::{Ask, Found};
use lasso_routing::outcome::{ErrorRule, Held, Observed, classify};
use lasso_routing::report::Ending;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::ask::ID;

/// A provider's own answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answer<'a> {
    pub(super) status: u16,
    pub(super) retry_after: Option<&'a str>,
    pub(super) body: &'a [u8],
}

/// The filter answered. It lets a provider's answer through with status 200, and says otherwise how the attempt ended.
pub(super) fn through_envoy(ask: &Ask, channel: &str, status: u16, body: &[u8]) -> Found {
    if status != 200 {
        // Envoy's own, or ours: a route or a provider that is not there any more.
        return Found::NotSent;
    }
    match read(body, true) {
        Reply::Result { null, .. } => result(ask, null, body),
        Reply::Error { error, .. } => match reasons(error.data) {
            Some(reasons) => reasons.ending_of(channel).map_or(Found::NotSent, |ending| ended(ask, ending)),
            None => ended(ask, Ending::Neutral),
        },
        Reply::Malformed(_) => Found::NotSent,
    }
}

/// The provider answered.
pub(super) fn directly(ask: &Ask, method: &str, answer: &Answer<'_>, rules: &[ErrorRule]) -> Found {
    let reply = read(answer.body, true);
    let ours = Id::of_raw(ID).is_none_or(|id| reply.answers(&id));
    let verdict = classify(&Observed {
        method: &Method::of(method),
        status: answer.status,
        held: Held::Reply(&reply),
        retry_after: answer.retry_after,
        wrong_id: !ours && !matches!(reply, Reply::Malformed(_)),
        best_head: None,
        blocks: &Blocks::None,
        confirms_null: false,
        rules,
    });
    match (Ending::from(&verdict), &reply) {
        (Ending::Success, Reply::Result { null, .. }) => result(ask, *null, answer.body),
        (ending, _) => ended(ask, ending),
    }
}

/// An attempt that brought no result.
pub(super) const fn ended(ask: &Ask, ending: Ending) -> Found {
    match ending {
        Ending::Network => Found::Failed(Category::Network),
        Ending::Timeout => Found::Failed(Category::Timeout),
        Ending::Server => Found::Failed(Category::Server),
        Ending::Auth => Found::Failed(Category::Auth),
        Ending::Billing => Found::Failed(Category::Billing),
        // It is there and does not want to say: nothing was learned.
        Ending::RateLimited | Ending::Abandoned => Found::NotSent,
        Ending::Success | Ending::Neutral => match ask {
            Ask::Block(number) => Found::NoBlock(*number),
            Ask::ChainId | Ask::Head | Ask::Method(_) => Found::Answered,
        },
    }
}

/// `data` of the filter's own errors.
#[derive(Deserialize)]
struct Reasons {
    reasons: serde_json::Map<String, serde_json::Value>,
}

fn reasons(data: Option<&str>) -> Option<Reasons> {
    serde_json::from_str(data?).ok()
}

impl Reasons {
    fn ending_of(&self, channel: &str) -> Option<Ending> {
        let name = self.reasons.get(channel)?.as_str()?;
        Ending::ALL.into_iter().find(|ending| ending.name() == name)
    }
}

#[derive(Deserialize)]
struct Result<'a> {
    #[serde(borrow)]
    result: &'a RawValue,
}

#[derive(Deserialize)]
struct Block<'a> {
    #[serde(borrow)]
    number: &'a str,
}

fn result(ask: &Ask, null: bool, body: &[u8]) -> Found {
    // Of long answers only the ends were looked at so far.
    let Ok(Result { result }) = serde_json::from_slice(body) else { return Found::Failed(Category::Server) };
    let quantity = || serde_json::from_str(result.get()).ok().and_then(quantity);
    match ask {
        Ask::ChainId => quantity().map_or(Found::Failed(Category::Server), Found::ChainId),
        Ask::Head => quantity().map_or(Found::Failed(Category::Server), Found::Head),
        Ask::Block(number) if null => Found::NoBlock(*number),
        Ask::Block(number) => {
            let shown =
                serde_json::from_str(result.get()).ok().and_then(|block: Block<'_>| self::quantity(block.number));
            if shown == Some(*number) { Found::Block(*number) } else { Found::NoBlock(*number) }
        }
        Ask::Method(_) => Found::Answered,
    }
}

fn quantity(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

#[cfg(test)]
mod tests {
    use lasso_jsonrpc::method::MethodClass;

    use super::*;

    const CHANNEL: &str = "ethereum/a/http";

    fn of_result(result: &str) -> String {
        format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#)
    }

    fn of_error(code: i32, message: &str, data: &str) -> String {
        format!(r#"{{"jsonrpc":"2.0","id":1,"error":{{"code":{code},"message":"{message}"{data}}}}}"#)
    }

    #[test]
    fn what_the_filter_answers() {
        #[track_caller]
        fn check(ask: Ask, status: u16, body: &str, expected: Found) {
            assert_eq!(through_envoy(&ask, CHANNEL, status, body.as_bytes()), expected, "{status} {body}");
        }
        let reason =
            |name: &str| of_error(-32_000, "all failed", &format!(r#","data":{{"reasons":{{"{CHANNEL}":"{name}"}}}}"#));
        let long = format!(r#"{{"number":"0x10","extra":"{}"}}"#, "x".repeat(100_000));
        check(Ask::ChainId, 200, &of_result(r#""0x89""#), Found::ChainId(137));
        check(Ask::ChainId, 200, &of_result("137"), Found::Failed(Category::Server));
        check(Ask::Head, 200, &of_result(r#""0xff""#), Found::Head(255));
        check(Ask::Head, 200, &of_result("null"), Found::Failed(Category::Server));
        check(Ask::Block(16), 200, &of_result(r#"{"number":"0x10","hash":"0x0"}"#), Found::Block(16));
        check(Ask::Block(16), 200, &of_result(&long), Found::Block(16));
        check(Ask::Block(16), 200, &of_result(r#"{"number":"0x11"}"#), Found::NoBlock(16));
        check(Ask::Block(16), 200, &of_result("null"), Found::NoBlock(16));
        check(Ask::Block(16), 200, &of_error(-32_000, "header not found", ""), Found::NoBlock(16));
        check(Ask::Method(MethodClass::OTHER), 200, &of_result("null"), Found::Answered);
        check(
            Ask::Method(MethodClass::OTHER),
            200,
            &of_error(3, "execution reverted", r#","data":"0x""#),
            Found::Answered,
        );
        check(Ask::Method(MethodClass::OTHER), 200, &reason("auth"), Found::Failed(Category::Auth));
        check(Ask::Method(MethodClass::OTHER), 200, &reason("billing"), Found::Failed(Category::Billing));
        check(Ask::Head, 200, &reason("network"), Found::Failed(Category::Network));
        check(Ask::Head, 200, &reason("timeout"), Found::Failed(Category::Timeout));
        check(Ask::Head, 200, &reason("server"), Found::Failed(Category::Server));
        check(Ask::Head, 200, &reason("rate_limited"), Found::NotSent);
        check(Ask::Head, 200, &of_error(-32_000, "no channel", r#","data":{"reasons":{}}"#), Found::NotSent);
        check(Ask::Head, 400, &of_error(-32_602, "unknown provider", ""), Found::NotSent);
        check(Ask::Head, 404, "nothing here", Found::NotSent);
        check(Ask::Head, 503, "", Found::NotSent);
        check(Ask::Head, 200, "<html>", Found::NotSent);
    }

    #[test]
    fn what_a_provider_answers() {
        #[track_caller]
        fn check(status: u16, body: &str, expected: Found) {
            let answer = Answer { status, retry_after: None, body: body.as_bytes() };
            assert_eq!(directly(&Ask::Head, "eth_blockNumber", &answer, &[]), expected, "{status} {body}");
        }
        check(200, &of_result(r#""0xff""#), Found::Head(255));
        check(200, r#"{"jsonrpc":"2.0","id":2,"result":"0xff"}"#, Found::Failed(Category::Server));
        check(401, r#"{"message":"bad key"}"#, Found::Failed(Category::Auth));
        check(503, "<html>down</html>", Found::Failed(Category::Server));
        check(429, "", Found::NotSent);
        check(200, &of_error(-32_601, "the method does not exist", ""), Found::Answered);
    }
}
