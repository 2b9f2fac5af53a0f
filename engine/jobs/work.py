"""The real work behind a job. Workflows, and with them torch, are imported only when a job starts."""

import os

from engine.domain.jobs import CancelToken, Report, Request
from engine.jobs import warm_up
from engine.jobs.task import Work
from engine.store import Store


def workflow(n_threads: int) -> Work:
    """Runs a request's workflow, with torch kept to `n_threads` in the calling thread.

    As soon as the torch threads of two workers together exceed the cores, both run more than twice as slow.
    """

    def work(store: Store, request: Request, report: Report, cancel: CancelToken) -> str:
        warm_up.end()
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        from engine.workflows import run

        if request.action != "make_corpus":
            report(0.0, "Loading libraries")
            import torch

            torch.set_num_threads(n_threads)
        return run(store, request, report, cancel)

    return work
