# make run     set up and run the main job on the embedded default
# make test    set up and run every check and test
# make conformance   run the tests that take longer
# make docs    set up and build the documentation in build/docs, warnings as errors
# make clean   remove everything the other targets made
#
# Needs Python 3.11 or newer with venv. Another interpreter: make PYTHON=python3.12 test

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
WORKERS ?= 2

export MPLBACKEND = Agg

# An environment made in another folder (a copied tree) or by an interpreter that is gone is stale: it is made anew.
ifneq ($(shell test -e $(BIN)/python && cat $(VENV)/.made-in 2>/dev/null),$(CURDIR))
.PHONY: $(VENV)/.made-in
endif

.PHONY: run test conformance docs clean
.DELETE_ON_ERROR:

run: $(VENV)/.ready
	$(BIN)/gridnet bench --report report

test: $(VENV)/.ready-to-test
	$(BIN)/python -m ruff check .
	$(BIN)/python -m mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

conformance: $(VENV)/.ready-to-test
	@test -x .mythril/bin/myth || { $(PYTHON) -m venv --clear .mythril && \
	  .mythril/bin/python -m pip --quiet --disable-pip-version-check install --no-deps -r tests/contracts/onchain/mythril.txt; } || \
	  { rm -rf .mythril; echo "Mythril could not be installed: its analysis of the contract is skipped" >&2; }
	$(BIN)/python -m pytest -m "conformance or long"

docs: $(VENV)/.ready-for-docs
	$(BIN)/python -m sphinx -W --keep-going -q -b html -d build/doctrees docs build/docs
	@echo "build/docs/index.html"

clean:
	rm -rf $(VENV) build dist report .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.made-in:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "gridnet needs Python 3.11 or newer, and '$(PYTHON)' is not one. Name one: make PYTHON=python3.12" >&2; exit 1; }
	@echo "making $(VENV)"
	@$(PYTHON) -m venv --clear $(VENV)
	@echo '$(CURDIR)' > $@

$(VENV)/.ready: $(VENV)/.made-in pyproject.toml constraints.txt
	@echo "installing gridnet and what it needs into $(VENV) (minutes, the first time)"
	@$(PIP) install -c constraints.txt -e .
	@touch $@

$(VENV)/.ready-to-test: $(VENV)/.made-in pyproject.toml constraints.txt
	@echo "installing gridnet, what it needs and the test tools into $(VENV) (minutes, the first time)"
	@$(PIP) install -c constraints.txt -e '.[test]'
	@touch $(VENV)/.ready $(VENV)/.ready-for-docs $@

$(VENV)/.ready-for-docs: $(VENV)/.made-in pyproject.toml constraints.txt
	@echo "installing gridnet, what it needs and the documentation tools into $(VENV) (minutes, the first time)"
	@$(PIP) install -c constraints.txt -e '.[docs]'
	@touch $(VENV)/.ready $@
