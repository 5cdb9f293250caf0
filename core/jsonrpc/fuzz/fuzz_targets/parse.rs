//! Any bytes as a request: no panic, ids come back byte for byte, what is written is read as the same call.
//!
//! `cargo +nightly fuzz run parse` in `core/jsonrpc`.
#![no_main]

use lasso_jsonrpc::{Call, Method, MethodClass, Payload, block, request};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    match request::parse(body, 64) {
        Ok(Payload::Single(call)) => check(body, &call),
        Ok(Payload::Batch(items)) => {
            assert!((1..=64).contains(&items.len()));
            items.iter().flatten().for_each(|call| check(body, call));
        }
        Err(error) => {
            let mut out = Vec::new();
            error.error().write(error.id().as_raw(), &mut out);
            assert!(std::str::from_utf8(&out).is_ok());
        }
    }
});

fn check(body: &[u8], call: &Call<'_>) {
    let method = Method::of(&call.method);
    let blocks = block::blocks_of(&method, call.params);
    assert!(MethodClass::of(&method, &blocks).index() < MethodClass::COUNT);

    let id = call.id.map_or("null", |id| id.as_raw());
    if call.id.is_some() {
        assert!(body.windows(id.len()).any(|window| window == id.as_bytes()), "the id's bytes are the client's");
    }
    let mut out = Vec::new();
    call.write(id, &mut out);
    let Ok(Payload::Single(again)) = request::parse(&out, 1) else { panic!("what we write is a call") };
    assert_eq!(again.id.map(|id| id.as_raw()), Some(id));
    assert_eq!(again.method, call.method);
    assert_eq!(again.params, call.params.or(Some("[]")));
}
