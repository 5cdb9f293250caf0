#!/usr/bin/env bash
# Records which ways through the native module calls take, and writes module/calls.profdata, by which `make module` lays its code
# out: what calls need lies together, the rest out of the way. Worth doing again when that code has changed much: a function that is
# not as it was recorded is built as if nobody had recorded it.
set -euo pipefail
cd "$(dirname "$0")/.."

work=$PWD/target/profile
rustup component list --installed | grep '^llvm-tools' >/dev/null || rustup component add llvm-tools
profdata=$(find "$(rustc --print sysroot)" -name llvm-profdata -type f | head -1)
[[ -n $profdata ]] || {
    echo 'profile: llvm-profdata is missing, although rustup says that llvm-tools is installed' >&2
    exit 1
}

rm -rf "$work/builds" "$work/runs"
# Build scripts and macros are built so, too, and write theirs when they run: out of the way.
RUSTFLAGS="${RUSTFLAGS:-} -Cprofile-generate" LLVM_PROFILE_FILE=$work/builds/%p.profraw \
    cargo build --profile module -p lasso-module --target-dir "$work"
cargo build --release -p lasso -p lasso-tests --bin lasso --bin lasso-bench
# Each Envoy writes its file when it ends. What this run measures is the recording: its figures mean nothing.
LASSO_MODULE=$work/module/liblasso_module.so LLVM_PROFILE_FILE=$work/runs/%p.profraw \
    target/release/lasso-bench --only pair --filter module --quick --out "$work/bench.json" >/dev/null
"$profdata" merge -o module/calls.profdata "$work"/runs/*.profraw
"$profdata" show module/calls.profdata
echo 'profile: module/calls.profdata is new: make module'
