#!/usr/bin/env bash
# Fuzzes each target of core/jsonrpc/fuzz for SECONDS_EACH (60).
set -euo pipefail
cd "$(dirname "$0")/../core/jsonrpc"

cargo +nightly fuzz --version >/dev/null 2>&1 || {
    echo 'fuzz: needs a nightly toolchain (rustup toolchain install nightly) and cargo-fuzz (cargo install cargo-fuzz)' >&2
    exit 1
}
for target in $(cargo +nightly fuzz list); do
    cargo +nightly fuzz run "$target" -- -max_total_time="${SECONDS_EACH:-60}"
done
