"""Charts of the guided tour: few marks, large type, values written on the bars, readable from the back of a room."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import altair as alt
import pandas as pd

from engine.domain.graphs import AttributionGraph
from engine.domain.interventions import Intervention
from engine.domain.runs import Checkpoint, LossLog
from engine.figures import palette
from engine.figures.names import visible

# A is blue and B orange, as in a comparison, where orange is what B has more of.
SIDE: Final = {"A": palette.STATUS["vanished"], "B": palette.STATUS["appeared"]}
BEFORE, AFTER = "before", "after"
ANSWER = palette.PROBE_KIND["recall"]
_FONT, _BIG = 17, 22
_GAP = 50  # pixels between panels
_NO_AXIS = alt.Axis(labels=False, ticks=False, grid=False, domain=False)  # the values are written on the bars
_ALPHA = 0.1  # of the smoothed loss, as in a checkpoint's state


@dataclass(frozen=True)
class Panel:
    """One question with the answers of both sides, each a number and how it is written."""

    title: str
    values: Mapping[str, float]  # side -> value
    texts: Mapping[str, str]
    top: float  # where the axis ends


def timeline_chart(losses: LossLog, checkpoints: Sequence[Checkpoint], *, height: int) -> alt.LayerChart:
    """The smoothed loss over training, with a dot where each checkpoint was kept; quarters carry their label."""
    steps = pd.DataFrame({"step": losses.step, "loss": losses.loss}, dtype=float)
    steps["smoothed"] = steps["loss"].ewm(alpha=_ALPHA, adjust=False).mean()
    kept = pd.DataFrame({"step": [float(c.step) for c in checkpoints], "label": [c.label for c in checkpoints]})
    # The base has no loss of its own: it stands where the first step began.
    dots = pd.merge_asof(kept, steps, on="step", direction="nearest")
    dots["named"] = [_percent_label(label) if _is_quarter(label) else "" for label in dots["label"]]
    x = alt.X(
        "step:Q", title="training step", scale=alt.Scale(nice=False), axis=_axis(grid=False, tickCount=6, format="d")
    )
    y = alt.Y("smoothed:Q", title="loss (error)", scale=alt.Scale(zero=True), axis=_axis(tickCount=4))
    line = alt.Chart(steps).mark_line(strokeWidth=3, color=palette.LOSS).encode(x=x, y=y)
    base = alt.Chart(dots).encode(x=x, y=y)
    points = base.mark_point(filled=True, size=190, opacity=1, color=SIDE["B"], stroke="white", strokeWidth=1.5).encode(
        tooltip=["label:N", alt.Tooltip("step:Q", format="d"), alt.Tooltip("smoothed:Q", title="loss", format=".2f")]
    )
    names = _text(base, "named:N", dy=-20, align="center", size=_BIG)
    return alt.layer(line, points, names).properties(height=height)


def before_after_chart(rows: pd.DataFrame, *, height: int) -> alt.LayerChart:
    """How likely one word is after each prompt, before training and after it.

    `rows`: prompt, when (before, after), p, text (written at the bar's end).
    """
    order = [BEFORE, AFTER]
    base = alt.Chart(rows).encode(
        y=alt.Y("prompt:N", sort=None, title=None, axis=_axis(labelLimit=460, ticks=False, domain=False)),
        yOffset=alt.YOffset("when:N", sort=order),
        x=alt.X("p:Q", title=None, scale=alt.Scale(domain=[0, 1.25]), axis=_NO_AXIS),
        tooltip=["prompt:N", "when:N", alt.Tooltip("p:Q", format=".1%")],
    )
    bars = base.mark_bar(cornerRadius=3).encode(color=_when(orient="top"))
    return alt.layer(bars, _text(base, "text:N", dx=8, align="left")).properties(height=height)


def side_chart(panels: Sequence[Panel], *, width: int, height: int) -> alt.HConcatChart:
    """A panel a question, in it a bar a side with its value on top. `width`: of all panels together, in pixels."""
    each = (width - _GAP * (len(panels) - 1)) // len(panels)
    return alt.hconcat(*(_panel(panel, each, height) for panel in panels), spacing=_GAP)


def answers_chart(
    sides: Mapping[str, AttributionGraph], answer: str, *, width: int, height: int, n: int = 5
) -> alt.HConcatChart:
    """The `n` likeliest next words of each side; `answer`, the right one, in green."""
    return alt.hconcat(
        *(_answers(graph, answer, title, width // 2 - 150, height, n) for title, graph in sides.items()), spacing=_GAP
    )


def _answers(graph: AttributionGraph, answer: str, title: str, width: int, height: int, n: int) -> alt.LayerChart:
    words = sorted(
        zip(graph.target_probability.tolist(), map(visible, graph.target_tokens), strict=True),
        key=lambda item: -item[0],
    )
    shown = words[:n]
    if all(word != answer for _, word in shown):  # the right one is always there, however unlikely
        shown = [*words[: n - 1], *(item for item in words if item[1] == answer)]
    rows = pd.DataFrame([{"word": word, "p": p, "text": share(p), "right": word == answer} for p, word in shown])
    base = alt.Chart(rows).encode(
        y=alt.Y("word:N", sort=None, title=None, axis=_axis(size=_BIG, ticks=False, domain=False)),
        x=alt.X("p:Q", title=None, scale=alt.Scale(domain=[0, 1.15]), axis=_NO_AXIS),
    )
    colour = alt.Color("right:N", legend=None, scale=alt.Scale(domain=[True, False], range=[ANSWER, palette.SAME]))
    bars = base.mark_bar(cornerRadius=3).encode(color=colour)
    texts = _text(base, "text:N", dx=8, align="left", size=_BIG)
    return alt.layer(bars, texts).properties(width=width, height=height, title=_title(title))


def effect_chart(
    sides: Mapping[str, Intervention], answer: str, *, width: int, height: int, n: int = 3
) -> alt.HConcatChart:
    """Each side's likeliest words before and after, and for the right one in the last side the change of its logit:
    as the graph alone predicted it and as it was measured."""
    each = (width - 2 * _GAP - 350) // 3  # the rest is words beside the bars
    bars = [_effect(found, title, each, height, n) for title, found in sides.items()]
    last = list(sides.values())[-1]
    return alt.hconcat(*bars, _prediction(last, answer, each, height), spacing=_GAP).resolve_legend(color="shared")


def _effect(found: Intervention, title: str, width: int, height: int, n: int) -> alt.LayerChart:
    base = alt.Chart(_effect_rows(found, n)).encode(
        y=alt.Y("word:N", sort=None, title=None, axis=_axis(ticks=False, domain=False)),
        yOffset=alt.YOffset("when:N", sort=[BEFORE, AFTER]),
        x=alt.X("p:Q", title=None, scale=alt.Scale(domain=[0, 1.3]), axis=_NO_AXIS),
    )
    bars = base.mark_bar(cornerRadius=2).encode(color=_when(orient="right"))
    texts = _text(base, "text:N", dx=6, align="left", size=14)
    return alt.layer(bars, texts).properties(width=width, height=height, title=_title(title, _FONT, 6))


def _effect_rows(found: Intervention, n: int) -> pd.DataFrame:
    words = sorted(range(len(found.tokens)), key=lambda place: -max(found.p_before[place], found.p_after[place]))[:n]
    return pd.DataFrame(
        [
            {"word": visible(found.tokens[place]), "when": when, "p": p[place], "text": share(p[place])}
            for place in words
            for when, p in ((BEFORE, found.p_before), (AFTER, found.p_after))
        ]
    )


def _prediction(found: Intervention, answer: str, width: int, height: int) -> alt.LayerChart:
    place = [visible(token) for token in found.tokens].index(answer)
    values = {
        "predicted": found.predicted[place],
        "measured": found.logit_after[place] - found.logit_before[place],
    }
    rows = pd.DataFrame([{"how": how, "change": value, "text": signed(value)} for how, value in values.items()])
    low, high = min(0.0, *values.values()), max(0.0, *values.values())
    room = 0.35 * (high - low or 1.0)
    base = alt.Chart(rows).encode(
        y=alt.Y("how:N", sort=None, title=None, axis=_axis(ticks=False, domain=False)),
        x=alt.X(
            "change:Q", title=None, scale=alt.Scale(domain=[low - room * (low < 0), high + room * (high > 0)]),
            axis=alt.Axis(labels=False, ticks=False, grid=False, values=[0]),
        ),
    )  # fmt: skip
    bars = base.mark_bar(cornerRadius=2, color=SIDE["B"], height=22)
    down = values["measured"] < 0
    texts = _text(base, "text:N", dx=-8 if down else 8, align="right" if down else "left")
    return alt.layer(bars, texts).properties(
        width=width, height=height, title=_title(f"Score (logit) of “{answer}” in B", _FONT, 6)
    )


def share(p: float) -> str:
    """A probability or an accuracy as people write it."""
    if 0 < p < 0.01:
        return "under 1 %"
    if 0.99 < p < 1:
        return "over 99 %"
    return f"{100 * p:.0f} %"


def signed(value: float) -> str:
    """With a true minus sign."""
    return f"{value:+.1f}".replace("-", "−")


def _panel(panel: Panel, width: int, height: int) -> alt.LayerChart:
    rows = pd.DataFrame(
        [{"side": side, "value": value, "text": panel.texts[side]} for side, value in panel.values.items()]
    )
    names = list(panel.values)
    base = alt.Chart(rows).encode(
        x=alt.X("side:N", sort=None, title=None, axis=_axis(labelAngle=0, size=_FONT, ticks=False, labelLimit=300)),
        y=alt.Y("value:Q", title=None, scale=alt.Scale(domain=[0, 1.12 * panel.top]), axis=_NO_AXIS),
    )
    colour = alt.Color("side:N", legend=None, scale=alt.Scale(domain=names, range=[SIDE[name[0]] for name in names]))
    bars = base.mark_bar(cornerRadiusTopLeft=4, cornerRadiusTopRight=4, size=min(130, width // 3)).encode(color=colour)
    texts = _text(base, "text:N", dy=-16, align="center", size=_BIG + 4, fontWeight=600)
    return alt.layer(bars, texts).properties(width=width, height=height, title=_title(panel.title))


def _text(base: alt.Chart, field: str, *, size: int = _FONT, **mark: Any) -> alt.Chart:
    # This grey reads on both backgrounds; the page sets all text in the theme's own colour (assets/tour/tour.css).
    return base.mark_text(fontSize=size, baseline="middle", color=palette.SAME, **mark).encode(text=alt.Text(field))


def _when(*, orient: str) -> alt.Color:
    return alt.Color(
        "when:N", sort=[BEFORE, AFTER], scale=alt.Scale(domain=[BEFORE, AFTER], range=[palette.SAME, SIDE["B"]]),
        legend=alt.Legend(title=None, orient=orient, labelFontSize=_FONT, symbolSize=220, symbolType="square"),
    )  # fmt: skip


def _axis(*, size: int = _FONT, **options: Any) -> alt.Axis:
    return alt.Axis(labelFontSize=size, titleFontSize=_FONT, labelPadding=8, **options)


def _title(text: str, size: int = _BIG, offset: int = 14) -> alt.TitleParams:
    return alt.TitleParams(text, fontSize=size, fontWeight=600, anchor="start", offset=offset)


def _is_quarter(label: str) -> bool:
    return label in ("base", "25%", "50%", "75%", "100%")


def _percent_label(label: str) -> str:
    return label.replace("%", " %")
