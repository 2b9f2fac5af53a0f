"""Where a run's constraint types were learned: heat maps over the steps of training, by token and by layer. Pure."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, Literal

import altair as alt
import numpy as np
import pandas as pd

from engine.analysis.acted import layer_name
from engine.analysis.acted_mean import ROLE_NAMES, ActedMean, mean_table
from engine.domain.numbers import signed
from engine.figures.chart_theme import more_or_less, step_axis, themed

By = Literal["role", "layer"]
AXIS_PX: Final = 74  # as wide as the longest role, so that both maps line up
_ROW_PX: Final = 13  # less and not every row can be named
_AROUND_PX: Final = 108  # title, axis and legend


def learned_rows(means: Mapping[str, ActedMean], steps: Sequence[int], *, by: By) -> pd.DataFrame:
    """constraint_type, type, by (name of the row), place (its number, from the top), left, right (steps), part, low,
    high, interval: the mean part of the right answer's logit that a stretch of training made at each role or layer.

    `means`: by constraint type, of the same checkpoints; `steps`: of these.
    """
    rows = []
    for constraint_type, mean in means.items():
        table = mean_table(mean, "step", by)
        for row in table.to_dict("records"):
            name = row[by] if by == "role" else layer_name(row[by], mean.n_layers)
            left, right = list(pairwise(steps))[row["step"]]
            known = np.isfinite(row["low"])
            rows.append(
                {
                    "constraint_type": constraint_type,
                    "type": constraint_type.replace("_", " "),
                    "by": name,
                    "place": list(ROLE_NAMES.values()).index(name) if by == "role" else mean.n_layers - row[by],
                    "left": left,
                    "right": right,
                    "part": row["part"],
                    "low": row["low"],
                    "high": row["high"],
                    "interval": f"{signed(row['low'])} to {signed(row['high'])}" if known else "of fewer than 3 words",
                }
            )
    table = pd.DataFrame(rows)
    return table.assign(place=table["place"].rank(method="dense").astype(int) - 1) if rows else table


def learned_height(rows: pd.DataFrame) -> int:
    """Pixels of one panel of these rows."""
    n = rows["place"].max() + 1 if len(rows) else 1
    return int(min(420, max(130, _ROW_PX * n)) + _AROUND_PX)


def learned_panels(rows: pd.DataFrame, *, last_step: int, title: str) -> dict[str, Any]:
    """By constraint type, a heat map over steps; orange raised the right answer's logit, blue lowered it.

    `rows`: of `learned_rows`. All panels have one scale. The selection `stretch` (fields constraint_type, left, right)
    tells which cell was clicked.
    """
    height = learned_height(rows) - _AROUND_PX
    return {
        str(name): themed(_cells(rows, last_step, title).properties(data=own, title=own["type"].iloc[0], height=height))
        for name, own in rows.groupby("constraint_type", sort=False)
    }


def learned_chart(rows: pd.DataFrame, *, last_step: int, title: str, width: int = 420) -> alt.FacetChart:
    """All panels of `learned_panels` in one figure."""
    chart = _cells(rows, last_step, title)
    height = learned_height(rows) - _AROUND_PX
    facet = chart.properties(data=rows, width=width, height=height)
    return themed(facet.facet(column=alt.Column("type:N", title=None, sort=None)))


def _cells(rows: pd.DataFrame, last_step: int, title: str) -> alt.Chart:
    color = more_or_less("part", rows["part"], title="part of the logit's change")
    names = list(dict.fromkeys(rows.sort_values("place", kind="stable")["by"]))
    axis = alt.Axis(
        titlePadding=6, labelPadding=4, ticks=False, minExtent=AXIS_PX, maxExtent=AXIS_PX, labelOverlap=True
    )
    stretch = alt.selection_point(name="stretch", fields=["constraint_type", "left", "right"], on="click", empty=False)
    return (
        alt.Chart()
        .mark_rect()
        .encode(
            x=step_axis(last_step, field="left"),
            x2="right:Q",
            y=alt.Y("by:N", title=None, sort=names, scale=alt.Scale(domain=names), axis=axis),
            color=color,
            tooltip=[
                alt.Tooltip("left:Q", title="from step", format="d"),
                alt.Tooltip("right:Q", title="to step", format="d"),
                alt.Tooltip("by:N", title=title),
                alt.Tooltip("part:Q", title="mean part", format="+.3f"),
                alt.Tooltip("interval:N", title="95% interval over words"),
            ],
        )
        .add_params(stretch)
    )
