# Every target sets up .venv by itself; only Python 3.11+ and make are needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
UV := VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv

.PHONY: demo test test-all check lock clean bench-routing fuzz

# Routes and answers the recipe's queries, or PROMPT='...', with the embedded model.
demo: $(READY)
	@$(BIN)/turnout demo $(if $(PROMPT),"$$PROMPT")

export PROMPT

# What a commit must pass: needs pip packages only.
test: check
	@$(BIN)/python -m pytest -n 2 -m "not slow and not apt"

# Everything, with what Debian brings; prints NOT RUN for what it could not run.
test-all: test
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh scripts/test-all.sh

check: $(READY)
	@$(BIN)/ruff format --check -q src tests benchmarks scripts
	@$(BIN)/ruff check -q src tests benchmarks scripts
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache | tail -n 2

# Writes the locked, hashed requirements anew; they record no registry address.
lock: $(READY)
	@for name in bootstrap dev sdk sdk2 fuzz; do \
	  $(BIN)/uv pip compile $$( [ $$name = dev ] && echo pyproject.toml ) requirements/$$name.in \
	    --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url \
	    --quiet --output-file requirements/$$name.lock; done

$(READY): requirements/bootstrap.lock requirements/dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Turnout needs Python 3.11 or newer")'
	@echo "setting up $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.lock
	@$(UV) pip install --quiet --require-hashes --no-build -r requirements/dev.lock
	@$(UV) pip install --quiet --no-deps --no-build-isolation --editable .
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/turnout route "a first run, so that later ones find compiled modules" >/dev/null
	@touch $(READY)

clean:
	rm -rf $(VENV)

# Five grouped folds and left-out tasks over the shared routing tables; about half an hour.
# DATA is the folder with the tables, STAGE one part of it.
DATA ?= ../shared/data/routing
bench-routing: $(READY)
	@$(BIN)/python -m benchmarks.routing --data $(DATA) --out docs/routing-results.json \
	  --docs docs/routing-results.md $(if $(STAGE),--stage "$(STAGE)")

# Lets the fuzzers run for long; what they find is printed. SECONDS is the time of each of four.
SECONDS ?= 600
fuzz: $(READY)
	@PATH="$(CURDIR)/$(BIN):$$PATH" TURNOUT_FUZZ_SECONDS=$(SECONDS) TURNOUT_FUZZ_EXAMPLES=1000 \
	  sh scripts/test-all.sh tests/fuzz
