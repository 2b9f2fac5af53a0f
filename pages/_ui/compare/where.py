"""Compare's first answer: where training acted. It needs no graphs, so it is there for any two checkpoints."""

from functools import partial

import pandas as pd
import streamlit as st

from engine.analysis.acted import (
    acted_sentence,
    effect_table,
    head_table,
    layer_name,
    matrix_table,
    place_table,
    token_table,
)
from engine.domain.acted import Acted
from engine.domain.jobs import Request, Where
from engine.figures.acted_chart import acted_map, map_height
from engine.workflows.queries import stored_acted
from pages._ui.charts import draw, kept_chart
from pages._ui.compare.selection import Selection
from pages._ui.jobs.button import job_button
from pages._ui.session import store
from pages._ui.text import plain

TABLE_PX = 400
_MOST_EFFECTS = 200  # rows; a real model has thousands
_EFFECT = st.column_config.NumberColumn(
    "effect",
    format="%+.3f",
    help="What the answer would lose, about, if this MLP or head wrote in B what it wrote in A: its change times the "
    "mean of the gradients in A and B.",
)
_PART = st.column_config.NumberColumn("part", format="%+.3f", help="What it adds to the change of the logit.")


def where_training_acted(selection: Selection) -> None:
    """What is stored, or how to get it."""
    if selection.group:
        st.info("This view is about one prompt. Choose one above.")
        return
    found = stored_acted(store(), selection.a.ref, selection.b.ref, selection.prompt)
    if found is None:
        _not_measured(selection)
        return
    st.markdown(plain(acted_sentence(found)))
    if not any(stretch.matrices for stretch in found.stretches):
        return
    left, right = st.columns([3, 2], gap="medium")
    with left:
        chart = kept_chart(partial(acted_map, place_table(found), found.tokens, found.n_layers))
        height = map_height(found.n_layers)
        draw(chart, key="where map", height=height, alt="Parts of the logit's change by layer and token.")
        st.caption(
            "Orange raised the logit, blue lowered it. A part says where a change was made, not that it would stay if "
            "others were undone."
        )
    with right:
        _tables(found)


def _not_measured(selection: Selection) -> None:
    with st.container(border=True):
        st.subheader("Where did training act?")
        st.markdown(
            "See which tokens, layers, matrices and heads made the difference between "
            f"**{plain(selection.a.ref)}** and **{plain(selection.b.ref)}** on “{plain(selection.prompt)}”. "
            "It needs no transcoders."
        )
        job_button(
            Where(a=selection.a.ref, b=selection.b.ref, prompt=selection.prompt),
            label="Find where training acted", key="where", icon=":material/my_location:",
            note="Seconds on the demo's model. You can leave this page; the result is kept.",
            covers=lambda request: _is_for(request, selection),
        )  # fmt: skip


def _tables(found: Acted) -> None:
    names = ("Tokens", "Matrices", "Heads", "What matters most")
    for name, tab in zip(names, st.tabs(names, key="where tab", on_change="rerun"), strict=True):
        if tab.open:  # only the open one is drawn
            with tab:
                _table(_rows(name, found))


def _rows(name: str, found: Acted) -> pd.DataFrame:
    if name == "Tokens":
        labels = [ref.partition("@")[2] for ref in found.key.checkpoints]
        several = len(found.stretches) > 1
        stretches = {str(n): f"to {labels[n + 1]}" for n in range(len(found.stretches))} if several else {}
        return token_table(found)[["token", "part", *stretches]].rename(columns=stretches)
    if name == "Matrices":
        return matrix_table(found)[["matrix", "part"]]
    if name == "What matters most":
        effects = effect_table(found).head(_MOST_EFFECTS)
        kinds = [
            kind if head is None else f"head {head}"
            for kind, head in zip(effects["kind"], effects["head"], strict=True)
        ]
        layers = [layer_name(layer, found.n_layers) for layer in effects["layer"]]
        return effects.assign(layer=layers, kind=kinds)[["layer", "kind", "token", "effect"]]
    heads = head_table(found)
    return heads.assign(layer=[layer_name(layer, found.n_layers) for layer in heads["layer"]])


def _table(rows: pd.DataFrame) -> None:
    numbers = [column for column in rows.columns if rows[column].dtype.kind == "f"]
    config = {column: st.column_config.NumberColumn(column, format="%+.3f") for column in numbers} | {
        "part": _PART,
        "effect": _EFFECT,
    }
    st.dataframe(rows, height=min(TABLE_PX, 38 + 35 * len(rows)), hide_index=True, column_config=config)


def _is_for(request: Request, selection: Selection) -> bool:
    asked = (selection.a.ref, selection.b.ref, selection.prompt)
    return (
        isinstance(request, Where)
        and (request.a, request.b, request.prompt) == asked
        and not request.answers + request.against
    )
