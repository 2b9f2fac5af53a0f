"""What cannot be written can be read: a drive that is mounted so, and the workspace of a newer version."""

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.domain.errors import Damaged, StorageFailed
from engine.domain.jobs import Train
from engine.domain.runs import RunConfig
from engine.jobs import JobManager
from engine.store import Store, check
from engine.store.layout import StoredFile
from tests.store.artefacts import add_run, add_transcoders, corpus, fill, key

ROOT = Path(__file__).parents[2]
READS = """
import sys
from pathlib import Path
from engine.domain.errors import StorageFailed
from engine.jobs import JobManager
from engine.store import Store
store = Store(Path(sys.argv[1]), bundled=None)
assert "can be read but not written" in store.read_only, store.read_only
print([info.config.name for info in store.runs()], len(store.comparisons()), len(store.checkpoints("one")))
store.graph(store.graph_keys()[0])
assert store.check() == [], store.check()
assert [record.state for record in JobManager(store).snapshot()] == ["interrupted"]
try:
    store.delete_run("one")
except StorageFailed as error:
    print(error)
"""


def left_behind(store: Store) -> None:
    """A job that was running when its process was killed."""
    manager = JobManager(store, run=lambda *_: "")
    record = manager._journal.open(Train(config=RunConfig(name="two", corpus="words")), "Train two")
    manager._journal.write(record.model_copy(update={"state": "running", "claim": "0123456789abcdef"}))


def test_a_workspace_on_a_drive_that_is_mounted_read_only(store: Store) -> None:
    fill(store)
    left_behind(store)
    before = {path: path.stat().st_mtime_ns for path in store.workspace.rglob("*")}
    mount = f"mount --bind {store.workspace} {store.workspace} && mount -o remount,bind,ro {store.workspace}"
    if subprocess.run(["unshare", "-Urm", "sh", "-c", mount], capture_output=True).returncode:
        pytest.skip("nothing may be mounted here")
    command = f"{mount} && exec {sys.executable} -c '{READS}' {store.workspace}"
    done = subprocess.run(["unshare", "-Urm", "sh", "-c", command], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("['one'] 1 3\n")
    assert done.stdout.count("can be read but not written") == 1
    assert "could not be written" not in done.stdout
    assert {path: path.stat().st_mtime_ns for path in store.workspace.rglob("*")} == before


@pytest.fixture
def newer(store: Store) -> Iterator[Store]:
    """Opened after a newer version has indexed something of its own."""
    fill(store)
    with sqlite3.connect(store.workspace / "index.sqlite") as index:
        index.execute("insert into artefacts_2 values (0, 'hologram', 'x', '', '{}', 1)")
    index.close()
    store.close()
    opened = Store(store.workspace, bundled=None)
    yield opened
    opened.close()


def test_the_workspace_of_a_newer_version_is_read_and_left_alone(newer: Store) -> None:
    assert "newer version" in newer.read_only
    assert "hologram" in newer.read_only
    assert [info.config.name for info in newer.runs()] == ["one"]
    assert newer.graph_keys()
    assert newer.check() == []
    with pytest.raises(StorageFailed, match="newer version"):
        newer.save_corpus(corpus("more"))
    with pytest.raises(StorageFailed, match="newer version"):
        newer.delete_run("one")
    with sqlite3.connect(newer.workspace / "index.sqlite") as index:
        assert index.execute("select count(*) from artefacts_2 where kind = 'hologram'").fetchone() == (1,)
    index.close()
    assert key() in newer.graph_keys()


def test_an_index_that_meets_an_unknown_kind_later_goes_on(store: Store) -> None:
    fill(store)
    with sqlite3.connect(store.workspace / "index.sqlite") as index:
        index.execute("insert into artefacts_2 values (0, 'hologram', 'x', '', '{}', 1)")
    index.close()
    assert store.sync() == 0
    assert store.check() == []
    assert store.rebuild() > 0


def test_check_goes_on_after_what_no_reader_foresaw(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    add_run(store, "one")
    add_run(store, "two")
    real = check.check_artefact

    def bad(shelf: Path, found: StoredFile, **more: object) -> Iterator[object]:
        if found.name == "one":
            raise ZeroDivisionError("unforeseen")
        yield from real(shelf, found, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(check, "check_artefact", bad)
    (store.workspace / "runs" / "two" / "losses.json").write_text("{", encoding="utf-8")
    found = {problem.path.relative_to(store.workspace).as_posix(): problem.reason for problem in store.check()}
    assert "ZeroDivisionError: unforeseen" in found["runs/one/run.json"]
    assert "runs/two/losses.json" in found


def test_a_set_of_more_layers_than_there_can_be_is_checked_at_once(store: Store) -> None:
    add_transcoders(store)
    path = store.workspace / "transcoders" / "shared" / "set.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"n_layers": 2', f'"n_layers": {2**62}'), encoding="utf-8")
    assert 2 <= len(store.check()) < 1000


def test_folders_in_the_place_of_files_are_told(store: Store) -> None:
    fill(store)
    for path in (store.workspace / "runs" / "one" / "run.json", next((store.workspace / "graphs").iterdir())):
        path.unlink()
        path.mkdir()
    assert len(store.check()) >= 2
    assert Store(store.workspace, bundled=None).runs() == []
    with pytest.raises(Damaged):
        store.run("one")
    shutil.rmtree(store.workspace)
