# Every command of the project; `make` prints them. ARGS="..." is passed on, e.g. `make study ARGS="--seeds 3"`.
# Needs Python 3.11 or newer with venv, and the package index; the environment lives in .venv.

PYTHON ?= python3
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
PINS := $(wildcard constraints-$(VERSION).txt)
BIN := .venv/bin
# a process a core; a file's tests stay together, since they share what is dear to make
PYTEST := $(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check $(PINS:%=--constraint %) --editable

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help study test test-all check perf docs

help:
	@sed -n 's/^\([a-z-]*\):.*## /make \1\t/p' Makefile | expand -t 16

study: .venv/.runtime ## run the testbed study and print where its report is
	$(BIN)/epigone study testbed $(ARGS)

test: .venv/.test ## run the test suite
	$(PYTEST) --ignore=tests/checks $(ARGS)

test-all: .venv/.test .venv/.parity ## run the slow tests too, and those against torch and transformers
	$(PYTEST) -m "slow or not slow" $(ARGS)

check: .venv/.test .venv/.check ## format, lint, types, import layers, budgets, glossary, documents
	$(BIN)/ruff format --check
	$(BIN)/ruff check --no-cache # a kept cache misses that a new module in tests/ changes the order of imports elsewhere
	$(BIN)/basedpyright
	$(BIN)/lint-imports
	$(PYTEST) tests/checks $(ARGS)

perf: .venv/.test ## print speed ratios, each measured side by side in one run
	$(BIN)/python perf/train_throughput.py
	$(BIN)/python perf/train.py 9m 135m --ways fp32
	$(BIN)/python perf/decode.py
	$(BIN)/python perf/evaluate.py
	$(BIN)/python perf/audit.py
	$(BIN)/python perf/similarity.py
	$(BIN)/python perf/tokenize_throughput.py
	$(BIN)/python perf/collect.py
	$(BIN)/python perf/schedule.py
	$(BIN)/python perf/report.py

docs: .venv/.docs ## build the documentation site into site/, links checked
	$(BIN)/python docs/pages.py build/pages
	$(BIN)/python -m mkdocs build --strict $(ARGS)

.venv/.base:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "epigone needs Python 3.11 or newer and '$(PYTHON)' is '$(VERSION)': name another with make PYTHON=python3.11 ..."; exit 1; }
	@$(PYTHON) -m venv --clear .venv || { rm -rf .venv; echo "Python has no venv module here: on Debian, apt-get install python3-venv"; exit 1; }
	@touch $@

.venv/.runtime: .venv/.base pyproject.toml $(PINS)
	@test -n "$(PINS)" || echo "No pinned releases for Python $(VERSION): installing the newest that fit pyproject.toml"
	@echo "Installing into .venv (once) ..."
	$(INSTALL) .
	@touch $@

.venv/.test .venv/.check .venv/.docs .venv/.parity: .venv/.%: .venv/.runtime
	$(INSTALL) '.[$*]'
	@touch $@
