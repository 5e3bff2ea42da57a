# What people type. `make` alone says what there is.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
PYTEST := .venv/bin/python -m pytest -p no:cacheprovider

.PHONY: help setup demo dist profile dashboards lint test check acceptance chaos soak python bench-middleware eval compare docs bench bench-full bench-plots bench-check fuzz

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install whatever this machine lacks (Debian; cheap when run again)
	@scripts/setup

demo: ## a Django shop on PostgreSQL through pgprism, under load, with its report
	@scripts/demo

dist: ## what a release hands out, into dist/: wheel, source, archive, Debian package, sums
	@scripts/dist

profile: ## what release builds are optimised by, recorded anew: when the code that runs for each query has changed
	@scripts/profile

dashboards: setup ## the JSON of the Grafana dashboards again, from config/grafana/source
	@.venv/bin/python scripts/dashboards

check: lint fuzz ## lint, then each fuzz target for FUZZ_SECONDS (30) seconds

lint: ## formatting, lints and documentation, warnings denied
	cargo fmt --check && cargo fmt --check --manifest-path fuzz/Cargo.toml
	cargo fmt --check --manifest-path bench/floor/Cargo.toml
	cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items

test: setup ## what continuous integration runs: check formatting and lints, unit tests, end-to-end smoke tests
	cargo fmt --check && cargo fmt --check --manifest-path fuzz/Cargo.toml
	cargo fmt --check --manifest-path bench/floor/Cargo.toml
	cargo clippy --locked --all-targets -- -D warnings
	cargo test --locked
	node --test tests/ui/*.test.mjs
	cargo build --locked --bin pgprism
	$(PYTEST) tests/e2e -m smoke
	$(PYTEST) tests/docs
	$(PYTEST) tests/django --ignore=tests/django/evaluation/test_registry.py

acceptance: setup ## every end-to-end test, 10,000 simulated connections, each Django, the whole evaluation, the chaos suite
	PGPRISM_SIM_SEEDS=$${PGPRISM_SIM_SEEDS:-10000} cargo test --release --locked --test simulation
	@scripts/setup jdbc
	@scripts/setup dist-tests
	PGPRISM_CHECK_RUNS=$${PGPRISM_CHECK_RUNS:-20} scripts/release $(PYTEST) tests/e2e
	@scripts/python-tests
	@scripts/release scripts/python-tests e2e
	@scripts/release scripts/eval
	@scripts/release scripts/docs
	@scripts/compare --rounds 3
	@$(MAKE) chaos

chaos: setup ## faults under clients with a ledger, PgBouncer and HAProxy beside us: writes docs/reliability.md
	bin=$$(scripts/release); cd tests/e2e; PGPRISM_BIN=$$bin ../../.venv/bin/python -m chaos --write

soak: setup ## churn, abandoned clients and scrapes for SOAK_MINUTES (10), with a limit on memory's slope
	bin=$$(scripts/release); cd tests/e2e; PGPRISM_BIN=$$bin ../../.venv/bin/python -m soak

python: ## the tests of the Python package, on Django 4.2, 5.2 and 6.1
	@scripts/python-tests

bench-middleware: ## what tags cost a Django application for each query, on each Django and with both drivers
	@scripts/bench-middleware

eval: ## labelled scenarios through the proxy, scored: EVAL_CONFIGS="5.2-psycopg 4.2" narrows, EVAL_ARGS="--seed 7"
	@scripts/eval $(EVAL_ARGS)

compare: ## pgprism beside Debug Toolbar, Silk, zeal, nplusone and agents, into docs/comparison.md: COMPARE_ARGS="--rounds 10"
	@scripts/compare --write $(COMPARE_ARGS)

docs: setup ## every command of the documentation, run word for word; also its links, blocks of code and messages
	cargo build --locked --bin pgprism
	@scripts/docs

bench: ## what the proxy costs, paired with HAProxy, PgBouncer and a bare relay in the same run: under 5 minutes, once built
	@scripts/bench $(BENCH_ARGS)

bench-full: ## every cell, into docs/performance/ and docs/performance.md; BENCH_ARGS="--cells bulk,churn" plays a part
	@scripts/bench --full --write $(BENCH_ARGS)

bench-plots: ## the tables and plots of docs/performance again, from its JSON files
	@scripts/bench --render

bench-check: ## instructions of the workers for each query, by callgrind: fails where they are 3 % above the bound
	@scripts/setup valgrind
	scripts/release .venv/bin/python bench/instructions.py

fuzz: ## each fuzz target for FUZZ_SECONDS (30) seconds
	@scripts/fuzz
