"""A difference of two graphs as what the linked graph component draws: places, words, colours; nothing to compute.

The payload is plain JSON. Text in it is text: the component never takes it as HTML.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from engine.domain.corpus import Probe
from engine.domain.diffs import STATUSES, GraphDiff
from engine.domain.graphs import FIT_LIMIT, AttributionGraph
from engine.figures import palette
from engine.figures.layout import Layout, layout
from engine.figures.names import node_name, visible

SHAPES = {"feature": "circle", "error": "diamond", "token": "square", "logit": "square"}
IN_A, IN_B = 1, 2  # bits of `kept`
STRONG_A, STRONG_B, STRONG_CHANGE = 1, 2, 4  # bits of an edge's `show`: drawn without being asked for
_BARS = 4

_STATUS_TEXT = {
    "appeared": "only in B",
    "vanished": "only in A",
    "strengthened": "stronger in B",
    "weakened": "weaker in B",
    "flipped": "turned its sign",
    "unchanged": "about the same in both",
}


@dataclass(frozen=True, eq=False)
class GraphView:
    """What the component is given: `nodes` one dict a node, `edges` one list a column (graphs have many edges)."""

    nodes: list[dict[str, Any]]
    edges: dict[str, list[Any]]
    sides: list[dict[str, Any]]  # A, then B
    places: dict[str, Any]  # width, height, columns, rows
    description: str  # for a screen reader

    def payload(self) -> dict[str, Any]:
        """JSON-able, without NaN or infinity."""
        return {
            "nodes": self.nodes,
            "edges": self.edges,
            "sides": self.sides,
            "places": self.places,
            "description": self.description,
            "statuses": list(STATUSES),
            "palette": palette.GRAPH,
        }


def pair_view(
    diff: GraphDiff,
    *,
    probe: Probe | None = None,
    strongest: int = 35,
    loss_a: float | None = None,
    loss_b: float | None = None,
) -> GraphView:
    """Both sides and their overlay in one layout.

    `strongest`: edges drawn without being asked for, by contribution on each side and by |change| in the overlay.
    `probe`: where the prompt is a probe, its right answer is marked and its new word set in bold.
    """
    places = layout(diff.nodes, diff.a.tokens, diff.a.n_layers)
    answer = probe.answer.strip() if probe is not None else None
    sides = [
        _side("A", diff.a, answer, loss_a, diff.nodes["kept_a"], diff.edges["kept_a"]),
        _side("B", diff.b, answer, loss_b, diff.nodes["kept_b"], diff.edges["kept_b"]),
    ]
    return GraphView(
        nodes=_nodes(diff.nodes, places, answer),
        edges=_edges(diff, strongest),
        sides=sides,
        places=_places(places, probe),
        description=_description(diff, sides),
    )


def _nodes(nodes: pd.DataFrame, places: Layout, answer: str | None) -> list[dict[str, Any]]:
    rows: Iterable[Any] = nodes.itertuples()
    return [
        {
            "id": row.id,
            "label": _label(row),
            "shape": SHAPES[row.kind],
            "x": _short(x),
            "y": _short(y),
            "kind": row.kind,
            "token": visible(row.token),
            "layer": int(row.layer),
            "position": int(row.position),
            "status": row.status,
            "a": _short(row.a),
            "b": _short(row.b),
            "kept": IN_A * bool(row.kept_a) | IN_B * bool(row.kept_b),
            "answer": row.kind == "logit" and row.token.strip() == answer,
            "tooltip": _tooltip(row),
        }
        for row, x, y in zip(rows, places.x.tolist(), places.y.tolist(), strict=True)
    ]


def _label(row: Any) -> str:
    return node_name(row.kind, row.layer, row.token, row.index)


def _tooltip(row: Any) -> str:
    """A few plain lines; users know the logit's from circuit-tracer's own view."""
    if row.kind == "logit":
        return f"Output “{visible(row.token)}”\nA p = {row.a:.3f} · B p = {row.b:.3f}"
    lines = [
        node_name(row.kind, row.layer, row.token, row.index),
        f"part in the output: A {row.a:.3f} · B {row.b:.3f}",
    ]
    if row.kind == "feature":
        lines.append(f"activation: A {row.activation_a:.2f} · B {row.activation_b:.2f}")
    lines.append(_STATUS_TEXT[row.status])
    for name, kept, value in (("A", row.kept_a, row.a), ("B", row.kept_b, row.b)):
        if not kept:
            lines.append(f"pruned away in {name}: too small there" if value > 0 else f"no part of the output in {name}")
    return "\n".join(lines)


def _edges(diff: GraphDiff, strongest: int) -> dict[str, list[Any]]:
    """Columns; `from` and `to` are places in `nodes`, `status` a place in STATUSES."""
    edges = diff.edges
    row_of = pd.Series(np.arange(len(diff.nodes)), index=diff.nodes["id"])
    kept_a, kept_b = edges["kept_a"].to_numpy(dtype=bool), edges["kept_b"].to_numpy(dtype=bool)
    changed = (edges["status"] != "unchanged").to_numpy(dtype=bool)
    show = (
        STRONG_A * _top(edges["contribution_a"], kept_a, strongest)
        | STRONG_B * _top(edges["contribution_b"], kept_b, strongest)
        | STRONG_CHANGE * _top(edges["change"].abs(), changed, strongest)
    )
    numbers = ("weight_a", "weight_b", "share_a", "share_b", "contribution_a", "contribution_b", "change")
    return {
        "from": row_of[edges["source"]].tolist(),
        "to": row_of[edges["target"]].tolist(),
        **{name: [_short(value) for value in edges[name].tolist()] for name in numbers},
        "kept": (IN_A * kept_a | IN_B * kept_b).tolist(),
        "status": edges["status"].map({status: place for place, status in enumerate(STATUSES)}).astype(int).tolist(),
        "show": show.tolist(),
    }


def _top(values: pd.Series, among: np.ndarray, n: int) -> np.ndarray:
    """(n_edges,) int, 1 for the `n` largest values > 0 of those in `among`; of equals, the earlier."""
    ranked = np.where(among, values.to_numpy(dtype=float), 0.0)
    chosen = np.argsort(-ranked, kind="stable")[:n]
    top = np.zeros(len(ranked), dtype=np.int64)
    top[chosen[ranked[chosen] > 0]] = 1
    return top


def _side(
    name: str,
    graph: AttributionGraph,
    answer: str | None,
    loss: float | None,
    kept_nodes: pd.Series,
    kept_edges: pd.Series,
) -> dict[str, Any]:
    likely = sorted(zip(graph.target_probability.tolist(), graph.target_tokens, strict=True), key=lambda item: -item[0])
    bars = [{"token": visible(token), "p": _short(p), "answer": token.strip() == answer} for p, token in likely[:_BARS]]
    replacement = graph.fit.replacement
    fit = f"features explain {int(100 * replacement)} %"  # rounded down: never at the limit while below it
    weak = "" if replacement >= FIT_LIMIT else f"Below {100 * FIT_LIMIT:.0f} %: part of this computation is not shown."
    return {
        "title": f"{name} · {graph.key.checkpoint}",
        "loss": "" if loss is None else f"loss {loss:.2f}",
        "fit": fit,
        "warning": weak,
        "bars": bars,
        "n_nodes": int(kept_nodes.sum()),
        "n_edges": int(kept_edges.sum()),
    }


def _places(places: Layout, probe: Probe | None) -> dict[str, Any]:
    word = probe.constraint if probe is not None and probe.kind != "retention" else None
    return {
        "width": places.width,
        "height": places.height,
        "columns": [
            {"token": visible(column.token), "x": column.x, "bold": visible(column.token) == word}
            for column in places.columns
        ],
        "rows": [{"label": row.label, "y": row.y} for row in places.rows],
    }


def _description(diff: GraphDiff, sides: list[dict[str, Any]]) -> str:
    parts = [f"Two attribution graphs of “{diff.a.key.prompt}”."]
    for side in sides:
        first = f", most likely output {side['bars'][0]['token']}" if side["bars"] else ""
        parts.append(f"{side['title']}: {side['n_nodes']} nodes, {side['n_edges']} edges, {side['fit']}{first}.")
    counts = diff.summary.edges
    parts.append(", ".join(f"{counts[status]} {status}" for status in STATUSES) + " edges.")
    parts.append("Arrow keys move between nodes, Enter selects, P pins, Escape clears.")
    return " ".join(parts)


def _short(value: float) -> float:
    """Five significant digits: less to send, nothing lost to the eye."""
    return float(f"{value:.5g}")
