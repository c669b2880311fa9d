.DEFAULT_GOAL := help
BIN := .venv/bin

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

.venv: pyproject.toml requirements.lock
	python3 -m venv .venv
	$(BIN)/python -m pip install -q uv
	$(if $(PIP_FIND_LINKS),UV_FIND_LINKS="$(PIP_FIND_LINKS)") $(BIN)/uv pip install -q --compile-bytecode --python $(BIN)/python -c requirements.lock -e '.[dev]'
	@touch .venv

demo: .venv  ## build a small model, make it forget one topic, show the evidence
	$(BIN)/lethe demo

# two more than there are cores: many tests wait for servers and child processes
WORKERS ?= $(shell $(BIN)/python -c "import os; print(min(6, len(os.sched_getaffinity(0)) + 2))" 2>/dev/null || echo 2)

test: .venv  ## run the tests
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test-all: .venv  ## run the tests with servers, faults and real data
	$(BIN)/python -m pytest -m "not gpu and not network"

test-faults: .venv  ## run the whole fault suite: kills, dead servers, hostile files, leaks
	$(BIN)/python -m pytest tests/faults -m "not gpu and not network"

lint: .venv  ## check style and import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

bench: .venv  ## measure the main figures of tests/benchmarks/README.md (about an hour on two cores)
	$(BIN)/python -m tests.benchmarks.figures
	$(BIN)/python -m tests.benchmarks.label_speed
	test ! -d ../shared/data || $(BIN)/python -m tests.benchmarks.books --data ../shared/data

figures: .venv  ## make the tables of tests/benchmarks/README.md anew from the results
	$(BIN)/python -m tests.benchmarks.render

up: .venv  ## start the Prefect and MLflow servers and a worker on loopback, until Ctrl-C
	@$(BIN)/lethe up --foreground

.PHONY: help demo test test-all test-faults lint bench figures up
