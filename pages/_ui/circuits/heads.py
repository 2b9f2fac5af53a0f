"""Circuits as a Map: the effect of each head and MLP, and the edges of the one that is marked."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

import pandas as pd
import streamlit as st

from engine.domain.components import ComponentKey
from engine.domain.edge_measures import EDGE_MEASURES, EdgeMeasure
from engine.domain.errors import Damaged, NotFound
from engine.domain.numbers import step_name
from engine.domain.runs import Checkpoint
from engine.export.exported_map import ExportedMap
from engine.export.map_formats import formats_of
from engine.figures.component_map import (
    HeadEffects,
    changed_most,
    heads_map,
    part_at,
    part_name,
    place_of_part,
)  # fmt: skip
from engine.figures.component_words import few_pairs, found_by, n_pairs_of
from engine.figures.map_tables import place_of, place_rows
from engine.figures.map_view import MapView
from pages._ui.circuits.choice import PAGE, CircuitChoice
from pages._ui.circuits.data import edges_of, effects_of, nodes_of
from pages._ui.circuits.sides import PARTS, found_with, idle, side_name, sides_of
from pages._ui.circuits.table import edge_rows, node_title
from pages._ui.circuits.words import uncertain
from pages._ui.graphs.export_menu import export_menu
from pages._ui.graphs.maps import difference_map
from pages._ui.graphs.marks import Marks
from pages._ui.graphs.picking import Picking
from pages._ui.kept import kept
from pages._ui.session import store

PICKING = Picking(PAGE, key="circuit map")
_TABLE_PX = 300
_NUMBER = st.column_config.NumberColumn
_STATUS_WORDS = {"in both": "both", "appeared": "B alone", "vanished": "A alone"}
_HOW_TO_READ = (
    "A mark is the **effect** of a head or MLP: about how much the right answer depends on what it writes, by all "
    "edges out of it."
)


def heads(chosen: CircuitChoice, keys: Mapping[int, ComponentKey]) -> None:
    """`keys`: of the run's circuits, by step. With circuits between A and B a slider goes over them."""
    view = _over_checkpoints(chosen, keys)
    above = st.container()
    n_heads = len(view.spans) - 1
    now = replace(PICKING.marks(), edge=None)  # an edge is no place
    PICKING.mark(_of_parts(now, difference_map(view, key=PICKING.key, marks=_of_places(now, n_heads)), n_heads))
    at = PICKING.marks()
    frame = view.place_of_step(at.step)
    view = view.until(frame)
    there = replace(chosen, b=_checkpoint(chosen, view.frames[-1].step))
    a, b = sides_of(there, keys)
    nodes = nodes_of(a, b, chosen.share, chosen.how)
    text = f"{_sentence(there, view)}{uncertain(idle(a, b))}"
    with above:
        st.markdown(text)
        found_with(b.scores, _HOW_TO_READ, f"{PARTS} Edges that the circuit leaves out count, too.")
    left, right = st.columns(2, gap="medium")
    with left, st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown("**Heads and MLPs that changed most**", width="stretch")
        names = a.scores.key.checkpoint, b.scores.key.checkpoint
        told = " ".join(
            (
                text.replace("**", "").replace(" (see below)", ""),
                f"Found with {found_by(b.scores)}.",
                few_pairs(n_pairs_of(b.scores)),
            )
        ).strip()
        drawn = ExportedMap(view, *names, "", told, subject="Heads and MLPs")
        export_menu(formats_of(drawn.view), drawn, name=f"{drawn.a} {drawn.b} heads")
    with left:
        PICKING.pick_row("heads", lambda key: _table(view, nodes, key=key))
    with right:
        if at.selected:
            edges = edges_of(a, b, chosen.share, chosen.how)
            _edges_of(at.selected, edges, nodes, EDGE_MEASURES[chosen.metric])
        else:
            st.caption("Choose a head or an MLP in the Map or in the table to see its edges.")


def _over_checkpoints(chosen: CircuitChoice, keys: Mapping[int, ComponentKey]) -> MapView:
    """From A to B over what is stored between them. Raises NotFound, Damaged (of A or B)."""
    low, high = sorted((chosen.a.step, chosen.b.step))
    between = [step for step in sorted(keys, reverse=chosen.a.step > chosen.b.step) if low < step < high]
    effects = {step: _effects(chosen, keys, step) for step in (chosen.a.step, chosen.b.step)}
    for step in between:
        with suppress(NotFound, Damaged):  # one that cannot be read is no reason to show none
            effects[step] = _effects(chosen, keys, step)
    on_the_way = [effects[step] for step in between if step in effects]
    a, b = effects[chosen.a.step], effects[chosen.b.step]
    over = (a, *on_the_way, b) if on_the_way else (b,)
    return _view(a, over, keys[a.step].hash, *(f"{one.name} {keys[one.step].hash}" for one in over))


def _effects(chosen: CircuitChoice, keys: Mapping[int, ComponentKey], step: int) -> HeadEffects:
    return effects_of(store(), keys[step], side_name(chosen.run, step), step)


@kept()
def _view(_a: HeadEffects, _over: tuple[HeadEffects, ...], *made_from: str) -> MapView:
    return heads_map(_a, _over)


def _checkpoint(chosen: CircuitChoice, step: int | None) -> Checkpoint:
    return next((one for one in store().checkpoints(chosen.run) if one.step == step), chosen.b)


def _sentence(chosen: CircuitChoice, view: MapView) -> str:
    """`chosen`: with the checkpoint of the slider as B."""
    if chosen.a.step == chosen.b.step:
        return f"{step_name(chosen.a.step).capitalize()} is both A and B: nothing has changed."
    when = f"From {step_name(chosen.a.step)} to {step_name(chosen.b.step)}"
    found = [f"**{name}** ({change})" for name, change in changed_most(view)]  # names of ours
    if not found:
        return f"{when} no head or MLP has another effect on the right answer."
    return f"{when} the effect on the right answer changed most of {', '.join(found)}."


def _of_places(at: Marks, n_heads: int) -> Marks:
    """What is marked, as the Map names it."""
    pins = [place_of_part(pin, n_heads) for pin in at.pins]
    selected = place_of_part(at.selected, n_heads) if at.selected else None
    return Marks(selected=selected, pins=tuple(pin for pin in pins if pin), step=at.step)


def _of_parts(before: Marks, found: Marks, n_heads: int) -> Marks:
    """What is marked in the Map, as the graphs name it."""
    pins = [part_at(pin, n_heads) for pin in found.pins]
    selected = part_at(found.selected, n_heads) if found.selected else None
    return replace(before, selected=selected, pins=tuple(pin for pin in pins if pin), step=found.step)


def _table(view: MapView, nodes: pd.DataFrame, *, key: str) -> str | None:
    rows, n_heads = place_rows(view), len(view.spans) - 1
    cells = [place_of(view, name) or (0, 0) for name in rows["id"]]
    ids = [part_at(name, n_heads) or "" for name in rows["id"]]
    inside = nodes.set_index("id").loc[ids]
    words = inside["status"].map(_STATUS_WORDS).where((inside["in_a"] | inside["in_b"]), "neither")
    shown = pd.DataFrame(
        {
            "head or MLP": [part_name(view, *cell) for cell in cells],
            **{name: rows[name] for name in ("A", "B", "change")},
            "in the circuit of": words.to_numpy(),
        }
    )
    config = {name: _NUMBER(name, format="%+.3f") for name in ("A", "B", "change")}
    picked = st.dataframe(
        shown, hide_index=True, height=_TABLE_PX, row_height=27, column_config=config, key=key, on_select="rerun",
        selection_mode="single-row",
    )["selection"]["rows"]  # fmt: skip
    return ids[picked[0]] if picked and picked[0] < len(ids) else None


def _edges_of(node: str, edges: pd.DataFrame, nodes: pd.DataFrame, measure: EdgeMeasure) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(node_title(nodes, node), width="stretch")
        st.button("Clear", icon=":material/close:", type="tertiary", on_click=PICKING.clear, help="Esc")
    own = edges[(edges["source"] == node) | (edges["target"] == node)].reset_index(drop=True)
    if own.empty:
        st.caption("Neither circuit has an edge here.")
        return
    edge_rows(own, measure, height=_TABLE_PX, key=f"edges of {node}")
