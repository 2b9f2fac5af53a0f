"""Probe scores, kept between reruns: a poll would compute them again each second though nothing has changed.

A page that polls shares the interpreter with the training it watches.
"""

from collections.abc import Hashable

import pandas as pd

from engine.store import Store
from engine.workflows.queries import run_scores
from pages._ui.kept import kept


def scores(store: Store, run: str) -> pd.DataFrame:
    """`run_scores`, computed again when a checkpoint's probe results are new. Raises as it does."""
    return _scores(store, str(store.workspace), run, stamp(store, run))


def stamp(store: Store, run: str) -> tuple[tuple[int, int], ...]:
    """`Store.probe_times`: equal while nothing was measured anew."""
    return store.probe_times(run)


@kept()
def _scores(_store: Store, workspace: str, run: str, measured: Hashable) -> pd.DataFrame:
    return run_scores(_store, run)
