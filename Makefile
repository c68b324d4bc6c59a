# `make lab` and `make test` do all the set-up by themselves; the environment lives in .venv.
PYTHON ?= python3
PORT ?= 8888
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
NOTEBOOKS := $(sort $(wildcard notebooks/*.ipynb))
NBVAL := $(BIN)/python -m pytest --nbval --nbval-current-env \
         --nbval-sanitize-with tests/nbval-sanitize.cfg -n 2 --dist loadfile -p no:cacheprovider

# Compiled modules are kept, whatever the surroundings say: without them each kernel and each trainer takes 11 seconds to
# import what it needs, in place of 4.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: env lab test lint unit notebooks report benchmarks fuzz kill clean

env: $(READY)

# uv when it can be had (three times faster), else pip.
$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "Python 3.11 or newer is needed; name one with: make PYTHON=python3.12 ..."; exit 1; }
	@echo "Setting up $(VENV): about 7 GB, which takes some minutes the first time ..."
	@if command -v uv >/dev/null 2>&1; then \
	    [ -x $(BIN)/python ] || uv venv --quiet --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" $(VENV); \
	    uv pip install --quiet --python $(BIN)/python -e '.[test]'; \
	else \
	    [ -x $(BIN)/pip ] || $(PYTHON) -m venv $(VENV); \
	    $(BIN)/pip install --quiet --disable-pip-version-check -e '.[test]'; \
	fi
	@touch $@

# Runs go to runs/ here, from notebooks and from the terminal alike. The settings lie in .jupyter/ and not in flags, so
# that those of LAB_FLAGS win; labconfig/ there switches off what asks about news and looks for updates.
lab: env
	JUPYTER_CONFIG_PATH="$(CURDIR)/.jupyter" JUPYTER_PORT=$(PORT) WORKBENCH_RUNS="$(CURDIR)/runs" \
	    $(BIN)/jupyter lab $$([ "$$(id -u)" = 0 ] && echo --allow-root) $(LAB_FLAGS)

test: lint unit notebooks

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m mypy

# Three at a time on two cores: many wait for a browser or for other processes most of the time.
unit: env
	$(BIN)/python -m pytest -n 3 --dist worksteal tests

# One thread each: two notebooks run side by side, and more threads than cores are several times slower.
notebooks: env
	OMP_NUM_THREADS=1 $(NBVAL) $(NOTEBOOKS)

# One site with the notebooks run anew, to be opened from its folder.
report: env
	$(BIN)/workbench report --execute --title "Occlusion Workbench" $(NOTEBOOKS) docs/*.md *.md

# What spoilt inputs do, a hundred times as many as in `make test` and other ones each time.
fuzz: env
	FUZZ=100 $(BIN)/python -m pytest -n 2 tests/fuzz

# Kills runs at random moments, resumes them, and compares every bit with runs that were left alone; and annotators.
kill: env
	PYTHONPATH=tests/support $(BIN)/python tests/kill/run.py --kills 50
	KILLS=200 $(BIN)/python -m pytest -k killed tests/annotation/test_store.py

benchmarks: env
	$(BIN)/python tests/benchmarks/run.py

clean:
	rm -rf $(VENV) report build *.egg-info
