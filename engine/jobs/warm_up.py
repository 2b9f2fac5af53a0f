"""Import what jobs need while nobody is waiting, so that the first job begins at once.

The imports take seconds of one core. They begin only after a page was served and none has been asked for in a while,
and they wait again between two packages when a page is asked for. A job that starts meanwhile ends them: it waits for
the package that is being imported and imports what it needs itself, so that no two threads import one package.
"""

import importlib
import logging
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from engine.models.libraries import made_to_stay

_log = logging.getLogger(__name__)
IDLE_S = 3.0  # without a page being drawn
PACKAGES = (
    "torch",
    "transformers",
    "peft",
    "transformers.trainer",
    "circuit_tracer",
    "engine.training.fine_tune",
    "engine.workflows.training",
    "engine.workflows.live",
    "engine.models.transcoder_training",
)


class WarmUp:
    """One thread that imports `packages` in its time. Any thread may call any method."""

    def __init__(self, packages: Sequence[str] = PACKAGES, *, idle_s: float = IDLE_S) -> None:
        self._packages, self._idle_s = packages, idle_s
        self._state = threading.Condition()
        self._n_pages = 0  # being drawn
        self._served_at: float | None = None  # when the last one was done
        self._ended = False
        self._importing = threading.Lock()
        self.thread = threading.Thread(target=self._run, name="warm-up", daemon=True)

    @contextmanager
    def page(self) -> Iterator[None]:
        """Around the drawing of a page: nothing is begun meanwhile."""
        with self._state:
            self._n_pages += 1
        try:
            yield
        finally:
            with self._state:
                self._n_pages -= 1
                self._served_at = time.monotonic()
                self._state.notify_all()

    def end(self) -> None:
        """Import nothing more. Returns when the package that is being imported is there."""
        with self._state:
            self._ended = True
            self._state.notify_all()
        with self._importing:
            pass

    def _run(self) -> None:
        if hasattr(os, "setpriority"):  # of this thread alone, where the system is Linux
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        for name in self._packages:
            if not self._may_go_on():
                return
            with self._importing:
                if self._ended:
                    return
                _import(name)

    def _may_go_on(self) -> bool:
        """Waits until no page has been drawn for a while; False where it was ended."""
        with self._state:
            while not self._ended:
                left = self._idle_s if self._served_at is None else self._served_at + self._idle_s - time.monotonic()
                if self._served_at is not None and not self._n_pages and left <= 0:
                    return True
                self._state.wait(left if self._served_at is not None and not self._n_pages else None)
            return False


_current: WarmUp | None = None  # of the server that this process is; tests and the command line have none


def start() -> None:
    """Begin to wait for an idle moment. Called once, when the server starts."""
    global _current  # noqa: PLW0603 - one a process
    _current = WarmUp()
    _current.thread.start()


@contextmanager
def page_being_drawn() -> Iterator[None]:
    """Around each page; without a server it does nothing."""
    if _current is None:
        yield
    else:
        with _current.page():
            yield


def end() -> None:
    """Before a job imports what it needs."""
    if _current is not None:
        _current.end()


def _import(name: str) -> None:
    try:
        with made_to_stay():
            importlib.import_module(name)
    except Exception as error:  # noqa: BLE001 - the job that needs it says so
        _log.warning("%s could not be imported in advance: %s", name, error)
