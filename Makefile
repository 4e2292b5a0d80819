# `make help` lists what there is. Everything runs from .venv/, made from requirements/dev.lock by hash.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: help setup demo up down logs test test-postgres test-crawls test-runs test-processes test-code test-debian test-pooler check format audit sbom image bench soak lock clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: $(STAMP)  ## the environment, in .venv/ (the command is .venv/bin/zaptik)

$(STAMP): requirements/dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or later is needed: install it, or name it with make PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -m venv .venv || \
	  { echo "no virtual environment could be made: apt-get install python3-venv" >&2; exit 1; }
	@echo "installing into .venv/ ..." >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	@touch $@

demo: setup  ## two tenants, two revisions each, on real processes; then everything stops
	@$(BIN)/python -m ops.local demo

up: setup  ## the same stack, left running; .demo/env has the variables to use it
	@$(BIN)/python -m ops.local up

down: setup  ## stops what `make up` started
	@$(BIN)/python -m ops.local down

logs: setup  ## what the processes of `make up` have said, for people
	@$(BIN)/python -m ops.local logs

PARTS := test-crawls test-processes test-runs test-code test-postgres  # the longest first

test: setup  ## every test, on embedded servers: its parts, two at a time
	@$(MAKE) --no-print-directory --jobs=2 --keep-going --output-sync=target $(PARTS)

test-postgres: setup  ## what PostgreSQL holds and does
	@$(BIN)/python -m pytest -q tests/integration/test_postgres_*.py

CRAWLS := $(wildcard $(addprefix tests/integration/test_,$(addsuffix *.py, \
  canaries closing evidence interleavings known_defects peer_defects quarantine replay reread slice surface_slice)))

test-crawls: setup  ## what a run makes of an instance, slice by slice
	@$(BIN)/python -m pytest -q $(CRAWLS)

test-runs: setup  ## what else is done with the servers: the trail, the boundary's guards, the way out
	@$(BIN)/python -m pytest -q --ignore-glob='*/test_postgres_*' $(addprefix --ignore=,$(CRAWLS)) tests/integration

test-processes: setup  ## the product as processes, in a browser too
	@$(BIN)/python -m pytest -q tests/browser tests/chaos tests/e2e

test-code: setup  ## what needs no server, and the rules of the house
	@$(BIN)/python -m pytest -q tests/contract tests/house tests/unit

BOUNDARY := $(wildcard $(addprefix tests/integration/test_,$(addsuffix .py, \
  audit_retention audit_sealing deletion guards guards_matter isolation managed_server offboarding run_retention \
  postgres_*)))

test-debian: setup  ## what PostgreSQL holds and does once more, on each PostgreSQL that Debian's packages brought
	@for binaries in /usr/lib/postgresql/*/bin; do \
	  [ -x "$$binaries/postgres" ] || continue; \
	  "$$binaries/postgres" --version; \
	  ZAPTIK_TEST_POSTGRES="$$binaries" $(BIN)/python -m pytest -q $(BOUNDARY); \
	done

test-pooler: setup  ## some of what PostgreSQL does once more, through PgBouncer where it is
	@command -v pgbouncer >/dev/null || { echo "PgBouncer is not here: nothing ran through it" >&2; exit 0; }; \
	  ZAPTIK_TEST_POOLER="$$(command -v pgbouncer)" $(BIN)/python -m pytest -q \
	  tests/integration/test_postgres_{boundary,runs,fleet,publishing}.py

check: setup  ## format, lint, types, import contracts
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: setup  ## writes the format
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

soak: setup  ## the long forms of the tests, for hours: many more examples, bodies and interleavings
	@ZAPTIK_TEST_PROFILE=soak $(BIN)/python -m pytest -q --timeout=3600 tests/unit tests/contract tests/integration tests/chaos
	@command -v pgbouncer >/dev/null || { echo "PgBouncer is not here: nothing ran through it" >&2; exit 0; }; \
	  ZAPTIK_TEST_POOLER="$$(command -v pgbouncer)" $(BIN)/python -m pytest -q --timeout=3600 tests/integration

BASE ?= python:3.11-slim-bookworm
IMAGE ?= zaptik-sync

image:  ## the container image, by Docker; a deployment pins its base: make image BASE=NAME@sha256:...
	@docker build --file ops/image/Dockerfile --target runtime --build-arg BASE="$(BASE)" --tag "$(IMAGE)" .

bench: setup  ## a first crawl of 50,000 records, beside a bare download and a bare COPY
	@$(BIN)/python -m ops.bench

AUDIT := .venv/audit/bin/pip-audit

audit: setup $(AUDIT)  ## known vulnerabilities of what is locked; asks an advisory service over the network (SERVICE=osv another)
	@for lock in runtime dev simulator build; do \
	  echo "requirements/$$lock.lock" >&2; \
	  $(AUDIT) --strict --disable-pip --require-hashes --progress-spinner off --vulnerability-service $(SERVICE) \
	    -r requirements/$$lock.lock || \
	  { echo "not shown to be free of known vulnerabilities: see above. Offline nothing can be said" >&2; exit 1; }; \
	done

SERVICE ?= pypi

$(AUDIT): requirements/audit.lock | setup
	@$(BIN)/python -m venv .venv/audit
	@.venv/audit/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r $<

sbom: setup  ## dist/zaptik-sync.cdx.json: what is installed beside the wheel, by name, version and hash (CycloneDX)
	@$(BIN)/python -m ops.sbom

LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
  --no-header --no-emit-index-url --no-emit-find-links

lock:  ## pins requirements/ anew (needs uv on the path)
	@$(LOCK) --output-file requirements/dev.lock pyproject.toml --group dev
	@$(LOCK) --output-file requirements/runtime.lock --constraints requirements/dev.lock pyproject.toml
	@$(LOCK) --output-file requirements/build.lock --constraints requirements/dev.lock --group build
	@$(LOCK) --output-file requirements/simulator.lock --constraints requirements/dev.lock --group simulator
	@$(LOCK) --output-file requirements/audit.lock --group audit

clean:  ## removes what was made
	@rm -rf .venv .demo .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build dist
