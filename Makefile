# Every target makes .venv and installs what it needs by itself: a fresh machine needs Python 3.11 or
# newer, make and a package index. Another interpreter: make PYTHON=python3.12 test

PYTHON ?= python3
VENV ?= .venv
PIP_FLAGS ?= --quiet

PY := $(VENV)/bin/python
PIP_INSTALL := $(PY) -m pip install --disable-pip-version-check --no-input $(PIP_FLAGS)
IN_PLACE := $(PIP_INSTALL) --no-build-isolation --no-deps -e .
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)

# One stamp for each state of .venv. They carry the version, so that another PYTHON starts afresh.
MADE := $(VENV)/.made-$(VERSION)
BASE := $(VENV)/.base-$(VERSION)
DEV := $(VENV)/.dev-$(VERSION)
BENCH := $(VENV)/.bench-$(VERSION)

# With no accelerator in sight JAX is told not to look for one: an installed libtpu would wait for minutes.
ifeq ($(wildcard /dev/accel* /dev/vfio/[0-9]* /dev/nvidia[0-9]* /dev/kfd /dev/dxg),)
export JAX_PLATFORMS ?= cpu
endif

.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help quickstart test test-all faults lint format docs bench constraints clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' Makefile

quickstart: $(BASE) ## train a small study and write its report, in minutes on a laptop
	$(PY) -m launch.study --config=configs/quickstart.py --workdir=runs/quickstart

test: lint docs ## lint, type-check, build the docs, run the tests (not the slow ones)
	JAX_PLATFORMS=cpu $(PY) -m pytest -n 2 -m "not slow and not tpu_compiler"

test-all: $(DEV) ## run every test
	JAX_PLATFORMS=cpu $(PY) -m pytest -n 2

faults: $(DEV) ## damage 1,000 files of each setting, kill it 100 times, lose 10 hosts (an hour or two)
	FAULTS=1000 JAX_PLATFORMS=cpu $(PY) -m pytest -n 2 tests/faults tests/launch/test_lost_hosts.py

lint: $(DEV) ## check style and types
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

format: $(DEV) ## rewrite the code in the project's style
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

docs: $(DEV) ## build the documentation: docs/_build/html/index.html
	rm -rf docs/generated
	JAX_PLATFORMS=cpu $(PY) -m sphinx -E -W --keep-going -q -b html docs docs/_build/html

bench: $(BENCH) ## time training and measuring, against PyTorch
	$(PY) -m benchmarks

constraints: ## pin the newest versions, with the digests of their files
	$(PYTHON) .ci/constraints.py

clean: ## remove .venv and everything that is built; runs/ stays
	rm -rf $(VENV) build dist *.egg-info docs/_build docs/generated .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(MADE):
	@$(PYTHON) -c '' 2>/dev/null || { echo "make: '$(PYTHON)' does not run: name a Python 3.11 or newer, as in make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: '$(PYTHON)' is Python $(VERSION), 3.11 or newer is needed: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "make: '$(PYTHON)' cannot make virtual environments (on Debian: apt install python$(VERSION)-venv)" >&2; exit 1; }
	@echo "making $(VENV) with Python $(VERSION)"
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(BASE): $(MADE) setup.cfg requirements.txt
	@echo "installing into $(VENV): about a gigabyte, about a minute"
	@$(PIP_INSTALL) --require-hashes -r requirements.txt
	@$(IN_PLACE)
	@touch $@

$(DEV): $(MADE) setup.cfg requirements.txt requirements-dev.txt
	@echo "installing into $(VENV), with the tools for tests and docs: about a gigabyte, about a minute"
	@$(PIP_INSTALL) --require-hashes -r requirements.txt -r requirements-dev.txt
	@$(IN_PLACE)
	@touch $@ $(BASE)

$(BENCH): $(BASE) constraints.txt
	@echo "installing into $(VENV), with PyTorch to compare with: some gigabytes, some minutes"
	@$(PIP_INSTALL) -c constraints.txt --no-build-isolation -e '.[bench]'
	@touch $@
