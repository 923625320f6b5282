# make demo   the main job on an embedded Ray cluster: a table, out/demo.png, out/demo.json
# make test   all tests
# make faults REPEAT=20 LOAD=4   tests of kills and signals so many times beside so many busy processes, and a table
# make lint   style, types, and the arrows between the packages
# Each makes the virtual environment first; nothing else is needed than python3 (3.11 or later) and a package index.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed

.PHONY: demo test faults lint format clean

demo: $(STAMP)
	$(BIN)/python examples/demo.py

test: $(STAMP)
	$(BIN)/pytest -q -n 2 --dist loadfile

REPEAT ?= 20
LOAD ?= 4
AT_ONCE ?= 1

faults: $(STAMP)
	$(BIN)/python tests/repeat.py --repeat $(REPEAT) --load $(LOAD) --at-once $(AT_ONCE)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The constraints pin every version, so that all machines test the same set.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "nnqft needs Python 3.11 or later")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $(STAMP)

clean:
	rm -rf $(VENV) out build dist
