"""What is run by hand (`python -m tests.…`) is not run by any test, and would go stale without a word."""

import importlib
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]


@pytest.mark.parametrize("name", sorted(path.stem for path in TESTS.glob("*.py") if path.stem != "conftest"))
def test_it_finds_what_it_imports(name: str) -> None:
    importlib.import_module(f"tests.{name}")
