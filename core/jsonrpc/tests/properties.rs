//! What holds for any bytes: no panic, ids untouched, order kept.
//!
//! The fuzz targets in `fuzz/` ask the same of inputs that coverage finds.

use lasso_jsonrpc::method::glob;
use lasso_jsonrpc::{Call, Method, MethodClass, Payload, Reply, block, request, response};
use proptest::prelude::*;
use serde_json::value::RawValue;
use serde_json::{Value, json};

fn single(body: &[u8]) -> Option<Call<'_>> {
    match request::parse(body, 1) {
        Ok(Payload::Single(call)) => Some(call),
        Ok(Payload::Batch(_)) | Err(_) => None,
    }
}

/// The valid calls of a batch.
fn batch(body: &[u8]) -> Vec<Call<'_>> {
    match request::parse(body, usize::MAX) {
        Ok(Payload::Batch(items)) => items.into_iter().flatten().collect(),
        Ok(Payload::Single(_)) | Err(_) => Vec::new(),
    }
}

/// Everything that a filter would do with a request body.
fn use_request(body: &[u8]) {
    match request::parse(body, 16) {
        Ok(Payload::Single(call)) => {
            let method = Method::of(&call.method);
            let blocks = block::blocks_of(&method, call.params);
            assert!(MethodClass::of(&method, &blocks).index() < MethodClass::COUNT);
            let mut out = Vec::new();
            call.write("1", &mut out);
            let again = single(&out).expect("what we write is a call");
            assert_eq!((&again.method, again.params.unwrap_or("[]")), (&call.method, call.params.unwrap_or("[]")));
        }
        Ok(Payload::Batch(items)) => assert!(!items.is_empty() && items.len() <= 16),
        Err(error) => {
            let mut out = Vec::new();
            error.error().write(error.id().as_raw(), &mut out);
            // Raw: an id may hold a lone surrogate, which is JSON and which serde_json would not decode.
            serde_json::from_slice::<&RawValue>(&out).expect("our own answer is JSON");
        }
    }
}

/// Everything that a filter would do with a reply.
fn use_reply(body: &[u8]) {
    for complete in [true, false] {
        if let Reply::Result { raw: Some(raw), .. } = response::read(body, complete) {
            for name in ["eth_blockNumber", "eth_getBlockByNumber"] {
                response::block_number_in(&Method::of(name), raw);
            }
        }
    }
    let _ = response::read_batch(body);
}

fn id() -> impl Strategy<Value = String> {
    prop_oneof![
        "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,9})?([eE][+-]?[0-9]{1,3})?",
        any::<String>().prop_map(|text| Value::from(text).to_string()),
        "\"(\\\\u[0-9a-fA-F]{4}|\\\\[nrt/\"\\\\]|[a-z]){0,9}\"",
        Just("null".to_owned()),
    ]
}

fn request_text() -> impl Strategy<Value = String> {
    let params = prop_oneof![
        Just(json!([])),
        Just(json!(["0xab", "latest"])),
        Just(json!([{"to": "0xab", "data": "0x1234"}, {"blockHash": "0x00"}])),
        Just(json!([{"fromBlock": "0x1", "toBlock": "latest", "topics": [[null]]}])),
        Just(json!(null)),
    ];
    let name = prop_oneof!["eth_(call|getLogs|getBalance|blockNumber)", "[a-z]{0,5}_[a-z]{0,5}", any::<String>()];
    (id(), name, params).prop_map(|(id, name, params)| {
        format!(r#"{{"jsonrpc":"2.0","id":{id},"method":{},"params":{params}}}"#, Value::from(name))
    })
}

fn reply_text() -> impl Strategy<Value = String> {
    let body = prop_oneof![
        Just(r#""result":"0x10""#.to_owned()),
        Just(r#""result":null"#.to_owned()),
        Just(r#""result":{"number":"0x1","transactions":["a","b"]}"#.to_owned()),
        Just(r#""error":{"code":-32000,"message":"no","data":"0x"}"#.to_owned()),
        (0..20_000usize).prop_map(|length| format!(r#""result":"{}""#, "f".repeat(length))),
        (0..20_000usize)
            .prop_map(|length| format!(r#""error":{{"code":3,"message":"m","data":"{}"}}"#, "f".repeat(length))),
    ];
    (id(), body, any::<bool>()).prop_map(|(id, body, first)| {
        if first { format!(r#"{{"jsonrpc":"2.0","id":{id},{body}}}"#) } else { format!(r#"{{{body},"id":{id}}}"#) }
    })
}

/// Replaces, removes and repeats bytes.
fn mutated(text: impl Strategy<Value = String>) -> impl Strategy<Value = Vec<u8>> {
    let edits = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4u8), 0..6);
    (text, edits).prop_map(|(text, edits)| {
        let mut bytes = text.into_bytes();
        for (place, byte, kind) in edits {
            if bytes.is_empty() {
                break;
            }
            let at = place.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.truncate(at),
                2 => bytes.insert(at, b"{}[]\",:\\ 0n"[usize::from(byte) % 11]),
                _ => bytes.extend_from_within(at..),
            }
        }
        bytes
    })
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(body in prop::collection::vec(any::<u8>(), 0..256)) {
        use_request(&body);
        use_reply(&body);
    }

    #[test]
    fn damaged_requests_are_read_without_a_panic(body in mutated(request_text())) {
        use_request(&body);
    }

    #[test]
    fn damaged_replies_are_read_without_a_panic(body in mutated(reply_text())) {
        use_reply(&body);
    }

    #[test]
    fn ids_come_back_byte_for_byte(id in id()) {
        let body = format!(r#"{{"id": {id} ,"method":"m"}}"#);
        let read = single(body.as_bytes()).and_then(|call| call.id).expect("a call with an id");
        prop_assert_eq!(read.as_raw(), &id);
        prop_assert!(read.matches(&id));
        let mut out = Vec::new();
        lasso_jsonrpc::error::write_result(read.as_raw(), "true", &mut out);
        prop_assert!(response::read(&out, true).answers(&read));
    }

    #[test]
    fn batches_keep_their_order(ids in prop::collection::vec(id(), 1..40)) {
        let items: Vec<_> = ids.iter().map(|id| format!(r#"{{"id":{id},"method":"m"}}"#)).collect();
        let body = format!("[{}]", items.join(","));
        let read: Vec<_> = batch(body.as_bytes()).iter().filter_map(|call| Some(call.id?.as_raw())).collect();
        prop_assert_eq!(read, ids);
    }

    #[test]
    fn a_cut_reply_is_never_taken_for_a_whole_one(text in reply_text(), at in any::<prop::sample::Index>()) {
        let cut = &text.as_bytes()[..at.index(text.len())];
        prop_assert!(matches!(response::read(cut, true), Reply::Malformed(_)), "{}", String::from_utf8_lossy(cut));
    }

    #[test]
    fn a_whole_reply_carries_its_id(text in reply_text()) {
        let value: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
        prop_assume!(value.is_object());
        let reply = response::read(text.as_bytes(), true);
        prop_assert!(reply.id().is_some(), "{reply:?}");
        prop_assert_eq!(matches!(reply, Reply::Error { .. }), value.get("error").is_some());
    }

    #[test]
    fn globs_end(pattern in "[ab*]{0,12}", name in "[ab]{0,24}") {
        let expression = pattern.replace('*', ".*");
        let expected = matches_expression(&expression, &name);
        prop_assert_eq!(glob(&pattern, &name), expected);
    }
}

/// The obvious way: tries every split at a star.
fn matches_expression(pattern: &str, name: &str) -> bool {
    match pattern.split_once(".*") {
        None => pattern == name,
        Some((head, rest)) => name
            .strip_prefix(head)
            .is_some_and(|name| (0..=name.len()).any(|skip| matches_expression(rest, &name[skip..]))),
    }
}
