# All that is ever needed is python3 (3.11 or later, with venv) and make: everything else is
# installed into .venv, once; a stamp in there says what has been.

PYTHON ?= python3
BIN := .venv/bin
FUZZ_SECONDS ?= 60
PIP := $(BIN)/python -m pip -qq --disable-pip-version-check --no-input \
	install --root-user-action=ignore
MAKEFLAGS += --no-print-directory

# MEASURE=1 runs the tests under coverage, those marked `slow` without; ARGS is handed to pytest, on
# each Python by `test-all`.
PYTEST = $(BIN)/python -m pytest $(ARGS)
MEASURED = $(BIN)/coverage erase && $(BIN)/coverage run -m pytest -m "not slow" $(ARGS)

.DEFAULT_GOAL := help
.PHONY: help demo test test-ray ray browser recipes check lint floors types docs coverage test-all fuzz soak faults bench bench-quick clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv/.installed ## install Gofer into .venv and run an example
	$(BIN)/python examples/environment.py

test: .venv/.test ## run the tests (one of them: make test ARGS="-k cycle")
	$(if $(MEASURE),$(MEASURED) && $(PYTEST) -m slow,$(PYTEST))

ray: .venv/.ray ## add what the tests on Ray need; there are wheels of it for some Pythons only

test-ray: .venv/.test ## run the tests on Ray; without it they skip
	@$(MAKE) ray || echo "there is no Ray to be had for this Python" >&2
	$(if $(MEASURE),$(BIN)/coverage run -m pytest -m "not slow" $(ARGS),$(PYTEST)) tests/cluster -k ray

browser: .venv/.browser ## add what the tests in a browser need, besides the system's chromium

recipes: .venv/.recipes ## add the web frameworks of the how-to pages

check: ## all that CI runs: tests, coverage, format, lint, import floors, types, docs
	@$(MAKE) test MEASURE=1
	@$(MAKE) coverage lint floors types docs

coverage: .venv/.test ## judge what the last `make test MEASURE=1` has covered
	$(BIN)/coverage combine --quiet --keep
	$(BIN)/coverage report --fail-under=100 --include='src/gofer/_core/*'
	$(BIN)/coverage report --fail-under=95 --omit="src/gofer/_core/*$$($(BIN)/python -c 'import ray' 2>/dev/null || echo ',src/gofer/backends/*ray*')"

lint: .venv/.check ## format and lint
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

floors: .venv/.check ## who may import whom
	$(BIN)/lint-imports

types: .venv/.check ## mypy, and pyright on the typing tests
	$(BIN)/mypy src $(wildcard tests/typing)
	$(if $(wildcard tests/typing),$(BIN)/pyright)

docs: .venv/.docs ## make build/docs/index.html; a warning is an error, and nothing is downloaded
	$(BIN)/sphinx-build -q -W --keep-going -E docs build/docs

test-all: .venv/.dev ## run the tests on every Python from 3.11 to 3.14 that is here, and on 3.13t
	$(BIN)/nox $(if $(ARGS),-- $(ARGS))

fuzz: .venv/.fuzz ## fuzz all that parses, a minute each (FUZZ_SECONDS=60)
	@for each in arguments target param source completion workload; do \
		echo "-- $$each"; \
		$(BIN)/python tests/fuzz/fuzz.py $$each -max_total_time=$(FUZZ_SECONDS) \
			-verbosity=0 -print_final_stats=1 || exit 1; \
	done

soak: .venv/.test ## ten minutes of mixed load and random faults (SECONDS=60 for one); not in CI
	$(BIN)/python -m tests.soak $(or $(SECONDS),600) --write

faults: .venv/.bench ## put the same faults to other libraries: the table in docs/reliability.md
	$(BIN)/python -m benchmarks.faults

bench: .venv/.bench ## compare with other libraries: a table, benchmarks/results.json, README.md
	$(BIN)/python -m benchmarks

bench-quick: .venv/.bench ## the same in less than a minute; writes nothing
	$(BIN)/python -m benchmarks --quick

clean: ## remove .venv and everything else that was made
	rm -rf .venv .nox .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache \
		.coverage .coverage.* htmlcov build dist
	find src tests examples -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.made:
	@$(PYTHON) -c 'import sys; sys.exit("Gofer needs Python 3.11 or later; write: make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv --clear .venv
	@touch $@

.venv/.installed: .venv/.made pyproject.toml
	$(PIP) -e .
	@touch $@

.venv/.test .venv/.ray .venv/.browser .venv/.recipes .venv/.check .venv/.docs .venv/.dev .venv/.fuzz .venv/.bench: .venv/.%: .venv/.made pyproject.toml
	$(PIP) -e '.[$*]'
	@touch $@
