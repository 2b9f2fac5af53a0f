"""Lanes, outcomes, cancellation; the work is a function of the test."""

import logging
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from engine.domain.corpus import CorpusSpec
from engine.domain.errors import Canceled, InputError, NotFound
from engine.domain.jobs import (
    CancelToken,
    Compare,
    JobRecord,
    MakeCorpus,
    MeasureProbes,
    Report,
    Request,
    Train,
    TrainTranscoders,
)
from engine.domain.runs import RunConfig
from engine.jobs import JobManager
from engine.jobs.journal import Journal
from engine.store import Store
from engine.store.files import read_json

PATIENCE_S = 20.0


def train(name: str = "one") -> Train:
    return Train(config=RunConfig(name=name, corpus="words"))


def until(condition: Callable[[], object]) -> None:
    """Wait until the condition holds; fail after PATIENCE_S."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it never came to hold"
        time.sleep(0.01)


def ended(manager: JobManager, job_id: str) -> JobRecord:
    until(lambda: manager.job(job_id).finished_at)
    return manager.job(job_id)


class Work:
    """Work that the test steers: it holds each job until `let_go`, and tells which are at it."""

    def __init__(self) -> None:
        self.at_it: list[Request] = []
        self.done: list[Request] = []
        self.let_go = threading.Event()

    def __call__(self, store: Store, request: Request, report: Report, cancel: CancelToken) -> str:
        self.at_it.append(request)
        try:
            while not self.let_go.wait(0.01):
                cancel.check()
            self.done.append(request)
        finally:
            self.at_it.remove(request)
        return "made"


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
def manager(store: Store, work: Work) -> Iterator[JobManager]:
    made = JobManager(store, run=work)
    yield made
    made.close()


def returning(result: str) -> Callable[..., str]:
    return lambda *_: result


def test_from_queued_to_done(store: Store) -> None:
    states: list[str] = []

    def run(store: Store, request: Request, report: Report, cancel: CancelToken) -> str:
        report(0.5, "half")
        states.append(manager.snapshot()[0].state)
        return "words"

    manager = JobManager(store, run=run)
    job_id = manager.submit(MakeCorpus(spec=CorpusSpec(name="words")))
    record = ended(manager, job_id)
    assert states == ["running"]
    assert (record.state, record.result, record.title) == ("done", "words", "Create corpus words")
    assert record.progress.fraction == 1.0
    assert record.started_at is not None
    assert record.finished_at is not None
    assert record.created_at <= record.started_at <= record.finished_at
    until(lambda: read_json(store.workspace / "jobs" / f"{job_id}.json", JobRecord) == record)
    manager.close()


def test_one_trains_while_one_traces_and_the_rest_waits(manager: JobManager, work: Work) -> None:
    requests = [train("a"), train("b"), Compare(a="a@base", b="a@100%", prompts=("x",)), MeasureProbes(run="a")]
    ids = [manager.submit(request) for request in requests]
    until(lambda: len(work.at_it) == 2)
    time.sleep(0.05)
    assert [manager.job(job_id).state for job_id in ids] == ["running", "queued", "running", "queued"]
    assert {record.id for record in manager.active()} == set(ids)
    work.let_go.set()
    assert [ended(manager, job_id).state for job_id in ids] == ["done"] * 4
    assert manager.active() == []
    assert [record.id for record in manager.snapshot()] == ids[::-1]


def test_transcoders_are_trained_in_the_training_lane(manager: JobManager, work: Work) -> None:
    manager.submit(train())
    second = manager.submit(TrainTranscoders(name="set", checkpoints=("one@base",)))
    until(lambda: work.at_it)
    time.sleep(0.05)
    assert manager.job(second).state == "queued"


def test_the_same_request_twice_is_one_job(manager: JobManager, work: Work) -> None:
    first = manager.submit(train(), title="by one tab")
    until(lambda: work.at_it)
    assert manager.submit(train(), title="by another") == first
    queued = manager.submit(train("two"))
    assert manager.submit(train("two")) == queued
    work.let_go.set()
    ended(manager, first)
    assert manager.submit(train()) != first  # finished: it may be asked for again


def test_what_went_wrong_is_told(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    errors: dict[str, BaseException] = {
        "input": InputError("“x” is no prompt. Write one."),
        "bug": ZeroDivisionError("division by zero"),
        "exit": SystemExit(3),
    }

    def run(store: Store, request: Request, report: Report, cancel: CancelToken) -> str:
        assert isinstance(request, Train)
        raise errors[request.config.name]

    manager = JobManager(store, run=run)
    with caplog.at_level(logging.ERROR):
        told = {name: ended(manager, manager.submit(train(name))) for name in errors}
    assert {record.state for record in told.values()} == {"failed"}
    assert told["input"].error == "“x” is no prompt. Write one."
    assert told["bug"].error == "Unexpected error: ZeroDivisionError: division by zero"
    assert "Traceback" in caplog.text
    assert "“x” is no prompt" not in caplog.text  # the user's mistakes are no errors of the program
    manager.close()


def test_a_running_job_is_canceled(manager: JobManager, work: Work) -> None:
    job_id = manager.submit(train())
    until(lambda: work.at_it)
    manager.cancel(job_id)
    record = ended(manager, job_id)
    assert (record.state, record.error) == ("cancelled", "")
    manager.cancel(job_id)  # again: nothing happens
    assert manager.job(job_id) == record


def test_a_queued_job_is_canceled_at_once_and_never_starts(manager: JobManager, work: Work) -> None:
    first, second = manager.submit(train("a")), manager.submit(train("b"))
    manager.cancel(second)
    assert manager.job(second).state == "cancelled"
    work.let_go.set()
    ended(manager, first)
    until(lambda: work.done)
    assert work.done == [train("a")]


def test_unknown_ids(manager: JobManager) -> None:
    for use in (manager.cancel, manager.resume, manager.job, manager.forget):
        with pytest.raises(NotFound):
            use("missing")
        with pytest.raises(NotFound):
            use("../../etc/passwd")


def test_forgetting(manager: JobManager, work: Work, store: Store) -> None:
    job_id = manager.submit(train())
    with pytest.raises(InputError, match="Cancel it first"):
        manager.forget(job_id)
    manager.cancel(job_id)
    ended(manager, job_id)
    manager.forget(job_id)
    assert manager.snapshot() == []
    assert list((store.workspace / "jobs").iterdir()) == []


def test_progress_and_time_left(store: Store) -> None:
    go_on = threading.Event()

    def run(store: Store, request: Request, report: Report, cancel: CancelToken) -> str:
        report(-1.0, "begun")
        time.sleep(1.1)
        report(0.5, "step 5 of 10")
        go_on.wait(PATIENCE_S)
        return ""

    manager = JobManager(store, run=run)
    job_id = manager.submit(train())
    until(lambda: manager.job(job_id).progress.fraction == 0.5)
    progress = manager.job(job_id).progress
    assert progress.message == "step 5 of 10"
    assert progress.eta_s is not None
    assert 0.9 < progress.eta_s < 60  # half took 1.1 s, so as much is left
    # Another process sees the same, a moment later.
    until(lambda: Journal(store).read_all()[job_id].progress == progress)
    go_on.set()
    assert ended(manager, job_id).progress.eta_s == 0.0
    manager.close()


def test_thousands_of_reports_do_not_wait_for_the_disk(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[float] = []
    write = Journal.write

    def count(self: Journal, record: JobRecord) -> None:
        written.append(time.monotonic())
        write(self, record)

    monkeypatch.setattr(Journal, "write", count)

    def run(store: Store, request: Request, report: Report, cancel: CancelToken) -> str:
        for step in range(20_000):
            report(step / 20_000, f"step {step}")
        return ""

    manager = JobManager(store, run=run)
    record = ended(manager, manager.submit(train()))
    assert record.started_at is not None
    assert record.finished_at is not None
    assert len(written) <= 4 + 3 * (record.finished_at - record.started_at)
    manager.close()


def test_a_silent_job_has_a_heartbeat(manager: JobManager, work: Work, store: Store) -> None:
    job_id = manager.submit(train())
    until(lambda: work.at_it)
    path = store.workspace / "jobs" / f"{job_id}.json"
    first = read_json(path, JobRecord).heartbeat_at
    assert first is not None
    until(lambda: (read_json(path, JobRecord).heartbeat_at or 0) > first + 1)


def test_closing_interrupts_so_that_it_can_be_resumed(store: Store, work: Work) -> None:
    manager = JobManager(store, run=work)
    ids = [manager.submit(train("a")), manager.submit(train("b"))]
    until(lambda: work.at_it)
    manager.close()
    assert [manager.job(job_id).state for job_id in ids] == ["interrupted"] * 2
    with pytest.raises(InputError, match="closing"):
        manager.submit(train("c"))
    manager.close()
    again = JobManager(store, run=work)
    work.let_go.set()
    assert ended(again, again.resume(ids[0])).state == "done"
    again.close()


def test_closing_does_not_wait_for_stubborn_work(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.jobs.manager._CLOSE_S", 0.2)
    stop = threading.Event()
    manager = JobManager(store, run=lambda *_: str(stop.wait(PATIENCE_S)))
    manager.submit(train())
    started = time.monotonic()
    manager.close()
    assert time.monotonic() - started < 5
    stop.set()


def test_a_full_disk_stops_no_job(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Journals fall behind; memory has the truth for this process."""
    import errno
    import os

    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    manager = JobManager(store, run=returning("fine"))
    monkeypatch.setattr(os, "fsync", fail)
    record = ended(manager, manager.submit(train()))
    assert (record.state, record.result) == ("done", "fine")
    manager.close()


def test_many_threads_submit_and_look(store: Store) -> None:
    manager = JobManager(store, run=returning("done"))
    ids: list[str] = []

    def use(number: int) -> None:
        for round_ in range(5):
            ids.append(manager.submit(train(f"r{number}-{round_}")))
            manager.snapshot()

    threads = [threading.Thread(target=use, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(ids)) == 30
    until(lambda: not manager.active())
    assert {record.state for record in manager.snapshot()} == {"done"}
    manager.close()


def test_canceled_is_raised_in_the_work(manager: JobManager, work: Work) -> None:
    job_id = manager.submit(train())
    until(lambda: work.at_it)
    task = manager._own[job_id]
    task.cancel()
    with pytest.raises(Canceled):
        task.check()
