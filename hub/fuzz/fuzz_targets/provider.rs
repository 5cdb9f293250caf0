//! Any bytes as a provider's frames: no panic, and no binding hears what it must not.
//!
//! `cargo +nightly fuzz run provider` in `hub`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| lasso_hub::fuzzing::provider(bytes));
