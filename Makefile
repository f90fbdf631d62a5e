# make demo    a street, its camera, two people enrolled, and the live page
# make test    everything that is tested
#
# Both set up what they need: a virtual environment in $(VENV), once. To choose another Python or other pip options:
#   make demo PYTHON=python3.12 PIP_FLAGS="--index-url …"
# To hand options on:
#   make demo ARGS="--headless --seconds 30 --report report.json"
#   make test ARGS="tests/stream -k ring"
# Tests run side by side, a file at a time on each processor; one after the other, for a debugger, with WORKERS=0.

PYTHON ?= python3
VENV ?= .venv
PIP_FLAGS ?=
ARGS ?=
WORKERS ?= auto

BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
INSTALLED_DEV := $(VENV)/.installed-dev
PIP_INSTALL = $(BIN)/python -m pip install --disable-pip-version-check $(if $(CI),-qq) -c constraints.txt $(PIP_FLAGS)

# Several processes share the processors: libraries must not each take all of them, nor wait by spinning.
export OMP_NUM_THREADS ?= 1
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: demo test lint format bench system clean distclean

demo: $(INSTALLED)
	@$(BIN)/unvizard demo $(ARGS)

test: $(INSTALLED_DEV) system
	$(BIN)/python -m pytest -n $(WORKERS) --maxprocesses 8 --dist loadfile $(ARGS)

lint: $(INSTALLED_DEV)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(INSTALLED_DEV)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(INSTALLED_DEV)
	$(BIN)/python -m tools.benchmark pipeline $(ARGS)

system:
	@tests/system_packages.sh

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed, found: $$($(PYTHON) --version 2>&1). Name one: make demo PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
		{ echo "No virtual environment could be made. On Debian: apt-get install python3-venv"; exit 1; }

$(INSTALLED): setup.py constraints.txt | $(BIN)/python
	@echo "Installing into $(VENV) (once; some 800 MB of packages)"
	$(PIP_INSTALL) -e .
	@$(BIN)/python -c 'import cv2' 2>/dev/null || { \
		echo "OpenCV's build with windows needs libGL, which is not here: the headless one takes its place"; \
		$(PIP_INSTALL) --force-reinstall --no-deps opencv-python-headless; }
	@touch $@

$(INSTALLED_DEV): $(INSTALLED)
	$(PIP_INSTALL) -e '.[dev]'
	@touch $@

clean:
	rm -rf build dist artefacts runs *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find engines stream tools tests -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV)
