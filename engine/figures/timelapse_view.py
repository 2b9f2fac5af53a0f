"""A comparison over training as what the linked graph component plays: one layout for all steps, learning curves.

The layout is that of the union of the nodes of all steps that are traced, so that a step changes what is there and
how large, never a place. All steps are sent at once, each with its sentence and its counts: moving the slider asks the
server nothing, and what is said is always what is drawn.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from engine.analysis.carried import same_sentence
from engine.analysis.curves import mean_accuracy, telling_kinds
from engine.analysis.focus import Focus
from engine.analysis.headline import headline
from engine.domain.corpus import PROBE_KINDS, Probe
from engine.domain.diffs import CHANGE, FLOW, STATUSES, GraphDiff
from engine.domain.errors import InputError
from engine.domain.timelapse import Moment
from engine.figures.graph_view import (
    Sent,
    bar_tokens,
    both_sides,
    component_facts,
    description,
    drawn_parts,
    edge_columns,
    explained_facts,
    fixed_parts,
    frame_places,
    moving_part,
    right_answer,
    short,
)
from engine.figures.layout import layout

MOST_EDGES = 1_500  # a step: more are not told apart, and 17 steps of them are one megabyte
_DIGITS = 3


@dataclass(frozen=True, eq=False)
class TimelapseView(Sent):
    """What the component is given: what does not move once, and a frame a step that is traced."""

    nodes: list[dict[str, Any]]  # of the union, without values
    frames: dict[int, dict[str, Any]]  # by step: nodes (columns; `row` is a place in `nodes`), edges, sides, …
    moments: list[dict[str, Any]]  # every step of the slider: step, a, b, ready
    curves: list[dict[str, Any]]  # a line each: run, probes, color, mark, place (0 solid, 1 dashed), steps, accuracy
    places: dict[str, Any]
    largest: dict[str, float]  # value of a node, |change| of an edge: one scale for all steps
    most_edges: int  # of a step before the smallest were left out; 0 where none were
    n_nodes: int  # of all steps, drawn or not

    def payload(self) -> dict[str, Any]:
        """JSON-able, without NaN or infinity."""
        return {
            "nodes": self.nodes,
            "places": self.places,
            "timelapse": {
                "frames": {str(step): frame for step, frame in self.frames.items()},
                "moments": self.moments,
                "curves": self.curves,
                "largest": self.largest,
                "cap": MOST_EDGES,
                "most_edges": self.most_edges,
                "n_nodes": self.n_nodes,
            },
            **component_facts(),
        }


def timelapse_view(
    moments: Sequence[Moment],
    diffs: Mapping[int, GraphDiff],
    scores_by_run: Mapping[str, pd.DataFrame],
    *,
    probe: Probe | None = None,
    losses: Mapping[str, str] | None = None,
    steps: Mapping[str, int] | None = None,
    strongest: int = 35,
    among: Focus | None = None,
) -> TimelapseView:
    """All steps of `moments` that have a difference in `diffs`, with the learning curves of the runs.

    `scores_by_run`: A's run, then B's (tables of `engine.analysis.curves.probe_scores`).
    `losses` (in words), `steps`: by checkpoint (RUN@LABEL), shown in the titles. `among`: the nodes that are drawn, all
    without it.
    Raises InputError where no step is traced.
    """
    ready = [moment for moment in moments if moment.step in diffs]
    if not ready:
        raise InputError("No step of this time-lapse is traced yet. Trace at least one of its checkpoints.")
    shown = {moment.step: diffs[moment.step] for moment in ready}
    drawn = {step: drawn_parts(diff, among) for step, diff in shown.items()}
    union, n_nodes = (
        _union([nodes for nodes, _ in drawn.values()]),
        len(_union([diff.nodes for diff in shown.values()])),
    )
    first = shown[ready[0].step]
    places = layout(union, first.a.tokens, first.a.n_layers)
    answer = right_answer(probe, union)
    bars = bar_tokens([graph for diff in shown.values() for graph in (diff.a, diff.b)], answer)
    loss, known = losses or {}, steps or {}
    frames = {}
    for moment in ready:
        diff = shown[moment.step]
        at_steps = (known.get(moment.a), known.get(moment.b))
        same = same_sentence(diff)
        sides = both_sides(diff, bars, answer, (loss.get(moment.a, ""), loss.get(moment.b, "")), at_steps)
        nodes, edges = drawn[moment.step]
        frames[moment.step] = {
            "nodes": _node_columns(nodes, union["id"]),
            "edges": edge_columns(diff, largest_edges(edges), union["id"], strongest, digits=_DIGITS),
            "sides": sides,
            "sentence": (*headline(diff, probe), *((" ", False) for _ in same), *same),
            "counts": [diff.summary.edges.get(status, 0) for status in STATUSES],
            "description": description(diff, sides),
            "explained": explained_facts(diff.explained),
        }
    return TimelapseView(
        nodes=fixed_parts(union, places, answer),
        frames=frames,
        moments=[
            {"step": moment.step, "a": moment.a, "b": moment.b, "ready": moment.step in shown} for moment in moments
        ],
        curves=_curves(scores_by_run),
        places=frame_places(places, probe, first.a.n_layers),
        largest=_largest(list(drawn.values())),
        most_edges=max((len(edges) for _, edges in drawn.values() if len(edges) > MOST_EDGES), default=0),
        n_nodes=n_nodes,
    )


def largest_edges(edges: pd.DataFrame, n: int = MOST_EDGES) -> pd.DataFrame:
    """The `n` edges with the largest |flow| on either side or |change|, in their order."""
    if len(edges) <= n:
        return edges
    size = edges[[*FLOW.values(), CHANGE]].abs().max(axis=1)
    return edges.loc[size.sort_values(ascending=False, kind="stable").index[:n].sort_values()]


def _union(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Every node once, in the order of a diff's; `a` and `b` the largest of any step, which orders the outputs."""
    table = pd.concat(list(tables), ignore_index=True)
    values = table.groupby("id", sort=False)[["a", "b"]].max()
    nodes = table.drop_duplicates("id").drop(columns=["a", "b"]).join(values, on="id")
    return nodes.sort_values(["layer", "position", "kind", "index", "id"], kind="stable").reset_index(drop=True)


def _node_columns(nodes: pd.DataFrame, ids: pd.Series) -> dict[str, list[Any]]:
    """The nodes of one step, a list a column; `row`: their places in `ids`."""
    row_of = dict(zip(ids, range(len(ids)), strict=True))
    rows: Iterable[Any] = nodes.itertuples()
    parts = [{"row": row_of[row.id], **moving_part(row)} for row in rows]
    names = ("row", "status", "a", "b", "part", "change", "kept", "tooltip")
    return {name: [part[name] for part in parts] for name in names}


def _curves(scores_by_run: Mapping[str, pd.DataFrame]) -> list[dict[str, Any]]:
    lines, kinds = [], telling_kinds(scores_by_run.values())
    for place, (run, scores) in enumerate(scores_by_run.items()):
        means = mean_accuracy(scores, kinds)
        for kind in kinds:
            line = means[means["probe_kind"] == kind].sort_values("step")
            if len(line):
                accuracy = [short(value, _DIGITS) for value in line["accuracy"].tolist()]
                steps = line["step"].astype(int).tolist()
                info = PROBE_KINDS[kind]
                look = {"color": info.color, "mark": info.mark, "place": place}
                lines.append({"run": run, "probes": kind, **look, "steps": steps, "accuracy": accuracy})
    return lines


def _largest(drawn: Sequence[tuple[pd.DataFrame, pd.DataFrame]]) -> dict[str, float]:
    """`drawn`: nodes and edges of each step."""
    inner = [nodes.loc[~nodes["kind"].isin(["token", "logit"]), ["a", "b"]].to_numpy() for nodes, _ in drawn]
    return {
        "value": short(max((float(part.max(initial=0.0)) for part in inner), default=0.0) or 1e-9),
        "change": short(max(float(edges[CHANGE].abs().max()) if len(edges) else 0.0 for _, edges in drawn) or 1e-9),
    }
