"""Compare's Map of many prompts: where training acted on their right answers, on average; roles across."""

from collections.abc import Sequence
from functools import partial

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from engine.analysis.acted import ABOVE_MEAN, ESTIMATED
from engine.analysis.acted_mean import ActedMean, mean_sentence, word_table
from engine.analysis.word_pieces import TokenSpan
from engine.domain.acted import Acted
from engine.domain.corpus import Probe
from engine.domain.jobs import WhereProbes
from engine.domain.numbers import plural
from engine.figures.map_acted import acted_mean_view
from engine.figures.map_tables import mean_matrices_at, mean_matrix_rows, mean_place_rows, mean_role_rows
from engine.figures.map_view import MapView
from engine.workflows.courses import path_between
from engine.workflows.learned import asked_of
from engine.workflows.prompt_groups import group_acted, group_prompts
from pages._ui.acted_probes import kept_mean, made_from, offer_to_measure
from pages._ui.compare.map import TABLE_PX, draw_map, export_map, find_label, is_trained, kept_view, step_of
from pages._ui.compare.map_inspector import Tables, inspect_marked
from pages._ui.compare.map_tables import MapTable, draw_tables
from pages._ui.compare.mean_circuit import chosen_count, list_prompts
from pages._ui.compare.selection import Selection
from pages._ui.graphs.marks import Marks
from pages._ui.session import store
from pages._ui.text import plain

_LINED_UP = "The prompts are lined up by the roles of their tokens, wherever these stand; tokens of one role add up."


def mean_acted(selection: Selection, above: DeltaGenerator, tools: DeltaGenerator) -> None:
    """Of those of the group's prompts that are measured; offers to measure the others."""
    assert selection.group is not None
    prompts = group_prompts(selection.group, chosen_count())
    ready, missing = group_acted(store(), selection.a.ref, selection.b.ref, prompts)
    if ready:
        _draw(selection, ready, above, tools)
    if missing:
        with st.container() if ready else above:  # below the picture, so that nothing moves when it goes
            _offer(selection, missing, len(prompts))


def _offer(selection: Selection, missing: Sequence[Probe], n: int) -> None:
    see = (
        "training made the right answers rise or fall"
        if is_trained(selection)
        else "the right answers of A and B differ"
    )
    told = f"See at which tokens and layers {see}, on average. It needs no transcoders and no graphs."
    n_stretches = len(path_between(store(), selection.a, selection.b)) - 1
    offer_to_measure(
        WhereProbes(a=selection.a.ref, b=selection.b.ref, asked=asked_of(missing)), selection.a.run, n,
        n_stretches=n_stretches, label=find_label(selection), key="where of many",
        told=told if len(missing) == n else "",
    )  # fmt: skip


def _draw(
    selection: Selection, ready: Sequence[tuple[Probe, Acted]], above: DeltaGenerator, tools: DeltaGenerator
) -> None:
    mean = kept_mean(ready)
    if mean.is_same:
        above.markdown(plain(mean_sentence(mean)), help=ABOVE_MEAN)
        return
    steps = [step_of(ref) for ref in mean.checkpoints]
    view = kept_view(lambda: acted_mean_view(mean, steps), ("mean acted", made_from(ready), *map(str, steps)))
    at = draw_map(view)
    frame = view.place_of_step(at.step)
    mean, view = mean.until(frame + 1), view.until(frame)
    text = mean_sentence(mean)
    above.markdown(plain(text), help=f"{ABOVE_MEAN} {ESTIMATED}")
    if mean.is_same:  # up to this step
        return
    with tools:
        export_map(view, selection, text, subject=mean.title)
    _below(selection, view, at, mean, [(probe, one.until(frame + 1)) for probe, one in ready])


def _below(
    selection: Selection, view: MapView, at: Marks, mean: ActedMean, ready: Sequence[tuple[Probe, Acted]]
) -> None:
    left, right = st.columns(2, gap="medium")
    with left:
        tables = (
            MapTable("Places", partial(mean_place_rows, view, mean)),
            MapTable("Roles", partial(mean_role_rows, view, mean)),
            MapTable("Matrices", partial(mean_matrix_rows, mean)),
            MapTable("Words", partial(word_table, mean)),
        )
        draw_tables(tables, key="mean acted", height=TABLE_PX)
        st.caption(f"{_LINED_UP} {_intervals(mean)}")
    with right:
        if at.selected or at.edge:
            inspect_marked(view, at, None, selection, height=TABLE_PX, acted=partial(_changed_at, mean))
        else:
            rows = [
                (probe.text, one.stretches[0].probability_before, one.stretches[-1].probability_after)
                for probe, one in ready
            ]
            list_prompts(selection, rows, height=TABLE_PX)


def _intervals(mean: ActedMean) -> str:
    n = len(mean.words)
    if n < 3:
        return f"A mean over {plural(n, 'word')} has no interval: it takes three."
    return f"Low and high: the 95% interval of the mean over {n} words. A part whose interval holds 0 may be chance."


def _changed_at(mean: ActedMean, layer: int, span: TokenSpan) -> Tables:
    rows: pd.DataFrame = mean_matrices_at(mean, layer, span.text)
    return {"Matrices that differ": rows}
