# make demo   the whole loop on this machine: a dataset, a short stage, both models evaluated, a report to open
# make quick  the fast tests, without the slowest of them
# make test   what a change must pass: the fast tests, then those with a real Ray, engine and server
# make long   the tests that take minutes each: whole jobs killed, autoscaling, an object store, the examples
# make lint   style, formatting, types, spelling
# Each sets up what it needs: VENV, the locked packages, the bundled models. The second time that is there already.

VENV ?= .venv
PYTHON ?= python3
RECIPE ?= laptop.yaml
# Of the demo's models: a CPU with instructions for bfloat16 is several times as fast with it, others several times as slow.
DTYPE ?= $(shell grep -qsE 'amx_bf16|avx512_bf16' /proc/cpuinfo && echo bfloat16 || echo float32)
# Processes that fast tests run in; each takes about a gigabyte of memory.
WORKERS ?= $(shell nproc)
# Files of tests/integration at a time; 0 is one after the other, as each starts a Ray, an engine or several processes.
INTEGRATION_WORKERS ?= 0
# Asked only when the user's own package index has no CPU build of torch.
TORCH_INDEX_URL ?= https://download.pytorch.org/whl/cpu

DEMO_DTYPES := $(foreach part,generator train serve.models.base serve.models.10k,--$(part).dtype $(DTYPE))
LOCK := ray_jobs/environments/cpu.txt
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check install --no-deps --progress-bar off -qq
STAMP := $(VENV)/.longstrap-installed
TEST_ENV := HF_HUB_OFFLINE=1 HF_HUB_DISABLE_PROGRESS_BARS=1 TRANSFORMERS_VERBOSITY=error \
	TOKENIZERS_PARALLELISM=false RAY_USAGE_STATS_ENABLED=0
# By file, so that what a file's tests share is made once. One thread each, as every core has its process.
FAST_TESTS := $(TEST_ENV) OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest tests --ignore=tests/integration \
	-n $(WORKERS) --maxprocesses 8 --dist loadfile

INTEGRATION_TESTS := $(TEST_ENV) $(VENV)/bin/python -m pytest tests/integration \
	-n $(INTEGRATION_WORKERS) --dist loadfile --durations=12

.DEFAULT_GOAL := help
.PHONY: help setup models demo quick test long lint clean

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

setup: $(STAMP)

# Without --no-deps pip would replace the CPU build of torch by a CUDA one (ray_jobs/environments/README.md).
$(STAMP): $(LOCK) pyproject.toml | $(VENV)/bin/python
	@echo "Installing $(LOCK) into $(VENV); about 3 GB, once."
	@torch="$$(grep '^torch==' $(LOCK))"; \
	$(PIP) "$$torch" 2>/dev/null || { \
		echo "$$torch is not on the configured package index; taking it from $(TORCH_INDEX_URL)"; \
		$(PIP) --index-url $(TORCH_INDEX_URL) "$$torch"; }
	@$(PIP) -r $(LOCK)
	@$(PIP) --no-build-isolation -e .
	@touch $@

# A Python without ensurepip (Debian's without python3-venv) fills the environment by its own pip.
$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' || { \
		echo "Longstrap needs Python 3.11 or 3.12; $(PYTHON) is $$($(PYTHON) --version 2>&1)." >&2; \
		echo "Name another: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) >/dev/null || { \
		$(PYTHON) -m venv --clear --without-pip $(VENV) && \
		$(PYTHON) -m pip --python $(VENV)/bin/python install -q pip; }

# And the texts that RULER's tasks are made of.
models: setup
	@$(VENV)/bin/python -m app.models.bundled
	@$(VENV)/bin/python -m app.models.bundled ruler

demo: models
	@$(VENV)/bin/longstrap bootstrap --config $(RECIPE) $(if $(filter laptop.yaml,$(RECIPE)),$(DEMO_DTYPES))

quick: models
	$(FAST_TESTS) -m "not slow"

test: models
	$(FAST_TESTS)
	$(INTEGRATION_TESTS) -m "not long"

long: models
	$(INTEGRATION_TESTS) -m long

lint: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/codespell

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
