"""Altair charts on pages: each is made once, then kept as the Vega-Lite spec that the browser gets.

To make and convert a chart takes tens of milliseconds, a page has a dozen of them, and each click runs it again. So a
page names the function that makes a chart and what it is given, as a `partial`. The chart is made again only when
something of that differs: whatever a chart shows is an argument, so none can be forgotten.
"""

import copy
import dataclasses
import hashlib
import json
from collections.abc import Mapping
from functools import partial
from typing import Any, Final, Literal

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st
from altair.utils import schemapi
from pydantic import BaseModel
from streamlit.dataframe_util import convert_pandas_df_to_arrow_bytes

from pages._ui.kept import kept

Spec = dict[str, Any]
_THEME_SIZES: Final = ("continuousWidth", "continuousHeight")


def kept_chart(make: "partial[Any]") -> Spec:
    """The chart that `make` gives. `make`: a function of a module, whose chart depends on its arguments alone."""
    return kept_charts(make)[""]


def kept_charts(make: "partial[Any]") -> dict[str, Spec]:
    """As `kept_chart`, where `make` gives several charts by name."""
    return copy.deepcopy(_kept(make, _content(make)))  # Streamlit writes into what it draws; tables are not copied


def draw(
    chart: Spec, *, key: str, alt: str | None = None, height: int | None = None, selection: str = ""
) -> list[Mapping[str, object]]:
    """Gives the points of the `selection` that were clicked. `alt`: what the chart shows, in words.

    `height`: in pixels, kept from the first moment, so that nothing moves when the chart is drawn.
    """
    room: Literal["content"] | int = "content" if height is None else height
    if not selection:
        st.vega_lite_chart(chart, key=key, alt=alt, height=room)
        return []
    picked = st.vega_lite_chart(chart, key=key, alt=alt, height=room, on_select="rerun", selection_mode=selection)
    return list(picked.get("selection", {}).get(selection, []))


@kept()
def _kept(_make: "partial[Any]", content: str) -> dict[str, Spec]:
    # Altair would validate every part as it is made, and the whole at the end: the tests of the figures do that. The
    # switch is the process's: where threads overlap, it may stay off, or go on too early, which only takes time.
    with schemapi.debug_mode(False):
        made = _make()
        return {name: _spec(chart) for name, chart in (made if isinstance(made, Mapping) else {"": made}).items()}


def _spec(chart: alt.TopLevelMixin) -> Spec:
    """As `st.altair_chart` converts it, but without Altair's settings, which all threads share.

    Altair gets the names of the tables instead of their rows, so its limit of 5,000 does not apply either.
    """
    tables: dict[str, bytes] = {}
    _take_tables(chart, tables)
    spec: Spec = chart.to_dict(validate=False)
    config = spec.get("config", {})
    view = config.get("view", {})
    for name in _THEME_SIZES:  # of Altair's theme: a chart is as large as its place on the page
        view.pop(name, None)
    if not view:
        config.pop("view", None)
    if not config:
        spec.pop("config", None)
    return spec | {"datasets": spec.get("datasets", {}) | tables}


def _take_tables(chart: Any, tables: dict[str, bytes]) -> None:
    """Moves the rows of a chart and of its layers to `tables` as Arrow, which Streamlit sends as it is."""
    if isinstance(chart.data, pd.DataFrame):
        table = convert_pandas_df_to_arrow_bytes(chart.data)
        name = hashlib.sha256(table).hexdigest()
        tables[name] = table
        chart.data = alt.NamedData(name=name)
    for layer in chart.layer if isinstance(chart, alt.LayerChart) else ():
        _take_tables(layer, tables)


def _content(make: "partial[Any]") -> str:
    """Equal for all that decides what `make` gives. Raises TypeError where that cannot be told."""
    name = f"{make.func.__module__}.{make.func.__qualname__}"
    if "<" in name:  # a lambda or an inner function may take more than its arguments
        raise TypeError(f"{name} is no function of a module")
    return hashlib.sha256(_json([name, make.args, make.keywords]).encode("utf-8", "surrogatepass")).hexdigest()


def _json(value: object) -> str:
    """Exact, in the order given: the order of runs decides their place in a legend."""
    return json.dumps(value, default=_parts)


def _parts(value: Any) -> object:
    if isinstance(value, pd.DataFrame):
        columns = [(name, str(column.dtype), column.tolist()) for name, column in value.items()]
        return ["table", value.index.tolist(), columns]
    if isinstance(value, BaseModel):
        # Six times as fast as its parts one by one: a loss has ten thousand steps, and a poll asks each second. What is
        # no number is null; records are read from files, which hold none.
        return [type(value).__qualname__, value.model_dump_json()]
    if dataclasses.is_dataclass(value):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return [type(value).__qualname__, fields]
    if isinstance(value, np.ndarray):
        return ["array", str(value.dtype), value.tolist()]
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"a chart cannot be kept by a {type(value).__qualname__}")
