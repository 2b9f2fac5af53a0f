"""What a Map shows, in tables: places, moves, and what a place or a move is made of. The largest first."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from engine.analysis import acted as acted_names
from engine.analysis.acted import head_table, layers_named, matrix_table
from engine.analysis.acted_mean import ActedMean, layer_names, mean_table
from engine.analysis.carried import explained_logits
from engine.analysis.parts import reads_of_move
from engine.analysis.word_pieces import TokenSpan
from engine.domain.acted import Acted
from engine.domain.diffs import PART, GraphDiff
from engine.domain.feature_names import FeatureNames
from engine.domain.numbers import signed
from engine.figures.map_view import EMBEDDINGS, OUTPUT, MapView, changed
from engine.figures.names import visible

SIDES = ("A", "B", "change")
MOST_NAMED = 3  # features of a place
NOT_KEPT = "edges not kept"  # the row of a move of which storage does not tell where it is read
_MEAN = ("part", "low", "high")
_SMALLEST = 1e-3  # logits: less is rounding


def place_id(view: MapView, row: int, column: int) -> str:
    """As the component names it."""
    return span_id(row + view.first_layer, view.spans[column])


def span_id(layer: int, span: TokenSpan) -> str:
    """Of a word's place, as the component names it."""
    return f"place/{layer}/{span.first}/{span.last}"


def place_of(view: MapView, name: str) -> tuple[int, int] | None:
    """Row and column of a place's id, or of a node's in its place; None where it is not on this map."""
    kind, *rest = name.split("/")
    if kind not in ("place", "feature", "error", "token") or len(rest) < 3:
        return None
    row, position = int(rest[0]) - view.first_layer, int(rest[1])
    column = next((column for column, span in enumerate(view.spans) if position in span.positions), None)
    return None if column is None or not 0 <= row < len(view.rows) else (row, column)


def layer_name(view: MapView, row: int) -> str:
    """Of a row, as all tables name layers; beside a picture there is less room."""
    return {EMBEDDINGS: acted_names.EMBEDDINGS, OUTPUT: acted_names.OUTPUT}.get(view.rows[row], view.rows[row])


def place_rows(view: MapView) -> pd.DataFrame:
    """layer, word (of pieces `token`, of heads `head or MLP`), part; or layer, word, A, B, change; and id. Without
    places that are 0 in all of them."""
    values = view.frames[-1].places
    row, column = np.nonzero((values != 0).any(0))
    table = pd.DataFrame(
        {
            "layer": [layer_name(view, place) for place in row.tolist()],
            view.unit: [visible(view.spans[place].text) for place in column],
            **_figures(values[:, row, column]),
            "id": [place_id(view, *place) for place in zip(row.tolist(), column.tolist(), strict=True)],
        }
    )
    return _largest_first(table)


def move_rows(view: MapView) -> pd.DataFrame:
    """from, to, A, B, change, and the ids source and target."""
    values = view.frames[-1].moves
    target, source = np.nonzero((values != 0).any(0))
    ends = {"from": source, "to": target}
    table = pd.DataFrame(
        {
            **{name: [visible(view.spans[place].text) for place in places] for name, places in ends.items()},
            **_figures(values[:, target, source]),
            **{
                name: [place_id(view, 0, int(place)) for place in places]
                for name, places in (("source", source), ("target", target))
            },
        }
    )
    return _largest_first(table)


def word_rows(view: MapView) -> pd.DataFrame:
    """word (of pieces `token`), part, and a column a stretch: in the order of the prompt."""
    totals = [frame.totals for frame in view.frames if frame.totals is not None]
    table = pd.DataFrame({view.unit: [visible(span.text) for span in view.spans], "part": totals[-1]})
    if len(totals) > 1:
        stretches = np.diff(np.array(totals), axis=0, prepend=0)
        table = table.assign(**{f"to {frame.name}": part for frame, part in zip(view.frames, stretches, strict=True)})
    return table


def feature_rows(diff: GraphDiff, layer: int, span: TokenSpan, names: FeatureNames) -> pd.DataFrame:
    """feature, label, A, B, change, and id: the features of a place that the difference keeps."""
    nodes = diff.nodes
    here = (nodes["kind"] == "feature") & (nodes["layer"] == layer) & nodes["position"].isin(list(span.positions))
    found = nodes[here]
    a, b = (found[PART[side]].to_numpy(dtype=float) for side in "ab")
    labels = [names.label(layer, int(index)) for index in found["index"]]
    table = pd.DataFrame(
        {
            "feature": [f"#{index}" for index in found["index"]],
            "label": [label.text if label else "" for label in labels],
            "A": a,
            "B": b,
            "change": changed(diff, a, b),
            "id": found["id"].to_numpy(),
        }
    )
    return _largest_first(table)


def carrying(diff: GraphDiff, view: MapView, places: Sequence[str], names: FeatureNames) -> list[str]:
    """`and → smiles (+1.26) · #397 (+1.19)`: of each place (its id) the features that make most of its change, or,
    where nothing changed, of its part."""
    nodes = diff.nodes
    nodes = nodes[nodes["kind"] == "feature"]
    a, b = (nodes[PART[side]].to_numpy(dtype=float) for side in "ab")
    change = b if diff.explained.is_same else changed(diff, a, b)
    column = np.array([column for column, span in enumerate(view.spans) for _ in span.positions])
    at = list(zip(nodes["layer"].tolist(), column[nodes["position"]].tolist(), strict=True))
    index = nodes["index"].tolist()
    found: dict[tuple[int, int], list[str]] = {}
    for row in np.argsort(-np.abs(change), kind="stable").tolist():
        named = found.setdefault(at[row], [])
        if len(named) < MOST_NAMED:
            label = names.label(at[row][0], index[row])
            named.append(f"{label.text if label else f'#{index[row]}'} ({signed(change[row])})")
    cells = (place_of(view, place) for place in places)
    return [" · ".join(found.get((cell[0] + view.first_layer, cell[1]), ())) if cell else "" for cell in cells]


def layers_of_move(diff: GraphDiff, source: TokenSpan, target: TokenSpan) -> pd.DataFrame:
    """read in (layer), A, B, change: what comes to a word from another, by what reads it; the rows sum to the move."""
    explained, ends = explained_logits(diff), (source.positions, target.positions)
    return read_rows(
        *(reads_of_move(graph, explained, *ends) for graph in (diff.a, diff.b)), scale=diff.explained.scale
    )


def read_rows(a: np.ndarray, b: np.ndarray, *, scale: float) -> pd.DataFrame:
    """As of `layers_of_move`; `a`, `b`: (n_layers + 2,) as of `reads_of_move`."""
    a, b = (np.append(one[:-1], one[-1] if abs(one[-1]) >= _SMALLEST else 0.0) for one in (a, b))
    names = [*(f"L{layer}" for layer in range(len(a) - 2)), "the output", NOT_KEPT]
    table = pd.DataFrame({"read in": names, "A": a, "B": b, "change": b - scale * a})
    return _largest_first(table[(a != 0) | (b != 0)])


def matrices_at(acted: Acted, layer: int, span: TokenSpan) -> pd.DataFrame:
    """matrix, part: of one place."""
    rows = [
        (one.name, float(parts[list(span.positions)].sum()))
        for one, parts in acted.by_matrix().items()
        if one.layer == layer
    ]
    return _largest_first(pd.DataFrame(rows, columns=["matrix", "part"]), by="part")


def heads_at(acted: Acted, layer: int, span: TokenSpan) -> pd.DataFrame:
    """kind, head, part: of one place."""
    rows = [
        (one.kind, one.head, float(parts[list(span.positions)].sum()))
        for one, parts in acted.by_head().items()
        if one.layer == layer
    ]
    return _largest_first(pd.DataFrame(rows, columns=["kind", "head", "part"]), by="part")


def matrix_rows(acted: Acted) -> pd.DataFrame:
    """layer, matrix, part."""
    return layers_named(matrix_table(acted), acted.n_layers)[["layer", "matrix", "part"]]


def head_rows(acted: Acted) -> pd.DataFrame:
    """layer, kind, head, part."""
    return layers_named(head_table(acted), acted.n_layers)


def mean_place_rows(view: MapView, mean: ActedMean) -> pd.DataFrame:
    """layer, role, part, low, high, and id: of a Map of `acted_mean_view`."""
    found = mean_table(mean, "layer", "role")
    spans = {span.text: span for span in view.spans}
    ids = [span_id(layer, spans[role]) for layer, role in zip(found["layer"], found["role"], strict=True)]
    return layer_names(mean, found.assign(id=ids))[["layer", "role", *_MEAN, "id"]]


def mean_role_rows(view: MapView, mean: ActedMean) -> pd.DataFrame:
    """role, part, low, high, and a column a stretch: in the order of the prompt."""
    found = mean_table(mean, "role")[["role", *_MEAN]].set_index("role")
    if len(view.frames) > 1:
        steps = mean_table(mean, "step", "role")
        for number, frame in enumerate(view.frames):
            found[f"to {frame.name}"] = steps[steps["step"] == number].set_index("role")["part"]
    return found.reset_index()


def mean_matrix_rows(mean: ActedMean) -> pd.DataFrame:
    """layer, matrix, part, low, high."""
    found = mean_table(mean, "layer", "matrix")
    return layer_names(mean, found)[["layer", "matrix", *_MEAN]]


def mean_matrices_at(mean: ActedMean, layer: int, role: str) -> pd.DataFrame:
    """matrix, part, low, high: of one place."""
    found = mean_table(mean, "layer", "role", "matrix")
    here = found[(found["layer"] == layer) & (found["role"] == role)]
    return here[["matrix", *_MEAN]].reset_index(drop=True)


def _figures(values: np.ndarray) -> dict[str, np.ndarray]:
    """Columns of `values` (n_panels, n)."""
    names = ("part",) if len(values) == 1 else SIDES
    return dict(zip(names, values, strict=True))


def _largest_first(table: pd.DataFrame, *, by: str = "") -> pd.DataFrame:
    column = by or ("part" if "part" in table else "change")
    if column == "change" and not table[column].any():
        column = "B"
    order = table[column].abs().sort_values(ascending=False, kind="stable").index
    return table.loc[order].reset_index(drop=True)
