"""Features that a person grouped, as one node of the difference.

A supernode names features of a transcoder set; those of them that are active at one position become one node there,
`supernode/LAYER/POSITION/NAME`. Its layer is the rounded mean over all features of the group, so that it stands at
one place in every graph and at every step.

What is summed: for the node, part, influence and activation of its members; for an edge, weights, flows and
contributions, all with their sign, over all edges between the two ends. So an edge's contribution is the size of that
sum, and its share the sum over the influence of its target. Edges between members of one node are gone. The part and
the influence of members that feed each other count their common path once for each.
"""

from dataclasses import replace

import numpy as np
import pandas as pd

from engine.analysis.diff import compared, exists, signed_contribution, summarise
from engine.domain.annotations import Annotations
from engine.domain.diffs import CHANGE, COMPARED, CONTRIBUTION, MEAN_COLUMNS, PART, SHARE, WEIGHT, GraphDiff
from engine.domain.errors import ComparisonRefused
from engine.domain.graphs import NodeKind

KIND = "supernode"
_ORDER = {KIND: -1, **{kind.name.lower(): int(kind) for kind in NodeKind}}  # within one layer and position


def merge_supernodes(diff: GraphDiff, annotations: Annotations) -> GraphDiff:
    """The difference with each group's members merged, by position; kept where one of them is. The rest is untouched.

    `diff` itself where no group has a member in it. A feature in two groups belongs to the first; groups of one name
    are one. Statuses follow `engine.analysis.diff` on the sums. In a mean circuit (`engine.analysis.aggregate`) n is
    the largest of the members and the spreads are summed: at most as large as that of the sum.

    Raises ComparisonRefused where the annotations are those of other transcoders.
    """
    if not annotations.supernodes:
        return diff
    if annotations.transcoders_hash != diff.a.key.transcoders_hash:
        raise ComparisonRefused(
            f"The groups belong to the transcoder set {annotations.transcoders_hash}, the graphs were traced with "
            f"“{diff.a.key.transcoders}” ({diff.a.key.transcoders_hash}), in which a feature number means something "
            "else. Use the groups of that set."
        )
    members = _members(diff.nodes, annotations)
    if members.empty:
        return diff
    nodes = _nodes(diff, members)
    edges = _edges(diff, nodes, dict(zip(members["id"], members["group"], strict=True)))
    return replace(diff, nodes=nodes, edges=edges, summary=summarise(nodes, edges))


def _members(nodes: pd.DataFrame, annotations: Annotations) -> pd.DataFrame:
    """The rows of `nodes` that belong to a group, with its number, its layer, and `group`: the id of their new node."""
    features: dict[str, list[str]] = {}
    for supernode in annotations.supernodes:
        features.setdefault(supernode.name, []).extend(supernode.features)
    owner: dict[tuple[int, int], tuple[int, int, str]] = {}  # feature -> number, layer, name of its group
    for number, (name, members) in enumerate(features.items()):
        pairs = [(int(layer), int(index)) for layer, index in (member.split("/") for member in members)]
        place = round(sum(layer for layer, _ in pairs) / len(pairs))
        for pair in pairs:
            owner.setdefault(pair, (number, place, name))
    rows = nodes[nodes["kind"] == "feature"]
    found = [owner.get(pair) for pair in zip(rows["layer"].tolist(), rows["index"].tolist(), strict=True)]
    rows = rows[[one is not None for one in found]]
    kept = [one for one in found if one is not None]
    return rows.assign(
        number=[number for number, _, _ in kept],
        place=[place for _, place, _ in kept],
        group=[f"{KIND}/{place}/{at}/{name}" for (_, place, name), at in zip(kept, rows["position"], strict=True)],
    )


def _nodes(diff: GraphDiff, members: pd.DataFrame) -> pd.DataFrame:
    nodes = diff.nodes
    active = members.assign(in_a=exists(members, "a"), in_b=exists(members, "b"))
    summed = ("a", "b", "activation_a", "activation_b", *PART.values(), *COMPARED.values(), *MEAN_COLUMNS[1:])
    groups = active.groupby("group", sort=False)
    merged = groups.agg(
        layer=("place", "first"),
        index=("number", "first"),
        **{name: (name, "first") for name in ("position", "token")},
        **{name: (name, "sum") for name in summed if name in nodes},
        **{name: (name, "any") for name in ("kept_a", "kept_b", "in_a", "in_b")},
        **{name: (name, "max") for name in ("n",) if name in nodes},
    ).reset_index(names="id")
    merged["kind"] = KIND
    merged["status"], _ = _compared(diff, merged)
    rest = nodes[~nodes["id"].isin(members["id"])]
    both = pd.concat([merged[list(nodes.columns)], rest], ignore_index=True)
    keys = (both["index"], both["kind"].map(_ORDER), both["position"], both["layer"])
    return both.iloc[np.lexsort([key.to_numpy() for key in keys])].reset_index(drop=True)


def _edges(diff: GraphDiff, nodes: pd.DataFrame, group: dict[str, str]) -> pd.DataFrame:
    edges = diff.edges
    ends = {end: edges[end].map(lambda node: group.get(node, node)) for end in ("source", "target")}
    touched = (ends["source"] != edges["source"]) | (ends["target"] != edges["target"])
    outside = ends["source"] != ends["target"]
    part = edges.assign(**ends, **{f"signed_{side}": signed_contribution(edges, side) for side in "ab"})
    part = part.assign(in_a=edges[WEIGHT["a"]] != 0, in_b=edges[WEIGHT["b"]] != 0, cut=edges["status"] == "not kept")
    summed = [f"{name}_{side}" for name in ("weight", "share", "signed", "flow", "compared") for side in "ab"]
    merged = (
        part[touched & outside]
        .groupby(["source", "target"], sort=False)
        .agg(
            **{name: (name, "sum") for name in (*summed, *MEAN_COLUMNS[1:]) if name in part},
            **{name: (name, "any") for name in ("kept_a", "kept_b", "in_a", "in_b", "cut")},
            **{name: (name, "max") for name in ("n",) if name in part},
        )
        .reset_index()
    )
    merged["status"], merged[CHANGE] = _compared(diff, merged, ~merged["cut"].to_numpy(dtype=bool))
    merged = _with_shares(merged, nodes)
    both = pd.concat([merged[list(edges.columns)], edges[~touched]], ignore_index=True)
    return both.iloc[np.argsort(-both[CHANGE].abs().to_numpy(), kind="stable")].reset_index(drop=True)


def _compared(diff: GraphDiff, merged: pd.DataFrame, known: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Status and change of the sums."""
    there = [merged[f"in_{side}"].to_numpy(dtype=bool) for side in "ab"]
    a, b = (merged[COMPARED[side]].to_numpy(dtype=float) for side in "ab")
    return compared(there, (a, b), diff.explained.limit, diff.settings, known)


def _with_shares(merged: pd.DataFrame, nodes: pd.DataFrame) -> pd.DataFrame:
    """The summed edges with share and contribution."""
    columns = {}
    for side in "ab":
        signed = merged[f"signed_{side}"].to_numpy(dtype=float)
        worth = merged["target"].map(nodes.set_index("id")[side]).to_numpy(dtype=float)
        plain = merged[SHARE[side]].to_numpy(dtype=float, copy=True)  # where the target has no influence
        columns[SHARE[side]] = np.divide(signed, worth, out=plain, where=worth > 0)
        columns[CONTRIBUTION[side]] = np.abs(signed)
    return merged.assign(**columns)
