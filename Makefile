# Everything that can be done here; bare `make` lists it. All paths are relative, so the folder may have any name.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready
SPOKEN := A robot must obey the orders given it by human beings
PEER = $(if $(NANOGPT),--nanogpt "$(NANOGPT)")
BESIDE = $(if $(BERTVIZ),--bertviz "$(BERTVIZ)")

.DEFAULT_GOAL := help
.PHONY: help setup demo test check lint types imports units browser chromium docs quick pages torture bench clean

help: ## what you can do here
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' Makefile

setup: $(READY) ## the virtual environment .venv; made again only when what it depends on changed

demo: setup ## trains 3 minutes on the bundled Shakespeare, speaks, and draws its attention (runs/demo)
	$(BIN)/regard train shakespeare --minutes 3 --out runs/demo
	$(BIN)/regard predict runs/demo "ROMEO:" --tokens 200
	$(BIN)/regard look runs/demo "$(SPOKEN)" --save runs/demo/heads.png --overwrite
	@echo "its attention, every head: runs/demo/heads.png"

test: setup lint types imports units browser docs ## everything that CI runs, in the same order

check: setup lint types imports quick ## the quick part of it: the tests of the picture and of chopping only

lint: $(READY) ## style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY) ## mypy, strict
	$(BIN)/mypy

imports: $(READY) ## who may import whom: the layers in pyproject.toml
	$(BIN)/lint-imports

units: $(READY) ## the tests of the code
	$(BIN)/python -m pytest -q --ignore=tests/docs --ignore=tests/torture --ignore=tests/browser

browser: $(READY) chromium ## the tests of the page, in Chromium
	$(BIN)/python -m pytest -q tests/browser

chromium:
	@command -v chromium >/dev/null || test -n "$$CHROMIUM" || \
		{ test "$$(id -u)" = 0 && apt-get -qq update && apt-get -qq install -y chromium >/dev/null; } || \
		{ echo "the page's tests need Chromium: apt install chromium, or CHROMIUM=/path/to/it"; exit 1; }

docs: $(READY) ## the tests of the pages: each command and snippet runs
	$(BIN)/python -m pytest -q tests/docs

quick: $(READY)
	$(BIN)/python -m pytest -q tests/model tests/tokens

pages: $(READY) ## writes docs/commands.md and docs/promises.md anew, from --help and the tests' names
	$(BIN)/python scripts/commands.py
	$(BIN)/python scripts/promises.py

torture: $(READY) ## the long runs of kills and faults, with their tables
	$(BIN)/python -m pytest -s tests/torture

bench: $(READY) ## every benchmark with its table; NANOGPT=its checkout, BERTVIZ=its folder to have them run beside
	$(BIN)/python benchmarks/shakespeare.py $(PEER)
	$(BIN)/python benchmarks/record_cost.py
	$(BIN)/python benchmarks/generate_speed.py
	$(BIN)/python benchmarks/page.py $(BESIDE)
	$(if $(NANOGPT),$(BIN)/python benchmarks/train_speed.py $(PEER))

clean: ## removes .venv and what the tools keep; trained runs stay
	rm -rf .venv build dist src/*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src tests scripts benchmarks -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true

# Made anew where the stamp names another folder, as a moved environment has wrong paths inside, or Python is gone.
ifneq ($(and $(realpath $(BIN)/python),$(shell cat $(READY) 2>/dev/null)),$(CURDIR))
.PHONY: $(READY)
endif

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "regard needs Python 3.11 or newer; name one: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "Python's venv is missing; on Debian and Ubuntu: apt install python3-venv"; exit 1; }
	test "$$(cat $@ 2>/dev/null)" = "$(CURDIR)" -a -x $(BIN)/python || $(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@printf '%s' "$(CURDIR)" > $@
