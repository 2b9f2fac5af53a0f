"""What a killed process leaves behind, and what two living ones see of each other."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.domain.errors import Canceled, InputError, TracelapseError
from engine.domain.jobs import CancelToken, JobRecord, JobState, MeasureProbes, Report, Request, Train
from engine.domain.runs import RunConfig
from engine.jobs import JobManager, run_inline
from engine.jobs.journal import Journal
from engine.store import Store
from engine.store.files import read_json
from tests.store.artefacts import add_run, graph, key

PATIENCE_S = 20.0
NOBODY = "0123456789abcdef"  # a token that no process holds

# A process that works on one job until it is canceled or killed; begun as `python -c … WORKSPACE`.
OTHER = """
import sys, time
from pathlib import Path
from engine.domain.jobs import Train
from engine.domain.runs import RunConfig
from engine.jobs import run_inline
from engine.store import Store

def work(store, request, report, cancel):
    for step in range(100_000):
        report(step / 100_000, f"step {step}")
        cancel.check()
        time.sleep(0.01)

run_inline(
    Store(Path(sys.argv[1]), bundled=None),
    Train(config=RunConfig(name="one", corpus="words")), on_progress=lambda *_: None, run=work,
)
"""


def train(name: str = "one") -> Train:
    return Train(config=RunConfig(name=name, corpus="words"))


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it never came to hold"
        time.sleep(0.02)


def left_behind(store: Store, state: JobState, request: Request | None = None) -> JobRecord:
    """The journal of a job whose process is gone."""
    journal = Journal(store)
    record = journal.open(request or train(), "Train one")
    record = record.model_copy(update={"state": state, "claim": NOBODY})
    journal.write(record)
    return record


def silent(fraction: float, message: str) -> None:
    """A terminal that shows nothing."""


def echo(_: Store, request: Request, *__: object) -> str:
    return request.model_dump_json()


@pytest.fixture
def other(store: Store) -> "subprocess.Popen[str]":
    """Another process at work, seen by its journal."""
    process = subprocess.Popen(
        [sys.executable, "-c", OTHER, store.workspace], stderr=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    )
    until(lambda: any(record.progress.message for record in Journal(store).read_all().values()))
    return process


@pytest.mark.parametrize("state", ["queued", "running"])
def test_jobs_of_a_vanished_process_are_interrupted(store: Store, state: JobState) -> None:
    record = left_behind(store, state)
    manager = JobManager(store, run=echo)
    shown = manager.job(record.id)
    assert shown.state == "interrupted"
    assert "Resume" in shown.error
    assert shown.finished_at == record.heartbeat_at
    assert read_json(store.workspace / "jobs" / f"{record.id}.json", JobRecord) == shown
    assert manager.active() == []


def test_a_clock_that_jumps_ends_no_job(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(store)
    record = journal.open(train(), "Train one").model_copy(update={"state": "running"})
    journal.write(record)
    now = time.time()
    for jump in (-1e6, -2.0, 2.0, 1e6):
        monkeypatch.setattr(time, "time", lambda jump=jump: now + jump)
        assert Journal(Store(store.workspace, bundled=None)).read_all()[record.id].state == "running"


@pytest.mark.parametrize("jump", [-1e6, 1e6])
def test_a_clock_that_jumps_while_a_job_runs(store: Store, monkeypatch: pytest.MonkeyPatch, jump: float) -> None:
    """It ends as always, and a page finds it before the one that asked for the same earlier."""
    now, begun, going = time.time(), threading.Event(), threading.Event()

    def work(_: Store, request: Request, report: Report, cancel: CancelToken) -> str:
        begun.set()
        assert going.wait(PATIENCE_S)
        return "made"

    manager = JobManager(store, run=work)
    earlier = left_behind(store, "done")
    monkeypatch.setattr(time, "time", lambda: now + jump)
    later = manager.submit(train())
    assert [record.id for record in manager.snapshot()] == [later, earlier.id]
    assert begun.wait(PATIENCE_S)  # only then does the journal say so to others: its own manager knows sooner
    monkeypatch.setattr(time, "time", lambda: now - jump)
    assert [record.state for record in JobManager(store, run=echo).snapshot()] == ["running", "done"]
    going.set()
    until(lambda: manager.job(later).state == "done")
    manager.close()


def test_a_journal_of_before_claims_is_read_and_of_nobody(store: Store) -> None:
    record = Journal(store).open(train(), "Train one").model_copy(update={"state": "running"})
    old = json.loads(record.to_json())
    del old["claim"]
    path = store.workspace / "jobs" / f"{record.id}.json"
    path.parent.mkdir()
    path.write_text(json.dumps(old | {"pid_started_at": 1.5}), encoding="utf-8")
    assert Journal(store).read_all()[record.id].state == "interrupted"


@pytest.mark.parametrize("has_run", [True, False])
def test_resuming_goes_on_from_what_was_saved(store: Store, *, has_run: bool) -> None:
    if has_run:
        add_run(store, "one")
    old = left_behind(store, "running")
    manager = JobManager(store, run=echo)
    new_id = manager.resume(old.id)
    until(lambda: manager.job(new_id).state == "done")
    assert Train.model_validate_json(manager.job(new_id).result) == Train(config=train().config, resume=has_run)
    assert [record.id for record in manager.snapshot()] == [new_id]  # it took the old one's place
    with pytest.raises(InputError, match="is done"):
        manager.resume(new_id)


def test_other_requests_are_resumed_as_they_were(store: Store) -> None:
    old = left_behind(store, "running", MeasureProbes(run="one"))
    manager = JobManager(store, run=echo)
    new_id = manager.resume(old.id)
    until(lambda: manager.job(new_id).state == "done")
    assert manager.job(new_id).result == MeasureProbes(run="one").model_dump_json()


def test_what_the_vanished_process_saved_last_is_listed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was killed after the rename and before the index knew."""
    with monkeypatch.context() as patch:
        patch.setattr(Store, "_note", lambda *_: None)
        store.save_graph(graph(key()))
    left_behind(store, "running")
    assert store.graph_keys() == []
    JobManager(store, run=echo)
    assert store.graph_keys() == [key()]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"id": "x"}', "\udcff"])
def test_a_damaged_journal_breaks_nothing(store: Store, text: str) -> None:
    good = left_behind(store, "running")
    folder = store.workspace / "jobs"
    (folder / "bad.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    (folder / "copy.json").write_bytes((folder / f"{good.id}.json").read_bytes())
    manager = JobManager(store, run=echo)
    assert [record.id for record in manager.snapshot()] == [good.id]
    assert manager.submit(train("two"))


def test_journals_are_read_again_only_when_they_change(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(20):
        left_behind(store, "running", MeasureProbes(run=f"r{number}"))
    manager = JobManager(store, run=echo)
    manager.snapshot()
    read: list[Path] = []
    monkeypatch.setattr("engine.jobs.journal.read_json", lambda path, kind: read.append(path) or read_json(path, kind))
    assert len(manager.snapshot()) == 20
    assert read == []


def test_another_process_is_seen_and_canceled(store: Store, other: "subprocess.Popen[str]") -> None:
    manager = JobManager(store, run=echo)
    [record] = manager.active()
    assert (record.state, record.pid) == ("running", other.pid)
    assert manager.submit(train()) == record.id  # the same request: no second job
    manager.cancel(record.id)
    until(lambda: manager.job(record.id).state == "cancelled")
    _, errors = other.communicate(timeout=PATIENCE_S)
    assert "Canceled" in errors
    assert not (store.workspace / "jobs" / f"{record.id}.cancel").exists()


def test_another_process_is_killed(store: Store, other: "subprocess.Popen[str]") -> None:
    manager = JobManager(store, run=echo)
    [record] = manager.active()
    other.kill()
    until(lambda: manager.job(record.id).state == "interrupted")
    other.communicate()
    assert manager.active() == []


def test_control_c_on_the_command_line_cancels(store: Store, other: "subprocess.Popen[str]") -> None:
    os.kill(other.pid, signal.SIGINT)
    _, errors = other.communicate(timeout=PATIENCE_S)
    assert "KeyboardInterrupt" in errors
    assert [record.state for record in JobManager(store, run=echo).snapshot()] == ["cancelled"]


def test_inline_gives_the_result_and_a_journal(store: Store) -> None:
    told: list[tuple[float, str]] = []
    before = threading.active_count()

    def work(_: Store, request: Request, report: Report, cancel: CancelToken) -> str:
        report(0.5, "half")
        [running] = JobManager(store, run=echo).active()
        assert running.title == "Train one"
        return "one"

    assert run_inline(store, train(), on_progress=lambda *seen: told.append(seen), run=work) == "one"
    assert told == [(0.5, "half")]
    [record] = JobManager(store, run=echo).snapshot()
    assert (record.state, record.result, record.progress.fraction) == ("done", "one", 1.0)
    assert threading.active_count() <= before


@pytest.mark.parametrize(
    ("error", "raised", "state", "text"),
    [
        (InputError("“x” is bad."), InputError, "failed", "“x” is bad."),
        (ZeroDivisionError("oops"), TracelapseError, "failed", "Unexpected error: ZeroDivisionError: oops"),
        (GeneratorExit("x"), TracelapseError, "failed", "Unexpected error: GeneratorExit: x"),
        (Canceled(), Canceled, "cancelled", ""),
        (KeyboardInterrupt(), KeyboardInterrupt, "cancelled", ""),
    ],
)
def test_inline_outcomes(
    store: Store, error: BaseException, raised: type[BaseException], state: JobState, text: str
) -> None:
    def work(*_: object) -> str:
        raise error

    with pytest.raises(raised) as caught:
        run_inline(store, train(), on_progress=silent, run=work)
    assert str(caught.value) == text
    [record] = JobManager(store, run=echo).snapshot()
    assert (record.state, record.error) == (state, text)
