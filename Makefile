# Two commands matter: `make demo` and `make test`. Everything else is optional.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
TORCH := torch==2.13.0
# Where pip would fetch a CUDA build and you want the CPU one: TORCH_INDEX=<index of CPU wheels>.
TORCH_INDEX ?=
QUICK ?=
KEEP ?=
CORPORA ?=
REFERENCES ?=
# Where it is set, every process compiles all our modules and tests again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test install lint types imports unit coverage up study-small bench-lanes bench-ranking bench-data bench-training bench-study bench-theory lock clean

install: $(VENV)/.installed

# torch comes first and alone, so that nothing else pulls in a build of several gigabytes.
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Foretaste needs Python 3.11 or newer, found " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) --constraint constraints.txt $(TORCH)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: install
	$(BIN)/foretaste demo $(if $(QUICK),--quick) $(if $(KEEP),--keep)

up: install
	$(BIN)/foretaste up

test: install lint types imports unit

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy --num-workers 2

imports: install
	$(BIN)/lint-imports

unit: install
	$(BIN)/pytest -n 2 --dist worksteal --no-cov -ra

# The same tests with branch coverage, of the children too; fails under 90 %. A third more time: for before a release.
coverage: install
	$(BIN)/coverage erase
	$(BIN)/pytest -n 2 --dist worksteal --cov --cov-report= -ra
	$(BIN)/coverage report

# A study on real corpora: CORPORA is a folder of <domain>.jsonl.zst with a validation/ folder beside them.
study-small: install
	$(BIN)/foretaste study-small $(CORPORA)

# Rewrites docs/benchmarks/lanes.md. Wants a machine that does nothing else.
bench-lanes: install
	$(BIN)/pytest -m benchmark tests/benchmarks/test_lanes.py

# What the ranking promises: var/bench/ranking.json and docs/benchmarks/ranking.md. REFERENCES is a folder with published
# results (regmix_pile_cc.csv, dclm_core_v1.csv); without it the figures on them are left out.
bench-ranking: install
	$(BIN)/python -m tests.benchmarks.ranking $(REFERENCES)

# What training promises: var/bench/training.json and docs/benchmarks/training.md. PEERS is a folder with clones of nanoGPT;
# without it our own figures are measured.
bench-training: install
	$(BIN)/python -m tests.benchmarks.training $(PEERS)

# What the data plane promises: var/bench/data.json and docs/benchmarks/data.md, in about ten minutes. CORPORA is a folder
# of real text, a corpus a file; without it the text of the Python installation stands in.
bench-data: install
	$(BIN)/python -m tests.benchmarks.data $(CORPORA)

# When a small rate keeps the order of recipes in theory: var/bench/theory.json and docs/benchmarks/theory.md with its
# figure, in about five minutes. One thread: the matrices are too small for more.
bench-theory: install
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m tests.benchmarks.theory

# What rate search, replication and studies promise: var/bench/study.json and docs/benchmarks/study.md, in minutes.
bench-study: install
	$(BIN)/python -m tests.benchmarks.study

lock: install
	$(BIN)/pip freeze --exclude-editable | grep -v '^foretaste' | sed 's/+cpu//' > constraints.txt

clean:
	rm -rf $(VENV) var dist build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .coverage*
