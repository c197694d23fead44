# Every target sets up what it needs: a virtual environment in .venv with the package and its dependencies.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test test-avx2 test-slow test-plain coverage test-robustness first-use lint bench findings install clean-cache clean

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

# kernels as plain Python
PLAIN := $(addprefix tests/corpora/test_,$(addsuffix .py,bytes_simd jit libm simd stream tables vocab)) \
	$(addprefix tests/rnnlm/test_,$(addsuffix .py,cache dropout dynamic exact gradients initial io_arpa mixture model \
		ngram_build ngram_counts ngram_countfiles ngram_estimate ngram_model ngram_prune ngram_reference online optimizers trainer)) \
	$(addprefix tests/w2v/test_,$(addsuffix .py,cluster io_binary io_text kernels phrases rows sampling shards trainer))

test-plain: install
	NUMBA_DISABLE_JIT=1 $(BIN)/python -m pytest -m "not slow and not compiled" -n auto --dist worksteal $(PLAIN)

# how much of the kernels these tests reach
coverage: install
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "coverage>=7.6"
	NUMBA_DISABLE_JIT=1 $(BIN)/python -m coverage run --source corpora,rnnlm,w2v -m pytest -m "not slow and not compiled" $(PLAIN)
	$(BIN)/python -m tests.kernel_coverage

# Damaged files, kill -9: each program with its own numbers, which take minutes
test-robustness: install
	PYTHONPATH=. $(BIN)/python tests/robustness/mutate.py
	PYTHONPATH=. $(BIN)/python tests/robustness/kill.py

# the lists of what commands compile at their first use (corpora/compute/ahead.py)
first-use: install
	$(BIN)/python -m tests.first_use

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python tests/english.py

bench: install
	$(BIN)/python bench/run.py

# each installs what it looks at in a temporary folder
findings:
	@PYTHON="$(PYTHON)" sh findings/run.sh

# compiled code is kept for one state of the source (corpora/compute/code_cache.py); this removes what other states left
clean-cache:
	find corpora rnnlm w2v tests bench -name __pycache__ -type d -prune -exec rm -rf {} +

clean: clean-cache
	rm -rf $(VENV) build dist *.egg-info demo .pytest_cache .ruff_cache .hypothesis
