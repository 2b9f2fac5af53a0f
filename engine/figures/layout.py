"""Where the nodes of a graph stand: layers up, prompt tokens across.

One layout serves both sides of a comparison (and every step of a time-lapse): the place of a node follows from its
identity and from the set of nodes alone, so the same node is at the same place everywhere. Deterministic.

Units: x counts node pitches (1 = the space of one node in a full row), y counts layers (0 = embeddings, n_layers + 1
= outputs).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

_MAX_WIDTH = 48.0  # node pitches that fit beside each other at half of a laptop's width
_GAP = 1.0  # between columns
_PER_CHARACTER = 0.62  # width of a label's character, in node pitches
_LABEL_LIMIT = 10  # characters of a token that are given room
_ROW_PITCH = 0.25  # between the wrapped rows of one cell, in layers
_CELL_HEIGHT = 0.72  # most that one cell takes, in layers
_OUTPUT_PITCH = 2.4  # between outputs, which carry labels


@dataclass(frozen=True)
class Column:
    """The place of one prompt token: its label at `x`, its nodes from `left` to `right`."""

    position: int
    token: str
    x: float
    left: float
    right: float


@dataclass(frozen=True)
class Row:
    """One layer: its label at `y`."""

    label: str
    y: float


@dataclass(frozen=True, eq=False)
class Layout:
    """`x`, `y`: (n_nodes,) in the order of the table; the whole spans 0..width and 0..height."""

    x: np.ndarray
    y: np.ndarray
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    width: float
    height: float


def layout(nodes: pd.DataFrame, tokens: Sequence[str], n_layers: int) -> Layout:
    """Places for `nodes` (columns kind, layer, position, index, and for outputs a and b, which order them).

    Nodes of one layer and position share a cell, by kind and index; a cell too wide for its column wraps into rows.
    """
    counts = _cell_counts(nodes, len(tokens), n_layers)
    limit = _wrap_limit(counts, tokens)
    columns = _columns(counts, tokens, limit)
    x, y = np.zeros(len(nodes)), np.zeros(len(nodes))
    table = nodes.reset_index(drop=True)
    inner = table[table["kind"] != "logit"].sort_values(["layer", "position", "kind", "index"], kind="stable")
    layer, position = table["layer"].to_numpy(dtype=int), table["position"].to_numpy(dtype=int)
    for rows in inner.groupby(["layer", "position"]).indices.values():
        cell = inner.index.to_numpy()[rows]
        dx, dy = _pack(len(cell), limit)
        x[cell] = columns[position[cell[0]]].x + dx
        y[cell] = layer[cell[0]] + 1 + dy
    width = columns[-1].right if columns else 1.0
    outputs = table[table["kind"] == "logit"]
    order = outputs.assign(p=-np.maximum(outputs["a"], outputs["b"])).sort_values(["p", "index"], kind="stable").index
    x[order] = _output_places(len(order), width)
    y[order] = n_layers + 1
    labels = ["Emb", *(f"L{layer}" for layer in range(n_layers)), "Out"]
    return Layout(
        x=x,
        y=y,
        columns=columns,
        rows=tuple(Row(label, float(place)) for place, label in enumerate(labels)),
        width=width,
        height=float(n_layers + 1),
    )


def _cell_counts(nodes: pd.DataFrame, n_pos: int, n_layers: int) -> np.ndarray:
    """(n_layers + 1, n_pos) nodes in each cell, outputs left out."""
    counts = np.zeros((n_layers + 1, n_pos), dtype=int)
    inner = nodes[nodes["kind"] != "logit"]
    np.add.at(counts, (inner["layer"].to_numpy() + 1, inner["position"].to_numpy()), 1)
    return counts


def _column_widths(counts: np.ndarray, tokens: Sequence[str], limit: int) -> np.ndarray:
    labels = np.array([min(len(token), _LABEL_LIMIT) * _PER_CHARACTER for token in tokens])
    return np.maximum(np.maximum(np.minimum(counts.max(axis=0, initial=0), limit), labels), 1.0)


def _wrap_limit(counts: np.ndarray, tokens: Sequence[str]) -> int:
    """The most nodes beside each other in one cell: all of them, or as many as keep the whole within its width."""
    limit = max(int(counts.max(initial=1)), 1)
    while limit > 4 and (_column_widths(counts, tokens, limit) + _GAP).sum() > _MAX_WIDTH:
        limit -= 1
    # A tall cell would run into the next layer: then the whole gets wider instead.
    tallest = int(_CELL_HEIGHT / _ROW_PITCH) * 2
    return max(limit, int(np.ceil(counts.max(initial=1) / tallest)))


def _columns(counts: np.ndarray, tokens: Sequence[str], limit: int) -> tuple[Column, ...]:
    columns, left = [], 0.0
    for position, (token, width) in enumerate(zip(tokens, _column_widths(counts, tokens, limit), strict=True)):
        right = left + float(width) + _GAP
        columns.append(Column(position, token, (left + right) / 2, left, right))
        left = right
    return tuple(columns)


def _pack(n: int, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """Offsets (n,), (n,) of the nodes of one cell around its middle, in rows of equal length."""
    n_rows = -(-n // limit)
    per_row = -(-n // n_rows)
    row, place = np.divmod(np.arange(n), per_row)
    in_row = np.minimum(per_row, n - row * per_row)
    pitch = min(_ROW_PITCH, _CELL_HEIGHT / max(n_rows - 1, 1))
    return place - (in_row - 1) / 2, (row - (n_rows - 1) / 2) * pitch


def _output_places(n: int, width: float) -> np.ndarray:
    """(n,) x of the outputs: against the right edge, where the prediction is made, with room for labels."""
    pitch = min(_OUTPUT_PITCH, 0.62 * width / max(n, 1))
    return width - 0.5 - pitch * np.arange(n)[::-1]
