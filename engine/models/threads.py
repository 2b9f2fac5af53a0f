"""How many threads compute: torch's, and pieces of work that are done side by side.

Two jobs may run at once, one that trains and one that traces, and once their threads exceed the cores both take two to
three times as long. So a job has half of the cores. A small model is computed with one thread, as it gains nothing from
more. Only work whose bits do not depend on it may also use the cores that no job counts on.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import cache

import torch

from engine.domain.errors import Cancelled

_JOBS_AT_ONCE = 2
_SMALL = 20_000_000  # parameters
_LOOK_S = 0.5  # between looks at how far side-by-side work is

# What has to be done: it is given a function to tell how far it is, which raises once the rest has failed.
Piece = Callable[[Callable[[float], None]], None]


@contextmanager
def one_thread() -> Iterator[None]:
    """One of torch's for the whole process while it is entered: threads that wait for each other cost and hide time."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def use_share(n_parameters: int) -> None:
    """Let torch compute a model of this size with as many of the calling job's threads as it gains from."""
    if _jobs.is_one():
        torch.set_num_threads(_share() if n_parameters >= _SMALL else 1)


@contextmanager
def job() -> Iterator[None]:
    """The calling thread does a job while it is entered."""
    torch.set_num_threads(1)
    with _jobs.entered():
        yield


def side_by_side(pieces: Sequence[Piece], report: Callable[[float, int], None]) -> None:
    """Do all pieces, each with one torch thread; in a job as many at once as it has cores, elsewhere one by one.

    `report` is told the share of the work that is done and how many pieces are, from the calling thread; it may raise,
    which ends them all. Raises what a piece raises.
    """
    done = [0.0] * len(pieces)
    failed = threading.Event()

    def begun(number: int) -> None:
        def tell(fraction: float) -> None:
            if failed.is_set():
                raise Cancelled
            done[number] = fraction

        pieces[number](tell)
        done[number] = 1.0

    left, running = deque(range(len(pieces))), set[Future[None]]()
    with ThreadPoolExecutor(len(pieces), "side-by-side", initializer=torch.set_num_threads, initargs=(1,)) as pool:
        try:
            while left or running:
                while left and len(running) < _jobs.cores_here():
                    running.add(pool.submit(begun, left.popleft()))
                ended, running = wait(running, _LOOK_S, FIRST_COMPLETED)
                for future in ended:
                    future.result()
                report(sum(done) / len(done), sum(one == 1.0 for one in done))
        except BaseException:
            failed.set()
            raise


class _Jobs:
    """Which threads of this process do a job."""

    def __init__(self) -> None:
        self._threads: list[int] = []
        self._lock = threading.Lock()

    @contextmanager
    def entered(self) -> Iterator[None]:
        own = threading.get_ident()
        with self._lock:
            self._threads.append(own)
        try:
            yield
        finally:
            with self._lock:
                self._threads.remove(own)

    def is_one(self) -> bool:
        """Whether the calling thread does a job."""
        return threading.get_ident() in self._threads

    def cores_here(self) -> int:
        """Of the calling thread: its job's share and those that no job counts on."""
        return max(1, _cores() - (len(self._threads) - 1) * _share()) if self.is_one() else 1


_jobs = _Jobs()


def _share() -> int:
    return max(1, _cores() // _JOBS_AT_ONCE)


@cache
def _cores() -> int:
    """Those that this process may use, in a container too."""
    from dask.system import cpu_count

    return int(cpu_count())
