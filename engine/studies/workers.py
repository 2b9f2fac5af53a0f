"""Where the runs of a study are done: in processes of this machine, or by the workers of a Dask cluster.

Both hand text to `work` and get text back: errors with several arguments do not survive the way between processes.
"""

import logging
import multiprocessing
import os
import re
import signal
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.synchronize import Event
from typing import Any, Literal, Protocol

from engine.domain.errors import Canceled, InputError, TracelapseError
from engine.domain.jobs import CancelToken
from engine.domain.record import Record

logger = logging.getLogger(__name__)
CONNECT_S = 10.0  # for reaching a scheduler
_ADDRESS = re.compile(r"((tcp|tls)://)?([\w.-]+|\[[0-9a-fA-F:]+\]):\d{1,5}", re.ASCII)
GRACE_S = 30.0  # for a run to end after the process that asked for it died

# A process does one run at a time, also as a Dask worker with several threads: torch's random state belongs to it.
_BUSY = threading.Lock()

Work = Callable[[str, str, CancelToken], str]


class WorkerAnswer(Record):
    """What became of one run."""

    state: Literal["done", "failed", "stopped"]
    text: str = ""  # RunOutcome JSON, or the message


class Workers(Protocol):
    """Runs are handed out one by one, so that a run may be given up or done again without the others."""

    def room(self) -> int:
        """How many runs may be under way; 0 where there is no worker at the moment."""

    def submit(self, run_json: str, corpora_json: str) -> "Future[str]":
        """The future of an Answer as JSON; it raises what `died` knows where the worker's process died."""

    def died(self, error: BaseException) -> bool:
        """Was it the worker that died, so that the run may be tried again?"""

    def explain(self, error: BaseException) -> str:
        """Any other error, in words. Raises InputError where no run can be done any more."""

    def close(self) -> None:
        """Stop what is under way, and let go of everything."""


def attempt(work: Work, run_json: str, corpora_json: str, cancel: CancelToken) -> str:
    """The Answer to one run, whatever happens in it."""
    try:
        with _BUSY:
            answer = WorkerAnswer(state="done", text=work(run_json, corpora_json, cancel))
    except Canceled:
        answer = WorkerAnswer(state="stopped")
    except TracelapseError as error:
        answer = WorkerAnswer(state="failed", text=str(error))
    except Exception as error:
        logger.exception("A run failed")
        answer = WorkerAnswer(state="failed", text=f"Unexpected {type(error).__name__}: {error}")
    return answer.model_dump_json()


class LocalWorkers:
    """`n` processes of this machine, each a pool of its own: one that dies takes no other's run with it."""

    def __init__(self, n: int, work: Work) -> None:
        self._work = work
        self._spawn = multiprocessing.get_context("spawn")  # a fork would copy locks that threads hold
        self._stop = self._spawn.Event()
        self._pools = [self._new_pool() for _ in range(n)]
        self._busy: dict[int, Future[str]] = {}  # by place in `_pools`

    def room(self) -> int:
        return len(self._pools)

    def submit(self, run_json: str, corpora_json: str) -> "Future[str]":
        place = next(p for p in range(len(self._pools)) if p not in self._busy or self._busy[p].done())
        try:
            future = self._pools[place].submit(_attempt_local, self._work, run_json, corpora_json)
        except BrokenProcessPool:  # its process died, during the run before this one or while it waited
            self._pools[place].shutdown(wait=False)
            self._pools[place] = self._new_pool()
            future = self._pools[place].submit(_attempt_local, self._work, run_json, corpora_json)
        self._busy[place] = future
        return future

    def died(self, error: BaseException) -> bool:
        return isinstance(error, BrokenProcessPool)

    def explain(self, error: BaseException) -> str:
        return f"Unexpected {type(error).__name__}: {error}"

    def close(self) -> None:
        self._stop.set()
        for pool in self._pools:
            pool.shutdown(wait=True, cancel_futures=True)

    def _new_pool(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(1, self._spawn, initializer=_begin_worker, initargs=(self._stop,))


class DaskWorkers:
    """The workers of the cluster at `address`. Like its scheduler they import this program from where they stand."""

    def __init__(self, address: str, work: Work) -> None:
        """Raises InputError where no scheduler answers."""
        self._address, self._work = address, work
        self._client = _client(address)
        self._executor = self._client.get_executor(pure=False)
        self._futures: set[Future[str]] = set()

    def room(self) -> int:
        """Two for each worker, so that none waits for the next; workers may come and go."""
        if self._client.status != "running":
            raise self._lost()
        return 2 * len(self._client.nthreads())

    def submit(self, run_json: str, corpora_json: str) -> "Future[str]":
        # What is finished is let go of: the scheduler would have it computed again where the worker that did it dies.
        self._futures = {future for future in self._futures if not future.done()}
        future: Future[str] = self._executor.submit(_attempt_remote, self._work, run_json, corpora_json)
        self._futures.add(future)
        return future

    def died(self, error: BaseException) -> bool:
        return False  # Dask itself has tried again, on other workers, before it says KilledWorker

    def explain(self, error: BaseException) -> str:
        from distributed import KilledWorker

        if isinstance(error, KilledWorker):
            return "Its worker kept dying. Check the workers' memory and logs."
        if isinstance(error, ImportError) or "deserialization" in str(error):
            raise InputError(
                f"The Dask cluster at {self._address} cannot import this program. Start its scheduler and its workers "
                "in a folder that has this version of it, with `python -m dask scheduler` and `python -m dask worker`."
            )
        if self._client.status != "running":
            raise self._lost()
        return f"Unexpected {type(error).__name__}: {error}"

    def close(self) -> None:
        for future in self._futures:
            future.cancel()
        self._client.close(timeout=CONNECT_S)

    def _lost(self) -> InputError:
        return InputError(
            f"The Dask scheduler at {self._address} went away. What is finished is kept: start a scheduler and its "
            "workers, and run the same command again."
        )


class _Flag:
    """The cancel token in a worker process of this machine."""

    def __init__(self, stop: Event) -> None:
        self._stop = stop

    def check(self) -> None:
        if self._stop.is_set():
            raise Canceled


class _DaskFlag:
    """The cancel token in a Dask worker: set where the client gave the run up, or is gone."""

    def __init__(self) -> None:
        from distributed import get_worker

        self._worker = get_worker()
        self._key = self._worker.get_current_task()

    def check(self) -> None:
        task = self._worker.state.tasks.get(self._key)
        if task is None or task.state == "cancelled":
            raise Canceled


_flags: list[_Flag] = []  # one, in a worker process


def _begin_worker(stop: Event) -> None:
    """The first thing in each worker process."""
    os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent says what to do
    logging.basicConfig(level=logging.CRITICAL)
    warnings.simplefilter("ignore")  # other packages' notes to programmers, in the middle of a progress bar
    _flags.append(_Flag(stop))
    threading.Thread(target=_end_with_parent, args=(stop,), daemon=True, name="parent").start()


def _end_with_parent(stop: Event) -> None:
    """A pool's process would wait for ever for a parent that was killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None  # this is a worker
    parent.join()
    stop.set()
    _BUSY.acquire(timeout=GRACE_S)  # until the run has cleaned up after itself
    os._exit(1)


def _attempt_local(work: Work, run_json: str, corpora_json: str) -> str:
    return attempt(work, run_json, corpora_json, _flags[0])


def _attempt_remote(work: Work, run_json: str, corpora_json: str) -> str:
    return attempt(work, run_json, corpora_json, _DaskFlag())


def _client(address: str) -> Any:
    """A distributed.Client. Raises InputError where no scheduler answers."""
    if not _ADDRESS.fullmatch(address):
        problem = "it is not an address"
    else:
        try:
            return _client_class()(address, timeout=CONNECT_S, set_as_default=False)
        except (OSError, ValueError, TypeError) as error:
            problem = " ".join(str(error).split())[:120]
    # Not raised above: with the error in its context, the unfinished client would live as long as this one.
    raise InputError(
        f"No Dask scheduler answers at “{address[:80]}”: {problem}. Give the address that its scheduler prints, as "
        "tcp://127.0.0.1:8786, or leave --scheduler out to do the runs here."
    )


def _client_class() -> Any:
    """As it is imported, distributed sets up logs to stderr; here the root logger's level decides what is written."""
    import dask

    level = logging.getLevelName(max(logging.getLogger().level, logging.WARNING))
    with dask.config.set({"logging": dict.fromkeys(("distributed", "distributed.client", "tornado"), level)}):
        from distributed import Client
    return Client
