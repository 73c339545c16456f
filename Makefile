# `make run` and `make test` do all the set-up on a Debian machine with Rust. `make help` lists the rest.
SHELL := /bin/bash
CARGO := scripts/cargo
# Where cargo puts what it builds; continuous integration points CARGO_TARGET_DIR at a cache outside the clone.
TARGET := $(or $(CARGO_TARGET_DIR),target)
CACHE := $(or $(TIDINGS_BUILD_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/tidings)
DATA ?= ./data

.PHONY: run build web test verify fix bench audit help

run: build ## build, and start one whole node on ./data
	@$(TARGET)/release/tidings standalone --data $(DATA)

build: ## the release binary, with the messenger in it where npm is
	@scripts/setup build
	@scripts/web build || echo "The messenger could not be built: the binary goes without it" >&2
	@echo "Building tidings (the first build: about 10 minutes for RocksDB, then 5 for the rest, on two cores)"
	@$(CARGO) build --release --bin tidings

web: ## the web packages and the messenger, for a binary to embed
	@scripts/setup build
	scripts/web build

test: ## every test: unit, property, and system tests over real processes
	@scripts/setup test
	scripts/web build test
	$(CARGO) build --bin tidings
	@# Before the tests, so that it is said; without the history there is none (3), and the tests say so.
	scripts/last-release || [ $$? -eq 3 ]
	TIDINGS_BIN=$(abspath $(TARGET)/debug/tidings) $(CARGO) test --workspace --no-fail-fast
	TIDINGS_BIN=$(abspath $(TARGET)/debug/tidings) scripts/web test:node test:browser

verify: ## read-only checks: format, lints, licences, links in the documentation
	@scripts/setup verify
	cargo fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --quiet
	$(CACHE)/tools/bin/cargo-deny --log-level error check bans licenses sources
	scripts/doc-links
	scripts/web generate check

fix: ## write what the checks would complain of
	cargo fmt --all
	$(CARGO) clippy --workspace --all-targets --fix --allow-dirty --allow-staged

bench: ## the load generator against a node of its own; bench/RESULTS.md keeps the figures (a cluster: bench/cluster-runs)
	@scripts/setup build
	$(CARGO) build --release -p tidings -p tidings-bench
	$(TARGET)/release/tidings-bench --node $(TARGET)/release/tidings

audit: ## the loss audit in its long form: half an hour of faults against a cluster on this machine
	@scripts/setup test
	$(CARGO) build --release --bin tidings
	$(TARGET)/release/tidings audit --local --seconds 150

help:
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10
