#!/usr/bin/env bash
# Fuzzes each target of core/jsonrpc/fuzz and hub/fuzz for SECONDS_EACH (60).
set -euo pipefail
cd "$(dirname "$0")/.."

cargo +nightly fuzz --version >/dev/null 2>&1 || {
    echo 'fuzz: needs a nightly toolchain (rustup toolchain install nightly) and cargo-fuzz (cargo install cargo-fuzz)' >&2
    exit 1
}
for package in core/jsonrpc hub; do
    cd "$package"
    for target in $(cargo +nightly fuzz list); do
        cargo +nightly fuzz run "$target" -- -max_total_time="${SECONDS_EACH:-60}"
    done
    cd - >/dev/null
done
