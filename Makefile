# Needs python3 (3.8 or later, with venv) and make, nothing else. `make help` lists the targets.

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

demo: $(VENV)/.installed-test   ## run the demo on small real data
	$(VENV)/bin/python demo/run.py

test: $(VENV)/.installed-test   ## run the tests, e.g. make test PYTEST_ARGS="-x tests/apps"
	$(VENV)/bin/python -m pytest $(PYTEST_ARGS)

lint: $(VENV)/.installed-lint   ## ruff and mypy
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

openapi: $(VENV)/.installed-test   ## write the OpenAPI document anew, after a change of schemas or operations
	$(VENV)/bin/python docs/make_openapi.py

fuzz: $(VENV)/.installed-test   ## send made-up HTTP to both servers, e.g. make fuzz FUZZ_SECONDS=60
	$(VENV)/bin/python -m tests.strangers.fuzz --seconds $(FUZZ_SECONDS)

bench: $(VENV)/.installed-test   ## run every benchmark
	@set -e; for bench in $(sort $(wildcard benchmarks/bench_*.py)); do \
	    echo "== $$bench"; $(VENV)/bin/python $$bench; \
	done

docs: $(VENV)/.installed-test   ## write docs/settings.md and docs/errors.md anew
	$(VENV)/bin/python docs/generate

clean:   ## remove .venv and everything generated
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# One stamp for each extra. The pips that come with older Pythons don't know today's wheels, hence the upgrade.
$(VENV)/.installed-%: setup.cfg setup.py $(CONSTRAINTS)
	@echo "Installing into $(VENV), extra '$*' ..."
	@test -x $(VENV)/bin/pip || $(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/python -m pip install -qq --upgrade pip
	@$(VENV)/bin/python -m pip install -qq $(addprefix -c ,$(CONSTRAINTS)) -e '.[$*]'
	@touch $@
