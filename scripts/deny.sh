#!/usr/bin/env bash
# Licences, advisories and duplicates by deny.toml, where cargo-deny is installed.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! cargo deny --version >/dev/null 2>&1; then
    echo 'check: cargo-deny is not installed, licences were not looked at (cargo install cargo-deny)'
    exit 0
fi
# Advisories need a database from the network; the rest must hold anywhere.
cargo deny --offline check bans licenses sources
