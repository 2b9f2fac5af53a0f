"""When a run learned: the right answer's logit over the steps of training, beside where it was learned. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import altair as alt
import numpy as np
import pandas as pd

from engine.analysis.acted_mean import ActedMean
from engine.analysis.learned import logits, moments
from engine.analysis.means import student
from engine.domain.numbers import signed
from engine.figures import palette
from engine.figures.chart_theme import step_axis, themed
from engine.figures.learned_charts import AXIS_PX

_TITLE: Final = "logit gained"
_MARKS: Final = {"half": "half", "most": "90%", "rest": "at rest"}  # of `Moments`, from the bottom
_LINE_PX: Final = 14  # between the labels of marks
_TITLE_PX: Final = 18  # of an axis: it stands outside of the labels, and the heat maps below have none


def gained_rows(means: Mapping[str, ActedMean], steps: Sequence[int]) -> pd.DataFrame:
    """constraint_type, type, step, gained (the right answer's logit minus the base's), low, high, interval: a row a
    checkpoint; and for the moments of a constraint type, one in each of its first rows: mark (step), label, line.

    `means`: by constraint type, of the same checkpoints; `steps`: of these.
    """
    rows = []
    for constraint_type, mean in means.items():
        at, found = logits(mean), moments(mean, steps)
        marks = [
            (step, _MARKS[name], line) for line, (name, step) in enumerate(vars(found).items()) if step is not None
        ]
        for place, step in enumerate(steps):
            gained, low, high = student(at[:, place] - at[:, 0])
            mark = marks[place] if place < len(marks) else (np.nan, "", np.nan)
            known = np.isfinite(low)
            rows.append(
                {
                    "constraint_type": constraint_type,
                    "type": constraint_type.replace("_", " "),
                    "step": step,
                    "gained": gained,
                    "low": low if known else gained,
                    "high": high if known else gained,
                    "interval": f"{signed(low)} to {signed(high)}" if known else "of fewer than 3 words",
                    **dict(zip(("mark", "label", "line"), mark, strict=True)),
                }
            )
    return pd.DataFrame(rows)


def gained_panels(rows: pd.DataFrame, *, last_step: int, height: int = 150) -> dict[str, Any]:
    """By constraint type, the logit over steps with its interval over words, and rules where it was gained and at rest.

    `rows`: of `gained_rows`; all panels have one scale. `last_step`: where the axis ends.
    """
    return {
        str(name): themed(_layers(rows, last_step).properties(data=own, title=own["type"].iloc[0], height=height))
        for name, own in rows.groupby("constraint_type", sort=False)
    }


def gained_chart(rows: pd.DataFrame, *, last_step: int, width: int = 420, height: int = 150) -> alt.FacetChart:
    """All panels of `gained_panels` in one figure."""
    chart = _layers(rows, last_step).properties(data=rows, width=width, height=height)
    return themed(chart.facet(column=alt.Column("type:N", title=None, sort=None)))


def _layers(rows: pd.DataFrame, last_step: int) -> alt.LayerChart:
    low, high = (min(0.0, float(rows["low"].min())), max(0.0, float(rows["high"].max()))) if len(rows) else (0.0, 1.0)
    axis = alt.Axis(
        titlePadding=6, labelPadding=4, minExtent=AXIS_PX - _TITLE_PX, maxExtent=AXIS_PX - _TITLE_PX, tickCount=4
    )
    y = alt.Y("gained:Q", title=_TITLE, scale=alt.Scale(domain=[low, high]), axis=axis)
    base = alt.Chart().encode(x=step_axis(last_step))
    tips = [
        alt.Tooltip("step:Q", format="d"),
        alt.Tooltip("gained:Q", title=_TITLE, format="+.2f"),
        alt.Tooltip("interval:N", title="95% interval over words"),
    ]
    return alt.layer(
        base.mark_area(opacity=0.2, color=palette.GAINED).encode(y=alt.Y("low:Q", title=_TITLE), y2="high:Q"),
        base.mark_line(strokeWidth=2, color=palette.GAINED).encode(y=y),
        *_marks(last_step, low),
        base.mark_point(filled=True, opacity=1, size=45, color=palette.GAINED).encode(y=y, tooltip=tips),
    )


def _marks(last_step: int, bottom: float) -> list[alt.Chart]:
    """A rule a moment, its name at the bottom, where a rising line leaves room; each a line higher than the last."""
    base = alt.Chart().transform_filter("isValid(datum.mark)").encode(x=alt.X("mark:Q"))
    drawn = [base.mark_rule(strokeWidth=1.5, strokeDash=[5, 3], color=palette.SATURATED)]
    for line in range(len(_MARKS)):
        one = base.transform_filter(f"datum.line == {line}")
        drawn += [
            one.transform_filter(f"datum.mark {where} {0.8 * last_step}")
            .mark_text(
                align=align,
                dx=dx,
                dy=-3 - _LINE_PX * line,
                baseline="bottom",
                fontSize=12,
                fontWeight=600,
                color="currentColor",
            )
            .encode(y=alt.YDatum(bottom, title=_TITLE), text="label:N")
            for where, align, dx in (("<=", "left", 5), (">", "right", -5))
        ]
    return drawn
