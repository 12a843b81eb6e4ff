# Two commands do everything on a fresh machine: `make demo` and `make test`.
# Needed beforehand: Python >= 3.10, make and the package registries. uv is used when it is there, pip otherwise.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SERVERS := snowflake redshift
PORT ?= 8765
DATA ?= .sandbox

.DEFAULT_GOAL := help
.PHONY: help setup demo test check bench sandbox lock clean

help: ## show these targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: $(VENV)/.ready .envs/.ready ## make the environments (done by the other targets when needed)

# The stamp is newer than the pins, so a second run installs nothing.
$(VENV)/.ready: requirements-dev.txt uv.lock
	@if command -v uv >/dev/null 2>&1; then \
		uv sync --frozen --quiet --python $(PYTHON); \
	else \
		$(PYTHON) -m venv $(VENV) && $(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt; \
	fi
	@touch $@

.envs/.ready: $(VENV)/.ready $(wildcard tests/warehouses/*/requirements.txt)
	@$(BIN)/python -m tests.warehouses.environments $(SERVERS)
	@touch $@

demo: setup ## Snowflake to Monte Carlo on this machine: collect, push, read back
	@$(BIN)/python -m tests.demo

test: setup ## run every template through its real driver into the sandbox
	@$(BIN)/python -m pytest -q --numprocesses 2 --dist loadgroup

check: $(VENV)/.ready ## format, lint, types, identical copies
	@$(BIN)/ruff format --check --quiet . && $(BIN)/ruff check --quiet .
	@$(BIN)/python scripts/sync_templates.py --check
	@$(BIN)/python scripts/check_types.py

bench: setup ## ratios within one run: lineage, delivery, sandbox
	@$(BIN)/python -m benchmarks

sandbox: $(VENV)/.ready ## a local Monte Carlo on PORT, its data in DATA
	@$(BIN)/python scripts/sandbox --port $(PORT) --data $(DATA)

lock: ## after changing pyproject.toml: resolve again and export for pip (needs uv)
	uv lock
	uv export --frozen --no-hashes --no-emit-project --no-annotate --no-header --group dev -o requirements-dev.txt --quiet

clean: ## remove what the targets made
	rm -rf $(VENV) .envs .demo .sandbox .mypy_cache .ruff_cache .pytest_cache .hypothesis
