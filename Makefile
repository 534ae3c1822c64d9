# Needs Python 3.10 or newer with pip, and make; everything is installed into .venv.
#
#   make setup PYTHON=python3.12
#   make setup PIP_ARGS="--extra-index-url https://download.pytorch.org/whl/cpu"
#
# PIP_ARGS goes to pip as it is. On Linux, PyPI's torch comes with CUDA (several GB); the index above
# has the CPU build, which is all that the demo and the tests need.

PYTHON ?= python3
PIP_ARGS ?=
PYTEST_ARGS ?=
TO ?=
BIN := .venv/bin

.PHONY: help setup demo pictures test slow check bench bench-report bases mutants

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*##/  make \1:/p' Makefile

setup: .venv/.installed  ## install into .venv, once (a few minutes)

demo: .venv/.installed  ## run the demo experiment and write its report
	@echo "demo: running configs/corridor-demo.yaml (its header says how long)"
	@$(BIN)/rlhf-testbed experiment configs/corridor-demo.yaml
	@$(BIN)/rlhf-testbed report runs/corridor-demo

pictures: .venv/.installed  ## take the README's pictures from the demo's report (half a minute)
	@echo "pictures: opening the report of runs/corridor-demo in Chromium"
	@$(BIN)/python -m rlhf_testbed.report.pictures runs/corridor-demo --to docs/pictures

test: .venv/.installed  ## run the tests and doctests
	@echo "test: running pytest, a process a core"
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile -m "not slow" $(PYTEST_ARGS)

slow: .venv/.installed  ## run the slow tests: that every setting has an effect, ... (minutes)
	@echo "slow: running pytest on what is marked slow, a process a core"
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile -m slow $(PYTEST_ARGS)

check: .venv/.installed  ## check style, types and imports (half a minute, then seconds)
	@echo "check: style (ruff check)"
	@$(BIN)/ruff check .
	@echo "check: layout (ruff format)"
	@$(BIN)/ruff format --check .
	@echo "check: types (mypy)"
	@$(BIN)/mypy
	@echo "check: imports (import-linter)"
	@$(BIN)/lint-imports

bench: .venv/.installed  ## measure the training speed of configs/corridor.yaml
	@echo "bench: timing configs/corridor.yaml"
	@$(BIN)/python -m rlhf_testbed.bench configs/corridor.yaml

bench-report: .venv/.installed  ## measure the report of 100,000 generations (a minute; TO=FOLDER files it)
	@echo "bench-report: building the report of 100,000 generations and using it in Chromium"
	@$(BIN)/python tests/bench_report.py $(TO)

bases: .venv/.installed  ## build the shipped base policies again, as far as they are not current
	@echo "bases: looking at the base policies that ship; each takes two minutes where it is stale"
	@OMP_NUM_THREADS=1 $(BIN)/rlhf-testbed base build --shipped
	@$(BIN)/rlhf-testbed base list

mutants: .venv/.installed  ## change the measures one spot at a time; tests must notice (an hour)
	@echo "mutants: running mutmut on rlhf_testbed/measures (it shows how many are done)"
	@rm -rf mutants
	@OMP_NUM_THREADS=1 $(BIN)/python -m mutmut run --max-children 1
	@$(BIN)/python tests/mutants.py

# The stamp makes installing happen again only when pyproject.toml has changed.
.venv/.installed: pyproject.toml
	@echo "setup: installing into .venv with $$($(PYTHON) --version); downloads first: some minutes"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -e '.[dev]'
	@touch $@
	@echo "setup: done"
