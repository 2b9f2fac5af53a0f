"""Component circuits as rows to draw and to read: faithfulness, change over checkpoints, robustness, unions. Pure."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final

import numpy as np
import pandas as pd

from engine.analysis.components.compare import Flips
from engine.domain.components import CurveReport, RobustnessReport, Subject, UnionReport
from engine.domain.measures import Estimate
from engine.domain.numbers import decimal, percent

FAITHFULNESS, COMPLETENESS = "faithfulness", "completeness"
UNION, DIRECT, PUBLISHED = "union of the subtasks", "found directly", "published union (other models, other task)"
COMPONENTS, FEATURES = "heads and MLPs", "features"
APPEARED, VANISHED = "appeared", "vanished"
# Wang et al. 2025 (arXiv 2502.11812): share of edges, faithfulness of the union.
PUBLISHED_UNION: Final = {0.01: 0.674, 0.02: 0.794, 0.03: 0.837, 0.04: 0.872, 0.05: 0.892, 0.1: 0.897}
SUBJECT_TITLES: Final[dict[Subject, str]] = {"tuned": "tuned", "base": "before training", "random": "random weights"}
CURVE_COLUMNS: Final = (
    "checkpoint", "measure", "share", "n_asked", "n_edges", "n_nodes", "value", "low", "high", "interval",
)  # fmt: skip
LAYER_COLUMNS: Final = ("what", "layer", "step", "left", "right", "change", "relative")
JACCARD_COLUMNS: Final = ("what", "step", "to_step", "of", "jaccard")
FLIP_COLUMNS: Final = ("what", "step", "left", "right", "kind", "n", "height", "share")
ROBUSTNESS_COLUMNS: Final = (
    "what", "subject", "level", "at", "kind", "compared", "jaccard", "low", "high", "interval", "n",
)  # fmt: skip
UNION_COLUMNS: Final = (
    "which", "share", "n_asked", "n_edges", "n_nodes", "value", "low", "high", "interval", "nodes", "edges",
)  # fmt: skip
_APART = 0.018  # of a level: three subjects at 0 stand beside each other


def curve_rows(curves: Mapping[str, CurveReport]) -> pd.DataFrame:
    """CURVE_COLUMNS: a row a checkpoint, size and measure, in the order given; completeness only where it was measured.

    `curves`: by the checkpoint's name as it is shown. value, low, high: NaN where nothing can be said, since corrupted
    inputs cost the whole model nothing.
    """
    rows = [
        (
            name, measure, point.share, point.n_asked, point.n_edges, point.n_nodes, *_figures(estimate),
        )
        for name, curve in curves.items()
        for point in sorted(curve.points, key=lambda point: point.share)
        for measure, estimate in ((FAITHFULNESS, point.faithfulness), (COMPLETENESS, point.completeness))
        if estimate is not None or measure == FAITHFULNESS
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(CURVE_COLUMNS)).astype({"value": float, "low": float, "high": float})


def with_values(rows: pd.DataFrame, by: str, *, value: str = "value") -> tuple[pd.DataFrame, list[str]]:
    """The rows of what has a value anywhere, and the names in the column `by` of what has none: no line to draw."""
    there = rows.groupby(by, sort=False)[value].transform("count") > 0
    return rows[there].reset_index(drop=True), list(dict.fromkeys(rows.loc[~there, by]))


def union_rows(report: UnionReport) -> pd.DataFrame:
    """UNION_COLUMNS: a row a size and circuit (UNION, DIRECT). nodes, edges: Jaccard of both circuits."""
    rows = [
        (
            which,
            point.share,
            one.n_asked,
            one.n_edges,
            one.n_nodes,
            *_figures(one.faithfulness),
            point.nodes,
            point.edges,
        )
        for point in sorted(report.points, key=lambda point: point.share)
        for which, one in ((UNION, point.union), (DIRECT, point.direct))
    ]
    return pd.DataFrame(rows, columns=list(UNION_COLUMNS)).astype({"value": float, "low": float, "high": float})


def published_union_rows() -> pd.DataFrame:
    """UNION_COLUMNS, to stand beside `union_rows`: of the published circuits only share and faithfulness are known."""
    rows = pd.DataFrame({"share": list(PUBLISHED_UNION), "value": list(PUBLISHED_UNION.values()), "which": PUBLISHED})
    return rows.assign(interval="not published").reindex(columns=list(UNION_COLUMNS))


def layer_rows(steps: Sequence[int], changes: np.ndarray, *, features: pd.DataFrame | None = None) -> pd.DataFrame:
    """LAYER_COLUMNS: a cell a layer and interval between checkpoints.

    steps: (n_checkpoints,) ascending. changes: (n_checkpoints - 1, n_layers), of `compare.layer_change`. `features`: of
    `change_charts.layer_changes` to the previous checkpoint; of these, what counts is how far each layer's share of
    influence moved, whichever way. `relative`: of the largest change of its panel, 0 to 1, for the units differ.
    """
    rows = [
        (COMPONENTS, layer, after, before, after, float(change))
        for (before, after), per_layer in zip(pairwise(steps), changes, strict=True)
        for layer, change in enumerate(per_layer)
    ]
    if features is not None:
        names = f"{FEATURES}: " + features["constraint_type"].str.replace("_", " ")
        parts = (
            names,
            features["layer"],
            features["right"],
            features["left"],
            features["right"],
            features["change"].abs(),
        )
        rows += list(zip(*parts, strict=True))
    cells = pd.DataFrame(rows, columns=list(LAYER_COLUMNS[:-1])).astype({"change": float})
    most = cells.groupby("what", sort=False)["change"].transform("max")
    return cells.assign(relative=(cells["change"] / most.where(most > 0, 1.0)))


def jaccard_rows(
    steps: Sequence[int], flips: Flips, *, features: Mapping[tuple[int, int], tuple[float, float]] | None = None
) -> pd.DataFrame:
    """JACCARD_COLUMNS: what each circuit shares with the one before; what (nodes, edges), of (COMPONENTS, FEATURES).

    steps: (n_checkpoints,) ascending, those of `flips`. `features`: Jaccard of nodes and of edges of feature graphs, by
    step and the step before.
    """
    found = {(after, before): one for (before, after), one in zip(pairwise(steps), flips.steps, strict=True)}
    rows = [
        row
        for (step, before), one in found.items()
        for row in (
            ("nodes", step, before, COMPONENTS, one.node_jaccard),
            ("edges", step, before, COMPONENTS, one.edge_jaccard),
        )
    ]
    for (step, before), (nodes, edges) in sorted((features or {}).items()):
        rows += [("nodes", step, before, FEATURES, nodes), ("edges", step, before, FEATURES, edges)]
    return pd.DataFrame(rows, columns=list(JACCARD_COLUMNS))


def flip_rows(steps: Sequence[int], flips: Flips, *, n_nodes: int, n_edges: int) -> pd.DataFrame:
    """FLIP_COLUMNS: what came and went between checkpoints; what (nodes, edges), kind (APPEARED, VANISHED).

    `n_nodes`, `n_edges`: of the first circuit, counted as in `flips`; `share` is n over these (NaN where it is empty),
    so that all shares of one `what` add up to Δ_S. `height` is n, below 0 where it vanished.
    """
    rows = []
    for (before, after), one in zip(pairwise(steps), flips.steps, strict=True):
        for what, first, appeared, vanished in (
            ("nodes", n_nodes, one.nodes_appeared, one.nodes_vanished),
            ("edges", n_edges, one.edges_appeared, one.edges_vanished),
        ):
            for kind, n, height in ((APPEARED, appeared, appeared), (VANISHED, vanished, -vanished)):
                rows.append((what, after, before, after, kind, n, height, n / first if first else float("nan")))
    return pd.DataFrame(rows, columns=list(FLIP_COLUMNS))


def robustness_rows(report: RobustnessReport) -> pd.DataFrame:
    """ROBUSTNESS_COLUMNS: a row a subject, what (nodes, edges) and level of perturbation.

    `level` 0 (kind `fifths`): circuits of disjoint parts of the data with each other; the others: the circuit of
    perturbed inputs with that of the inputs as they are. `at`: where it is drawn, subjects at 0 beside each other.
    """
    rows = []
    for place, one in enumerate(report.subjects):
        beside = (place - (len(report.subjects) - 1) / 2) * _APART
        parts = [(0.0, beside, "fifths", "disjoint parts of the data, against each other", one.fifths)]
        parts += [
            (
                part.level,
                part.level,
                "perturbed",
                f"{percent(part.level)} of the words replaced, against none",
                part.likeness,
            )
            for part in sorted(one.perturbed, key=lambda part: part.level)
        ]
        for level, at, kind, compared, likeness in parts:
            for what, estimate in (("nodes", likeness.nodes), ("edges", likeness.edges)):
                values = (level, at, kind, compared, *_figures(estimate), likeness.n)
                rows.append((what, SUBJECT_TITLES[one.subject], *values))
    return pd.DataFrame(rows, columns=list(ROBUSTNESS_COLUMNS))


def _figures(estimate: Estimate | None) -> tuple[float | None, float | None, float | None, str]:
    """value, low, high, interval as text."""
    if estimate is None:
        return None, None, None, "not measurable"
    return estimate.value, estimate.low, estimate.high, f"{decimal(estimate.low)} to {decimal(estimate.high)}"
