# `make help` lists the targets. Everything they need is installed into .venv and a cache folder outside the clone
# ($PYGENVM_CACHE, default ~/.cache/pygenvm).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help demo test quick check format generate bench dist clean
.DEFAULT_GOAL := demo

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "pygenvm needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	@echo "Installing pygenvm into $(VENV) ..."
	@# Scripts that older versions write import `re`, which takes half as long as the start of Python.
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml $(VENV)/.installed
	@echo "Installing the development tools into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s%s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.installed ## deploy and call an example contract in the real sandbox, and tell what happens (the default)
	@$(BIN)/genvm runners build --plain
	@$(BIN)/python examples/demo.py

test: $(VENV)/.installed-dev ## everything that must pass: checks, all tests, coverage
	@$(BIN)/genvm runners build
	@$(BIN)/python -m tests.run

quick: $(VENV)/.installed-dev ## the checks, and the fast tests that need no built runners
	@$(BIN)/python -m tests.run --quick

check: $(VENV)/.installed-dev ## style, types, generated files, imports between parts; no tests
	@$(BIN)/python -m tests.run --check

format: $(VENV)/.installed-dev ## format the code and sort its imports
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format .

generate: $(VENV)/.installed-dev ## write again what is generated: enums and layouts from schemas/, stubs from sdk/
	@$(BIN)/python -m pygenvm.schemas.generate
	@$(BIN)/python -m pygenvm.runners.stubs

bench: $(VENV)/.installed-dev ## measure; tables here, JSON and a picture in build/benchmarks
	@$(BIN)/genvm runners build
	@$(BIN)/python -m benchmarks

dist: $(VENV)/.installed-dev ## wheels of pygenvm and of the built runners, in dist/: what they give needs no build
	@$(BIN)/python -m hatchling build -t wheel -d dist
	@$(BIN)/python -m pygenvm.runners.dist --out dist

clean: ## remove what is installed here and the caches of the tools
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
