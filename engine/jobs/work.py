"""The real work behind a job. Workflows, and with them torch, are imported only when a job starts."""

import os

from engine.domain.jobs import CancelToken, Report, Request
from engine.jobs import warm_up
from engine.store import Store


def work(store: Store, request: Request, report: Report, cancel: CancelToken) -> str:
    """Runs the workflow of a request, with the calling job's share of the cores."""
    warm_up.end()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from engine.workflows import run

    if request.action == "make_corpus":
        return run(store, request, report, cancel)
    report(0.0, "Loading libraries")
    from engine.models.libraries import load_libraries

    load_libraries()
    from engine.models.threads import job

    with job():
        return run(store, request, report, cancel)
