"""Libraries are imported without looking for garbage; afterwards all is as it was."""

import gc
import importlib
from collections.abc import Iterator

import pytest

from engine.models.libraries import load_libraries


@pytest.fixture(params=[True, False])
def collecting(request: pytest.FixtureRequest) -> Iterator[bool]:
    was = gc.isenabled()
    (gc.enable if request.param else gc.disable)()
    yield request.param
    (gc.enable if was else gc.disable)()


def test_it_is_as_before(collecting: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(importlib, "import_module", lambda _: seen.append(gc.isenabled()))
    load_libraries()
    assert seen == [False]
    assert gc.isenabled() == collecting


def test_it_is_as_before_where_one_is_missing(collecting: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(ImportError):
        load_libraries()
    assert gc.isenabled() == collecting
