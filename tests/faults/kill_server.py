"""A warm process that forks children to be killed: importing torch and its kin takes seconds, a fork milliseconds.

Reads one JSON order a line and answers with one; what the child counted, and why it failed, goes to the file `told`.
The child works as the app does: a JobManager that resumes the job of the workspace that was stopped, or submits the
request where there is none; or it calls a method of the store. It is killed (SIGKILL)
- mode "delay": `at` seconds after it began, or
- mode "fsync", "rename", "unlink", "index": at the `at`-th time that it flushes a file, renames or links one, removes
  one, or writes to the index.
"""

import json
import os
import pkgutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

import engine.workflows
from engine.domain.errors import NotFound, TracelapseError
from engine.domain.jobs import Request
from engine.jobs import JobManager
from engine.store import Store
from engine.store.index import Index

REQUEST: TypeAdapter[Request] = TypeAdapter(Request)
CHILD_LIMIT_S = 120.0


def warm_up() -> None:
    """Import what the workflows import when they start; compute nothing, so that no thread pool is forked."""
    import torch

    import engine.training.fine_tune

    for module in pkgutil.iter_modules(engine.workflows.__path__):
        import_module(f"engine.workflows.{module.name}")
    torch.set_num_threads(1)


def opened(workspace: Path) -> Store:
    """As the app and the command line open it, but without the demo."""
    store = Store(workspace, bundled=None)
    store._finish_renamings()
    return store


def child(order: dict[str, Any]) -> None:
    counts: Counter[str] = Counter()
    watch(counts, order["mode"], order["at"])
    try:
        store = opened(Path(order["workspace"]))
        error = call(store, *order["call"]) if "call" in order else job(store, order["request"])
    except TracelapseError as caught:
        error = str(caught)
    Path(order["told"]).write_text(json.dumps({"counts": counts, "error": error}), encoding="utf-8")
    os._exit(1 if error else 0)


def call(store: Store, method: str, *arguments: Any) -> str:
    """What was done before it was killed need not be done again."""
    with suppress(NotFound):
        getattr(store, method)(*arguments)
    return ""


def job(store: Store, request: Any) -> str:
    """Why it failed; empty where it did not."""
    manager = JobManager(store)
    left = [record for record in manager.snapshot() if record.state in ("interrupted", "failed")]
    job_id = manager.resume(left[0].id) if left else manager.submit(REQUEST.validate_python(request))
    while manager.active():
        time.sleep(0.01)
    manager.close()  # waits until the journal is written
    record = manager.job(job_id)
    return "" if record.state == "done" else record.error or record.state


def watch(counts: Counter[str], mode: str, at: float) -> None:
    """Count what changes the disk, and die at the right count."""

    def counted(name: str, function: Callable[..., object]) -> Callable[..., object]:
        def wrapper(*args: object, **kwargs: object) -> object:
            counts[name] += 1
            if name == mode and counts[name] == at:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **kwargs)

        return wrapper

    calls = {"fsync": "fsync", "rename": "rename", "replace": "rename", "link": "rename"}
    for one, name in {**calls, "unlink": "unlink", "rmdir": "unlink"}.items():
        setattr(os, one, counted(name, getattr(os, one)))
    Index.put = counted("index", Index.put)  # type: ignore[method-assign]
    Index.drop = counted("index", Index.drop)  # type: ignore[method-assign]


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
