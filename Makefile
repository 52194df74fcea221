# Every target sets up .venv by itself; only Python 3.11+ and make are needed. `make` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
UV := VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv

# What is started again and again, as in tests, finds its modules compiled.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test test-all check fuzz bench-routing picture lock clean

help:
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-16s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(READY) ## the recipe's queries, or PROMPT='...', answered by the embedded model
	@$(BIN)/turnout demo $(if $(PROMPT),"$$PROMPT")

export PROMPT

test: check ## what a commit must pass: the check and the tests
	@$(BIN)/python -m pytest -n 2 -m "not slow and not apt"

test-all: test ## also soaks, Debian packages, real clients, fuzzers; prints NOT RUN for what it could not run
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh scripts/test-all.sh

check: $(READY) ## format, lint, strict types, import layers
	@$(BIN)/ruff format --check -q src tests benchmarks scripts
	@$(BIN)/ruff check -q src tests benchmarks scripts
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache --no-logo

# The locks record no registry address.
lock: $(READY) ## writes requirements/*.lock anew, with hashes
	@for name in bootstrap dev sdk sdk2 fuzz; do \
	  $(BIN)/uv pip compile $$( [ $$name = dev ] && echo pyproject.toml ) requirements/$$name.in \
	    --python-version 3.11 --universal --generate-hashes --no-header --no-annotate --no-emit-index-url \
	    --quiet --output-file requirements/$$name.lock; done

$(READY): requirements/bootstrap.lock requirements/dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15) and "the locked packages are for Python 3.11 to 3.14, and this is %d.%d: make PYTHON=python3.14" % sys.version_info[:2])'
	@echo "setting up $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.lock
	@$(UV) pip install --quiet --require-hashes --no-build -r requirements/dev.lock
	@$(UV) pip install --quiet --no-deps --no-build-isolation --editable .
	@$(BIN)/turnout route "a first run, so that later ones find compiled modules" >/dev/null
	@touch $(READY)

picture: $(READY) ## draws docs/demo.svg from what the demo prints
	@$(BIN)/python scripts/picture.py

clean: ## removes .venv
	rm -rf $(VENV)

DATA ?= ../shared/data/routing
bench-routing: $(READY) ## docs/routing-results.md from the tables in DATA, or one STAGE of it; half an hour
	@$(BIN)/python -m benchmarks.routing --data $(DATA) --out docs/routing-results.json \
	  --docs docs/routing-results.md $(if $(STAGE),--stage "$(STAGE)")

SECONDS ?= 600
fuzz: $(READY) ## each of four fuzzers for SECONDS (600); what they find is printed
	@PATH="$(CURDIR)/$(BIN):$$PATH" TURNOUT_FUZZ_SECONDS=$(SECONDS) TURNOUT_FUZZ_EXAMPLES=1000 \
	  sh scripts/test-all.sh tests/fuzz
