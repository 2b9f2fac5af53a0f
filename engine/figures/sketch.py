"""A small circuit as a picture: the prompt below, a few features above it, the next word on top.

Unlike the linked graphs it shows only the part that is talked about, large enough for the back of a room, and needs no
script. Pure.
"""

import html
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import pandas as pd

from engine.domain.diffs import FLOW, PART, GraphDiff
from engine.domain.feature_names import FeatureNames
from engine.domain.numbers import percent
from engine.figures.layout import Layout, layout
from engine.figures.names import visible

MOST_EDGES: Final = 60
FONT: Final = "'Source Sans Pro', 'Segoe UI', Helvetica, Arial, sans-serif"
_LEFT, _RIGHT, _TOP, _BOTTOM = 58.0, 26.0, 62.0, 44.0  # room around the layout, in units of the picture
_LARGEST, _SMALLEST = 13.0, 3.5  # radius of a feature
_OUTPUT_SHARE = 0.2  # of the width: from one output to the next
_SILENT = 0.05  # of the largest part: below it a feature is drawn as hardly used


@dataclass(frozen=True, eq=False)
class Sketch:
    """What is drawn of a difference: nodes and edges by their ids, with their sizes on one side of it.

    `features`: by node id, what it adds to the explained logit; 0 where it takes away. `edges`: (source, target) ->
    flow, of those that add to it. `outputs`: node id -> probability.
    """

    places: Layout
    rows: Mapping[str, tuple[float, float]]  # place of each node
    features: Mapping[str, float]
    outputs: Mapping[str, tuple[str, float]]  # word, probability
    edges: Mapping[tuple[str, str], float]
    largest: float  # part that fills the largest circle, the same for pictures that stand beside each other
    thickest: float  # flow of the thickest line, likewise
    word: str  # of the prompt, set in bold
    answer: str
    labels: Mapping[str, str]  # of the features that are named: by node id


def sketch(
    diff: GraphDiff,
    side: Literal["a", "b"],
    features: Collection[str],
    *,
    word: str,
    answer: str,
    names: FeatureNames | None = None,
) -> Sketch:
    """The `features` of a side, the prompt, the right answer and what either side expects most.

    `names`: of each layer the used feature that adds most is called by its label. Edges are those among these nodes
    that the side keeps and that add to the explained logit, the largest first.
    """
    nodes = _shown(diff, set(features), answer)
    places = layout(nodes, diff.a.tokens, diff.a.n_layers)
    ids = nodes["id"].tolist()
    at = {node: (float(x), float(y)) for node, x, y in zip(ids, places.x, places.y, strict=True)}
    at |= _outputs_apart([node for node, kind in zip(ids, nodes["kind"], strict=True) if kind == "logit"], at, places)
    is_feature = nodes["kind"] == "feature"
    outputs = nodes[nodes["kind"] == "logit"]
    parts = nodes[is_feature][[*PART.values()]].astype(float).clip(lower=0)
    return Sketch(
        places=places,
        rows=at,
        features=dict(zip(nodes[is_feature]["id"], parts[PART[side]], strict=True)),
        outputs={
            node: (visible(str(token)), float(p))
            for node, token, p in zip(outputs["id"], outputs["token"], outputs[side], strict=True)
        },
        edges=_edges(diff, side, set(ids)),
        thickest=max((flow for one in ("a", "b") for flow in _edges(diff, one, set(ids)).values()), default=1.0),
        largest=float(parts.to_numpy().max(initial=0.0)) or 1.0,
        word=word,
        answer=answer,
        labels=_labels(nodes[is_feature], parts[PART[side]], _SILENT * parts.to_numpy().max(initial=0.0), names),
    )


def _labels(features: pd.DataFrame, parts: pd.Series, least: float, names: FeatureNames | None) -> dict[str, str]:
    """Of each layer's largest feature, where it has a label and adds more than `least`."""
    if names is None:
        return {}
    used = features[parts > least]
    tops = parts[used.index].groupby(used["layer"]).idxmax()
    rows = features.loc[tops]
    found = {
        node: names.label(layer, index)
        for node, layer, index in zip(rows["id"], rows["layer"].tolist(), rows["index"].tolist(), strict=True)
    }
    return {node: label.text for node, label in found.items() if label}


def _shown(diff: GraphDiff, features: set[str], answer: str) -> pd.DataFrame:
    """Rows of the node table: the whole prompt, `features`, and few outputs, in the table's order."""
    nodes = diff.nodes
    outputs = nodes[nodes["kind"] == "logit"]
    tops = [int(outputs[side].to_numpy().argmax()) for side in ("a", "b")] if len(outputs) else []
    few = set(outputs["id"].iloc[tops])
    few |= set(outputs[outputs["token"].str.strip() == answer]["id"])
    beginning = nodes["token"].str.startswith("<") & (nodes["position"] == 0)  # it says nothing
    kept = nodes["id"].isin(features | few) | ((nodes["kind"] == "token") & ~beginning)
    return nodes[kept].reset_index(drop=True)


def _outputs_apart(
    outputs: Sequence[str], at: Mapping[str, tuple[float, float]], places: Layout
) -> dict[str, tuple[float, float]]:
    """The outputs in their order, at the right, so far from each other that their words have room."""
    pitch = places.width * _OUTPUT_SHARE
    right = places.width - pitch / 3
    return {node: (right - pitch * back, at[node][1]) for back, node in enumerate(reversed(outputs))}


def _edges(diff: GraphDiff, side: str, nodes: set[str]) -> dict[tuple[str, str], float]:
    table = diff.edges
    inside = table[table["source"].isin(nodes) & table["target"].isin(nodes) & table[f"kept_{side}"].astype(bool)]
    ranked = inside[inside[FLOW[side]] > 0].sort_values(FLOW[side], ascending=False, kind="stable")
    pairs = zip(ranked["source"], ranked["target"], ranked[FLOW[side]], strict=True)
    return {(a, b): float(value) for a, b, value in pairs}


def sketch_svg(drawn: Sketch, *, color: str, ink: str, alt: str, width: int = 620, height: int = 430) -> str:
    """The picture as SVG of the given proportions. `color`: of features and edges; `ink`: of text and lines."""
    to = _SketchProjection(drawn.places, width, height)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{html.escape(alt)}" fill="{ink}" color="{ink}" font-size="15" font-family="{FONT}">',
        *(_row(to, row.label, row.y, width) for row in drawn.places.rows),
    ]
    weakest_first = list(drawn.edges.items())[:MOST_EDGES][::-1]
    parts += [_edge(drawn, to, pair, value / drawn.thickest, color) for pair, value in weakest_first]
    parts += [_feature(drawn, to, node, value, color) for node, value in drawn.features.items()]
    parts += [_label(drawn, to, node) for node in drawn.labels]
    parts += [_output(drawn, to, node, color) for node in drawn.outputs]
    parts += [_token(drawn, to, column.token, column.x) for column in drawn.places.columns]
    return "".join([*parts, "</svg>"])


class _SketchProjection:
    """Layout units to the picture's; the layout's y goes up."""

    def __init__(self, places: Layout, width: int, height: int) -> None:
        self._places, self._width, self._height = places, width, height

    def x(self, x: float) -> float:
        return _LEFT + x / (self._places.width or 1.0) * (self._width - _LEFT - _RIGHT)

    def y(self, y: float) -> float:
        return self._height - _BOTTOM - y / (self._places.height or 1.0) * (self._height - _TOP - _BOTTOM)


_ROW_NAMES: Final = {"Emb": "prompt", "Out": "next"}


def _row(to: _SketchProjection, label: str, y: float, width: int) -> str:
    at = to.y(y)
    name = _ROW_NAMES.get(label, label)
    return (
        f'<line x1="{_LEFT - 6:.0f}" x2="{width - 6}" y1="{at:.1f}" y2="{at:.1f}" stroke="currentColor" '
        'stroke-opacity="0.12"/>'
        f'<text x="0" y="{at + 5:.1f}" fill-opacity="0.8" font-size="14">{html.escape(name)}</text>'
    )


def _edge(drawn: Sketch, to: _SketchProjection, pair: tuple[str, str], size: float, color: str) -> str:
    (x1, y1), (x2, y2) = (drawn.rows[node] for node in pair)
    a, b, middle = (to.x(x1), to.y(y1)), (to.x(x2), to.y(y2)), (to.y(y1) + to.y(y2)) / 2
    return (
        f'<path d="M{a[0]:.1f} {a[1]:.1f}C{a[0]:.1f} {middle:.1f} {b[0]:.1f} {middle:.1f} {b[0]:.1f} {b[1]:.1f}" '
        f'fill="none" stroke="{color}" stroke-width="{1.0 + 3.0 * size:.1f}" '
        f'stroke-opacity="{0.25 + 0.55 * size:.2f}"/>'
    )


def _feature(drawn: Sketch, to: _SketchProjection, node: str, value: float, color: str) -> str:
    x, y = (to.x(drawn.rows[node][0]), to.y(drawn.rows[node][1]))
    share = max(0.0, value) / drawn.largest
    r = max(_SMALLEST, _LARGEST * math.sqrt(share))
    reading = (
        'fill="none" stroke="currentColor" stroke-opacity="0.55" stroke-dasharray="3 2"'
        if share < _SILENT
        else f'fill="{color}" fill-opacity="0.35" stroke="{color}" stroke-width="1.6"'
    )
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{r:.1f}" {reading}/>'


def _label(drawn: Sketch, to: _SketchProjection, node: str) -> str:
    """What the row's largest feature is called, before the row's first circle, with a line to its own."""
    x, y = drawn.rows[node]
    left = min(drawn.rows[other][0] for other in drawn.features if drawn.rows[other][1] == y)
    at, below = to.x(left) - _LARGEST - 6, to.y(y) - _LARGEST - 5
    return (
        f'<path d="M{at + 2:.1f} {below - 4:.1f}L{to.x(x):.1f} {to.y(y) - 2:.1f}" stroke="currentColor" '
        'stroke-opacity="0.6" fill="none"/>'
        f'<text x="{at:.1f}" y="{below:.1f}" text-anchor="end" font-size="14">{html.escape(drawn.labels[node])}</text>'
    )


def _output(drawn: Sketch, to: _SketchProjection, node: str, color: str) -> str:
    word, p = drawn.outputs[node]
    x, y = to.x(drawn.rows[node][0]), to.y(drawn.rows[node][1])
    weight = "700" if p == max(other for _, other in drawn.outputs.values()) else "400"
    return (
        f'<rect x="{x - 6:.1f}" y="{y - 6:.1f}" width="12" height="12" rx="2" fill="{color}" '
        f'fill-opacity="{0.15 + 0.85 * p:.2f}" stroke="{color}" stroke-width="1.6"/>'
        f'<text x="{x:.1f}" y="{y - 32:.1f}" text-anchor="middle" font-size="17" font-weight="{weight}">'
        f"{html.escape(word)}</text>"
        f'<text x="{x:.1f}" y="{y - 14:.1f}" text-anchor="middle" font-weight="{weight}">'
        f"{html.escape(percent(p))}</text>"
    )


def _token(drawn: Sketch, to: _SketchProjection, token: str, x: float) -> str:
    word = visible(token)
    weight = "700" if word == drawn.word else "400"
    shown = "" if word.startswith("<") else html.escape(word)  # the beginning, which every prompt has
    return (
        f'<text x="{to.x(x):.1f}" y="{to.y(0) + 26:.1f}" text-anchor="middle" font-size="17" '
        f'font-weight="{weight}">{shown}</text>'
    )
