"""Processes that begin at once: forks of one that has imported torch and what else they need, which takes seconds."""

import multiprocessing
from multiprocessing.context import ForkServerContext

# All that any test does in such a process: there is one server for all, begun when the first of them is wanted. It
# computes nothing, so that no thread pool is forked.
NEEDED = ["tests.studies.fake_runs", "tests.training.killed"]


def warm() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(NEEDED)
    return context
