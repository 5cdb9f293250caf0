//! Any bytes as a reply, whole or in part: no panic, and what is taken for a reply is JSON.
//!
//! `cargo +nightly fuzz run reply` in `core/jsonrpc`.
#![no_main]

use lasso_jsonrpc::{Method, Reply, response};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    check(response::read(body, false));
    check(response::read(body, true));
    for reply in response::read_batch(body).into_iter().flatten() {
        check(reply);
    }
    // The same behind a result that is too long to be looked at.
    let mut long = br#"{"result":""#.to_vec();
    long.resize(long.len() + response::WHOLE_BYTES, b'0');
    long.extend_from_slice(b"\",");
    long.extend_from_slice(body);
    check(response::read(&long, true));
});

fn check(reply: Reply<'_>) {
    match reply {
        Reply::Result { raw: Some(raw), null, .. } => {
            assert_eq!(null, raw == "null");
            for name in ["eth_blockNumber", "eth_getBlockByNumber"] {
                response::block_number_in(&Method::of(name), raw);
            }
        }
        Reply::Error { error, .. } => assert!(error.raw.is_empty() || error.raw.starts_with('{')),
        Reply::Result { raw: None, .. } | Reply::Malformed(_) => {}
    }
}
