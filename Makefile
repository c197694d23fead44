# Every target sets up what it needs: a virtual environment in .venv with the package and its dependencies.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test test-avx2 test-slow lint bench findings install clean-cache clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[dev]"
	@touch $@

demo: install
	@PATH="$(abspath $(BIN)):$$PATH" sh examples/demo.sh

test: install
	$(BIN)/python -m pytest -m "not slow" -n auto --dist worksteal

# the modules with kernels as on a processor without AVX-512, where this one has it
test-avx2: install
	$(BIN)/python tests/avx2.py -m "not slow" -n auto --dist worksteal

test-slow: install
	$(BIN)/python -m pytest -m slow

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

bench: install
	$(BIN)/python bench/run.py

# each installs what it looks at in a temporary folder
findings:
	@PYTHON="$(PYTHON)" sh findings/run.sh

# compiled code is kept for one state of the source (corpora/code_cache.py); this removes what other states left
clean-cache:
	find corpora rnnlm w2v tests bench -name __pycache__ -type d -prune -exec rm -rf {} +

clean: clean-cache
	rm -rf $(VENV) build dist *.egg-info demo .pytest_cache .ruff_cache .hypothesis
