# `make demo`, `make test` and `make bench`. Everything they need is installed into .venv and a cache folder
# outside the clone ($PYGENVM_CACHE, default ~/.cache/pygenvm).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test bench lint clean
.DEFAULT_GOAL := demo

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "pygenvm needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	@echo "Installing pygenvm into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml $(VENV)/.installed
	@echo "Installing the development tools into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

# Deploys and calls an example contract in the real sandbox, and tells what happened.
demo: $(VENV)/.installed
	@$(BIN)/genvm runners build
	@$(BIN)/python examples/demo.py

test: $(VENV)/.installed-dev
	@$(BIN)/genvm runners build
	@$(BIN)/python -m tests.run

# Prints tables; JSON and a picture are left in build/benchmarks. `python -m benchmarks --help` has more.
bench: $(VENV)/.installed-dev
	@$(BIN)/genvm runners build
	@$(BIN)/python -m benchmarks

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
