#!/usr/bin/env bash
# Licences, sources and duplicates by deny.toml, where cargo-deny is installed. DENY=required: its absence is a failure.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! cargo deny --version >/dev/null 2>&1; then
    {
        echo 'check: NOT CHECKED: licences, sources and banned crates (deny.toml), because cargo-deny is not installed.'
        echo 'check: everything else was checked. To check these too: cargo install --locked cargo-deny, then make check again.'
    } >&2
    if [[ ${DENY:-} == required ]]; then exit 1; fi
    exit 0
fi
# Advisories need a database from the network; the rest must hold anywhere.
cargo deny --offline check bans licenses sources
echo 'check: licences, sources and banned crates are as deny.toml wants them'
