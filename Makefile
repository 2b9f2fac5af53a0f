# One command each: run, test, check, bench.
PYTHON ?= python3
BIN := .venv/bin
# Processes that test side by side: about 2 GB of memory each.
WORKERS ?= 2

.PHONY: run test check bench format demo clean
run: .venv/ready
	$(BIN)/streamlit run app.py

test: .venv/ready
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

check: .venv/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy

bench: .venv/ready
	$(BIN)/python -m engine bench

format: .venv/ready
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

demo: .venv/ready
	$(BIN)/python -m engine demo build --seed 0

.venv/ready: requirements.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@
