# endoexit: every target sets up what it needs in .venv first.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: help setup demo serve ray-demo test test-timm test-without-bf16 soak lint format docs real clean

help:
	@echo "make setup   make the environment in .venv"
	@echo "make demo    set up, then train and evaluate on synthetic images, in minutes"
	@echo "make serve   set up, then serve the demo's model on this machine, with a page"
	@echo "make ray-demo    set up, then run a job on a cluster of two nodes and kill one"
	@echo "make test    set up, then run the tests"
	@echo "make test-timm    set up, then the tests of networks of timm"
	@echo "make test-without-bf16    the tests of precision, as on a processor without bf16"
	@echo "make soak    set up, then keep a service under load for five minutes"
	@echo "make lint    set up, then ruff, the formatter check, mypy and codespell"
	@echo "make format  set up, then format the code"
	@echo "make docs    set up, then build the documentation site, docs/_build/html/index.html"
	@echo "make real    set up, then the study on real images (hours; see benchmarks/README.md)"
	@echo "make clean   remove what these targets made, the environment included"

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "endoexit needs Python 3.11 or later: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,docs]'
	touch $(READY)

demo: $(READY)
	$(BIN)/endoexit demo --out demo

# The bundle answers; the run says what each exit looked at.
serve: demo/bundle
	$(BIN)/endoexit serve demo/bundle --attention demo/run

ray-demo: demo/bundle
	$(BIN)/python benchmarks/ray_demo.py demo/bundle

demo/bundle: $(READY)
	test -f demo/run/policy.json || $(BIN)/endoexit demo --out demo
	rm -rf demo/bundle
	$(BIN)/endoexit export demo/run --out demo/bundle

# One thread a worker: two workers share two cores without getting in each other's way.
test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadgroup $(PYTEST)

# As on a processor without bf16. Tests that need bf16 say that they are skipped.
test-without-bf16: $(READY)
	ENDOEXIT_TEST_NO_BF16=1 ONEDNN_MAX_CPU_ISA=AVX2 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadgroup -m precision $(PYTEST)

# It mostly waits, so it may run next to the other tests.
soak: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m soak tests/serve $(PYTEST)

# Beside the environment: with a torchvision in it, torchmetrics would import it and fail.
TIMM := timm torchvision huggingface_hub hf-xet httpx2 httpcore2 truststore
test-timm: $(READY)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps --upgrade --target .venv/timm $(TIMM)
	PYTHONPATH=.venv/timm OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/models/test_timm_networks.py tests/models/test_efficientnet_lite.py $(PYTEST)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/codespell

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m sphinx --builder html --fail-on-warning --keep-going --quiet docs docs/_build/html

real: $(READY)
	$(BIN)/python benchmarks/real.py

clean:
	rm -rf .venv demo runs build dist docs/_build docs/reference/api docs/reference/commands.md .pytest_cache .mypy_cache .ruff_cache .hypothesis
