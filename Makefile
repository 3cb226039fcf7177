# Every target sets up ./.venv first; a set-up that is there already is skipped. `make help` lists the targets.
#
# PYTHON=python3.12           use this Python (3.10 to 3.12) for .venv
# TIERWISE_DEVICE=cpu|cuda    install this list instead of the one that fits the machine
# RANKS=2                     processes of each training run in `make demo`
# TESTS=tests/recsys          what `make test` and `make test-slow` run
# FUZZ_CASES=10000, FUZZ_SEED=1, FUZZ_MINUTES=60   how much `make test-fuzz` runs, from which seed, at most how long
# PORT=8600                   where `make serve` listens
# CHAIN=--ranks 1             what `make chain` passes on; see python -m benchmarks.paper.chain --help

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

export PATH := $(CURDIR)/.venv/bin:$(PATH)
export PYTHON TIERWISE_DEVICE

RANKS ?= 2
TESTS ?= tests
FUZZ_CASES ?= 10000
FUZZ_SEED ?= 1
FUZZ_MINUTES ?= 60
PORT ?= 8600
CODE := embeddings recsys train serve torchx_components benchmarks tests setup.py

DEMO_DATA := data/shop
DEMO_ITEMS = $(addprefix --items ,$(wildcard $(DEMO_DATA)/items))# with titles and pictures; none in older ones
DEMO_MODES := none vector simscore simtier

.PHONY: help setup setup-test native demo serve test test-slow test-sanitize test-fuzz lint chain bench pins audit clean

help:                  ## list the targets
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/\1|\2/p' Makefile | while IFS='|' read -r name text; do printf 'make %-13s %s\n' "$$name" "$$text"; done

setup:                 ## make ./.venv and install the pinned lists
	@requirements/install.sh

setup-test:
	@requirements/install.sh test

native:                ## build the C++ kernels again, after installing a compiler
	@requirements/install.sh native

demo: setup            ## train four models on a generated market over 2 ranks and compare them
	@if [ ! -e $(DEMO_DATA)/prepare.json ]; then python -m train prepare shop --searches 1000 --out $(DEMO_DATA); fi
	@for mode in $(DEMO_MODES); do \
		echo "== multimodal.mode=$$mode, $(RANKS) ranks"; \
		torchx --log_level WARNING run -s local_cwd torchx_components/train.py:ctr --config configs/shop.yaml -j 1x$(RANKS) -- \
			model.multimodal.mode=$$mode run.name=demo-$$mode run.overwrite=true; \
	done
	@python -m train report $(DEMO_MODES:%=runs/demo-%)

serve: setup           ## export the demo's SimTier model and score requests by it over HTTP, with a page; ends on ^C
	@[ -e runs/demo-simtier/run.json ] || { echo "there is no runs/demo-simtier; train it by: make demo" >&2; exit 2; }
	@python -m train export runs/demo-simtier --out models/demo
	@python -m serve ask --url http://127.0.0.1:$(PORT) --wait-s 120 & asking=$$!; status=0; \
	python -m serve score --model models/demo --port $(PORT) $(DEMO_ITEMS) || status=$$?; \
	kill $$asking 2>/dev/null || true; exit $$status

test: setup-test       ## run the tests, without the slow ones
	@python -m pytest $(TESTS) -m "not slow" -n 2 --dist loadfile

test-slow: setup-test  ## run the slow tests
	@python -m pytest $(TESTS) -m slow

test-sanitize: setup-test ## run the C++ kernels' tests under the address and undefined-behaviour sanitizers
	@python -m tests.sanitize

test-fuzz: setup-test  ## damaged and hostile files through the commands, each case reproducible by its number
	@python -m tests.fuzz --cases $(FUZZ_CASES) --seed $(FUZZ_SEED) --minutes $(FUZZ_MINUTES)
	@python -m tests.serve.fuzz_requests --cases $(FUZZ_CASES) --seed $(FUZZ_SEED)

lint: setup-test       ## check style, layout and types of the code
	@ruff check $(CODE)
	@ruff format --check $(CODE)
	@mypy

chain: setup            ## the whole method on generated pictures and titles: SCL, encode, MAKE, CTR
	@python -m benchmarks.paper.chain $(CHAIN)

bench: setup-test      ## measure speed; appends rows to benchmarks/results
	@if [ ! -e $(DEMO_DATA)/prepare.json ]; then python -m train prepare shop --out $(DEMO_DATA); fi
	@python -m benchmarks.training.step --data $(DEMO_DATA) --modes none,simtier --batch-size 4096 --fuxictr
	@python -m benchmarks.data.memory --out data/shop-large
	@if command -v wrk >/dev/null; then \
		python -m benchmarks.serving --case speed --shapes 100x50,1000x1000 --contenders ours,eager,noop --seconds 5 --repeats 1; \
		python -m benchmarks.serving --case memory; \
	else echo "the scorer is not measured: wrk is not installed; on Debian: apt-get install wrk" >&2; fi
	@python -m benchmarks.render

pins: setup            ## write requirements/*.txt anew: the pins of requirements/*.in, with the hashes of all their files
	@requirements/pins.sh hashes

audit: setup           ## look the pins up among known vulnerabilities
	@requirements/pins.sh audit

clean:                 ## remove the environments and what tools left behind; data/ and runs/ stay
	@rm -rf .venv .venv-* build embeddings/kernels/native/kernels.so *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
