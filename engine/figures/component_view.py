"""Two circuits of attention heads and MLPs as what the linked graph component draws, and as one table of edges.

Layers go up, heads stand side by side in their order, a layer's MLP at its right. The queries, keys and values of a
head are drawn as one edge, whose effect is their sum; the table and the tooltips name all three.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from engine.analysis.components.pruning import collapsed, node_mask, owner_of_input
from engine.domain.components import (
    CIRCUIT_STATUSES,
    QKV,
    Circuit,
    ComponentPlace,
    ComponentScores,
    ComponentShape,
)
from engine.domain.diffs import CHANGE, FLOW, SHARE
from engine.domain.edge_measures import EDGE_MEASURES
from engine.domain.errors import ComparisonRefused
from engine.domain.numbers import plural, signed
from engine.figures.component_words import STATUS_TEXTS, WORDING
from engine.figures.graph_view import IN_A, IN_B, STRONG_A, STRONG_B, STRONG_CHANGE, GraphView, short

IN_MODEL = 4  # a bit of `kept`: in neither circuit, drawn as a ghost so that the whole model is in sight
MOST_EDGES = 1_500  # sent: more are not told apart
_SHAPES = {"input": "box", "head": "circle", "mlp": "square", "logits": "box"}
_DRAWN_KINDS = {"logits": "output"}  # other graphs have nodes of the kind `logit`, which are drawn otherwise
_WHAT = {
    "input": "The words of the prompt.",
    "head": "An attention head: it moves information from earlier words to later ones.",
    "mlp": "An MLP: it adds what the model knows about one word.",
    "logits": "The model’s scores for the next word.",
}
_HEADS_Y, _MLP_Y, _PARALLEL_Y = -0.22, 0.34, 0.0  # within a layer; where the MLP reads the heads it stands above them
_LEAST_LAYER_PX = 12  # of a layer: names do not lie on each other; a deeper model is drawn higher than its frame
_LOW_ROWS, _ENDS_APART = 12, 0.8  # layers that leave a row the height of a box; in rows
_LAYERS_IN_FRAME, _MAP_SHARE = 32, 0.18  # layers that fit a frame; of the heads' width, as in assets/graph/scene.js


@dataclass(frozen=True, eq=False)
class ComponentSide:
    """One checkpoint: the scores of its edges, and the circuit that was chosen from them."""

    scores: ComponentScores
    circuit: Circuit
    name: str  # as it is shown: `demo-lora · step 300`
    loss: str = ""  # in words

    @property
    def effects(self) -> np.ndarray:
        """(n_inputs, n_sources): how much the answer depends on each edge; above 0 where it does worse without it."""
        return EDGE_MEASURES[self.scores.key.settings.metric].sign * self.scores.scores


@dataclass(frozen=True, eq=False)
class ComponentView(GraphView):
    """What the component is given: as `GraphView`, with the words of component graphs.

    `edges`: the strongest MOST_EDGES; `counts`: of all of them, by status.
    """

    counts: Mapping[str, int] = field(default_factory=dict)

    def payload(self) -> dict[str, Any]:
        """JSON-able, without NaN or infinity."""
        return super().payload() | {
            "statuses": list(CIRCUIT_STATUSES),
            "status_words": STATUS_TEXTS,
            "wording": WORDING,
            "counts": self.counts,
        }


def edge_changes(a: ComponentSide, b: ComponentSide) -> pd.DataFrame:
    """Every edge of either circuit once, q, k and v of a head in one row, the largest change of effect first.

    Columns: source, target (ids); from, to (names); effect_a, effect_b (sums over q, k, v; see
    `ComponentSide.effects`); in_a, in_b; via_a, via_b
    (which of q, k, v are in the circuit; empty for other targets); q_a, k_a, v_a, q_b, k_b, v_b (NaN for other
    targets); change (b - a); status. Raises ComparisonRefused where the models have other components.
    """
    shape = shared_shape([(side.scores.key.checkpoint, side.scores.shape) for side in (a, b)])
    inside = [collapsed(side.circuit) for side in (a, b)]
    scores = [summed_qkv(side.effects, shape) for side in (a, b)]
    rows, columns = np.nonzero(inside[0] | inside[1])
    ids, names = shape.nodes(), node_labels(shape)
    table = pd.DataFrame(
        {
            "source": [ids[column] for column in columns],
            "target": [ids[row + 1] for row in rows],
            "from": [names[column] for column in columns],
            "to": [names[row + 1] for row in rows],
        }
    )
    for side, (name, known) in zip((a, b), (("a", 0), ("b", 1)), strict=True):
        table[f"effect_{name}"] = scores[known][rows, columns]
        table[f"in_{name}"] = inside[known][rows, columns]
        table[f"via_{name}"] = _via(side.circuit.edges, shape, rows, columns)
        for place, which in enumerate(QKV):
            table[f"{which}_{name}"] = _of_heads(side.effects, shape, rows, columns, place)
    table["change"] = table["effect_b"] - table["effect_a"]
    turned = np.sign(table["effect_a"]) * np.sign(table["effect_b"]) < 0
    both = table["in_a"] & table["in_b"]
    table["status"] = np.select([both & turned, both, table["in_b"]], ["flipped", "in both", "appeared"], "vanished")
    order = (-table["change"].abs()).argsort(kind="stable")
    return table.iloc[order].reset_index(drop=True)


def node_changes(a: ComponentSide, b: ComponentSide) -> pd.DataFrame:
    """Every component of the model: id, name, kind, layer, position, a, b (the summed |score| of its edges in
    the circuit, out of it, of the output into it), in_a, in_b, status (“in both” also where it is in neither)."""
    shape = shared_shape([(side.scores.key.checkpoint, side.scores.shape) for side in (a, b)])
    places = [ComponentPlace.of(name) for name in shape.nodes()]
    table = pd.DataFrame(
        {
            "id": shape.nodes(),
            "name": node_labels(shape),
            "kind": [place.kind for place in places],
            "layer": [{"input": -1, "logits": shape.n_layers}.get(place.kind, place.layer) for place in places],
            "position": [{"head": place.head, "mlp": shape.n_heads}.get(place.kind, 0) for place in places],
        }
    )
    for name, side in (("a", a), ("b", b)):
        size = summed_qkv(np.abs(side.scores.scores) * side.circuit.edges, shape)
        table[name] = np.append(size.sum(axis=0), size[-1].sum())
        table[f"in_{name}"] = node_mask(side.circuit)
    table["status"] = np.select(
        [table["in_a"] & table["in_b"], table["in_b"], table["in_a"]], ["in both", "appeared", "vanished"], "in both"
    )
    return table


def component_view(a: ComponentSide, b: ComponentSide, *, strongest: int = 60) -> ComponentView:
    """Both circuits and their difference in one layout. `strongest`: edges drawn without being asked for, a side by
    |score|; in the difference all that changed come first, then the shared ones.

    Raises ComparisonRefused where the models have other components.
    """
    nodes, edges, shape = node_changes(a, b), edge_changes(a, b), a.scores.shape
    places = _places(shape)
    sides = [
        _side(name, side, nodes[f"in_{name.lower()}"], nodes, edges[f"in_{name.lower()}"])
        for name, side in (("A", a), ("B", b))
    ]
    return ComponentView(
        nodes=_drawn_nodes(nodes, edges, shape),
        edges=_drawn_edges(edges, nodes["id"], strongest),
        sides=sides,
        places=places,
        description=_description(sides, edges),
        counts={status: int((edges["status"] == status).sum()) for status in CIRCUIT_STATUSES},
    )


def summed_qkv(per_edge: np.ndarray, shape: ComponentShape) -> np.ndarray:
    """(n_inputs, n_sources) -> (n_layers (H + 1) + 1, n_sources): q, k and v of a head summed; rows as `collapsed`."""
    summed = np.zeros((shape.n_nodes - 1, shape.n_sources))
    np.add.at(summed, owner_of_input(shape) - 1, per_edge)
    return summed


def node_labels(shape: ComponentShape) -> list[str]:
    """As a person reads them, in the order of `shape.nodes()`: `input`, `L1 · head 3`, `L1 · MLP`, `output`."""
    return [_label(ComponentPlace.of(name)) for name in shape.nodes()]


def _label(place: ComponentPlace) -> str:
    if place.layer is None:
        return {"logits": "output"}.get(place.kind, place.kind)
    return f"L{place.layer} · MLP" if place.head is None else f"L{place.layer} · head {place.head}"


def unlearned(scores: ComponentScores) -> bool:
    """Whether the right answers are not ahead of the corrupted ones. False where the metric cannot tell."""
    return EDGE_MEASURES[scores.key.settings.metric].tells_right and scores.mean_clean <= 0


def effect_text(value: float) -> str:
    """Three significant digits, six decimals at most: `+0.0123`, `−1.23`, `0`."""
    if abs(value) < 5e-7:
        return "0"
    digits = max(0, 2 - int(np.floor(np.log10(abs(value))))) if np.isfinite(value) else 0
    return signed(float(value), min(digits, 6))


def shared_shape(of: Sequence[tuple[str, ComponentShape]]) -> ComponentShape:
    """`of`: checkpoints with their models' shapes. Raises ComparisonRefused where these have other components."""
    (first, shape), *others = of
    for other, its in others:
        if its != shape:
            has = [f"{one.n_layers} layers of {one.n_heads} heads" for one in (shape, its)]
            raise ComparisonRefused(
                f"{first} has {has[0]}, {other} {has[1]}. Circuits of components can be compared between checkpoints "
                "of one model only."
            )
    return shape


def _head_rows(shape: ComponentShape, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of collapsed rows: whether each is a head, and its q input (0 for others)."""
    layer, place = np.divmod(rows, shape.n_heads + 1)
    is_head = (place < shape.n_heads) & (layer < shape.n_layers)
    return is_head, np.where(is_head, layer * (3 * shape.n_heads + 1) + place, 0)


def _of_heads(
    per_edge: np.ndarray, shape: ComponentShape, rows: np.ndarray, columns: np.ndarray, which: int
) -> np.ndarray:
    is_head, first = _head_rows(shape, rows)
    values = per_edge[first + which * shape.n_heads * is_head, columns].astype(float)
    return np.where(is_head, values, np.nan)


def _via(edges: np.ndarray, shape: ComponentShape, rows: np.ndarray, columns: np.ndarray) -> list[str]:
    parts = [_of_heads(edges, shape, rows, columns, place) > 0 for place in range(3)]
    return [" ".join(which for which, there in zip(QKV, row, strict=True) if there) for row in zip(*parts, strict=True)]


def _left(shape: ComponentShape) -> float:
    """Of a model that is drawn higher than its frame, room for the small map of it."""
    return _MAP_SHARE * shape.n_heads if shape.n_layers > _LAYERS_IN_FRAME else 0.0


def _row(layer: int, shape: ComponentShape) -> float:
    """How high a layer stands; the input is layer -1, the output the one behind the last. Where rows are low, both ends
    stand apart, or their boxes would cover heads."""
    apart = _ENDS_APART if shape.n_layers > _LOW_ROWS else 0.0
    return layer + 1.0 + apart * ((layer >= 0) + (layer >= shape.n_layers))


def _places(shape: ComponentShape) -> dict[str, Any]:
    left = _left(shape)
    columns = [{"token": f"h{head}", "x": left + head + 1.0, "bold": False} for head in range(shape.n_heads)]
    columns.append({"token": "MLP", "x": left + shape.n_heads + 1.6, "bold": False})
    labels = ["in", *(f"L{layer}" for layer in range(shape.n_layers)), "out"]
    return {
        "width": left + shape.n_heads + 2.4,
        "height": _row(shape.n_layers, shape),
        "least_px": _LEAST_LAYER_PX,
        "columns": columns,
        "rows": [{"label": label, "y": _row(place - 1, shape)} for place, label in enumerate(labels)],
    }


def _drawn_nodes(
    nodes: pd.DataFrame, edges: pd.DataFrame, shape: ComponentShape
) -> list[dict[str, Any]]:  # fmt: skip
    left = _left(shape)
    heads_y, mlp_y = (_PARALLEL_Y, _PARALLEL_Y) if shape.parallel else (_HEADS_Y, _MLP_Y)
    largest = [float(nodes.loc[nodes["kind"].isin(["head", "mlp"]), side].max()) or 1.0 for side in ("a", "b")]
    counts = {
        (end, side): edges.loc[edges[f"in_{side}"], end].value_counts() for end in ("source", "target") for side in "ab"
    }
    drawn = []
    for row in nodes.to_dict("records"):
        kind, layer = row["kind"], int(row["layer"])
        x = left + {"head": row["position"] + 1.0, "mlp": shape.n_heads + 1.6}.get(kind, shape.n_heads // 2 + 0.5)
        y = _row(layer, shape) + {"head": heads_y, "mlp": mlp_y}.get(kind, 0.0)
        drawn.append(
            {
                "id": row["id"],
                "label": row["name"],
                "alias": row["id"],
                "shape": _SHAPES[kind],
                "x": short(x),
                "y": short(y),
                "kind": _DRAWN_KINDS.get(kind, kind),
                "token": {"head": f"h{row['position']}", "mlp": "MLP", "logits": "output"}.get(kind, kind),
                "layer": layer,
                "position": int(row["position"]),
                "index": 0,
                "answer": False,
                "status": row["status"],
                "a": short(row["a"] / largest[0]),
                "b": short(row["b"] / largest[1]),
                "change": short(row["b"] / largest[1] - row["a"] / largest[0]),
                "kept": IN_A * row["in_a"] | IN_B * row["in_b"] | IN_MODEL,
                "tooltip": _node_tip(row, counts),
            }
        )
    return drawn


def _node_tip(row: Mapping[Any, Any], counts: dict[tuple[str, str], pd.Series]) -> str:
    named = f"{row['name']} ({row['id']})" if row["kind"] in ("head", "mlp") else row["name"]
    lines = [named, _WHAT[row["kind"]]]
    for side in "ab":
        n_in, n_out = (int(counts[end, side].get(row["id"], 0)) for end in ("target", "source"))
        parts = [f"{n} {word}" for n, word in ((n_in, "in"), (n_out, "out")) if n]
        edges = f"edges: {', '.join(parts)}" if row[f"in_{side}"] else "not in the circuit"
        lines.append(f"{side.upper()}: {edges}")
    a, b = (effect_text(row[side]).removeprefix("+") for side in "ab")
    lines.append(f"effects of its edges in the circuit, added by size: {a} in A, {b} in B")
    return "\n".join(lines)


def _drawn_edges(edges: pd.DataFrame, ids: pd.Series, strongest: int) -> dict[str, list[Any]]:
    """Columns, as `edge_columns` of attribution graphs; `tip` instead of weights. What changed comes first."""
    size = pd.concat([edges[f"effect_{side}"].abs() * edges[f"in_{side}"] for side in "ab"], axis=1).max(axis=1)
    shared = edges["status"] == "in both"
    order = pd.DataFrame({"shared": shared, "size": -size}).sort_values(["shared", "size"], kind="stable").index
    if len(order) > MOST_EDGES:
        order = order[np.isin(order, size.sort_values(ascending=False, kind="stable").index[:MOST_EDGES])]
    edges = edges.loc[order]
    row_of = pd.Series(np.arange(len(ids)), index=ids)
    share = {side: _shares(edges, side) for side in "ab"}
    columns: dict[str, list[Any]] = {"from": row_of[edges["source"]].tolist(), "to": row_of[edges["target"]].tolist()}
    for side in "ab":
        columns[SHARE[side]] = [short(value) for value in share[side].tolist()]
        columns[FLOW[side]] = columns[SHARE[side]]  # what an edge is ranked and coloured by
    in_a, in_b = edges["in_a"].to_numpy(dtype=bool), edges["in_b"].to_numpy(dtype=bool)
    size_a, size_b = np.abs(share["a"]) * in_a, np.abs(share["b"]) * in_b
    flipped = (edges["status"] == "flipped").to_numpy()
    columns[CHANGE] = [short(value) for value in np.where(flipped, size_a + size_b, size_b - size_a).tolist()]
    columns["kept"] = (IN_A * in_a | IN_B * in_b).tolist()
    columns["status"] = [CIRCUIT_STATUSES.index(status) for status in edges["status"]]
    show = STRONG_A * _first(size_a, strongest) | STRONG_B * _first(size_b, strongest)
    columns["show"] = (show | STRONG_CHANGE * (np.arange(len(edges)) < 2 * strongest)).tolist()
    columns["tip"] = [_edge_tip(row) for row in edges.to_dict("records")]
    return columns


def _shares(edges: pd.DataFrame, side: str) -> np.ndarray:
    """Signed effects over the strongest edge of this side's circuit."""
    scores = edges[f"effect_{side}"].to_numpy(dtype=float)
    largest = float(np.abs(scores * edges[f"in_{side}"].to_numpy(dtype=bool)).max(initial=0.0)) or 1.0
    return np.clip(scores / largest, -1, 1)


def _first(sizes: np.ndarray, n: int) -> np.ndarray:
    """(n_edges,) int: 1 for the `n` largest above 0."""
    chosen = np.zeros(len(sizes), dtype=np.int64)
    best = np.argsort(-sizes, kind="stable")[:n]
    chosen[best[sizes[best] > 0]] = 1
    return chosen


def _edge_tip(row: Mapping[Any, Any]) -> str:
    lines = [f"{row['from']}  →  {row['to']}"]
    for side in "ab":
        inside = "in the circuit" if row[f"in_{side}"] else "not in the circuit"
        lines.append(f"{side.upper()}: effect {effect_text(row[f'effect_{side}'])}, {inside}")
        if not np.isnan(row[f"q_{side}"]):
            lines.append("     " + ", ".join(f"{which} {effect_text(row[f'{which}_{side}'])}" for which in QKV))
    lines.append(f"{STATUS_TEXTS[row['status']]} · change of effect {effect_text(row['change'])}")
    return "\n".join(lines)


def _side(name: str, side: ComponentSide, inside: pd.Series, nodes: pd.DataFrame, edges: pd.Series) -> dict[str, Any]:
    is_part = nodes["kind"].isin(["head", "mlp"])
    n_nodes, n_edges = int((inside & is_part).sum()), int(edges.sum())
    scores = side.scores
    return {
        "title": f"{name} · {side.name}",
        "loss": side.loss,
        "fit": f"{n_nodes} of {int(is_part.sum())} heads and MLPs · {plural(n_edges, 'edge')}",
        "warning": (
            "Here the right answer is not ahead of the corrupted prompt’s answer (difference "
            f"{effect_text(scores.mean_clean)} logits). The circuit shows what separates the two prompts, not how "
            "they are answered."
            if unlearned(scores)
            else ""
        ),
        "bars": [],
        "n_nodes": n_nodes,
        "n_edges": n_edges,
    }


def _description(sides: list[dict[str, Any]], edges: pd.DataFrame) -> str:
    parts = ["Two circuits of attention heads and MLPs."]
    parts += [f"{side['title']}: {side['fit']}." for side in sides]
    counts = edges["status"].value_counts()
    parts.append(", ".join(f"{int(counts.get(status, 0))} {status}" for status in CIRCUIT_STATUSES) + " edges.")
    parts.append("Arrow keys move between nodes, Enter selects, P pins, F fills the screen, Escape clears.")
    return " ".join(parts)
