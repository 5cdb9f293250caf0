//! The committed Rust beside `proto/src/sync.rs` is what the `.proto` files say.
//!
//! Duty: generate it again and compare; with `LASSO_BLESS=1`, write it. Nobody else needs the generators, and nobody needs protoc.

use std::path::{Path, PathBuf};
use std::{env, fs};

/// What is generated: the messages, for everyone; the service, behind the feature `grpc`.
const FILES: [&str; 2] = ["messages.rs", "service.rs"];

fn generate(into: &Path) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = || protox::compile([root.join("lasso/v1/sync.proto")], [root]).expect("sync.proto reads");
    let generated = into.join("lasso.v1.rs");
    let mut messages = tonic_prost_build::Config::new();
    messages.out_dir(into).compile_fds(read()).expect("messages are generated");
    fs::rename(&generated, into.join(FILES[0])).expect("messages were written");
    tonic_prost_build::configure()
        .out_dir(into)
        .build_transport(false)
        .extern_path(".lasso.v1", "crate::sync::wire")
        .compile_fds(read())
        .expect("the service is generated");
    fs::rename(&generated, into.join(FILES[1])).expect("the service was written");
}

#[test]
fn the_committed_code_is_what_the_proto_says() {
    let fresh = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    generate(&fresh);
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/gen");
    for file in FILES {
        let generated = fs::read_to_string(fresh.join(file)).expect("it was just written");
        if env::var_os("LASSO_BLESS").is_some() {
            fs::write(committed.join(file), &generated).expect("the source folder can be written");
        }
        let is = fs::read_to_string(committed.join(file)).unwrap_or_default();
        assert!(
            is == generated,
            "proto/src/gen/{file} is stale: LASSO_BLESS=1 cargo test -p lasso-proto --test generated"
        );
    }
}
