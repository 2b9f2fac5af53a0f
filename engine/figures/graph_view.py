"""A difference of two graphs as what the linked graph component draws: places, words, colours; nothing to compute.

The payload is plain JSON. Text in it is text: the component never takes it as HTML. `timelapse_view` puts many
differences into one layout out of the same parts.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isnan
from typing import Any

import numpy as np
import pandas as pd

from engine.analysis.carried import explained_sentence, notes
from engine.analysis.focus import Focus, drawn_sentence
from engine.analysis.headline import as_text
from engine.analysis.mean_graph import OTHER_ANSWERS, RIGHT_ANSWER
from engine.domain.continuation import output_for
from engine.domain.corpus import PROBE_KINDS, Probe
from engine.domain.diffs import (
    CHANGE,
    COMPARED,
    FLOW,
    MEAN_COLUMNS,
    NOT_CHANGED,
    PART,
    SHARE,
    STATUSES,
    WEIGHT,
    ExplainedChange,
    GraphDiff,
    edge_effect,
    without_unknown,
)
from engine.domain.graphs import FIT_LIMIT, AttributionGraph, NodeKind
from engine.domain.names import CheckpointRef
from engine.domain.numbers import decimal, step_name
from engine.figures import palette
from engine.figures.fit_text import score_text
from engine.figures.layout import Layout, layout
from engine.figures.names import SUPERNODE, told_apart, visible
from engine.figures.node_tooltip import STATUS_WORDS, node_label, node_tooltip

SHAPES = {"feature": "circle", "error": "diamond", "token": "square", "logit": "square", SUPERNODE: "box"}
IN_A, IN_B = 1, 2  # bits of `kept`
STRONG_A, STRONG_B, STRONG_CHANGE = 1, 2, 4  # bits of an edge's `show`: drawn without being asked for
DEEP = 8  # layers: of a deeper model the Map tells more at a glance than graphs
# Pixels of a layout unit's height: what is higher than its frame scrolls. Of a deep model 30 layers fit a small laptop.
_LEAST_LAYER_PX, _LEAST_DEEP_LAYER_PX = 34, 11
N_BARS = 4  # and one for all other tokens
_MEASURES = (WEIGHT, SHARE, FLOW)  # of each side


class Sent:
    """What the component is sent: a payload as bytes, made once."""

    def payload(self) -> dict[str, Any]:
        raise NotImplementedError

    @cached_property
    def wire(self) -> bytes:
        """The payload as JSON in UTF-8, on one line."""
        return json.dumps(self.payload(), ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()

    @cached_property
    def version(self) -> str:
        """Equal for equal payloads."""
        return hashlib.sha256(self.wire).hexdigest()[:16]


@dataclass(frozen=True, eq=False)
class GraphView(Sent):
    """What the component is given: `nodes` one dict a node, `edges` one list a column (graphs have many edges)."""

    nodes: list[dict[str, Any]]
    edges: dict[str, list[Any]]
    sides: list[dict[str, Any]]  # A, then B
    places: dict[str, Any]  # width, height, columns, rows
    description: str  # for a screen reader
    explained: dict[str, Any] | None = None  # words, scale; None in component circuits, which explain no logit
    notes: tuple[str, ...] = ()  # what a picture without the page around it says of its figures; not sent

    def payload(self) -> dict[str, Any]:
        """JSON-able, without NaN or infinity."""
        return {
            "nodes": self.nodes,
            "edges": self.edges,
            "sides": self.sides,
            "places": self.places,
            "description": self.description,
            "explained": self.explained,
            "timelapse": None,
            **component_facts(),
        }


def pair_view(
    diff: GraphDiff,
    *,
    probe: Probe | None = None,
    among: Focus | None = None,
    strongest: int = 35,
    loss_a: str = "",
    loss_b: str = "",
    step_a: int | None = None,
    step_b: int | None = None,
    doubts: str = "",
) -> GraphView:
    """Both sides and their overlay in one layout.

    `among`: the nodes that are drawn, all without it; what is said of the graphs is said of the whole.
    `strongest`: edges drawn without being asked for, by |flow| on each side and by |change| in the overlay.
    `loss_a` to `step_b`: of the checkpoints, shown in the titles (losses in words: `ToldLoss.text`).
    `probe`: where the prompt is a probe, its right answer is marked and its new word set in bold. In a mean circuit
    the right answers are marked without one.
    `doubts`: what is to be doubted of both graphs, for pictures without a page around them.
    """
    nodes, edges = drawn_parts(diff, among)
    drawn = drawn_sentence(diff, among) if among is not None else ""
    places = layout(nodes, diff.a.tokens, diff.a.n_layers)
    answer = right_answer(probe, diff.nodes)
    sides = both_sides(diff, bar_tokens([diff.a, diff.b], answer), answer, (loss_a, loss_b), (step_a, step_b))
    rows: Iterable[Any] = nodes.itertuples()
    fixed = fixed_parts(nodes, places, answer)
    return GraphView(
        nodes=[part | moving_part(row) for part, row in zip(fixed, rows, strict=True)],
        edges=edge_columns(diff, edges, nodes["id"], strongest),
        sides=sides,
        places=frame_places(places, probe, diff.a.n_layers),
        description=description(diff, sides),
        explained=explained_facts(diff.explained),
        notes=tuple(filter(None, (as_text(explained_sentence(diff)), drawn, *notes(diff), doubts))),
    )


def drawn_parts(diff: GraphDiff, among: Focus | None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Nodes and edges; all of them without `among`."""
    if among is None or len(among.nodes) == len(diff.nodes):
        return diff.nodes, diff.edges
    nodes = diff.nodes[diff.nodes["id"].isin(among.nodes)].reset_index(drop=True)
    between = diff.edges["source"].isin(among.nodes) & diff.edges["target"].isin(among.nodes)
    return nodes, diff.edges[between].reset_index(drop=True)


def explained_facts(change: ExplainedChange) -> dict[str, Any]:
    """What the component says of the logit that flows and parts are of."""
    return {"words": visible(change.words), "scale": short(change.scale)}


def component_facts() -> dict[str, Any]:
    """What is the same in every payload: the statuses in their order and in words, the colours."""
    return {
        "statuses": list(STATUSES),
        "status_words": STATUS_WORDS,
        "palette": palette.GRAPH,
        "groups": list(palette.GROUPS),
    }


def right_answer(probe: Probe | None, nodes: pd.DataFrame) -> str | None:
    """The output to mark: the probe's right answer, or its first token; in the mean circuit of many prompts the node of
    all of theirs."""
    if _is_mean(nodes):
        return RIGHT_ANSWER
    answer = output_for(nodes["token"][nodes["kind"] == "logit"], probe.answer) if probe is not None else None
    return answer.strip() if answer else None


def _is_mean(table: pd.DataFrame) -> bool:
    return set(MEAN_COLUMNS) <= set(table.columns)


def fixed_parts(nodes: pd.DataFrame, places: Layout, answer: str | None) -> list[dict[str, Any]]:
    """What a node is, whatever its values: one dict a row of `nodes`."""
    outputs = nodes[nodes["kind"] == "logit"]
    named = dict(zip(outputs["id"], told_apart(outputs["token"].tolist()), strict=True))
    rows: Iterable[Any] = nodes.itertuples()
    return [
        {
            "id": row.id,
            "label": node_label(row),
            "shape": SHAPES[row.kind],
            "x": short(x),
            "y": short(y),
            "room": short(room),
            "kind": row.kind,
            "token": named.get(row.id) or visible(row.token),
            "layer": int(row.layer),
            "position": int(row.position),
            "index": int(row.index),
            "answer": row.kind == "logit" and row.token.strip() == answer,
        }
        for row, x, y, room in zip(rows, places.x.tolist(), places.y.tolist(), places.room.tolist(), strict=True)
    ]


def moving_part(row: Any) -> dict[str, Any]:
    """The values of a node in one difference; `row`: of its node table."""
    before, after = (float(getattr(row, COMPARED[side])) for side in "ab")
    return {
        "status": row.status,
        "a": short(row.a),
        "b": short(row.b),
        "part": [short(float(getattr(row, PART[side]))) for side in "ab"],
        "change": short(after - before),
        "kept": IN_A * bool(row.kept_a) | IN_B * bool(row.kept_b),
        "tooltip": node_tooltip(row),
    }


def edge_columns(
    diff: GraphDiff, edges: pd.DataFrame, ids: pd.Series, strongest: int, *, digits: int = 5
) -> dict[str, list[Any]]:
    """`edges` of `diff` as columns; `from` and `to` are places in `ids`, `status` a place in STATUSES.

    What a side did not keep is None there.
    """
    row_of = pd.Series(np.arange(len(ids)), index=ids)
    numbers = (CHANGE, *MEAN_COLUMNS) if _is_mean(edges) else (CHANGE,)
    known = without_unknown(edges)
    kept_a, kept_b = edges["kept_a"].to_numpy(dtype=bool), edges["kept_b"].to_numpy(dtype=bool)
    changed = ~edges["status"].isin(NOT_CHANGED).to_numpy(dtype=bool)
    show = (
        STRONG_A * _top(edges[FLOW["a"]].abs(), kept_a, strongest)
        | STRONG_B * _top(edges[FLOW["b"]].abs(), kept_b, strongest)
        | STRONG_CHANGE * _top(edges[CHANGE].abs(), changed, strongest)
    )
    return {
        "from": row_of[edges["source"]].tolist(),
        "to": row_of[edges["target"]].tolist(),
        **{
            column[side]: [None if isnan(value) else short(value, digits) for value in known[column[side]].tolist()]
            for column in _MEASURES
            for side in "ab"
        },
        **{name: [short(value, digits) for value in edges[name].tolist()] for name in numbers},
        "effect": [short(value, digits) for value in edge_effect(edges).fillna(0).tolist()],
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


def both_sides(
    diff: GraphDiff,
    bars: Sequence[int],
    answer: str | None,
    losses: tuple[str, str],
    steps: tuple[int | None, int | None],
) -> list[dict[str, Any]]:
    """A, then B; `bars`: ids of the output tokens that have one, in order."""
    nodes, edges = diff.nodes, diff.edges
    return [
        _side("A", diff.a, bars, answer, losses[0], steps[0], nodes["kept_a"], edges["kept_a"]),
        _side("B", diff.b, bars, answer, losses[1], steps[1], nodes["kept_b"], edges["kept_b"]),
    ]


def checkpoint_title(ref: str, step: int | None = None) -> str:
    """`demo-lora · step 300`. A percentage alone does not tell the step: then it stands as it is."""
    run, _, label = ref.partition("@")
    if step is None and (label == "base" or label.startswith("step")):
        step = CheckpointRef.parse(ref).step(0)
    return f"{run} · {label if step is None else step_name(step)}"


def bar_tokens(graphs: Sequence[AttributionGraph], answer: str | None) -> list[int]:
    """Ids of the N_BARS output tokens that are likeliest in any of `graphs`, the right answer always among them.

    One order for all of them, so that a token's bar has one place on both sides and at every step.
    """
    outputs = [{token_id: (token, p) for token_id, token, p in _outputs(graph)} for graph in graphs]
    shared = set.intersection(*(set(of) for of in outputs))
    right = {token_id for token_id in shared if outputs[0][token_id][0].strip() == answer}
    most = {token_id: max(of[token_id][1] for of in outputs) for token_id in shared}
    ranked = sorted(shared, key=lambda token_id: (-most[token_id], token_id))
    others = [token_id for token_id in ranked if token_id not in right][: N_BARS - len(right)]
    return [token_id for token_id in ranked if token_id in right or token_id in others]


def _outputs(graph: AttributionGraph) -> list[tuple[int, str, float]]:
    """(token id, token, probability) of the targets."""
    ids = graph.index[graph.kind == NodeKind.LOGIT].tolist()
    return list(zip(ids, graph.target_tokens, graph.target_probability.tolist(), strict=True))


def _bars(graph: AttributionGraph, shown: Sequence[int], answer: str | None) -> list[dict[str, Any]]:
    """Of `shown`, then of all other tokens: what was not traced may be what the model says."""
    outputs = {token_id: (token, p) for token_id, token, p in _outputs(graph)}
    if answer == RIGHT_ANSWER:
        return _mean_bars(outputs.values())
    bars, names = [], dict(zip(outputs, told_apart([token for token, _ in outputs.values()]), strict=True))
    for token_id in shown:
        (token, p), name = outputs[token_id], names[token_id]
        right = token.strip() == answer
        note = f"p({name}) = {decimal(p, 3)}{', the right answer' if right else ''}"
        bars.append({"token": name, "p": short(p), "answer": right, "others": False, "note": note})
    rest = max(0.0, 1 - sum(outputs[token_id][1] for token_id in shown))
    untraced = max(0.0, 1 - sum(p for _, p in outputs.values()))
    note = f"all other tokens together: {decimal(rest, 3)}, of which {_untraced(untraced)}"
    bars.append({"token": "all others", "p": short(rest), "answer": False, "others": True, "note": note})
    return bars


def _mean_bars(outputs: Iterable[tuple[str, float]]) -> list[dict[str, Any]]:
    """Of a mean circuit: the right answer, and one bar for every other token, traced or not."""
    p = dict(outputs)
    right, traced = p.get(RIGHT_ANSWER, 0.0), sum(p.values())
    rest = max(0.0, 1 - right)
    note = f"all other answers: {decimal(rest, 3)}, of which {_untraced(max(0.0, 1 - traced))}"
    return [
        {"token": RIGHT_ANSWER, "p": short(right), "answer": True, "others": False,
         "note": f"mean p of the right answer = {decimal(right, 3)}"},
        {"token": OTHER_ANSWERS, "p": short(rest), "answer": False, "others": False, "note": note},
    ]  # fmt: skip


def _untraced(p: float) -> str:
    return f"{decimal(p, 3)} on tokens that the graph was not traced to"


def _side(
    name: str,
    graph: AttributionGraph,
    bars: Sequence[int],
    answer: str | None,
    loss: str,
    step: int | None,
    kept_nodes: pd.Series,
    kept_edges: pd.Series,
) -> dict[str, Any]:
    replacement = graph.fit.replacement
    fit = f"replacement score {score_text(replacement)}"
    limit = decimal(FIT_LIMIT)
    weak = "" if replacement >= FIT_LIMIT else f"Replacement score under {limit}: much runs through error nodes."
    return {
        "title": f"{name} · {checkpoint_title(graph.key.checkpoint, step)}",
        "loss": loss,
        "fit": fit,
        "warning": weak,
        "bars": _bars(graph, bars, answer),
        "most_likely": _most_likely(graph),
        "n_nodes": int(kept_nodes.sum()),
        "n_edges": int(kept_edges.sum()),
    }


def _most_likely(graph: AttributionGraph) -> str:
    """The output with the largest probability; not always among the bars, whose tokens are those of all graphs."""
    outputs = _outputs(graph)
    return visible(max(outputs, key=lambda output: output[2])[1]) if outputs else ""


def frame_places(places: Layout, probe: Probe | None, n_layers: int) -> dict[str, Any]:
    """The frame that nodes stand in: its size, prompt tokens below, layers at the left."""
    word = probe.constraint if probe is not None and not PROBE_KINDS[probe.kind].known_words else None
    return {
        "width": places.width,
        "height": places.height,
        "least_px": _LEAST_LAYER_PX if n_layers <= DEEP else _LEAST_DEEP_LAYER_PX,
        "columns": [
            {"token": visible(column.token), "x": column.x, "bold": visible(column.token) == word}
            for column in places.columns
        ],
        "rows": [{"label": row.label, "y": row.y} for row in places.rows],
    }


def description(diff: GraphDiff, sides: list[dict[str, Any]]) -> str:
    """What is drawn, in words."""
    parts = [f"Two attribution graphs of “{diff.a.key.prompt}”."]
    for side in sides:
        likely = f", most likely output {side['most_likely']}" if side["most_likely"] else ""
        parts.append(f"{side['title']}: {side['n_nodes']} nodes, {side['n_edges']} edges, {side['fit']}{likely}.")
    counts = diff.summary.edges
    told = [f"{counts[status]} {status}" for status in STATUSES if status != "not kept" or counts[status]]
    parts.append(", ".join(told) + f" edges, by flow to {visible(diff.explained.words)}.")
    parts.append("Arrow keys move between nodes, Enter selects, P pins, F fills the screen, Escape clears.")
    return " ".join(parts)


def short(value: float, digits: int = 5) -> float:
    """Five significant digits: less to send, nothing lost to the eye. What would end in a 5 keeps more, as it is
    rounded again where it is written: 0.28500489 is 0.29, but 0.285 is 0.28."""
    text = f"{value:.{digits}g}"
    return float(f"{value:.{digits + 4}g}" if text.partition("e")[0].rstrip("0.").endswith("5") else text)
