# Every target does its own set-up. Works with GNU make 3.81 and newer.

PYTHON ?= python3
ARGS ?=
BIN := .venv/bin
ifeq ($(filter file undefined default,$(origin PYTHON)),)
CHOSEN := --chosen
endif

# Each of the many processes of a test run would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help run test setup lint types pytest format lock images-test bench mutation clean setup-run

help: ## List the targets
	@echo 'usage: make TARGET [PYTHON=python3.12]'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' Makefile

run: setup-run ## Run NATS, a simulated exchange and both services (live: PROVIDER=binance SYMBOLS=BTCUSDT,ETHUSDT BACKUP=bybit)
	@exec $(BIN)/python tools/foreground.py $(BIN)/python tools/stack.py $(ARGS)

test: lint pytest ## Run every check and all tests (ARGS="tests/tooling -k stack" goes to pytest)

setup: ## Create .venv with everything that run and test need
	@tools/setup.sh '$(PYTHON)' requirements-dev.lock $(CHOSEN)

lint: setup types ## Run mypy, ruff, import-linter and codespell
	@echo 'lint: ruff check'
	@$(BIN)/python -m ruff check --quiet
	@echo 'lint: ruff format'
	@$(BIN)/python -m ruff format --check --quiet || { echo 'lint: these files need make format' >&2; exit 1; }
	@echo 'lint: import-linter'
	@report=$$($(BIN)/lint-imports --no-logo 2>&1) || { echo "$$report"; exit 1; }
	@echo 'lint: codespell'
	@$(BIN)/python -m codespell_lib

types: setup # test folders one by one: files in two of them may share a name
	@echo 'lint: mypy'
	@$(BIN)/python -m mypy --no-error-summary --exclude '/tests/' packages services tools conftest.py
	@for folder in packages/*/tests services/*/tests tests; do \
		$(BIN)/python -m mypy --no-error-summary "$$folder" || failed=1; \
	done; test -z "$$failed"

pytest: setup ## Run the tests alone, four at a time (ARGS goes to pytest; -n 0: one at a time)
	@echo 'test: pytest'
	@$(BIN)/python -m pytest -n 4 --dist worksteal $(ARGS)

format: setup ## Sort imports and format the code
	@$(BIN)/python -m ruff check --fix-only --quiet
	@$(BIN)/python -m ruff format

lock: setup ## Renew the locks from requirements*.in and the pyproject.toml files (UPGRADE=1: to the newest versions)
	@$(BIN)/python tools/lock.py $(if $(UPGRADE),--upgrade)

images-test: setup-run ## Build and run both container images without a Docker engine (Linux, root)
	@$(BIN)/python tools/images.py

bench: setup ## Measure ours beside others, in rounds (slow; ARGS="--rounds 3 write_sqlite")
	@$(BIN)/python benchmarks/bench.py $(ARGS)

mutation: setup ## Break the pure modules in one place at a time; a test must fail for each (slow; ARGS="features")
	@$(BIN)/python tests/mutation_check.py $(ARGS)

clean: ## Remove .venv and every cache (data/ stays)
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

setup-run:
	@tools/setup.sh '$(PYTHON)' requirements.lock $(CHOSEN)
