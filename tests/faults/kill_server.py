"""A warm process that forks children to be killed: importing torch and its kin takes seconds, a fork milliseconds.

Reads one JSON order a line and answers with one. The child works as the app does: a JobManager that resumes the
interrupted job of the workspace, or submits the request where there is none. It is killed (SIGKILL)
- mode "delay": `at` seconds after it began, or
- mode "fsync", "rename", "index": at the `at`-th time that it flushes a file, renames one, or writes to the index.
"""

import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

import engine.workflows
from engine.domain.jobs import Request
from engine.jobs import JobManager
from engine.store import Store
from engine.store.index import Index

REQUEST: TypeAdapter[Request] = TypeAdapter(Request)
CHILD_LIMIT_S = 60.0


def warm_up() -> None:
    """Import what the workflows import when they start; compute nothing, so that no thread pool is forked."""
    import torch

    import engine.attribution.trace
    import engine.models.transcoder_training
    import engine.training.fine_tune  # noqa: F401

    torch.set_num_threads(1)


def child(order: dict[str, Any]) -> None:
    counts: Counter[str] = Counter()
    watch(counts, order["mode"], order["at"])
    store = Store(Path(order["workspace"]), bundled=None)
    manager = JobManager(store)
    left = [record for record in manager.snapshot() if record.state == "interrupted"]
    job_id = manager.resume(left[0].id) if left else manager.submit(REQUEST.validate_python(order["request"]))
    while manager.active():
        time.sleep(0.01)
    manager.close()  # waits until the journal is written
    record = manager.job(job_id)
    Path(order["workspace"], "..", "counts.json").write_text(json.dumps(counts), encoding="utf-8")
    if record.error:
        sys.stderr.write(record.error + "\n")
    os._exit(0 if record.state == "done" else 1)


def watch(counts: Counter[str], mode: str, at: float) -> None:
    """Count what changes the disk, and die at the right count."""

    def counted(name: str, function: Callable[..., object]) -> Callable[..., object]:
        def wrapper(*args: object, **kwargs: object) -> object:
            counts[name] += 1
            if name == mode and counts[name] == at:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **kwargs)

        return wrapper

    os.fsync = counted("fsync", os.fsync)
    Path.rename = counted("rename", Path.rename)  # type: ignore[method-assign]
    Path.replace = counted("rename", Path.replace)  # type: ignore[method-assign]
    Index.put = counted("index", Index.put)  # type: ignore[method-assign]


def serve(order: dict[str, Any]) -> dict[str, object]:
    started = time.monotonic()
    pid = os.fork()
    if pid == 0:
        try:
            child(order)
        finally:
            os._exit(2)
    limit = order["at"] if order["mode"] == "delay" else CHILD_LIMIT_S
    status = 0
    while (ended := os.waitpid(pid, os.WNOHANG)) == (0, 0):
        if time.monotonic() - started > limit:
            os.kill(pid, signal.SIGKILL)
            ended = os.waitpid(pid, 0)
            break
        time.sleep(0.002)
    status = ended[1]
    return {
        "killed": os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL,
        "code": os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
        "seconds": time.monotonic() - started,
    }


if __name__ == "__main__":
    assert engine.workflows.run
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print goes to stderr
    warm_up()
    answers.write(json.dumps({"ready": True}) + "\n")
    answers.flush()
    for line in sys.stdin:
        answers.write(json.dumps(serve(json.loads(line))) + "\n")
        answers.flush()
