# The commands for people who use or change the project; `make help` lists them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

.DEFAULT_GOAL := help

.PHONY: help
help:  ## List these commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

.PHONY: demo
demo: $(VENV)/.runtime  ## Show everything working together; ARGS="--for 30" stops it after 30 s
	@$(BIN)/recorder demo $(ARGS)

# Three more processes than cores, as so many begin with the tests that mostly wait.
.PHONY: test
test: $(VENV)/.development  ## Run all tests, on SQLite and on PostgreSQL; ARGS goes to pytest
	@$(PYTEST) -n $$(($(CORES) + 3)) --dist worksteal --durations 25 $(ARGS)

FAST := -m "not integration and not slow" --hypothesis-profile quick

.PHONY: test-fast
test-fast: $(VENV)/.development  ## Run the tests that need no process, no socket and no PostgreSQL
	@$(PYTEST) -n $(CORES) --dist worksteal $(FAST) $(ARGS)

.PHONY: coverage
coverage: $(VENV)/.development  ## Print the branch coverage of the fast tests; fails below a floor
	@$(PYTEST) -n $(CORES) --dist worksteal $(FAST) --cov --cov-fail-under $(COVERAGE_FLOOR) $(ARGS)

COVERAGE_FLOOR := 78
CORES := $(shell getconf _NPROCESSORS_ONLN)
# The tests' databases are kept in memory where it has room and lets programs run.
IN_MEMORY := $(shell grep -qs '^[^ ]* /dev/shm ' /proc/mounts && ! grep -qs '^[^ ]* /dev/shm .*noexec' /proc/mounts && \
	df -kP /dev/shm | awk 'NR == 2 && $$4 > 2000000 { print "/dev/shm" }')
# Without bytecode every worker rewrites every test module in each run.
PYTEST := PYTHONDONTWRITEBYTECODE= $(if $(IN_MEMORY),TMPDIR=$(IN_MEMORY)) $(BIN)/pytest

.PHONY: test-thorough
test-thorough: $(VENV)/.development  ## Run the property tests with ten times as many random examples
	@$(PYTEST) -n $(CORES) --dist worksteal -m hypothesis --hypothesis-profile thorough $(ARGS)

.PHONY: faults
faults: $(VENV)/.development  ## Break recorders with ROUNDS other seeds: kills, outages, lost files (10 by default)
	@for round in $$(seq $(ROUNDS)); do FAULTS_SEED=$$round $(PYTEST) tests/faults $(ARGS) || exit 1; done

ROUNDS ?= 10

.PHONY: soak
soak: $(VENV)/.development  ## Record for an hour through random faults and watch for growth; ARGS="--for 60"
	@$(BIN)/python -m benchmarks.soak $(ARGS)

.PHONY: fuzz
fuzz: $(VENV)/.development  ## Send the API 10,000 random requests of each kind
	@SCHEMATHESIS_EXAMPLES=10000 $(BIN)/pytest tests/api/test_schemathesis.py $(ARGS)

.PHONY: check
check: $(VENV)/.development  ## Check style, types, import directions, module sizes and unique names
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/check_sizes.py
	$(BIN)/python tools/check_imports.py
	$(BIN)/python tools/check_names.py

.PHONY: format
format: $(VENV)/.development  ## Format the code and fix what can be fixed automatically
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: screenshots
screenshots: $(VENV)/.development  ## Write the pictures of the documentation anew, from a seeded demo; needs chromium
	@$(BIN)/python tools/screenshots.py

.PHONY: licences
licences: $(VENV)/.runtime  ## List the licences of the packages that the program needs to run
	@$(BIN)/python tools/licences.py

.PHONY: install
install: $(VENV)/.runtime  ## Create the environment in .venv, with the command .venv/bin/recorder

.PHONY: lock
lock: $(VENV)/.development  ## Pin the newest allowed versions in requirements/, with hashes
	$(BIN)/uv pip compile $(LOCK) --upgrade pyproject.toml -o requirements/runtime.txt
	$(BIN)/uv pip compile $(LOCK) --upgrade pyproject.toml --group dev -c requirements/runtime.txt -o requirements/dev.txt

LOCK := --quiet --universal --generate-hashes --no-emit-index-url --no-header --no-annotate

.PHONY: clean
clean:  ## Remove the environment and the caches
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage *.egg-info

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed; name it, for instance: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)

# The project itself is built without its dependencies, which the pinned files have already installed.
NO_PACKAGES := The packages could not be installed, see above. They come from PyPI; behind a proxy set HTTPS_PROXY, \
	and for a mirror of PyPI set PIP_INDEX_URL
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check

$(VENV)/.runtime: requirements/runtime.txt pyproject.toml | $(VENV)/bin/python
	@echo "installing the pinned packages into $(VENV) ..."
	@$(INSTALL) --require-hashes -r requirements/runtime.txt || { echo "$(NO_PACKAGES)" >&2; exit 1; }
	@$(INSTALL) --no-deps -e .
	@touch $@

$(VENV)/.development: requirements/dev.txt $(VENV)/.runtime
	@echo "installing the pinned development packages into $(VENV) ..."
	@$(INSTALL) --require-hashes -r requirements/dev.txt || { echo "$(NO_PACKAGES)" >&2; exit 1; }
	@touch $@
