"""The index is never the truth: lost, damaged, old or behind, it is made again from the files."""

import logging
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from engine.domain.errors import DiskFull, NotFound, StorageFailed
from engine.store import Store, drives
from engine.store.index import Index, IndexRow, _storage_reason
from tests.store.artefacts import add_comparison, add_run, comparison, corpus, fill, graph, key


def lists(store: Store) -> list[object]:
    return [
        store.corpora(), store.models(), store.runs(), store.checkpoints("one"), store.transcoder_sets(),
        store.graph_keys(), store.comparisons(),
    ]  # fmt: skip


def reopened(store: Store) -> Store:
    store.close()
    return Store(store.workspace, bundled=store.bundled)


def overwrite(path: Path) -> None:
    path.write_bytes(b"this is no database" * 1000)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def scribble(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096:] = bytes(len(data) - 4096)
    path.write_bytes(data)


def make_old(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("create table artefacts (kind, name)")
    connection.close()


def make_same_table_with_other_columns(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("create table artefacts_2 (kind, name)")
    connection.close()


def make_empty(path: Path) -> None:
    path.write_bytes(b"")


DAMAGE: list[Callable[[Path], None]] = [
    Path.unlink, overwrite, truncate, scribble, make_old, make_same_table_with_other_columns, make_empty,
]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
def test_opening_makes_a_lost_index_again(
    store: Store, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    fill(store)
    before = lists(store)
    store.close()
    damage(store.workspace / "index.sqlite")
    with caplog.at_level(logging.WARNING, "engine.store"):
        again = reopened(store)
    assert lists(again) == before
    assert again.check() == []
    assert "made again from the files" in caplog.text


@pytest.mark.parametrize("damage", [overwrite, make_old, make_empty, Path.unlink])
def test_an_index_damaged_in_use_is_made_again(store: Store, damage: Callable[[Path], None]) -> None:
    fill(store)
    before = lists(store)
    store.close()  # no connection keeps the old file alive, as after hours without use
    for suffix in ("-wal", "-shm"):
        (store.workspace / f"index.sqlite{suffix}").unlink(missing_ok=True)
    damage(store.workspace / "index.sqlite")
    assert lists(store) == before
    store.save_corpus(corpus("more"))
    assert [info.name for info in store.corpora()] == ["more", "words"]
    assert store.check() == []


def test_a_new_workspace_warns_of_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    demo = Store(tmp_path / "demo", bundled=None)
    fill(demo)
    with caplog.at_level(logging.WARNING):
        store = Store(tmp_path / "workspace", bundled=tmp_path / "demo")
    assert caplog.text == ""
    assert len(store.runs()) == 1


def test_records_that_cannot_be_read(store: Store) -> None:
    fill(store)
    before = lists(store)
    store._index.put([IndexRow(False, "run", "one", "", '{"name": 5}', 1)])
    assert lists(store) == before


def test_a_crash_between_file_and_index(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every save renames its file before it tells the index."""
    with monkeypatch.context() as patch:
        patch.setattr(Store, "_note", lambda *_: None)
        fill(store)
    problems = store.check()
    assert {problem.kind for problem in problems} == {"index"}
    assert len(problems) == 9  # corpus, run, 3 checkpoints, set, 2 graphs, comparison
    # Each lookup falls back to the file and puts its entry right,
    assert store.run("one").name == "one"
    assert store.has_graph(key("one@base"))
    assert store.checkpoint("one@50%").step == 2
    assert [info.name for info in store.runs()] == ["one"]
    assert len(store.check()) == 6  # the others were not asked for
    # and opening the workspace does the rest.
    again = reopened(store)
    assert again.check() == []
    assert len(again.comparisons()) == 1


def test_a_lookup_forgets_what_is_gone(store: Store) -> None:
    add_run(store, "one")
    shutil.rmtree(store.run_folder("one"))
    assert len(store.runs()) == 1  # a list asks the index alone
    with pytest.raises(NotFound):
        store.run("one")
    assert store.runs() == []
    assert reopened(store).check() == []


def test_files_put_in_or_changed_by_hand(store: Store, tmp_path: Path) -> None:
    other = Store(tmp_path / "other", bundled=None)
    fill(other)
    shutil.copytree(other.workspace / "runs", store.workspace / "runs")
    shutil.copytree(other.workspace / "corpora", store.workspace / "corpora")
    again = reopened(store)
    assert again.checkpoints("one")[2].state == other.checkpoints("one")[2].state
    path = again.workspace / "corpora" / "words" / "corpus.jsonl"
    path.write_text(corpus(n_examples=2).to_jsonl(), encoding="utf-8")
    assert [problem.kind for problem in again.check()] == ["damaged", "index"]  # the run has another corpus's hash
    assert reopened(again).corpora()[0].n_examples == 2


def test_the_demo_is_indexed_again_only_when_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    demo = Store(tmp_path / "demo", bundled=None)
    fill(demo)
    store = Store(tmp_path / "workspace", bundled=tmp_path / "demo")
    assert lists(store)[3:] == lists(demo)[3:]
    read: list[str] = []
    from engine.store import shelves

    describe = shelves.describe
    monkeypatch.setattr(shelves, "describe", lambda found: read.append(found.name) or describe(found))
    store = reopened(store)
    assert read == []
    demo.save_corpus(corpus("more"))
    store = reopened(store)
    assert read == ["more"] * 2  # once by the demo's own store, once by this one
    demo.delete_run("one")
    assert reopened(store).runs() == []


def test_what_another_process_makes_is_seen(store: Store) -> None:
    add_run(store, "one")
    script = (
        "import sys; from pathlib import Path; from engine.store import Store; from tests.store.artefacts import *\n"
        "store = Store(Path(sys.argv[1]), bundled=None)\n"
        "add_run(store, 'two'); add_comparison(store, 'one@base', 'two@50%')"
    )
    subprocess.run([sys.executable, "-c", script, store.workspace], check=True)
    assert {info.name for info in store.runs()} == {"one", "two"}
    assert store.comparisons() == [comparison("one@base", "two@50%")]
    assert store.check() == []


def test_an_index_in_another_database(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'elsewhere.db'}"
    store = Store(tmp_path / "workspace", bundled=None, index_url=url)
    fill(store)
    assert not (tmp_path / "workspace" / "index.sqlite").exists()
    assert Store(tmp_path / "workspace", bundled=None, index_url=url).check() == []


def test_an_index_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed, match=r"missing/index\.db could not be opened"):
        Store(tmp_path / "workspace", bundled=None, index_url=f"sqlite:///{tmp_path / 'missing' / 'index.db'}")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("database or disk is full", "disk is full"),
        ("attempt to write a readonly database", "read-only"),
        ("database is locked", "locked by another process"),
    ],
)
def test_a_database_that_refuses(store: Store, monkeypatch: pytest.MonkeyPatch, text: str, words: str) -> None:
    """The artefact itself is saved, stays readable, and the index catches up later."""
    add_run(store, "one")
    import sqlalchemy as sa

    execute = sa.engine.Connection.execute

    def fail(self: sa.engine.Connection, statement: object, *rest: object) -> object:
        if isinstance(statement, sa.sql.dml.UpdateBase):
            raise sa.exc.OperationalError("insert", {}, sqlite3.OperationalError(text))
        return execute(self, statement, *rest)  # type: ignore[call-overload]

    with monkeypatch.context() as patch:
        patch.setattr(sa.engine.Connection, "execute", fail)
        with pytest.raises(StorageFailed, match=words):
            store.save_graph(graph(key()))
        assert store.graph(key()).n_edges == 30
        assert Store(store.workspace, bundled=None).graph(key()).n_edges == 30
    assert reopened(store).graph_keys() == [key()]


def test_rebuild_counts_both_shelves(tmp_path: Path) -> None:
    demo = Store(tmp_path / "demo", bundled=None)
    fill(demo)
    store = Store(tmp_path / "workspace", bundled=tmp_path / "demo")
    add_comparison(store, "a@base", "b@base")
    assert demo.rebuild() == 9
    assert store.rebuild() == 9 + 3


def test_opening_needs_neither_torch_nor_pandas(store: Store) -> None:
    """The first page waits for this."""
    script = (
        "import sys; from pathlib import Path; from engine.store import Store; import engine.jobs\n"
        "Store(Path(sys.argv[1]), bundled=None).runs()\n"
        "print(sorted({'torch', 'pandas', 'transformers', 'engine.workflows', 'streamlit'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script, store.workspace], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"


def test_names_of_a_row_are_its_key(tmp_path: Path) -> None:
    index = Index(f"sqlite:///{tmp_path / 'index.sqlite'}", folder=tmp_path)
    assert index.prepare()
    assert not index.prepare()
    rows = [IndexRow(bundled, "run", name, "", "{}", 1) for bundled in (True, False) for name in ("b", "a")]
    index.put(rows)
    index.put([IndexRow(False, "run", "a", "", "{}", 2)])
    assert [(row.bundled, row.name, row.stamp) for row in index.rows("run")] == [
        (False, "a", 2), (False, "b", 1), (True, "a", 1), (True, "b", 1),
    ]  # fmt: skip
    index.drop([(False, "run", "a"), (False, "run", "missing")])
    assert index.stamps(bundled=False) == {("run", "b"): 1}
    index.close()


def journal_of(workspace: Path) -> str:
    with sqlite3.connect(workspace / "index.sqlite") as connection:
        (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    connection.close()
    return str(mode)


@pytest.mark.parametrize(("kind", "mode"), [("ext4", "wal"), ("nfs4", "delete"), ("fuse.sshfs", "delete")])
def test_the_journal_of_the_index_follows_the_drive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, mode: str
) -> None:
    """WAL needs memory that all who have it open share, and two machines share none."""
    store = Store(tmp_path / "workspace", bundled=None)
    fill(store)
    before = lists(store)
    store.close()  # made here, in WAL mode, and then opened on another drive
    assert journal_of(store.workspace) == "wal"
    table = tmp_path / "mountinfo"
    table.write_text(f"22 1 0:21 / / rw - {kind} there rw,vers=4.2\n", encoding="utf-8")
    monkeypatch.setattr(drives, "_MOUNTS", table)
    again = Store(store.workspace, bundled=None)
    assert lists(again) == before
    other = Store(store.workspace, bundled=None)
    threads = [
        threading.Thread(target=one.save_corpus, args=(corpus(f"corpus-{place}"),))
        for place, one in enumerate([again, other] * 5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(again.corpora()) == len(other.corpora()) == 11
    assert again.check() == []
    again.close()
    other.close()
    assert journal_of(store.workspace) == mode
    assert not list(store.workspace.glob("index.sqlite-*"))


@pytest.mark.parametrize("room", [True, False])
def test_an_io_error_on_a_disk_without_room_is_a_full_disk(
    room: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite says “disk I/O error” where the file that it writes beside a database finds no room."""
    free = 2**30 if room else 1000
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    error = sa.exc.OperationalError("", {}, sqlite3.OperationalError("disk I/O error"))
    assert ("Free some space" in _storage_reason(error, tmp_path / "index.sqlite")) is not room


def test_a_workspace_on_a_full_disk_opens_and_says_so(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(store)
    before = lists(store)
    store.close()
    (store.workspace / "index.sqlite").unlink()
    real = Index.prepare

    def full(index: Index) -> bool:
        if index._file == store.workspace / "index.sqlite":
            raise DiskFull("The index could not be written: the disk is full. Free some space.")
        return real(index)

    with monkeypatch.context() as patch:
        patch.setattr(Index, "prepare", full)
        again = reopened(store)
        assert "the disk is full" in again.warning
        assert lists(again) == before
    again.save_corpus(corpus("more"))  # there is room again
    assert "more" in [info.name for info in again.corpora()]
    assert "more" in [info.name for info in reopened(store).corpora()]
