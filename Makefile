# The commands of the house. `make` alone lists them. GNU make, a POSIX shell, cargo, and Python 3.10 or newer.

PYTHON ?= python3
PORT ?= 8000
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

# The extension is built again when one of these is newer than it.
SOURCES := Cargo.toml Cargo.lock pyproject.toml $(shell find crates -name '*.rs' -o -name Cargo.toml)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1|\2/p' Makefile | awk -F'|' '{ printf "%-18s %s\n", $$1, $$2 }'

# Working.

.PHONY: serve
serve: $(VENV)/.extension $(VENV)/.examples ## serves examples/onion.py on 127.0.0.1:8000 (PORT=n)
	$(BIN)/onionskin serve examples/onion.py --bind 127.0.0.1:$(PORT)

.PHONY: test
test: test-rust test-python ## all tests, Rust's and Python's

.PHONY: test-rust
test-rust:
	@if cargo nextest --version >/dev/null 2>&1; then \
		set -x; cargo nextest run --workspace && cargo test --workspace --doc; \
	else set -x; cargo test --workspace; fi

.PHONY: test-python
test-python: $(VENV)/.extension $(VENV)/.tests $(VENV)/.tools
	$(BIN)/python -m pytest $(TESTS)

.PHONY: generate
generate: ## writes what follows from the declarations in Rust
	$(PYTHON) tools/generate.py

.PHONY: format
format: $(VENV)/.tools ## formats Rust and Python
	cargo fmt
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

.PHONY: bench
bench: ## the benchmark (CASES=a,b SECONDS=n ROUNDS=n, see bench/README.md)
	$(PYTHON) bench/run.py CASES='$(CASES)' SECONDS='$(SECONDS)' ROUNDS='$(ROUNDS)'

# Checking.

.PHONY: check
check: rustfmt clippy ruff-format ruff mypy stubtest check-generated check-dependencies test wheels smoke fuzz ## everything

.PHONY: rustfmt
rustfmt:
	cargo fmt --check

.PHONY: clippy
clippy:
	cargo clippy --workspace --all-targets -- -D warnings

.PHONY: ruff-format
ruff-format: $(VENV)/.tools
	$(BIN)/ruff format --check .

.PHONY: ruff
ruff: $(VENV)/.tools
	$(BIN)/ruff check .

.PHONY: mypy
mypy: $(VENV)/.tools
	$(BIN)/python -m mypy python/onionskin tools

.PHONY: stubtest
stubtest: $(VENV)/.tools $(VENV)/.extension
	MYPYPATH=python $(BIN)/python -m mypy.stubtest onionskin._core

.PHONY: check-generated
check-generated:
	$(PYTHON) tools/generate.py --check

.PHONY: check-dependencies
check-dependencies:
	@sh tools/dependencies.sh

.PHONY: wheels
wheels: $(VENV)/.extension ## a wheel for .venv's Python and a source distribution, in dist (PROFILE=no: quicker)
	PROFILE=$(PROFILE) sh tools/wheel.sh $(BIN) --sdist --out dist

.PHONY: smoke
smoke: $(VENV)/.tools ## the tests marked so, on the other Pythons that are installed
	@sh tools/smoke.sh $(BIN)

.PHONY: fuzz
fuzz: ## a minute of fuzzing what parses the bytes of clients
	@sh tools/fuzz.sh

.PHONY: clean
clean: ## removes what was built
	rm -rf target fuzz/target dist $(VENV) .venvs .mypy_cache .pytest_cache .ruff_cache
	rm -f python/onionskin/_core.*.so

# What is made once, and again when what it depends on has changed.

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit("Python 3.10 or newer is needed: make PYTHON=python3.12 ..." \
		if sys.version_info < (3, 10) else 0)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.maturin: tools/requirements.txt | $(BIN)/python
	$(PIP) --constraint tools/requirements.txt maturin
	@touch $@

$(VENV)/.tools: tools/requirements.txt $(VENV)/.maturin
	$(PIP) --requirement tools/requirements.txt
	@touch $@

$(VENV)/.tests: tests/requirements.txt | $(BIN)/python
	$(PIP) --requirement tests/requirements.txt
	@touch $@

$(VENV)/.examples: examples/requirements.txt | $(BIN)/python
	$(PIP) --requirement examples/requirements.txt
	@touch $@

$(VENV)/.extension: $(SOURCES) $(VENV)/.maturin
	VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/maturin develop --profile quick --quiet
	@touch $@
