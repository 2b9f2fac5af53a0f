"""A full disk at any write: a plain message, everything finished stays whole, and afterwards work goes on."""

import errno
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from engine.domain.errors import NotFound, StorageFailed
from engine.domain.jobs import CancelToken, Report, Request, Train
from engine.jobs import run_inline
from engine.store import Store
from engine.store.layout import KINDS, scan
from tests.faults.saves import LEFT, SAVES, STEPWISE, fill
from tests.faults.small_disks import small_disk
from tests.store.artefacts import add_checkpoint, add_run, graph, key, same_graph

MOST_MOMENTS = 12


def contents(workspace: Path) -> dict[str, bytes]:
    """Every file but the index's own, and locks."""
    files = (path for path in workspace.rglob("*") if path.is_file() and not path.name.startswith("index."))
    named = {path.relative_to(workspace).as_posix(): path for path in files if path.suffix != ".lock"}
    return {name: path.read_bytes() for name, path in named.items() if not name.startswith("claims/")}


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = Store(tmp_path_factory.mktemp("filled") / "workspace", bundled=None)
    fill(store)
    store.close()
    return store.workspace


@pytest.fixture
def full(store: Store, before: Path) -> Store:
    """A workspace that holds one of each."""
    store.close()
    shutil.copytree(before, store.workspace, dirs_exist_ok=True)
    return store


class FailingAt:
    """Of all calls that need room on the disk, the n-th fails."""

    CALLS = ("fsync", "rename", "replace", "mkdir", "link")

    def __init__(self, nth: int, workspace: Path) -> None:
        self.nth, self.n_calls, self._workspace = nth, 0, workspace

    def put_in(self, patch: pytest.MonkeyPatch) -> None:
        for name in self.CALLS:
            patch.setattr(os, name, partial(self._call, getattr(os, name)))

    def _call(self, real: Callable[..., object], at: object, *args: object, **more: object) -> object:
        is_here = isinstance(at, int) or Path(str(at)).is_relative_to(self._workspace)
        self.n_calls += is_here
        if is_here and self.n_calls == self.nth:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(at, *args, **more)


def test_no_method_that_writes_is_left_out() -> None:
    writes = re.compile(r"(save|add|set|new|delete|rename|remove|free)(_|$)")
    methods = {name for name in dir(Store) if writes.match(name) and callable(getattr(Store, name))}
    assert methods == {name.partition(":")[0] for name in SAVES}


def test_there_is_one_of_each_kind(full: Store) -> None:
    for change in ("save_study", "add_automatic_labels", "save_taught", "save_circuit_report", "save_pair_measures"):
        SAVES[change](full)
    assert {found.kind for found in scan(full.workspace)} == KINDS


@pytest.mark.parametrize("save", SAVES)
def test_every_write_of_a_save_may_fail(
    before: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, save: str
) -> None:
    """Each call fails once: always the old state or the new one, and what takes several steps can be done again.

    TRACELAPSE_FULL_DISKS=1 fails every one of them also where there are many; else some, first and last among them.
    """
    workspace = tmp_path / "now" / "workspace"

    def tried(nth: int) -> tuple[int, str, dict[str, bytes]]:
        """With the n-th call failing: how many there were, what was said, what is there when it is opened again."""
        shutil.rmtree(workspace, ignore_errors=True)
        shutil.copytree(before, workspace)
        store = Store(workspace, bundled=None)
        failing = FailingAt(nth, workspace)
        with monkeypatch.context() as patch:
            failing.put_in(patch)
            problem = problem_of(SAVES[save], store)
        store.close()
        return failing.n_calls, problem, whole_contents(workspace)

    n_calls, problem, end = tried(0)
    old = contents(before)
    told: list[str] = []
    assert (problem, end == old) == ("", False)
    for nth in moments(n_calls):
        _, problem, state = tried(nth)
        assert not problem or "disk is full" in problem  # a folder that is there already need not be made
        told.append(problem)
        if save in STEPWISE:
            state = done_again(workspace, SAVES[save])
        for left in LEFT.get(save, ()):
            state.pop(left, None)
            old.pop(left, None)
            end.pop(left, None)
        assert state in (old, end), nth
    assert any(told)


def moments(n_calls: int) -> list[int]:
    """From 1 on."""
    n = n_calls if os.environ.get("TRACELAPSE_FULL_DISKS") else min(n_calls, MOST_MOMENTS)
    return sorted({1 + round(place * (n_calls - 1) / max(1, n - 1)) for place in range(n)})


def whole_contents(workspace: Path) -> dict[str, bytes]:
    """Opened again."""
    store = Store(workspace, bundled=None)
    store._finish_renamings()
    assert store.check() == []
    store.close()
    return contents(workspace)


def done_again(workspace: Path, save: Callable[[Store], object]) -> dict[str, bytes]:
    store = Store(workspace, bundled=None)
    with suppress(NotFound):  # its last step had been done
        save(store)
    store.close()
    return whole_contents(workspace)


def problem_of(save: Callable[[Store], object], store: Store) -> str:
    """The message of the save; empty where it succeeded."""
    try:
        save(store)
    except StorageFailed as error:
        return str(error)
    return ""


def test_a_job_says_that_the_disk_is_full(full: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def work(store: Store, request: Request, report: Report, cancel: CancelToken) -> str:
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fail)
            add_checkpoint(store, "one", 2)
        return ""

    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(StorageFailed, match="Free some space"):
        run_inline(full, Train(config=full.run("one")), on_progress=lambda *_: None, run=work)
    assert full.check() == []


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", 2**20) as made:
        yield made.folder


def test_a_disk_that_is_really_full(disk: Path) -> None:
    store = Store(disk / "workspace", bundled=None)
    add_run(store, "one", steps=(0,), n_steps=1000)
    kept = graph(key())
    store.save_graph(kept)
    step, problem = 0, ""
    while not problem:
        step += 1
        problem = problem_of(lambda store, step=step: write_large(store, step), store)  # type: ignore[misc]
    assert "disk is full" in problem
    assert step > 3
    assert [problem for problem in store.check() if problem.kind == "damaged"] == []
    assert [store.checkpoint(f"one@step{earlier}").step for earlier in range(step)] == list(range(step))
    assert same_graph(store.graph(kept.key), kept)
    store.close()
    again = Store(disk / "workspace", bundled=None)  # opens, though little can be written
    for earlier in (1, 2):
        shutil.rmtree(again.checkpoint(f"one@step{earlier}").folder)
    write_large(again, step)
    again.sync()
    assert [point.step for point in again.checkpoints("one")] == [0, *range(3, step + 1)]
    assert again.check() == []
    again.close()


def write_large(store: Store, step: int) -> None:
    """80 kB"""
    add_checkpoint(store, "one", step, n_steps=1000, n=20_000)
