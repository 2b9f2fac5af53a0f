"""The runs that the Methods page compares, as tables."""

from collections.abc import Callable, Hashable
from functools import cache
from typing import Any

import pandas as pd
import streamlit as st

from engine.domain.corpus import Corpus
from engine.domain.errors import Damaged, InputError, NotFound
from engine.domain.numbers import plural
from engine.domain.studies import Study
from engine.store import RunInfo, Store
from engine.studies.comparison import finished_runs, own_rows, run_row, study_rows
from pages._ui.kept import kept
from pages._ui.text import plain

_MOST_TOLD = 5


def runs_of_study(store: Store, study: Study) -> pd.DataFrame | None:
    """A row a run of the study's grids; None, with a message, where its tables cannot be read."""
    try:
        return study_rows(store.study_tables(study.spec.name))
    except (Damaged, NotFound) as error:
        st.error(plain(f"The tables of this study cannot be read: {error}"), icon=":material/error:")
        return None


def own_runs(store: Store) -> pd.DataFrame:
    """A row a finished run of this workspace. A run whose corpus is gone has no scores: it is named and left out."""
    rows, left_out = [], []
    corpus = cache(store.corpus)  # for this drawing: most runs have the same
    for info in finished_runs(store):
        try:
            key = str(store.workspace), info.name, info.created_at, _measured(store, info)
            rows.append(_row(store, info, corpus, key))
        except (NotFound, Damaged, InputError) as error:
            left_out.append(f"{info.name}: {error}")
    for text in left_out[:_MOST_TOLD]:
        st.warning(plain(text), icon=":material/warning:")
    if len(left_out) > _MOST_TOLD:
        st.warning(f"{plural(len(left_out) - _MOST_TOLD, 'more run')} left out likewise.", icon=":material/warning:")
    return own_rows([row for row in rows if row is not None])


def _measured(store: Store, info: RunInfo) -> Hashable:
    """Equal while the last checkpoint's probes were not measured anew, and the corpus is the same."""
    return store.measured_at(info), info.config.corpus_hash


@kept()
def _row(_store: Store, _info: RunInfo, _corpus: Callable[[str], Corpus], key: Hashable) -> dict[str, Any] | None:
    return run_row(_store, _info, _corpus)
