"""The jobs of a workspace: those that this process does, in two lanes, and those of others, by their journals."""

import atexit
import gc
import logging
import queue
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Literal

from engine.domain.errors import Canceled, InputError, NotFound, TracelapseError
from engine.domain.foreign import is_out_of_memory
from engine.domain.jobs import FINISHED, ImportCheckpoints, JobRecord, Request, Train
from engine.jobs.journal import Journal
from engine.jobs.task import JobTask, Work, reason_of
from engine.jobs.titles import title_of
from engine.jobs.work import work
from engine.store import Store

_log = logging.getLogger(__name__)
_PULSE_S = 0.5
_CLOSE_S = 5.0  # how long closing waits for workers to come to a point where they can stop

Lane = Literal["train", "trace"]
_TRAIN_LANE = {"train", "train_transcoders"}


class JobManager:
    """Keep one per process. Any thread may call any method; none of them runs torch or waits for a job."""

    def __init__(self, store: Store, *, run: Work | None = None) -> None:
        """Jobs that a vanished process left behind become `interrupted`.

        run: what does the work; None is `engine.workflows.run`.
        """
        self._store, self._work = store, run or work
        self._journal = Journal(store)
        self._lock = threading.RLock()
        self._own: dict[str, JobTask] = {}
        self._queues: dict[Lane, queue.SimpleQueue[JobTask | None]] = {}
        self._threads: dict[str, threading.Thread] = {}  # by name
        self._at_work: dict[Lane, JobTask] = {}
        self._closed = threading.Event()
        self._journal.read_all()
        atexit.register(_close_if_alive, weakref.ref(self))

    def submit(self, request: Request, title: str | None = None) -> str:
        """The new job's id; the id of an unfinished job that asks for exactly the same, where there is one."""
        with self._lock:
            if self._closed.is_set():
                raise InputError("The program is closing and starts nothing new. Open it again.")
            for record in self.active():
                if _wanted(record.request) == _wanted(request):
                    return record.id
            task = JobTask(self._journal, self._journal.open(request, title or title_of(request, self._store)))
            self._own[task.record.id] = task
            try:
                self._lane("train" if request.action in _TRAIN_LANE else "trace").put(task)
            except RuntimeError as error:  # the system gives no thread
                task.fail(f"The job could not be begun ({error}). Close other programs, then resume it.")
            return task.record.id

    def cancel(self, job_id: str) -> None:
        """Ask a job to stop, whichever process does it; a finished one stays as it is.

        Raises NotFound, StorageFailed.
        """
        with self._lock:
            task = self._own.get(job_id)
        if task:
            task.cancel()
        elif self.job(job_id).state not in FINISHED:
            self._journal.ask_to_cancel(job_id)

    def resume(self, job_id: str) -> str:
        """Do an interrupted, canceled or failed job again; training goes on from what was saved.

        The new job takes the place of the old one. Raises NotFound, InputError.
        """
        old = self.job(job_id)
        if old.state == "done" or old.state not in FINISHED:
            raise InputError(f"The job “{old.title}” is {old.state}; only one that stopped early can be resumed.")
        request = old.request
        if isinstance(request, Train):
            request = request.model_copy(update={"resume": self._has_run(request.config.name)})
        elif isinstance(request, ImportCheckpoints):
            request = request.model_copy(update={"resume": self._has_run(request.name)})
        new_id = self.submit(request, title=old.title)
        for record in self.snapshot():  # a crash may have left several of the same
            if record.id == job_id or (record.state == "interrupted" and _wanted(record.request) == _wanted(request)):
                self.forget(record.id)
        return new_id

    def snapshot(self) -> list[JobRecord]:
        """Every job of the workspace, newest first; those under way before all others, as a clock may have jumped."""
        records = self._journal.read_all()
        with self._lock:
            records |= {job_id: task.record for job_id, task in self._own.items()}
        by_time = sorted(records.values(), key=lambda record: (record.created_at, record.id), reverse=True)
        return sorted(by_time, key=lambda record: record.state in FINISHED)

    def job(self, job_id: str) -> JobRecord:
        """Raises NotFound."""
        records = self.snapshot()
        for record in records:
            if record.id == job_id:
                return record
        raise NotFound("job", job_id, [record.id for record in records])

    def active(self) -> list[JobRecord]:
        """Queued and running jobs, newest first."""
        return [record for record in self.snapshot() if record.state not in FINISHED]

    def forget(self, job_id: str) -> None:
        """Remove a finished job from the list. What it made stays. Raises NotFound, InputError."""
        record = self.job(job_id)
        if record.state not in FINISHED:
            raise InputError(f"The job “{record.title}” is {record.state}. Cancel it first.")
        with self._lock:
            task = self._own.pop(job_id, None)
        if task:
            task.forget()
        else:
            self._journal.forget(job_id)

    def may_have_ended(self, record: JobRecord) -> bool:
        """Whether it is on another machine and nobody here can tell whether it still runs."""
        return self._journal.may_have_ended(record)

    def say_ended(self, job_id: str) -> None:
        """A person says so of a job that `may_have_ended`. Raises NotFound, InputError for any other, StorageFailed."""
        record = self.job(job_id)
        if not self.may_have_ended(record):
            raise InputError(
                f"The job “{record.title}” is {record.state}, and that is known here. Cancel it if it should stop."
            )
        self._journal.give_up(record)

    def close(self) -> None:
        """Ask this process's jobs to stop, so that they can be resumed, and wait for them for a moment."""
        with self._lock:
            if self._closed.is_set():
                return
            self._closed.set()
            for task in self._own.values():
                if not task.is_finished:
                    task.cancel(closing=True)
            for lane in self._queues.values():
                lane.put(None)
        deadline = time.monotonic() + _CLOSE_S
        for thread in self._threads.values():
            thread.join(max(0.0, deadline - time.monotonic()))

    def _has_run(self, name: str) -> bool:
        try:
            self._store.run_folder(name)
        except NotFound:
            return False
        return True

    def _lane(self, lane: Lane) -> "queue.SimpleQueue[JobTask | None]":
        """Its queue, with a living worker on it; a job whose worker has ended has failed. The lock is held.

        Raises RuntimeError where no thread is to be had.
        """
        tasks = self._queues.setdefault(lane, queue.SimpleQueue())
        if not self._lives(f"jobs-{lane}") and (task := self._at_work.pop(lane, None)):
            task.fail("The thread that did this has ended. Resume continues from what was saved.")
        self._keep("jobs-pulse", self._pulse)
        self._keep(f"jobs-{lane}", lambda: self._worker(lane, tasks))
        return tasks

    def _lives(self, name: str) -> bool:
        thread = self._threads.get(name)
        return thread is not None and thread.is_alive()

    def _keep(self, name: str, target: Callable[[], None]) -> None:
        """A thread that lives under this name; one that has ended, whatever ended it, is followed by another."""
        if not self._lives(name):
            self._threads[name] = thread = threading.Thread(target=target, name=name, daemon=True)
            thread.start()

    def _worker(self, lane: Lane, tasks: "queue.SimpleQueue[JobTask | None]") -> None:
        while (task := tasks.get()) is not None:
            self._at_work[lane] = task
            _do(task, self._work, self._store)
            del self._at_work[lane], task  # what a failed job held is free before the next one begins

    def _pulse(self) -> None:
        while not self._closed.wait(_PULSE_S):
            try:
                with self._lock:
                    for lane in list(self._queues) if not self._closed.is_set() else ():
                        self._lane(lane)
                    tasks = list(self._own.values())
                for task in tasks:
                    task.pulse()
            except Exception:  # noqa: BLE001 - without a pulse nothing could be canceled any more
                _log.exception("A look at the jobs failed; the next one follows")


def _wanted(request: Request) -> Request:
    """What is to be made, however far it has come."""
    return request.model_copy(update={"resume": False}) if isinstance(request, Train | ImportCheckpoints) else request


def _do(task: JobTask, work: Work, store: Store) -> None:
    """A worker outlives whatever a job does, and a job that it leaves has ended."""
    reason, is_full = "", False
    try:
        if task.begin():
            task.run(work, store)
    except (Canceled, TracelapseError) as error:
        reason = str(error)
        _log.info("Job %s: %s", task.record.id, reason or task.record.state)
    except BaseException as error:  # noqa: BLE001 - of a native library, too; the lane goes on with the next job
        reason, is_full = reason_of(error), is_out_of_memory(error)
        with suppress(MemoryError):
            _log.exception("Job %s failed", task.record.id)
    if not task.is_finished:  # it could not even say so itself
        task.fail(reason)
    if is_full:
        gc.collect()  # now that the traceback holds nothing any more


def _close_if_alive(manager: "weakref.ref[JobManager]") -> None:
    alive = manager()
    if alive:
        alive.close()
