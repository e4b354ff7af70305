# All targets share one environment, .venv, which the first of them makes. Another interpreter:
#     make sample PYTHON=python3.12

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Set in many containers; every process of Ray would then compile all that it imports, 10 s each.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help sample test test-slow test-fault lint bench clean-runs
.DEFAULT_GOAL := help

help:
	@echo "make sample     install, search on the built-in sample, promote the winner; no GPU, no account"
	@echo "make test       install, lint, run the tests"
	@echo "make test-slow  install, run the tests that take minutes"
	@echo "make test-fault install, run the tests that inject faults: kills, full disks, signals; under 20 minutes"
	@echo "make lint       install, ruff and mypy"
	@echo "make bench      install, the measurements that take minutes on a CPU"
	@echo "make clean-runs what may go of output, with its size; YES=1 deletes it; RUNS='NAME ...': these as a whole"

# The sample needs no account: a W&B login that happens to be there stays unused unless WANDB_MODE says so.
sample: export WANDB_MODE ?= offline
sample:
	@started=$$(date +%s); \
	$(MAKE) --no-print-directory $(INSTALLED) && \
	$(BIN)/python search/tune.py --dataset sample && \
	$(BIN)/python search/promote.py --best --dataset sample && \
	echo "make sample took $$(($$(date +%s) - started)) s"

# Two processes, each with whole files, whose tests share what they set up. The slow ones measure, and run alone.
test: lint
	$(BIN)/python -m pytest -m "not slow and not fault" -n 2 --dist loadfile

test-slow: $(INSTALLED)
	$(BIN)/python -m pytest -m slow

test-fault: $(INSTALLED)
	$(BIN)/python -m pytest -m fault -n 2 --dist loadfile

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Shows; YES=1 deletes. RUNS names studies and full runs that go with their results, OUTPUT another folder.
clean-runs: $(INSTALLED)
	@$(BIN)/python search/clean.py $(RUNS) $(if $(OUTPUT),--output "$(OUTPUT)") $(if $(filter 1,$(YES)),--yes)

# All of them, whatever the first says; 1 in the end where a target was missed. benchmarks/README.md has the others.
bench: $(INSTALLED)
	@status=0; \
	PYTHON=$(BIN)/python benchmarks/gpu.sh --device cpu --small || status=1; \
	for words in \
	    "train_step.py --pair --steps 2 --repeats 3" \
	    "two_ranks.py" \
	    "packed_trials.py --steps 10 --repeats 5" \
	    "trial_overhead.py" \
	    "search_makespan.py --trials 4" \
	    "data_scale.py --rows 10000"; \
	do echo "python benchmarks/$$words"; $(BIN)/python benchmarks/$$words || status=1; done; exit $$status

# Not compiled: bytecode for all of the packages takes a minute, for what is imported seconds, at its first import.
$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' || { \
	echo "error: Python 3.11, 3.12 or 3.13 is needed, and $(PYTHON) is not one; name it: make PYTHON=python3.12" >&2; \
	exit 2; }
	@echo "installing into $(VENV), a few minutes the first time"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --quiet --no-compile --constraint constraints.txt \
	    --editable '.[test]'
	@touch $@
