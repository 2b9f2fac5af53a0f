"""Figures of the guided tour, as HTML that fills its room: few marks, large type, readable from the back of a room.

Blue is run A, orange is run B, gray is the model before training, everywhere. Text has the color of the page. Pure;
how large and where is in assets/tour/tour.css.
"""

import base64
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from engine.analysis.curves import smoothed
from engine.domain.numbers import percent, step_name
from engine.domain.runs import Checkpoint, LossLog
from engine.figures import palette
from engine.figures.sketch import FONT

BEFORE: Final = "before"
SIDE: Final = {"A": palette.STATUS["vanished"], "B": palette.STATUS["appeared"], BEFORE: palette.SAME}
_WIDTH, _HEIGHT = 1220.0, 400.0  # of the loss curves, in units of the picture
_LEFT, _RIGHT, _TOP, _BOTTOM = 70.0, 40.0, 46.0, 36.0


@dataclass(frozen=True)
class TourBar:
    """One value with how it is written. `side`: whose color it has."""

    side: str
    label: str  # before the bar
    value: float
    text: str  # after it


@dataclass(frozen=True)
class Group:
    """Bars that answer one question."""

    title: str
    note: str  # explains the title in a few words; may be empty
    bars: tuple[TourBar, ...]
    top: float = 1.0  # the value of a bar that fills its room


def key_line(names: Mapping[str, str], colors: Mapping[str, str] = SIDE) -> str:
    """Which color is which, at the same place on every step. `names`: side, or key of `colors` -> what it is."""
    items = "".join(
        f'<span><i style="background:{colors[side]}"></i>{_safe(name)}</span>' for side, name in names.items()
    )
    return f'<div class="tour-key">{items}</div>'


def bar_groups(groups: Sequence[Group]) -> str:
    """A row a group: its question at the left, its bars at the right."""
    rows = []
    for group in groups:
        note = f"<span>{_safe(group.note)}</span>" if group.note else ""
        bars = "".join(_bar(bar, group.top) for bar in group.bars)
        rows.append(
            f'<div class="tour-group"><div class="tour-question"><b>{_safe(group.title)}</b>{note}</div>'
            f'<div class="tour-bars">{bars}</div></div>'
        )
    return f'<div class="tour-groups">{"".join(rows)}</div>'


def _bar(bar: TourBar, top: float) -> str:
    share = min(1.0, max(0.0, bar.value / top))
    return (
        f'<div class="tour-bar"><span class="tour-label">{_safe(bar.label)}</span>'
        f'<span class="tour-room"><i style="width:{60 * share:.2f}%;background:{SIDE[bar.side]}"></i>'
        f"<b>{_safe(bar.text)}</b></span></div>"
    )


def word_dots(rows: Sequence[tuple[str, str, float, float]], *, title: str) -> str:
    """By word (word, meaning, share of A, share of B): a filled circle where all probes are right, else its part."""
    heads = "".join(f"<th>{side}</th>" for side in ("A", "B"))
    lines = "".join(
        f"<tr><td><b>{_safe(word)}</b> {_safe(meaning)}</td>{_dot('A', a)}{_dot('B', b)}</tr>"
        for word, meaning, a, b in rows
    )
    return (
        f'<div class="tour-words"><b>{_safe(title)}</b><table><thead><tr><th></th>{heads}</tr></thead>'
        f"<tbody>{lines}</tbody></table></div>"
    )


def _dot(side: str, share: float) -> str:
    color = SIDE[side]
    right = html.escape(f"{percent(share)} right")
    filled = f"conic-gradient({color} {360 * share:.0f}deg, transparent 0deg)"
    return (
        f'<td><i class="tour-dot" role="img" aria-label="{right}" title="{right}" '
        f'style="border-color:{color};background:{filled}"></i></td>'
    )


def picture(svg: str, *, alt: str) -> str:
    """SVG as an image within HTML: Streamlit lets no SVG element through."""
    data = base64.b64encode(svg.encode()).decode()
    return f'<img class="tour-picture" alt="{_safe(alt)}" src="data:image/svg+xml;base64,{data}">'


def loss_curves(runs: Mapping[str, tuple[LossLog, Sequence[Checkpoint]]], *, ink: str) -> str:
    """The smoothed training loss of each side as SVG, with a dot at every checkpoint; a few steps carry their name."""
    means = {side: smoothed(log.loss) for side, (log, _) in runs.items()}
    last = max(max(log.step) for log, _ in runs.values())
    top = max(max(values) for values in means.values())
    to_x = lambda step: _LEFT + step / last * (_WIDTH - _LEFT - _RIGHT)  # noqa: E731
    to_y = lambda loss: _HEIGHT - _BOTTOM - loss / top * (_HEIGHT - _TOP - _BOTTOM)  # noqa: E731
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH:.0f} {_HEIGHT:.0f}" width="{_WIDTH:.0f}" '
        f'height="{_HEIGHT:.0f}" fill="{ink}" color="{ink}" font-size="18" font-family="{FONT}">'
    ]
    for loss in range(int(top) + 1):
        y = to_y(loss)
        parts.append(
            f'<line x1="{_LEFT:.0f}" x2="{_WIDTH - _RIGHT:.0f}" y1="{y:.1f}" y2="{y:.1f}" stroke="currentColor" '
            f'stroke-opacity="0.14"/><text x="{_LEFT - 14:.0f}" y="{y + 6:.1f}" text-anchor="end">{loss}</text>'
        )
    named = {0, last, last // 4, last // 2, 3 * last // 4}
    for step in sorted(named):
        parts.append(
            f'<text x="{to_x(step):.1f}" y="{_HEIGHT - _BOTTOM + 26:.0f}" text-anchor="middle">{step_name(step)}</text>'
        )
    parts.append(
        f'<text x="{_LEFT:.0f}" y="{_TOP - 24:.0f}" fill-opacity="0.8">'
        "training loss: how badly a run predicts its sentences; lower is better</text>"
    )
    for side, (log, checkpoints) in runs.items():
        values = means[side]
        line = " ".join(f"{to_x(step):.1f},{to_y(loss):.1f}" for step, loss in zip(log.step, values, strict=True))
        parts.append(f'<polyline points="{line}" fill="none" stroke="{SIDE[side]}" stroke-width="3"/>')
        for checkpoint in checkpoints:
            # The base has no loss of its own: it stands where the first step began.
            place = max(0, min(range(len(log.step)), key=lambda at: abs(log.step[at] - checkpoint.step)))
            parts.append(
                f'<circle cx="{to_x(checkpoint.step):.1f}" cy="{to_y(values[place]):.1f}" r="6.5" fill="{SIDE[side]}"/>'
            )
    return "".join([*parts, "</svg>"])


def _safe(text: str) -> str:
    return html.escape(text, quote=True)
