"""Libraries are imported without looking for garbage, which is not looked for in them later; else all is as it was."""

import gc
import importlib
import subprocess
import sys
from collections.abc import Iterator

import pytest

from engine.models import libraries

_PROGRAM = """
import gc, sys
from engine.models.libraries import load_libraries
load_libraries()
gc.collect()
sys.stdout.write(f"{gc.get_freeze_count()} {len(gc.get_objects())}")
"""


@pytest.fixture(params=[True, False])
def collecting(request: pytest.FixtureRequest) -> Iterator[bool]:
    was = gc.isenabled()
    (gc.enable if request.param else gc.disable)()
    yield request.param
    (gc.enable if was else gc.disable)()


@pytest.fixture
def frozen(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether garbage was looked for when what is there was frozen, each time. What this process holds is not."""
    calls: list[bool] = []
    monkeypatch.setattr(gc, "freeze", lambda: calls.append(gc.isenabled()))
    monkeypatch.setattr(libraries, "_NEEDED", "a module that is not there yet")
    return calls


def test_it_is_as_before(collecting: bool, frozen: list[bool], monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(importlib, "import_module", lambda _: seen.append(gc.isenabled()))
    libraries.load_libraries()
    assert seen == frozen == [False]
    assert gc.isenabled() == collecting


def test_it_is_as_before_where_one_is_missing(collecting: bool, frozen: list[bool]) -> None:
    with pytest.raises(ImportError):
        libraries.load_libraries()
    assert frozen == []
    assert gc.isenabled() == collecting


def test_what_was_imported_before_is_left_alone(frozen: list[bool], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libraries, "_NEEDED", "gc")
    libraries.load_libraries()
    assert frozen == []


def test_garbage_is_not_looked_for_in_them() -> None:
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True)
    n_frozen, n_looked_through = map(int, done.stdout.split())
    assert n_looked_through < n_frozen / 10
