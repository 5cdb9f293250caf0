//! What a provider said, as far as the way of a message needs it.
//!
//! Invariant: an answer's id is found as a place in its text, so that another can be put there and every other byte stays.

use std::ops::Range;

use serde::Deserialize;
use serde_json::value::RawValue;

/// A message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said<'a> {
    /// The answer to the request of this number.
    Answer {
        number: u64,
        /// Where the number stands.
        place: Range<usize>,
        /// Raw JSON; `None` when there is none, or `null`.
        result: Option<&'a str>,
    },
    /// An event of a subscription.
    Event {
        /// The provider's name for it, raw JSON.
        subscription: &'a str,
        /// Raw JSON; `None` when the provider tells of an error instead.
        payload: Option<&'a str>,
    },
    /// Something else, or no JSON-RPC.
    Nothing,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Params<'a> {
    #[serde(borrow)]
    subscription: &'a RawValue,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
}

/// Reads a message.
pub(super) fn read(text: &str) -> Said<'_> {
    let Ok(envelope) = serde_json::from_str::<Envelope<'_>>(text) else { return Said::Nothing };
    if let Some(id) = envelope.id {
        return answer(text, id.get(), envelope.result.map(RawValue::get));
    }
    let params = envelope.params.and_then(|params| serde_json::from_str::<Params<'_>>(params.get()).ok());
    params.map_or(Said::Nothing, |params| Said::Event {
        subscription: params.subscription.get(),
        payload: params.result.map(RawValue::get),
    })
}

fn answer<'a>(text: &'a str, id: &'a str, result: Option<&'a str>) -> Said<'a> {
    let Ok(number) = id.parse() else { return Said::Nothing };
    // The one is a part of the other.
    let start = id.as_ptr().addr() - text.as_ptr().addr();
    Said::Answer { number, place: start..start + id.len(), result }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &Said<'_>) {
        assert_eq!(read(text), *expected, "{text}");
    }

    #[test]
    fn an_answers_id_is_found_wherever_it_stands() {
        check(
            r#"{"jsonrpc":"2.0","id":7,"result":"0x1"}"#,
            &Said::Answer { number: 7, place: 22..23, result: Some(r#""0x1""#) },
        );
        check(
            r#" { "result" : {"id":9} , "id" : 12 } "#,
            &Said::Answer { number: 12, place: 32..34, result: Some(r#"{"id":9}"#) },
        );
        check(r#"{"id":1,"error":{"code":-1}}"#, &Said::Answer { number: 1, place: 6..7, result: None });
        check(r#"{"id":1,"result":null}"#, &Said::Answer { number: 1, place: 6..7, result: None });
    }

    #[test]
    fn an_event_names_its_subscription() {
        check(
            r#"{"jsonrpc":"2.0","method":"eth_subscription","params":{"subscription":"0xa","result":{"number":"0x1"}}}"#,
            &Said::Event { subscription: r#""0xa""#, payload: Some(r#"{"number":"0x1"}"#) },
        );
        check(
            r#"{"method":"eth_subscription","params":{"subscription":17,"error":{"code":-32000}}}"#,
            &Said::Event { subscription: "17", payload: None },
        );
    }

    #[test]
    fn what_is_no_answer_of_ours_is_nothing() {
        for text in [
            "",
            "hello",
            "[]",
            "{}",
            "null",
            r#"{"id":null,"error":{}}"#,
            r#"{"id":"7","result":1}"#,
            r#"{"id":-7,"result":1}"#,
            r#"{"id":7.0,"result":1}"#,
            r#"{"id":1,"id":2,"result":1}"#,
            r#"{"method":"eth_subscription","params":["0xa"]}"#,
            r#"{"id":1,"result":"#,
        ] {
            check(text, &Said::Nothing);
        }
    }
}
