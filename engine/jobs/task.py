"""One job while this process works on it: progress, time left, cancellation, outcome."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable

from engine.domain.errors import Canceled, TracelapseError
from engine.domain.foreign import is_disk_full, is_out_of_memory
from engine.domain.jobs import FINISHED, CancelToken, JobRecord, JobState, Progress, Report, Request
from engine.jobs.journal import Journal
from engine.store import Store

_log = logging.getLogger(__name__)
HEARTBEAT_S = 2.0  # the journal of a running job is never older than this
# The time left is judged by the speed within the last third of a job, at least within this time: actions have stages of
# unequal speed, and other programs take turns with the processor.
_WINDOW_S, _WINDOW = 20.0, 1 / 3
_SAMPLE_S = 0.25

Work = Callable[[Store, Request, Report, CancelToken], str]


class JobTask:
    """Also the cancel token that its workflow asks. Any thread may call any method."""

    def __init__(self, journal: Journal, record: JobRecord) -> None:
        self._journal, self._record = journal, record
        self._lock = threading.Lock()  # of the record; never held while the disk is waited for
        self._writing = threading.Lock()
        self._stop = threading.Event()
        self._closing = False
        self._recent: deque[tuple[float, float]] = deque()  # (monotonic seconds, fraction)
        self._began = 0.0  # when its fraction was 0 last: until then it was loading
        self._is_forgotten = self._is_written = False
        self._written_at = 0.0
        self.write()

    @property
    def record(self) -> JobRecord:
        return self._record

    @property
    def is_finished(self) -> bool:
        return self._record.state in FINISHED

    def cancel(self, *, closing: bool = False) -> None:
        """Ask it to stop; a queued job ends at once. `closing`: the app ends, so the job counts as interrupted."""
        self._closing = closing
        self._stop.set()
        self._end(*self._canceled(), unless="running")

    def check(self) -> None:
        """Raises Canceled when the user wants the job to stop."""
        if self._stop.is_set():
            raise Canceled

    def report(self, fraction: float, message: str) -> None:
        """Only remembers; `pulse` writes. So a step of training never waits for the disk."""
        fraction = min(max(fraction, 0.0), 1.0)
        progress = Progress(fraction=fraction, message=message, eta_s=self._eta_s(fraction))
        self._update(progress=progress)

    def pulse(self) -> None:
        """Called about twice a second: sees the flag of other processes, writes what is new, or a heartbeat."""
        if self.is_finished:
            if not self._is_written:  # the disk was full when it ended
                self.write()
            return
        if self._journal.is_canceled(self._record.id):
            self.cancel()
        if not self._is_written or time.monotonic() - self._written_at > HEARTBEAT_S * 0.75:
            self._update(heartbeat_at=time.time())
            self.write()

    def write(self) -> None:
        """Write the journal. The latest record is taken under the lock: an older one never replaces a newer one."""
        with self._writing:
            if self._is_forgotten:
                return
            record = self._record
            if self._journal.write(record):
                self._is_written = record is self._record
            self._written_at = time.monotonic()

    def forget(self) -> None:
        """Remove the journal of a finished job; the worker may be just about to write it a last time."""
        with self._writing:
            self._is_forgotten = True
            self._journal.forget(self._record.id)

    def begin(self) -> bool:
        """queued -> running; False where it was canceled meanwhile."""
        if self._journal.is_canceled(self._record.id):
            self.cancel()
        now = time.time()
        with self._lock:
            if self._record.state != "queued":
                return False
            self._record = self._record.model_copy(update={"state": "running", "started_at": now, "heartbeat_at": now})
        self.write()
        return True

    def run(self, work: Work, store: Store) -> str:
        """Do the work and keep its outcome. Raises what it raises: TracelapseError, Canceled, or anything."""
        try:
            result = work(store, self._record.request, self.report, self)
        except BaseException as error:
            if isinstance(error, Canceled) or (isinstance(error, KeyboardInterrupt) and _in_main_thread()):
                self._end(*self._canceled())
            else:
                self.fail(reason_of(error))
            raise
        self._update(progress=Progress(fraction=1.0, message=self._record.progress.message, eta_s=0.0))
        self._end("done", "", result=result)
        return result

    def fail(self, reason: str) -> None:
        """It will not be gone on with."""
        self._end("failed", reason)

    def _canceled(self) -> tuple[JobState, str]:
        return ("interrupted", "The program was closed while this was running.") if self._closing else ("cancelled", "")

    def _end(self, state: JobState, error: str, *, result: str = "", unless: JobState | None = None) -> None:
        with self._lock:
            if self.is_finished or self._record.state == unless:
                return
            self._record = self._record.model_copy(
                update={"state": state, "error": error, "result": result, "finished_at": time.time()}
            )
            self._is_written = False
        self.write()
        self._journal.lower_flag(self._record.id)

    def _update(self, **changes: object) -> None:
        with self._lock:
            if not self.is_finished:
                self._record = self._record.model_copy(update=changes)
                self._is_written = False

    def _eta_s(self, fraction: float) -> float | None:
        now = time.monotonic()
        if fraction == 0.0 or not self._recent:
            self._recent.clear()
            self._began = now
        if not self._recent or now - self._recent[-1][0] >= _SAMPLE_S:
            self._recent.append((now, fraction))
        window = max(_WINDOW_S, _WINDOW * (now - self._began))
        while len(self._recent) > 2 and now - self._recent[1][0] > window:
            self._recent.popleft()
        elapsed, gained = now - self._recent[0][0], fraction - self._recent[0][1]
        return elapsed / gained * (1 - fraction) if elapsed > 1 and gained > 0 else None


def reason_of(error: BaseException) -> str:
    """What a failed job says of itself."""
    if isinstance(error, TracelapseError):
        return str(error)
    if is_out_of_memory(error):
        return (
            f"There was not enough memory ({_first_line(error) or 'it was refused'}). Close other programs, or ask for "
            "less: shorter prompts, fewer features, a smaller batch, a smaller model."
        )
    if is_disk_full(error):
        return (
            f"The disk is full ({_first_line(error)}). Nothing saved before is lost. Free some space, then resume it."
        )
    return f"Unexpected error: {type(error).__name__}: {error}"


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0][:300].rstrip(".")


def _in_main_thread() -> bool:
    """Only there Ctrl-C arrives; elsewhere a library has raised it."""
    return threading.current_thread() is threading.main_thread()
