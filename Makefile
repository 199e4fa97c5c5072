# Weir's commands. `make` lists them.
SHELL := /bin/bash
CARGO_TARGET_DIR ?= $(CURDIR)/target
export CARGO_TARGET_DIR
CONFIG ?= weir.yaml
PORT ?=
WASM := $(CARGO_TARGET_DIR)/wasm32-wasip1/release/weir_filter.wasm
SAY := @printf '\033[1m[weir]\033[0m %s\n'

.DEFAULT_GOAL := help
.PHONY: help setup servers wasm build run test check fmt bench bench-state bench-engine guard-report fuzz soak

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  CONFIG=file PORT=n make run   another weir.yaml, another port"

setup: ## fetch what is missing: the wasm target and Envoy
	$(SAY) "Envoy: $$(scripts/envoy.sh)"
	@command -v cargo >/dev/null || { echo "Rust is missing: see rustup.rs"; exit 1; }

servers: ## Redis and PostgreSQL for the tests, from Debian's packages where missing
	@scripts/servers.sh

wasm: ## build the filter
	$(SAY) "building the filter (about a minute the first time)"
	@scripts/wasm.sh build --release

build: wasm ## build filter and sidecar
	$(SAY) "building the sidecar (some minutes the first time)"
	@cargo build -p weir --bins

run: setup build ## start sidecar and Envoy on :8000 and print a key to use
	@exec $(CARGO_TARGET_DIR)/debug/weir up --config $(CONFIG) --wasm $(WASM) \
	  --envoy "$$(scripts/envoy.sh)" $(if $(PORT),--port $(PORT))

check: wasm ## lints: format, clippy, imports of the wasm, dependencies of the engine
	$(SAY) "format"
	@cargo fmt --all --check
	$(SAY) "clippy"
	@cargo clippy -q --workspace --exclude weir-filter --all-targets -- -D warnings
	@scripts/wasm.sh clippy --release -q -- -D warnings
	$(SAY) "imports of the filter"
	@python3 scripts/wasm-imports.py $(WASM)
	$(SAY) "dependencies of the engine"
	@if cargo tree -q -p weir-engine -e normal --prefix none | \
	  grep -E '^(proxy-wasm|tokio|hyper|axum|reqwest|rand|getrandom|chrono|time|mio|socket2) '; \
	  then echo "the engine must not depend on these"; exit 1; fi

test: setup build servers ## unit, golden, property and end-to-end tests through the real Envoy
	$(SAY) "building the tests"
	@cargo build -q -p e2e --bins
	$(SAY) "running the tests"
	@ENVOY_BIN="$$(scripts/envoy.sh)" && WEIR_VENV="$$(scripts/python.sh)" && \
	  WEIR_NODE="$$(scripts/node.sh)" && export ENVOY_BIN WEIR_VENV WEIR_NODE \
	  WEIR_BIN=$(CARGO_TARGET_DIR)/debug/weir WEIR_WASM=$(WASM) && \
	if cargo nextest --version >/dev/null 2>&1; \
	  then cargo nextest run --workspace --exclude weir-filter --no-fail-fast; \
	  else cargo test --workspace --exclude weir-filter --no-fail-fast -q; fi

bench: setup wasm ## the filter's own cost against a plain Envoy
	@cargo build -q --release -p weir -p weir-bench
	@ENVOY_BIN="$$(scripts/envoy.sh)" WEIR_BIN=$(CARGO_TARGET_DIR)/release/weir WEIR_WASM=$(WASM) \
	  $(CARGO_TARGET_DIR)/release/weir-bench

bench-state: setup wasm servers ## admissions: one service on one core, embedded and with Redis; BENCH_SECONDS (5)
	@cargo build -q --release -p weir -p weir-bench
	@ENVOY_BIN="$$(scripts/envoy.sh)" WEIR_BIN=$(CARGO_TARGET_DIR)/release/weir WEIR_WASM=$(WASM) \
	  $(CARGO_TARGET_DIR)/release/weir-bench --state --seconds $(or $(BENCH_SECONDS),5)

soak: setup build servers ## three Envoys and services, killed under load: SEED (7), LEASES and CLUSTER (0, 1, or the seed's), SOAK_SECONDS (180), CLIENTS (500)
	@cargo build -q -p e2e --bins
	@ENVOY_BIN="$$(scripts/envoy.sh)" WEIR_BIN=$(CARGO_TARGET_DIR)/debug/weir WEIR_WASM=$(WASM) \
	  WEIR_SOAK_SEED=$(or $(SEED),7) WEIR_SOAK_SECONDS=$(or $(SOAK_SECONDS),180) \
	  WEIR_SOAK_CLIENTS=$(or $(CLIENTS),500) WEIR_SOAK_LEASES=$(LEASES) WEIR_SOAK_CLUSTER=$(CLUSTER) \
	  cargo test -q -p e2e --test e2e -- --nocapture soak::whatever

fuzz: ## random inputs for the engine's readers, FUZZ_SECONDS (60) for each of thirteen
	@scripts/fuzz.sh $(or $(FUZZ_SECONDS),60)

bench-engine: ## the engine's parts and whole exchanges, natively
	@cargo bench -q -p weir-bench --bench engine --bench limits

guard-report: ## accuracy and speed of the detectors, native and as wasm; CASES=file adds labelled prompts
	@cargo build -q --release -p weir-guard-bench
	@$(CARGO_TARGET_DIR)/release/guard-report score bench/guard/samples/tuned.jsonl \
	  bench/guard/samples/unseen.jsonl $(CASES)
	$(SAY) "speed, native"
	@$(CARGO_TARGET_DIR)/release/guard-report speed .
	$(SAY) "speed, wasm under V8"
	@WEIR_WASM_PROGRAM=weir-guard-bench scripts/wasm.sh build -q --release
	@node --no-warnings bench/guard/run.mjs $(CARGO_TARGET_DIR)/wasm32-wasip1/release/guard-report.wasm . speed /

fmt: ## format the code
	@cargo fmt --all
