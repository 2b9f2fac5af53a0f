"""Whatever became of a file, reading it ends in Damaged or in what it says: nothing foreign leaves the store.

TRACELAPSE_MUTATIONS sets how many spoilt files of each kind are tried.
"""

import os
import shutil
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.domain.errors import Damaged
from engine.store import BUNDLED
from engine.store.catalogue import describe
from engine.store.check import check_artefact
from engine.store.layout import StoredFile, scan
from tests.mutations import spoilt

N = int(os.environ.get("TRACELAPSE_MUTATIONS", "8"))


def one_of_each() -> list[tuple[StoredFile, Path]]:
    """The smallest artefact of each kind of the demo, with each of its files that the store reads."""
    found: dict[str, StoredFile] = {}
    for one in scan(BUNDLED):
        best = found.get(one.kind)
        if one.kind == "checkpoint" and one.name.endswith("/0"):
            continue  # the base has no weights
        if best is None or one.path.stat().st_size < best.path.stat().st_size:
            found[one.kind] = one
    cases = [(one, one.path) for one in found.values()]
    for kind in ("run", "checkpoint", "corpus"):
        folder = found[kind].path.parent
        cases += [(found[kind], path) for path in sorted(folder.iterdir()) if path.is_file()]
    return list(dict.fromkeys(cases))


CASES = one_of_each()


@pytest.mark.parametrize(("found", "path"), CASES, ids=[f"{one.kind}-{path.name}" for one, path in CASES])
@settings(max_examples=N, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_a_spoilt_file_is_damaged_or_read(tmp_path: Path, found: StoredFile, path: Path, data: st.DataObject) -> None:
    shelf = tmp_path / "shelf"
    copy = shelf / found.path.relative_to(BUNDLED)
    shutil.rmtree(shelf, ignore_errors=True)
    if found.kind in ("run", "checkpoint", "corpus", "study"):
        ignored = shutil.ignore_patterns("checkpoints") if found.kind == "run" else None
        shutil.copytree(found.path.parent, copy.parent, ignore=ignored)
    else:
        copy.parent.mkdir(parents=True)
        shutil.copyfile(found.path, copy)
    target = copy.parent / path.name
    target.write_bytes(spoilt(data, target.read_bytes(), path.name))
    before = sorted(shelf.rglob("*"))
    spoilt_file = StoredFile(found.kind, found.name, copy, 1)
    with suppress(Damaged):
        describe(spoilt_file)
    for problem in check_artefact(shelf, spoilt_file, shelves=[shelf, BUNDLED]):
        assert problem.reason
        assert problem.path.is_relative_to(tmp_path)
    assert sorted(shelf.rglob("*")) == before
