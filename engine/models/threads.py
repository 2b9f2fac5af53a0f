"""How many threads compute: torch's, and pieces of work that are done side by side.

Two jobs may run at once, one that trains and one that traces, and once their threads exceed the cores both take two to
three times as long. So a job has half of the cores. A small model is computed with one thread, as it gains nothing from
more. Only pieces of work that each have one thread, so that their bits do not depend on how many are done at once, may
also use the cores that no job counts on.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import cache, partial

import torch

from engine.domain.errors import Canceled

_JOBS_AT_ONCE = 2
_SMALL = 20_000_000  # parameters
_LOOK_S = 0.5  # between looks at how far side-by-side work is, and how many cores it has

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


def side_by_side(
    pieces: Sequence[Piece], report: Callable[[float, int], None], *, sizes: Sequence[float] | None = None
) -> None:
    """Do all pieces, each with one torch thread, as many at once as there are cores that no other job counts on.

    Gradients and inference are as for the caller. `report` is told the share of the work that is done and how many
    pieces are, from the calling thread; it may raise, which ends them all. `sizes`: of each piece, where they differ.
    Raises what a piece raises.
    """
    work, running = _SideBySide(pieces, sizes or [1.0] * len(pieces)), set[Future[None]]()
    with ThreadPoolExecutor(len(pieces), "side-by-side", initializer=torch.set_num_threads, initargs=(1,)) as pool:
        try:
            while work.left or running:
                while work.left and len(running) < cores_here():
                    running.add(pool.submit(work.do_some))
                ended, running = wait(running, _LOOK_S, FIRST_COMPLETED)
                for future in ended:
                    future.result()
                report(*work.so_far())
        except BaseException:
            work.failed.set()
            raise


class _SideBySide:
    """Pieces of work, and how far they are."""

    def __init__(self, pieces: Sequence[Piece], sizes: Sequence[float]) -> None:
        self._pieces, self._sizes = pieces, sizes
        self._done = [0.0] * len(pieces)
        self._modes = torch.is_inference_mode_enabled(), torch.is_grad_enabled()
        self.left = deque(range(len(pieces)))
        self.failed = threading.Event()

    def so_far(self) -> tuple[float, int]:
        """The share of the work that is done, and how many pieces are."""
        done = sum(one * size for one, size in zip(self._done, self._sizes, strict=True))
        return done / sum(self._sizes), sum(one == 1.0 for one in self._done)

    def do_some(self) -> None:
        """One piece after the other, until it is time to look again: to come back for each would cost a small one."""
        until = time.monotonic() + _LOOK_S
        is_inference, with_gradients = self._modes
        with torch.inference_mode(is_inference), torch.set_grad_enabled(with_gradients):
            while time.monotonic() < until and not self.failed.is_set():
                try:
                    number = self.left.popleft()
                except IndexError:
                    return
                self._pieces[number](partial(self._tell, number))
                self._done[number] = 1.0

    def _tell(self, number: int, fraction: float) -> None:
        if self.failed.is_set():
            raise Canceled
        self._done[number] = fraction


def cores_here() -> int:
    """How many pieces of work the calling thread may do side by side."""
    return _jobs.cores_here()


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
        """Of the calling thread: those that no other job counts on."""
        return max(1, _cores() - (len(self._threads) - self.is_one()) * _share())


_jobs = _Jobs()


def _share() -> int:
    return max(1, _cores() // _JOBS_AT_ONCE)


@cache
def _cores() -> int:
    """Those that this process may use, in a container too."""
    from dask.system import cpu_count

    return int(cpu_count())
