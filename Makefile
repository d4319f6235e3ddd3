# Needs GNU make, Python 3.8 or newer with venv, and a package index that pip reaches. `make help` lists the targets.

PYTHON ?= python3
VENV ?= .venv
# An optional pip constraints file. It counts when the environment is made: use one VENV per file.
CONSTRAINTS ?=
PYTEST_ARGS ?=
# Of each server
FUZZ_SECONDS ?= 600

.DEFAULT_GOAL := help
.PHONY: help demo test fuzz lint bench docs openapi clean
# Two targets would run pip in the same environment
.NOTPARALLEL:

help:   ## list the targets
	@sed -n 's/^\([a-z]*\): .*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 16

demo: $(VENV)/.installed-demo   ## run the demo on small real data
	$(VENV)/bin/python demo/run.py

test: $(VENV)/.installed-test   ## run the tests, e.g. make test PYTEST_ARGS="-x tests/apps"
	$(VENV)/bin/python -m pytest $(PYTEST_ARGS)

fuzz: $(VENV)/.installed-test   ## try the tested properties on random examples, and send made-up HTTP for FUZZ_SECONDS
	$(VENV)/bin/python -m pytest -m hypothesis --hypothesis-profile=fuzz $(PYTEST_ARGS)
	$(VENV)/bin/python -m tests.strangers.fuzz --seconds $(FUZZ_SECONDS)

lint: $(VENV)/.installed-lint   ## ruff and mypy
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

openapi: $(VENV)/.installed-test   ## write the OpenAPI document anew, after a change of schemas or operations
	$(VENV)/bin/python tools/make_openapi.py

bench: $(VENV)/.installed-test   ## run every benchmark
	@set -e; for bench in $(sort $(wildcard benchmarks/bench_*.py)); do \
	    echo "== $$bench"; $(VENV)/bin/python $$bench; \
	done

docs: $(VENV)/.installed-test   ## write docs/settings.md and docs/errors.md anew
	$(VENV)/bin/python tools/make_docs

clean:   ## remove .venv and everything generated
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis conf/demo/data
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Succeeds where the environment's Python is 3.8 or newer and its pip complete: RECORD, which files() reads, comes last.
WHOLE = $(VENV)/bin/python -c 'from importlib.metadata import files; assert files("pip")' >/dev/null 2>&1
$(if $(word 2,$(VENV)),$(error VENV can't contain blanks: $(VENV)))

# One stamp for each extra. Older pips don't know today's wheels; without --use-pep517 they write scripts that can't run
# in a folder with a blank in its name.
$(VENV)/.installed-%: export PIP_DISABLE_PIP_VERSION_CHECK = 1
$(VENV)/.installed-%: setup.cfg setup.py $(CONSTRAINTS) $(shell $(WHOLE) || echo anew)
	@$(WHOLE) || { echo "Making a Python environment in $(VENV) ..."; $(PYTHON) tools/make_venv.py $(VENV); }
	@echo "Installing into $(VENV), extra '$*' ..."
	@$(VENV)/bin/python -m pip install -qq 'pip>=21.3' && \
	$(VENV)/bin/python -m pip install -qq --use-pep517 $(addprefix -c ,$(CONSTRAINTS)) -e '.[$*]' || { \
	    echo "Installing failed. pip needs a package index: set PIP_INDEX_URL or https_proxy where it has to." >&2; \
	    exit 1; }
	@touch $@

.PHONY: anew
