# The front door. No logic lives here: each target says what it needs and calls one tool.
.DEFAULT_GOAL := help
.PHONY: help setup build build-panic module module-panic run test unit e2e e2e-module check bench profile bench-rank fuzz clean

CARGO  ?= cargo
WASM   := --profile wasm --target wasm32-wasip1 -p lasso-filter
MODULE := --profile module -p lasso-module
# How the module's code is laid out (scripts/profile.sh); functions that have changed since are built without it.
RECORDED := RUSTFLAGS="$(RUSTFLAGS) -Cprofile-use=$(CURDIR)/module/calls.profdata -Cllvm-args=-no-pgo-warn-mismatch"

ifneq ($(filter-out wasm module,$(FILTER)),)
$(error FILTER takes the kind of the filter, wasm (the default) or module, not "$(FILTER)"; a file goes to --filter of lasso)
endif

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## install Envoy, anvil, the test clients and the wasm target, all pinned, into this folder
	@scripts/setup.sh

build: setup ## the filter and the lasso program
	$(CARGO) build $(WASM)
	$(CARGO) build -p lasso

build-panic: setup # the filter that panics when it is asked to, for one test
	$(CARGO) build $(WASM) --features inject-panic --target-dir target/panic

module: setup ## the filter as a native module, for Envoy 1.40 on Linux (FILTER=module for run, e2e and bench)
	$(RECORDED) $(CARGO) build $(MODULE)

module-panic: setup # the same that panics when it is asked to, for one test
	$(CARGO) build $(MODULE) --features inject-panic --target-dir target/panic

run: build $(FILTER:wasm=) ## the demo: two chains, five providers; CONFIG=lasso.yaml: your own; WORKERS=n: Envoy's threads; PORTS_FROM=22000: other ports; FILTER=module: the native filter
	$(CARGO) build -p lasso-tests --bin lasso-demo
	@exec target/debug/lasso-demo $(if $(CONFIG),--config $(CONFIG)) $(if $(WORKERS),--workers $(WORKERS)) $(if $(FILTER),--filter $(FILTER)) $(if $(PORTS_FROM),--ports-from $(PORTS_FROM))

test: unit e2e e2e-module ## everything: unit, property, snapshot, house rules, end to end

unit: setup # everything that needs no Envoy
	$(CARGO) test --workspace --exclude lasso-tests
	$(CARGO) test -p lasso-tests --lib --test tidy

e2e: build build-panic $(if $(FILTER:wasm=),module module-panic) ## real clients, real Envoy, real nodes, providers that misbehave
	$(if $(FILTER),LASSO_TEST_FILTER=$(FILTER)) $(CARGO) test -p lasso-tests --test e2e -- --test-threads=2 $(if $(FILTER:wasm=),,--skip kinds::)

# What depends on how Envoy runs the filter, once more with the native module; all of it: make e2e FILTER=module
e2e-module: build module module-panic
	LASSO_TEST_FILTER=module $(CARGO) test -p lasso-tests --test e2e -- --test-threads=2 kinds:: panic:: failure_matrix:: \
		answers:: batches:: errors:: headers:: limits:: reload:: request_log:: retries:: secrets:: streaming:: sync:: writes:: ws_channels::

check: setup ## format, lints, house rules, licences (the last where cargo-deny is installed)
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(CARGO) clippy -p lasso-filter --target wasm32-wasip1 -- -D warnings
	$(CARGO) test -p lasso-tests --test tidy
	@scripts/deny.sh

bench: build module ## what Lasso costs over plain Envoy, as ratios (docs/performance.md); QUICK=1: rougher, ONLY=part, FILTER=module or wasm, ENFORCE=1: fail when over budget
	$(CARGO) build --release -p lasso
	$(CARGO) run --release -p lasso-tests --bin lasso-bench -- $(if $(ONLY),--only $(ONLY)) $(if $(FILTER),--filter $(FILTER)) $(if $(QUICK),--quick) $(if $(ENFORCE),--enforce)

profile: build ## record which ways calls take through the native module, so that its code is laid out by them (module/calls.profdata)
	@scripts/profile.sh

bench-rank: setup ## what ranking ten channels costs, natively and in V8
	$(CARGO) bench -q -p lasso-routing --bench rank
	CARGO_TARGET_WASM32_WASIP1_RUNNER="node --no-warnings $(CURDIR)/scripts/wasi.mjs" $(CARGO) bench -q --profile wasm --target wasm32-wasip1 -p lasso-routing --bench rank

fuzz: setup ## one minute of fuzzing each target (needs cargo-fuzz and a nightly toolchain)
	@scripts/fuzz.sh

clean: ## what was built and run; installed tools stay
	$(CARGO) clean
	rm -rf .run
