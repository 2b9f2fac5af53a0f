"""A job in the calling thread: the command line's way, with the same journal."""

import logging
import threading

from engine.domain.errors import Canceled, TracelapseError
from engine.domain.jobs import CancelToken, Report, Request
from engine.jobs.journal import Journal
from engine.jobs.task import JobTask, Work
from engine.jobs.titles import title_of
from engine.jobs.work import work
from engine.store import Store

_log = logging.getLogger(__name__)
PULSE_S = 0.5


def run_inline(store: Store, request: Request, *, on_progress: Report, run: Work | None = None) -> str:
    """The workflow's result. The app sees the job and can cancel it.

    run: what does the work; None is `engine.workflows.run`.
    Raises TracelapseError (also for what no one expected, with the traceback in the log), Canceled, KeyboardInterrupt.
    """
    journal = Journal(store)
    task = JobTask(journal, journal.open(request, title_of(request, store)))
    do = run or work
    task.begin()

    def reporting(inner_store: Store, inner_request: Request, report: Report, cancel: CancelToken) -> str:
        def both(fraction: float, message: str) -> None:
            report(fraction, message)
            on_progress(fraction, message)

        return do(inner_store, inner_request, both, cancel)

    ended = threading.Event()
    pulse = threading.Thread(target=_pulse, args=(task, ended), name="pulse", daemon=True)
    pulse.start()
    try:
        return task.run(reporting, store)
    except (TracelapseError, Canceled, KeyboardInterrupt):
        raise
    except BaseException as error:  # also what a native library raises
        _log.exception("Job %s failed", task.record.id)
        raise TracelapseError(task.record.error) from error
    finally:
        ended.set()
        pulse.join()


def _pulse(task: JobTask, ended: threading.Event) -> None:
    while not ended.wait(PULSE_S):
        task.pulse()
