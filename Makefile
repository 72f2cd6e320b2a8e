# Everything that a person or a machine runs here. `make help` lists it.
#
#   PYTHON=python3.12      another interpreter (3.11 or newer)
#   TORCH_INDEX=https://download.pytorch.org/whl/cpu    torch from an index of its own (for instance the small CPU build)
#   WORKERS=4              test processes; each computes on one thread

PYTHON ?= python3
TORCH_INDEX ?=
WORKERS ?= 2
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
CODE := src tests benchmarks examples
TORCH := $(shell grep '^torch==' constraints.txt)

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all lint format parity bench bench-quick families clean

help:  ## this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /  make \1\t/' | expand -t 20

setup: $(VENV)/.installed  ## make .venv and install everything into it (the other targets do this by themselves)

demo: $(VENV)/.installed  ## compare fine-tuning with prompting on the embedded film reviews
	$(BIN)/maskfork demo

test: $(VENV)/.installed  ## the tests, under 8 minutes on 2 cores
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadscope

test-all: $(VENV)/.installed-all  ## the tests and the long proofs, a real OpenAI-compatible server among them
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadscope -m "slow or not slow"

lint: $(VENV)/.installed  ## style and types
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/mypy

format: $(VENV)/.installed  ## put the style right
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

parity: $(VENV)/.installed  ## how far our numbers are from transformers', per family; written into docs/parity.md
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.models.parity

bench: $(VENV)/.installed-bench  ## measurements against peers, by hand; results go to benchmarks/RESULTS.md
	@for name in finetune coverage training passes forward; do \
	  echo "== benchmarks/$$name.py"; $(BIN)/python benchmarks/$$name.py || exit 1; done

bench-quick: $(VENV)/.installed-bench  ## the main rows of speed and serving once more, in under ten minutes
	$(BIN)/python benchmarks/quick.py

families: $(VENV)/.installed  ## docs/families.md from the families' own data
	$(BIN)/python -m maskfork.view.families > docs/families.md.new && mv docs/families.md.new docs/families.md

clean:  ## remove the environment and every cache
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# --- the environment: three stamps, so that the second time costs nothing ---

# A Python without ensurepip (Debian's python3 without python3-venv) gets its pip from outside the environment.
$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "maskfork needs Python 3.11 or newer, and $(PYTHON) is older: name another with \`make PYTHON=python3.12 ...\`." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV) || { $(PYTHON) -m venv --clear --without-pip $(VENV) && \
	  $(PYTHON) -m pip --python $(BIN)/python install pip; }
	@touch $@

# torch first and alone: it may come from another index, and it is the long download.
$(VENV)/.torch: constraints.txt | $(VENV)/.made
	$(PIP) install -c constraints.txt "$(TORCH)" $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX))
	@touch $@

$(VENV)/.installed: pyproject.toml constraints.txt $(VENV)/.torch
	$(PIP) install -c constraints.txt -e ".[dev,demo,llm,serve,export]"
	@touch $@

$(VENV)/.installed-bench: $(VENV)/.installed
	$(PIP) install -c constraints.txt -e ".[bench,export]"
	@touch $@

$(VENV)/.installed-all: $(VENV)/.installed
	$(PIP) install -c constraints.txt -e ".[server-test]"
	@touch $@
