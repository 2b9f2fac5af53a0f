"""The runs that the Methods page compares, as tables."""

import pandas as pd
import streamlit as st

from engine.domain.errors import Damaged, NotFound
from engine.domain.studies import Study
from engine.store import Store
from engine.studies.comparison import finished_runs, own_rows, study_rows
from pages._ui.cached import scores
from pages._ui.text import plain


def runs_of_study(store: Store, study: Study) -> pd.DataFrame | None:
    """A row a run of the study's grids; None, with a message, where its tables cannot be read."""
    try:
        return study_rows(store.study_tables(study.spec.name))
    except (Damaged, NotFound) as error:
        st.error(plain(f"The tables of this study cannot be read: {error}"), icon=":material/error:")
        return None


def own_runs(store: Store) -> pd.DataFrame:
    """A row a finished run of this workspace. A run whose corpus is gone has no scores: it is named and left out."""
    found = {}
    for info in finished_runs(store):
        try:
            found[info.name] = scores(store, info.name)
        except (NotFound, Damaged) as error:
            st.warning(plain(f"{info.name}: {error}"), icon=":material/warning:")
    return own_rows(store, found)
