# The two commands: `make lab` and `make test`. `make help` lists the rest.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PARAMS ?= params/west-sfo3-east-syd1.yaml
SOURCES := labkit tests benchmarks notebooks hatch_build.py
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.PHONY: help install install-dev lab test check format bench notebooks lock clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# Stamps: nothing is downloaded again until a lock file changes.
$(VENV)/.runtime: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("labkit needs Python 3.11 or newer, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	@test -x $(BIN)/python || { echo "creating $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@echo "installing the pinned packages (about 900 MB on disk, one to three minutes the first time)"
	@$(PIP) install --require-hashes -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.runtime
	@echo "installing the pinned packages for development"
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@touch $@

install: $(VENV)/.runtime ## create .venv with everything the lab needs
install-dev: $(VENV)/.dev ## the same with the tools for tests and checks

# Where Python keeps no bytecode (PYTHONDONTWRITEBYTECODE, as in many containers), every process of a
# lab would compile what it imports.
.PHONY: compiled
compiled: $(VENV)/.runtime
	@$(BIN)/python -m compileall -q labkit

lab: compiled ## the whole walk on the embedded cloud, headless: charts and report under runs/
	@$(BIN)/labkit run --params $(PARAMS)

test: $(VENV)/.dev compiled ## all tests, slow ones included
	@$(BIN)/python -m pytest

check: $(VENV)/.dev ## format, lint, types, directions of import
	@$(BIN)/ruff format --check $(SOURCES)
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(VENV)/.dev ## format the code and the notebooks
	@$(BIN)/ruff format $(SOURCES)
	@$(BIN)/ruff check --fix $(SOURCES)

bench: $(VENV)/.dev compiled ## print the benchmark tables (medians; about five minutes)
	@$(BIN)/python -m benchmarks

notebooks: $(VENV)/.dev compiled ## run the notebooks on the embedded cloud and keep their output in notebooks/
	@$(BIN)/python notebooks/refresh.py --params $(PARAMS)

lock: ## resolve the lock files again (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --extra build pyproject.toml -o requirements.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --extra build --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock

clean: ## remove what the targets made, but not runs/
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
