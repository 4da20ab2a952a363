# One line to set up, one to check. Everything happens in .venv; nothing needs root, a key or an account.
# `make` needs Python 3.11 or newer, found as PYTHON, and a package index.

PYTHON ?= $(shell command -v python3.13 >/dev/null 2>&1 && python3.13 -c '' 2>/dev/null && echo python3.13 || echo python3)
VENV := .venv
BIN := $(VENV)/bin
PEERS ?=

.PHONY: demo test long fuzz check bench evidence rollouts coverage-page providers-page lock docs clean
.DEFAULT_GOAL := help

help:
	@echo 'make demo    the main job from end to end, in a minute, without a key'
	@echo 'make test    the tests'
	@echo 'make long    the slow tiers: every cut of every stream, 100 kills, long simulations'
	@echo 'make fuzz    a minute of fuzzing for each reader of bytes, on Linux (TARGETS=... FUZZ_SECONDS=60)'
	@echo 'make check   lint and types'
	@echo 'make bench   what a call costs, beside nginx and other gateways (PEERS=all for all of them)'
	@echo 'make evidence  what the statistics promise, by simulation, some minutes'
	@echo 'make rollouts  whole rollouts by simulation, an hour (QUICK=1: minutes); writes their table'
	@echo 'make coverage-page  write docs/coverage.md anew, from the SDKs and the translations'
	@echo 'make providers-page  write docs/providers.md anew, from the table'
	@echo 'make lock    resolve the dependencies anew'

# The program alone, and the program with what its tests need; each remembers what it was made from.
$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo 'fungible needs Python 3.11 or newer: make demo PYTHON=/path/to/python3.11'; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: requirements.lock pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	$(BIN)/python -m compileall -q src  # where PYTHONDONTWRITEBYTECODE is set, each start would do it again
	@touch $@

$(VENV)/.installed-dev: requirements-dev.lock $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

demo: $(VENV)/.installed
	@$(BIN)/fungible demo

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n auto

long: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n auto -m long

# Apart from the lock: it is large, and has no wheels but for Linux.
fuzz: $(VENV)/.installed-dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'atheris==3.0.0'
	$(BIN)/python -m tests.fuzz $(TARGETS) $(if $(FUZZ_SECONDS),--seconds $(FUZZ_SECONDS))

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.installed-dev
	$(BIN)/python benchmarks/run.py $(if $(PEERS),--peers $(PEERS))

evidence: $(VENV)/.installed-dev
	@$(BIN)/python -m benchmarks.evidence $(if $(QUICK),--quick)

rollouts: $(VENV)/.installed-dev
	@$(BIN)/python -m benchmarks.evidence.ramps --runs $(if $(QUICK),5,60) $(if $(QUICK),,--docs docs/rollout.md)

coverage-page: $(VENV)/.installed-dev
	$(BIN)/python -m tests.coverage.page

providers-page: $(VENV)/.installed-dev
	$(BIN)/python tests/test_providers.py

# One lock for every platform and Python (markers), by hash alone, so that any index or mirror will do.
COMPILE := $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate \
  --custom-compile-command 'make lock' pyproject.toml
lock: $(VENV)/.installed-dev
	$(COMPILE) --extra demo --group build -o requirements.lock
	$(COMPILE) --extra demo --group build --group dev -c requirements.lock -o requirements-dev.lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .hypothesis .fuzz
