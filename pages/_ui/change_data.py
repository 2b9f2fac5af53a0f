"""What the change charts are drawn from, kept between reruns: a series' circuits are a thousand graphs."""

import hashlib

import streamlit as st

from engine.analysis.run_changes import RunChanges
from engine.domain.decisions import Capture
from engine.domain.series import GraphSeries
from engine.store import Store
from engine.workflows.changes import captures_of, changes_of
from pages._ui.cached import stamp


def changes(store: Store, series: GraphSeries) -> RunChanges:
    """`changes_of`, computed again only when the series has other graphs. Raises as it does."""
    return _changes(store, series, str(store.workspace), _content(series))


def captures(store: Store, series: GraphSeries) -> tuple[Capture, ...]:
    """All that is known of each checkpoint of the run, the circuits of the series among it."""
    return _captures(store, series, str(store.workspace), _content(series), stamp(store, series.key.run))


def _content(series: GraphSeries) -> str:
    """A series is saved while it grows: its name alone would keep its first graphs."""
    return hashlib.sha256(series.model_dump_json().encode()).hexdigest()


@st.cache_data(max_entries=16, show_spinner="Laying the circuits of all checkpoints side by side …")
def _changes(_store: Store, _series: GraphSeries, workspace: str, content: str) -> RunChanges:
    return changes_of(_store, _series)


@st.cache_data(max_entries=16, show_spinner=False)
def _captures(
    _store: Store, _series: GraphSeries, workspace: str, content: str, measured: tuple[tuple[int, int], ...]
) -> tuple[Capture, ...]:
    found = _changes(_store, _series, workspace, content)
    return captures_of(_store, _series.key.run, found, overlap=_series.overlap)
