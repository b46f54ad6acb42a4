# make run: one photo over the default channel.  make test: the tests.  Both install what they need, in the versions
# of constraints.txt; `make CONSTRAINTS= …` takes the newest. What tests need beyond running includes pillow-heif,
# which carries x265 (GPL): `make run` installs nothing under the GPL.
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
CONSTRAINTS ?= constraints.txt
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check $(addprefix --constraint ,$(CONSTRAINTS))

.PHONY: run test lint docs lock lower clean

run: $(VENV)/.run
	$(BIN)/semcom send semcom/samples/coffee.png --out out

test: $(VENV)/.test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile

lint: $(VENV)/.test
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

# Of a venv in which `make CONSTRAINTS= test` has just passed.
lock: $(VENV)/.test
	$(BIN)/python -m pip freeze --exclude-editable > constraints.txt

# The lowest versions that pyproject.toml allows, in a venv of its own (7 GB).
lower:
	$(PYTHON) -m venv .lower && .lower/bin/python -m pip install --quiet uv
	.lower/bin/uv pip install --quiet --python .lower/bin/python --resolution lowest-direct --editable '.[dev]'
	OMP_NUM_THREADS=1 .lower/bin/python -m pytest tests/receiver tests/test_link.py tests/sweep

$(VENV)/.run: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) --editable .
	touch $@

$(VENV)/.test: $(VENV)/.run pyproject.toml
	$(INSTALL) --editable '.[dev]'
	touch $@

docs: $(VENV)/.run
	$(INSTALL) --editable '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

clean:
	rm -rf $(VENV) .lower out
