"""A lane outlives whatever a job does: the job fails with its reason, and the next one runs."""

import asyncio
import errno
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from engine.domain.errors import StorageFailed
from engine.domain.jobs import JobRecord, MeasureProbes, Request
from engine.jobs import JobManager, manager, task
from engine.store import Store
from engine.store.files import read_json
from tests.jobs.test_jobs_manager import ended, until


class PanicException(BaseException):  # as pyo3 has it, under which tokenizers and safetensors panic
    """Of a native library."""


class OutOfMemoryError(RuntimeError):  # as torch has it
    """Of a GPU."""


ALLOCATOR = (
    "[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."
)


def raising(error: BaseException) -> Callable[[], str]:
    def work() -> str:
        raise error

    return work


def allocating() -> str:
    import torch

    return str(torch.empty(2**60, dtype=torch.uint8))


@pytest.fixture
def steered(store: Store) -> Iterator[tuple[JobManager, list[Callable[[], str]]]]:
    """A manager whose jobs do what is in the list, one after the other."""
    todo: list[Callable[[], str]] = []

    def work(_store: Store, _request: Request, *_: object) -> str:
        return todo.pop(0)()

    made = JobManager(store, run=work)
    yield made, todo
    made.close()


def submit(jobs: JobManager, number: int) -> str:
    return jobs.submit(MeasureProbes(run=f"r{number}"))


def runs_on(jobs: JobManager, todo: list[Callable[[], str]]) -> None:
    todo.append(lambda: "made")
    assert ended(jobs, submit(jobs, 99)).result == "made"


@pytest.mark.parametrize(
    ("work", "words"),
    [
        (raising(PanicException("range end")), "Unexpected error: PanicException: range end"),
        (raising(SystemExit(3)), "Unexpected error: SystemExit"),
        (raising(KeyboardInterrupt()), "Unexpected error: KeyboardInterrupt"),  # a library's: Ctrl-C never arrives here
        (raising(GeneratorExit()), "Unexpected error: GeneratorExit"),
        (raising(asyncio.CancelledError()), "Unexpected error: CancelledError"),
        (raising(MemoryError()), "There was not enough memory (it was refused)"),
        (raising(OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))), "There was not enough memory"),
        (raising(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))), "The disk is full"),
        (raising(OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")), "not enough memory (CUDA out of"),
        (raising(RuntimeError(ALLOCATOR)), "There was not enough memory"),
        (allocating, "There was not enough memory"),
    ],
)
def test_the_job_fails_with_its_reason_and_the_next_one_runs(
    steered: tuple[JobManager, list[Callable[[], str]]], work: Callable[[], str], words: str
) -> None:
    jobs, todo = steered
    todo.append(work)
    record = ended(jobs, submit(jobs, 0))
    assert record.state == "failed"
    assert words in record.error
    runs_on(jobs, todo)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # it is what is tested
def test_a_thread_that_ends_is_followed_by_another(
    steered: tuple[JobManager, list[Callable[[], str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs, todo = steered

    def leaves(one: task.JobTask, *_: object) -> None:
        one.begin()
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(manager, "_do", leaves)
        first = submit(jobs, 0)
        until(lambda: jobs.job(first).state != "queued")
    second = submit(jobs, 1)  # waits in the lane behind it
    todo.append(lambda: "made")
    record = ended(jobs, first)
    assert (record.state, "thread" in record.error) == ("failed", True)
    assert ended(jobs, second).result == "made"


def test_where_no_thread_is_to_be_had_the_job_says_so(
    steered: tuple[JobManager, list[Callable[[], str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs, todo = steered

    def refused(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refused)
        record = jobs.job(submit(jobs, 0))
    assert record.state == "failed"
    assert "can't start new thread" in record.error
    runs_on(jobs, todo)


def test_a_job_that_cannot_begin_fails(
    steered: tuple[JobManager, list[Callable[[], str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs, todo = steered
    with monkeypatch.context() as patch:
        patch.setattr(task.JobTask, "begin", lambda _: raising(MemoryError())())
        record = ended(jobs, submit(jobs, 0))
    assert (record.state, "memory" in record.error) == ("failed", True)
    runs_on(jobs, todo)


def test_the_pulse_outlives_a_bad_beat(
    steered: tuple[JobManager, list[Callable[[], str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs, todo = steered
    beats: list[object] = []

    def bad(one: object) -> None:
        beats.append(one)
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(task.JobTask, "pulse", bad)
        runs_on(jobs, todo)
        until(lambda: len(beats) >= 2)


def test_an_end_that_could_not_be_written_is_written_later(
    steered: tuple[JobManager, list[Callable[[], str]]], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process would take it for running for ever."""
    jobs, todo = steered
    let_go = threading.Event()
    todo.append(lambda: str(let_go.wait(20)))
    job_id = submit(jobs, 0)
    path = store.workspace / "jobs" / f"{job_id}.json"
    until(lambda: path.exists() and read_json(path, JobRecord).state == "running")

    def full(*_: Any) -> None:
        raise StorageFailed("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr("engine.jobs.journal.write_text", full)
        let_go.set()
        assert ended(jobs, job_id).state == "done"
        assert read_json(path, JobRecord).state == "running"
    until(lambda: read_json(path, JobRecord).state == "done")
