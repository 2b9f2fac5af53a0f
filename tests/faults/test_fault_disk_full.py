"""A full disk at any write: a plain message, everything finished stays whole, and afterwards work goes on."""

import errno
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.domain.errors import StorageFailed
from engine.domain.jobs import CancelToken, Report, Request, Train
from engine.domain.runs import RunConfig
from engine.jobs import run_inline
from engine.store import Store
from tests.store.artefacts import (
    add_checkpoint,
    add_comparison,
    add_run,
    add_transcoders,
    comparison,
    corpus,
    graph,
    key,
    meta,
    results,
    same_graph,
)


def save_checkpoint(store: Store, step: int) -> None:
    add_checkpoint(store, "one", step, n=65)


def save_resume_state(store: Store, text: str) -> None:
    with store.new_resume_state("one") as folder:
        (folder / "progress.json").write_text(text, encoding="utf-8")


# Each changes one thing in a workspace that holds one of everything.
SAVES: dict[str, Callable[[Store], object]] = {
    "corpus": lambda store: store.save_corpus(corpus("more")),
    "run": lambda store: store.save_run(RunConfig(name="two", corpus="words")),
    "new checkpoint": lambda store: save_checkpoint(store, 3),
    "checkpoint replaced": lambda store: save_checkpoint(store, 2),
    "resume state replaced": lambda store: save_resume_state(store, "newer"),
    "resume state dropped": lambda store: store.delete_resume_state("one"),
    "probes": lambda store: store.save_probe_results("one", 2, results(p=0.9)),
    "transcoders": lambda store: add_transcoders(store, meta("more")),
    "graph": lambda store: store.save_graph(graph(key("one@50%"))),
    "comparison": lambda store: store.save_comparison(comparison("one@100%", "one@base")),
}


def contents(workspace: Path) -> dict[str, bytes]:
    """Every file but the index's own."""
    files = (path for path in workspace.rglob("*") if path.is_file() and not path.name.startswith("index."))
    return {str(path.relative_to(workspace)): path.read_bytes() for path in files}


@pytest.fixture
def full(store: Store) -> Store:
    add_run(store, "one")
    save_resume_state(store, "older")
    add_transcoders(store)
    add_comparison(store)
    return store


class FailingAt:
    """A call that fails with “disk full” the n-th time."""

    def __init__(self, real: Callable[..., object], nth: int) -> None:
        self.real, self.nth, self.n_calls = real, nth, 0

    def __get__(self, path: Path, _: type) -> Callable[..., object]:  # so that it can stand for a method of Path
        return lambda *args: self(path, *args)

    def __call__(self, *args: object) -> object:
        self.n_calls += 1
        if self.n_calls == self.nth:
            raise OSError(errno.ENOSPC, "No space left on device")
        return self.real(*args)


@pytest.mark.parametrize(("holder", "call"), [(os, "fsync"), (Path, "rename"), (Path, "replace")])
@pytest.mark.parametrize("save", SAVES)
def test_every_write_of_a_save_may_fail(
    full: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, save: str, holder: object, call: str
) -> None:
    """The first call fails, then the second, and so on until all succeed: always the old state or the new one."""
    full.close()
    before = shutil.copytree(full.workspace, tmp_path / "before")
    states: list[dict[str, bytes]] = []
    problem = "?"
    for nth in range(1, 50):
        shutil.rmtree(full.workspace)
        shutil.copytree(before, full.workspace)
        store = Store(full.workspace, bundled=None)
        failing = FailingAt(getattr(holder, call), nth)
        with monkeypatch.context() as patch:
            patch.setattr(holder, call, failing)
            problem = problem_of(SAVES[save], store)
        store.close()
        store = Store(full.workspace, bundled=None)
        states.append(contents(full.workspace))
        assert store.check() == []
        store.close()
        if failing.n_calls < nth:
            break
        assert "disk is full" in problem
    assert problem == ""
    assert states[-1] != contents(before)
    assert [state for state in states if state not in (contents(before), states[-1])] == []


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
            save_checkpoint(store, 2)
        return ""

    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(StorageFailed, match="Free some space"):
        run_inline(full, Train(config=full.run("one")), on_progress=lambda *_: None, run=work)
    assert full.check() == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"no right to mount a small disk ({mounted.stderr.strip()}); the tests above stand in for it")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_disk_that_is_really_full(small_disk: Path) -> None:
    store = Store(small_disk / "workspace", bundled=None)
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
    again = Store(small_disk / "workspace", bundled=None)  # opens, though little can be written
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
