# On a fresh machine, start with `make demo` and `make test`.
# They need Python >= 3.11 (the scripts of a template folder themselves run on 3.10), make and access to a package index.
# uv is used if it is installed, otherwise pip.

NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for each in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$each -c '$(NEW_ENOUGH)' 2>/dev/null && echo $$each && break; done)
VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
COMPILE := uv pip compile --universal --no-annotate --custom-compile-command "make lock" --quiet
PORT ?= 8380
DATA ?= .sandbox
# pip and uv refuse packages without a known hash. Only a folder that is newer than the last "make lock" has packages
# without hashes: the last command of the rule installs those.
# WAREHOUSES: the template folders. NEEDED: requirements of their scripts and tests. SERVERS: those of their local servers.
WAREHOUSES := $(notdir $(patsubst %/,%,$(dir $(wildcard scripts/templates/*/collect_metadata.py))))
NEEDED := $(wildcard $(WAREHOUSES:%=scripts/templates/%/requirements.txt) $(WAREHOUSES:%=tests/templates/%/requirements.txt))
SERVERS := $(wildcard $(foreach each,txt lock,$(WAREHOUSES:%=tests/warehouses/%/requirements.$(each))))

.DEFAULT_GOAL := help
.PHONY: help setup demo test check bench mutants sandbox lock clean

help: ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: $(VENV)/.ready .envs/.ready ## create the environments (other targets do this if needed)

# The stamps are newer than the pins, so a second run installs nothing. The rules also depend on the parent folders: a folder
# that is unpacked or moved here can contain files with older times, but it changes the time of its parent folder.
$(VENV)/.ready: requirements-dev.txt requirements-folders.txt uv.lock constraints.txt scripts/templates tests/templates $(NEEDED)
	@"$(PYTHON)" -c '$(NEW_ENOUGH)' 2>/dev/null || \
		{ echo "Python 3.11 or newer not found. Run: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@echo "creating $(VENV); this happens once and takes a minute or two" >&2
	@if command -v uv >/dev/null 2>&1; then \
		uv sync --frozen --inexact --quiet --python "$(PYTHON)" && \
		uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements-folders.txt && \
		uv pip install --quiet --python $(BIN)/python -c constraints.txt $(NEEDED:%=-r %); \
	else \
		"$(PYTHON)" -m venv $(VENV) && \
		$(PIP_INSTALL) --require-hashes -r requirements-dev.txt -r requirements-folders.txt && \
		$(PIP_INSTALL) -c constraints.txt $(NEEDED:%=-r %); \
	fi
	@touch $@

$(VENV)/.check-ready: $(VENV)/.ready requirements-check.txt
	@if command -v uv >/dev/null 2>&1; then \
		uv sync --frozen --inexact --quiet --python "$(PYTHON)" --group check; \
	else \
		$(PIP_INSTALL) --require-hashes -r requirements-check.txt; \
	fi
	@touch $@

.envs/.ready: $(VENV)/.ready tests/warehouses $(SERVERS)
	@$(BIN)/python -m tests.warehouses.environments >/dev/null
	@touch $@

demo: setup ## collect from an embedded Snowflake, push to a local Monte Carlo, read back
	@$(BIN)/python -m tests.demo

test: setup $(VENV)/.check-ready ## run every template through its real driver, into the sandbox
	@$(BIN)/python -m pytest -q --numprocesses 4 --dist loadgroup --no-loadscope-reorder

check: $(VENV)/.check-ready ## check format, lint, types, generated copies and references/library.md
	@$(BIN)/ruff format --check --quiet . && $(BIN)/ruff check --quiet .
	@$(BIN)/python scripts/sync_templates.py --check
	@$(BIN)/python scripts/library_card.py --check
	@$(BIN)/python scripts/check_types.py

bench: setup $(VENV)/.check-ready ## run the benchmarks (lineage, delivery, sandbox), the stress tests and the mutants
	@$(BIN)/python -m benchmarks
	@$(BIN)/python -m pytest -q -m stress
	@$(BIN)/python -m tests.mutants

mutants: setup $(VENV)/.check-ready ## introduce small mistakes, one at a time; each must make its test fail
	@$(BIN)/python -m tests.mutants

sandbox: $(VENV)/.ready ## run a local Monte Carlo on PORT, with its data in DATA
	@$(BIN)/python scripts/sandbox --port $(PORT) --data $(DATA)

# Sizes are removed because not every index reports them: the lock file is then the same from every index.
lock: ## resolve dependencies again after a change, keep other pins (needs uv)
	uv lock
	sed -E -i.before 's/, size = [0-9]+//' uv.lock && rm uv.lock.before
	uv export --frozen --no-emit-project --no-annotate --no-header --group dev -o requirements-dev.txt --quiet
	uv export --frozen --no-emit-project --no-annotate --no-header --only-group check -o requirements-check.txt --quiet
	$(COMPILE) --python-version 3.10 -c requirements-dev.txt $(NEEDED) -o requirements-folders.txt --generate-hashes
	sed -E '/^ +--hash/d; s/ \\$$//' requirements-folders.txt > constraints.txt
	for each in $(filter %.txt,$(SERVERS)); do \
		$(COMPILE) --python-version 3.11 "$$each" -o "$${each%.txt}.lock" --generate-hashes || exit; \
	done

clean: ## remove everything the targets created
	rm -rf $(VENV) .envs .demo .sandbox .mypy_cache .ruff_cache .pytest_cache .hypothesis
