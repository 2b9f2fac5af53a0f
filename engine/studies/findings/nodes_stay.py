"""Do nodes stay while edges change?"""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from engine.domain.studies import FindingFigure, StudySpec, StudyTables
from engine.studies.findings.answer import UNTOLD, Answer, Missing, Said, asks
from engine.studies.findings.compared import grid_runs
from engine.studies.findings.select import need
from engine.studies.findings.words import interval, method
from engine.studies.statistics import mean_interval, paired_difference, side

_HALF = 0.5
# column -> (the panel, the figure of Wang et al. 2025, arXiv 2502.11812)
_MEASURES: Mapping[str, tuple[str, float]] = {
    "node_jaccard_base": ("Jaccard with the base, nodes", 0.8),
    "edge_jaccard_base": ("Jaccard with the base, edges", 0.4),
    "delta_nodes": ("change over the run, nodes", 0.22),
    "delta_edges": ("change over the run, edges", 0.82),
}
_EVERY = "all runs"


@asks("nodes_stay", "Do the nodes of a circuit stay while its edges change?")
def find(tables: StudyTables, spec: StudySpec) -> Answer:
    """Circuits of 5 % of the edges at the last capture: Jaccard with the base's, by task and method; and Δ_S, what came
    or went from capture to capture over the base's own number.

    Yes: in every task and method the nodes' Jaccard lies above 0.5 and the edges' below; partly: in some, or the
    nodes' surely exceeds the edges' over all runs; no: in none, and each is resolved to be otherwise; else it cannot
    be told.
    """
    last = _last(tables)
    groups = {
        f"{corpus}, {method(str(name))}": rows
        for (corpus, name), rows in last.groupby(["corpus", "method"], sort=False)
    }
    by_measure = {
        column: [_figure(column, _EVERY, last), *(_figure(column, name, rows) for name, rows in groups.items())]
        for column in _MEASURES
    }
    apart = paired_difference("difference", *(last.set_index("run")[c] for c in list(_MEASURES)[:2]))
    nodes, edges, delta_nodes, delta_edges = (figures[0] for figures in by_measure.values())
    return Answer(
        _verdict(by_measure["node_jaccard_base"][1:], by_measure["edge_jaccard_base"][1:], apart),
        f"After training a circuit shares {interval(nodes)} of its nodes and {interval(edges)} of its edges with the "
        f"base's (Jaccard; published about 0.8 and 0.4); on the way nodes change by {interval(delta_nodes)} and edges "
        f"by {interval(delta_edges)} of their number (published 0.22 and 0.82).",
        [figure for figures in by_measure.values() for figure in figures],
        reference=_HALF,
        axis="Jaccard with the base (line: half is shared)",
        evidence=[
            f"A small model: {last['n_nodes'].mean():.0f} nodes and {last['n_edges'].mean():.0f} edges in a circuit on "
            "average, so that one more or less weighs much.",
            f"Change over the run adds up from capture to capture ({_n_steps(tables)} of them): more captures, more "
            "change.",
        ],
    )


def _last(tables: StudyTables) -> pd.DataFrame:
    """A row a run: its last circuit. Raises Missing."""
    runs = grid_runs(tables)
    if tables.components.empty:
        raise Missing("No run of the study measured its circuits. Add “measure: [circuits]” to a grid.")
    components = need(tables.components, ["run", "step", "n_edges", "n_nodes", *_MEASURES])
    rows = components.merge(runs[["run", "corpus", "method"]], on="run")
    if rows.empty:
        raise Missing("No run of the study measured its circuits. Add “measure: [circuits]” to a grid.")
    return rows.sort_values("step", kind="stable").groupby("run", sort=False).tail(1).set_index("run", drop=False)


def _figure(column: str, name: str, rows: pd.DataFrame) -> FindingFigure:
    unit, published = _MEASURES[column]
    bounds = (0.0, 1.0 if "jaccard" in column else float("inf"))
    figure = mean_interval(name, rows[column], unit=unit, bounds=bounds)
    return figure.model_copy(update={"published": published})


def _verdict(nodes: list[FindingFigure], edges: list[FindingFigure], apart: FindingFigure) -> Said:
    holds: list[Any] = [_holds(*pair) for pair in zip(nodes, edges, strict=True)]
    if all(holds):
        return "yes"
    if any(holds) or side(apart) == "above":
        return "partly"
    return "no" if None not in holds else UNTOLD


def _holds(nodes: FindingFigure, edges: FindingFigure) -> bool | None:
    """None: the intervals do not say."""
    sides = side(nodes, null=_HALF), side(edges, null=_HALF)
    if sides == ("above", "below"):
        return True
    return False if sides[0] == "below" or sides[1] == "above" else None


def _n_steps(tables: StudyTables) -> int:
    return int(tables.components.groupby("run")["step"].nunique().max() - 1)
