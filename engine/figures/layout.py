"""Where the nodes of a graph stand: layers up, prompt tokens across.

One layout serves both sides of a comparison (and every step of a time-lapse): the place of a node follows from its
identity and from the set of nodes alone, so the same node is at the same place everywhere. Deterministic.

Units: x counts node pitches (1 = the space of one node in a full row). y goes up from 0 (embeddings) to the outputs;
two layers are 1 apart, or farther where crowded cells wrap into so many rows that they would touch.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import accumulate, groupby, pairwise

import numpy as np
import pandas as pd

from engine.figures.names import SUPERNODE, supernode_name

_MAX_WIDTH = 48.0  # node pitches that fit beside each other at half of a laptop's width
_CROWDED_WIDTH, _FEW_ROWS = 62.0, 3  # more of them where cells would else wrap into more than a few rows
_GAP = 1.0  # between columns
_PER_CHARACTER = 0.62  # width of a label's character, in node pitches
_LABEL_LIMIT = 10  # characters of a token that are given room
_LEAST_ROW_PITCH, _MOST_ROW_PITCH = 0.25, 0.4  # between the wrapped rows of one cell
_CELL_HEIGHT = 0.56  # of a cell whose rows still have more than the least pitch
_LAYER_GAP = 0.45  # at least, between the last row of a layer and the first one of the next
_MOST_ROWS = 12  # of one cell; then the whole gets wider
_NARROWEST = 4.0  # a cell of so few nodes is not wrapped
_OUTPUT_PITCH = 2.4  # between outputs, which carry labels; more where a long prompt makes a pitch narrower
_NAME_LIMIT = 14  # characters of a group's name that are given room
_FOLDED = 3  # so many layers without a node, one after the other, stand as one row


@dataclass(frozen=True)
class Column:
    """The place of one prompt token: its label at `x`, its nodes from `left` to `right`."""

    position: int
    token: str
    x: float
    left: float
    right: float


@dataclass(frozen=True)
class LayoutRow:
    """One layer, or several without nodes: its label at `y`."""

    label: str
    y: float


@dataclass(frozen=True, eq=False)
class Layout:
    """`x`, `y`: (n_nodes,) in the order of the table; the whole spans 0..width and 0..height.

    `room`: (n_nodes,) how high a node may be drawn without touching the rows above and below.
    """

    x: np.ndarray
    y: np.ndarray
    room: np.ndarray
    columns: tuple[Column, ...]
    rows: tuple[LayoutRow, ...]
    width: float
    height: float


def layout(nodes: pd.DataFrame, tokens: Sequence[str], n_layers: int) -> Layout:
    """Places for `nodes` (columns id, kind, layer, position, index, and for outputs a and b, which order them).

    Nodes of one layer and position share a cell, by kind and index; a cell too wide for its column wraps into rows.
    """
    table = nodes.reset_index(drop=True)
    cells = _cells(table)
    widths = _node_widths(table)
    limits = _wrap_limits([float(widths[cell].sum()) for cell in cells.values()], list(cells), tokens)
    packed = {place: _pack(widths[cell], limits[place[1]]) for place, cell in cells.items()}
    columns = _columns([(position, taken.width) for (_, position), taken in packed.items()], tokens)
    heights = _layer_heights({place: taken.height for place, taken in packed.items()}, n_layers)
    x, y, room = np.zeros(len(table)), np.zeros(len(table)), np.ones(len(table))
    for (layer, position), cell in cells.items():
        taken = packed[layer, position]
        x[cell] = columns[position].x + taken.dx
        y[cell] = heights[layer + 1] + taken.dy
        room[cell] = taken.pitch
    width = columns[-1].right if columns else 1.0
    outputs = table[table["kind"] == "logit"]
    order = outputs.assign(p=-np.maximum(outputs["a"], outputs["b"])).sort_values(["p", "index"], kind="stable").index
    x[order] = _output_places(len(order), width)
    y[order] = heights[-1]
    return Layout(
        x=x,
        y=y,
        room=room,
        columns=columns,
        rows=_rows(heights, n_layers),
        width=width,
        height=heights[-1],
    )


@dataclass(frozen=True, eq=False)
class _Packed:
    """Offsets (n,), (n,) of the nodes of one cell around its middle, and the room that they take."""

    dx: np.ndarray
    dy: np.ndarray
    width: float
    height: float  # from its first row to its last
    pitch: float  # between two rows; 1 where there is only one


def _cells(table: pd.DataFrame) -> dict[tuple[int, int], np.ndarray]:
    """(layer, position) -> rows of its nodes in their order, outputs left out."""
    inner = table[table["kind"] != "logit"].sort_values(["layer", "position", "kind", "index", "id"], kind="stable")
    order = inner.index.to_numpy()
    groups = inner.groupby(["layer", "position"]).indices
    return {(int(place[0]), int(place[1])): order[rows] for place, rows in groups.items()}  # type: ignore[index]


def _node_widths(table: pd.DataFrame) -> np.ndarray:
    """(n_nodes,) in node pitches: a group is drawn with its name in it."""
    widths = np.ones(len(table))
    for row in np.flatnonzero((table["kind"] == SUPERNODE).to_numpy()):
        widths[row] = 1 + _PER_CHARACTER * min(len(supernode_name(table["id"].iloc[row])), _NAME_LIMIT)
    return widths


def _label_widths(tokens: Sequence[str]) -> np.ndarray:
    return np.maximum([min(len(token), _LABEL_LIMIT) * _PER_CHARACTER for token in tokens], 1.0)


def _wrap_limits(sizes: Sequence[float], places: Sequence[tuple[int, int]], tokens: Sequence[str]) -> list[int]:
    """The widest that a cell of each position may be: with as few rows a cell as keep the whole within its width.

    A crowded column so gets more of the width than an empty one. Rows make their layer higher, up to _MOST_ROWS; then
    the whole gets wider instead.
    """
    widest = np.zeros(len(tokens))  # of the cells of each position
    for (_, position), size in zip(places, sizes, strict=True):
        widest[position] = max(widest[position], size)
    labels = _label_widths(tokens)
    for n_rows in range(1, _MOST_ROWS + 1):
        limits = np.maximum(np.ceil(widest / n_rows), np.minimum(widest, _NARROWEST))
        most = _MAX_WIDTH if n_rows <= _FEW_ROWS else _CROWDED_WIDTH
        if (np.maximum(limits, labels) + _GAP).sum() <= most:
            break
    return [max(int(limit), 1) for limit in np.ceil(limits)]


def _columns(taken: Sequence[tuple[int, float]], tokens: Sequence[str]) -> tuple[Column, ...]:
    """`taken`: (position, width) of every cell."""
    widths = _label_widths(tokens)
    for position, width in taken:
        widths[position] = max(widths[position], width)
    columns, left = [], 0.0
    for position, (token, width) in enumerate(zip(tokens, widths.tolist(), strict=True)):
        right = left + width + _GAP
        columns.append(Column(position, token, (left + right) / 2, left, right))
        left = right
    return tuple(columns)


def _pack(widths: np.ndarray, limit: int) -> _Packed:
    """One cell in rows of about equal width, each around the middle of the cell."""
    ends = np.cumsum(widths)
    middles, total = ends - widths / 2, float(ends[-1])
    n_rows = -(-int(np.ceil(total)) // limit)
    row = np.minimum((middles / total * n_rows).astype(int), n_rows - 1)
    dx = np.zeros(len(widths))
    widest = 0.0
    for part in (row == which for which in range(n_rows)):
        if part.any():
            in_row = float(widths[part].sum())
            dx[part] = np.cumsum(widths[part]) - widths[part] / 2 - in_row / 2
            widest = max(widest, in_row)
    pitch = min(_MOST_ROW_PITCH, max(_LEAST_ROW_PITCH, _CELL_HEIGHT / max(n_rows - 1, 1)))
    dy = (row - (n_rows - 1) / 2) * pitch
    return _Packed(dx, dy, widest, (n_rows - 1) * pitch, pitch if n_rows > 1 else 1.0)


def _layer_heights(taken: Mapping[tuple[int, int], float], n_layers: int) -> list[float]:
    """y of the embeddings, of each layer and of the outputs. `taken`: height of each cell by (layer, position).

    Folded layers have one y, that of their row.
    """
    highest = [0.0] * (n_layers + 2)
    for (layer, _), height in taken.items():
        highest[layer + 1] = max(highest[layer + 1], height)
    folded = _folded({layer for layer, _ in taken}, n_layers)
    steps = (
        0.0 if layer in folded and layer - 1 in folded else max(1.0, (below + above) / 2 + _LAYER_GAP)
        for layer, (below, above) in enumerate(pairwise(highest))
    )
    return list(accumulate(steps, initial=0.0))


def _folded(used: Set[int], n_layers: int) -> set[int]:
    """The layers without nodes that stand as one row with the ones beside them."""
    runs = groupby(range(n_layers), key=lambda layer: layer in used)
    empty = (list(run) for is_used, run in runs if not is_used)
    return {layer for run in empty if len(run) >= _FOLDED for layer in run}


def _rows(heights: Sequence[float], n_layers: int) -> tuple[LayoutRow, ...]:
    """Layers of one height are one row."""
    names = ["Emb", *(f"L{layer}" for layer in range(n_layers)), "Out"]
    rows = []
    for y, run in groupby(zip(heights, names, strict=True), key=lambda pair: pair[0]):
        first, *others = [name for _, name in run]
        rows.append(LayoutRow(f"{first}–{others[-1][1:]}" if others else first, y))
    return tuple(rows)


def _output_places(n: int, width: float) -> np.ndarray:
    """(n,) x of the outputs: against the right edge, where the prediction is made, with room for labels."""
    pitch = min(max(_OUTPUT_PITCH, width * _OUTPUT_PITCH / _MAX_WIDTH), 0.62 * width / max(n, 1))
    return width - 0.5 - pitch * np.arange(n)[::-1]
