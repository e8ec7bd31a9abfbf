# `make test` checks everything; `make demo` shows the main job on real databases. Both need git, make and
# python3 >= 3.11 (PYTHON=… for another one); everything else goes into .venv.

PYTHON ?= python3
# More than cores: tests wait for other processes a third of their time.
WORKERS ?= 3

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

# A virtual environment is root's as well as anybody's: pip need not warn of it.
export PIP_ROOT_USER_ACTION := ignore

.PHONY: help test lint demo bench servers clean

help:
	@echo "make test    lint, types, import contracts and all tests"
	@echo "make lint    lint, types and import contracts"
	@echo "make demo    the main job on embedded databases"
	@echo "make bench   the figures of the docs, measured here; BENCH='comparison --quick' for a part"
	@echo "make clean   removes .venv and all caches"

test: lint servers
	$(BIN)/python -m pytest -n $(WORKERS) $(PYTEST_ARGS)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

demo: $(VENV)/.installed-demo
	@$(BIN)/dbambassador demo

bench: $(VENV)/.installed-dev servers
	$(BIN)/python -m tests.bench $(BENCH)

servers: $(VENV)/.created
	@scripts/install-servers
	@scripts/install-sid-servers
	@scripts/install-node-clients
	@scripts/install-connector-j $(BIN)/python
	@scripts/fetch-wheels $(BIN)/python

# A stamp is newer than pyproject.toml once what that asks for is installed.
$(VENV)/.installed-dev: $(VENV)/.created pyproject.toml
	$(PIP) install -q -e '.[dev]'
	@touch $@ $(VENV)/.installed-demo

$(VENV)/.installed-demo: $(VENV)/.created pyproject.toml
	$(PIP) install -q -e '.[demo]'
	@touch $@

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "dbambassador needs Python 3.11 or newer; $(PYTHON) is `$(PYTHON) --version 2>&1 | head -n 1`." >&2; \
	    echo "  Name another one: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { \
	    rm -rf $(VENV); \
	    echo "$(PYTHON) cannot make a virtual environment; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@touch $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
