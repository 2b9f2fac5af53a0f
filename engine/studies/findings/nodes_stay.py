"""Do nodes stay while edges change?"""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from engine.domain.numbers import decimal, plural
from engine.domain.studies import FindingFigure, StudySpec, StudyTables
from engine.studies.findings.answer import INCONCLUSIVE, Answer, Missing, Verdict, asks, table_only
from engine.studies.findings.compared import grid_runs
from engine.studies.findings.select import EQUAL, need
from engine.studies.findings.words import interval, method
from engine.studies.statistics import mean_interval, paired_difference, side

# column -> (the panel, the figure of Wang et al. 2025, arXiv 2502.11812)
_MEASURES: Mapping[str, tuple[str, float]] = {
    "node_jaccard_base": ("Jaccard with the base, nodes", 0.8),
    "edge_jaccard_base": ("Jaccard with the base, edges", 0.4),
    "delta_nodes": ("change over the run, nodes", 0.22),
    "delta_edges": ("change over the run, edges", 0.82),
}
_LEVELS = {"node_jaccard_base": "nodes", "edge_jaccard_base": "edges"}  # column -> measure of robustness
_EVERY = "all runs"


@asks("nodes_stay", "Do the nodes of a circuit stay while its edges change?")
def find(tables: StudyTables, spec: StudySpec) -> Answer:
    """Circuits of 5% of the edges at the last capture: Jaccard with the base's; and Δ_S, what came or went from capture
    to capture over the base's own number.

    Two circuits of the base itself, found on disjoint fifths of the data, are not equal either: their Jaccard is the
    level that a circuit which stayed would have (by task, from `measure: [robustness]`). In a task nodes or edges
    changed where the interval of Jaccard minus that level, over runs, lies below 0; they stayed where it lies above, or
    within 0.05 of 0. Yes: in every task nodes stayed and edges changed; partly: in some; no: in none, and each is
    resolved to be otherwise; else it is inconclusive.
    """
    last = _last(tables)
    levels = _base_levels(tables, last)
    holds = {str(task): _holds(rows, levels) for task, rows in last.groupby("corpus", sort=False)}
    figures = [figure for column in _MEASURES for figure in _figures(column, last, levels.get(column))]
    every = {figure.unit: figure for figure in figures if figure.name == _EVERY}
    verdict = _verdict(list(holds.values()))
    return Answer(
        verdict,
        _sentence(verdict, holds),
        figures,
        axis="Jaccard with the base",
        line="two circuits of the untrained model, found on different data",
        details=[
            *(
                f"{what.capitalize()}: Jaccard with the base {interval(every[_MEASURES[column][0]])}, against "
                f"{decimal(float(levels[column].mean()))} between circuits of the untrained model; published is "
                f"about {_MEASURES[column][1]:g}."
                for column, what in _LEVELS.items()
            ),
            *(
                f"From capture to capture {what} change by {interval(every[_MEASURES[column][0]])} of their number; "
                f"published is {_MEASURES[column][1]:g}."
                for column, what in (("delta_nodes", "nodes"), ("delta_edges", "edges"))
            ),
        ],
        evidence=[
            f"A small model: {last['n_nodes'].mean():.0f} nodes and {last['n_edges'].mean():.0f} edges in a circuit on "
            "average, so one more or less weighs much.",
            "Circuits on fifths of the data rest on fewer pairs and have twice the share of edges: the dashed lines "
            "are rough levels only.",
            f"Change from capture to capture adds up ({_n_steps(tables)} captures): more captures, more change.",
        ],
    )


def _sentence(verdict: Verdict, holds: dict[str, bool | None]) -> str:
    where = [task for task, one in holds.items() if one]
    sentences: dict[Verdict, str] = {
        "yes": "In every task nodes stayed as alike as two circuits of the untrained model are, while edges changed.",
        "partly": f"Nodes stayed while edges changed in {len(where)} of {plural(len(holds), 'task')} "
        f"({', '.join(where)}).",
        "no": "In no task did nodes stay while edges changed: either both changed, or the edges did not.",
        INCONCLUSIVE: "The runs differ too much to say whether nodes stayed while edges changed.",
    }
    return sentences[verdict]


def _holds(rows: pd.DataFrame, levels: dict[str, "pd.Series[Any]"]) -> bool | None:
    """In one task, whether nodes stayed and edges changed; None: the intervals do not say."""
    nodes, edges = (
        side(paired_difference("", rows[column], levels[column].loc[rows.index]), margin=EQUAL) for column in _LEVELS
    )
    if nodes in ("above", "same") and edges == "below":
        return True
    return False if nodes == "below" or edges in ("above", "same") else None


def _verdict(holds: list[bool | None]) -> Verdict:
    if all(holds):
        return "yes"
    if any(holds):
        return "partly"
    return "no" if None not in holds else INCONCLUSIVE


def _base_levels(tables: StudyTables, last: pd.DataFrame) -> dict[str, "pd.Series[Any]"]:
    """By run, for each measure: the Jaccard of circuits of the base on disjoint fifths of its task. Raises Missing."""
    lacking = (
        "The study does not measure how much circuits of the untrained model differ from each other, so nothing can be "
        "called a change. Add “measure: [robustness]” to a grid."
    )
    if tables.circuits.empty:
        raise Missing(lacking)
    rows = need(tables.circuits, ["run", "kind", "subject", "measure", "level", "value"])
    rows = rows[(rows["kind"] == "robustness") & (rows["subject"] == "base") & (rows["level"] == 0)]
    by_task = rows.merge(grid_runs(tables)[["run", "corpus"]], on="run").groupby(["measure", "corpus"])["value"].mean()
    if not set(_LEVELS.values()) <= set(by_task.index.get_level_values("measure")):
        raise Missing(lacking)
    return {column: last["corpus"].map(by_task.loc[measure]) for column, measure in _LEVELS.items()}


def _figures(column: str, last: pd.DataFrame, levels: "pd.Series[Any] | None") -> list[FindingFigure]:
    """Over all runs and by task, in the chart where there is a level; by task and method, in the table."""
    parts = {_EVERY: last, **{str(corpus): rows for corpus, rows in last.groupby("corpus", sort=False)}}
    drawn = [
        _figure(column, name, rows, None if levels is None else float(levels.loc[rows.index].mean()))
        for name, rows in parts.items()
    ]
    single = [
        _figure(column, f"{corpus}, {method(str(name))}", rows, None)
        for (corpus, name), rows in last.groupby(["corpus", "method"], sort=False)
    ]
    return [*(drawn if levels is not None else table_only(drawn)), *table_only(single)]


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


def _figure(column: str, name: str, rows: pd.DataFrame, null: float | None) -> FindingFigure:
    unit, published = _MEASURES[column]
    bounds = (0.0, 1.0 if "jaccard" in column else float("inf"))
    figure = mean_interval(name, rows[column], unit=unit, bounds=bounds)
    level = None if null is None or pd.isna(null) else round(null, 5)
    return figure.model_copy(update={"published": published, "null": level})


def _n_steps(tables: StudyTables) -> int:
    return int(tables.components.groupby("run")["step"].nunique().max() - 1)
