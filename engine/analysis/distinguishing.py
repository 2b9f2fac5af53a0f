"""What to point at in a difference: the new path, and the features that only one side uses. Pure."""

import math

import pandas as pd

from engine.domain.diffs import CHANGE, FLOW, PART, GraphDiff


def distinguishing_features(diff: GraphDiff, *, word: str = "", n: int = 12) -> tuple[str, ...]:
    """Ids of at most `n` features through which B pushes the explained logit up and A does not, by the difference of
    their parts.

    Looked at are the features that B's pruned graph keeps at the last position and, where the prompt has it, at
    `word`; those count whose part in A is at most half as large as in B (or negative). Feature by feature the
    difference is small: many write the same thing, so that one alone can be missed without harm, and a dozen cannot.
    """
    tokens = [token.strip() for token in diff.b.tokens]
    places = {len(tokens) - 1} | {place for place, token in enumerate(tokens) if word and token == word}
    nodes = diff.nodes
    telling = nodes[
        (nodes["kind"] == "feature")
        & nodes["kept_b"].astype(bool)
        & nodes["position"].isin(places)
        & (nodes[PART["b"]] > 0)
        & (diff.explained.scale * nodes[PART["a"]] <= nodes[PART["b"]] / 2)
    ]
    more = telling[PART["b"]] - diff.explained.scale * telling[PART["a"]]
    ranked = telling.assign(more=more).sort_values("more", ascending=False, kind="stable")
    return tuple(ranked["id"].head(n))


def appeared_edges(diff: GraphDiff) -> pd.DataFrame:
    """Of the difference's edges those that appeared and push the explained logit up."""
    return diff.edges[(diff.edges["status"] == "appeared") & (diff.edges[FLOW["b"]] > 0)]


def appeared_path(diff: GraphDiff) -> tuple[str, ...]:
    """Node ids of the strongest path from a prompt token through features to an output, all of whose edges appeared and
    push it up.

    A path is as strong as its weakest edge (by the effect of its change). An edge straight from token to output counts
    only where no such path is whole: then it is the strongest edge that appeared. Empty where none did.
    """
    appeared = appeared_edges(diff)
    if appeared.empty:
        return ()
    layer = diff.nodes.set_index("id")["layer"]
    # Every edge into a node starts on a lower layer: in this order a node's best path is known before it is gone on.
    by_layer = appeared.assign(layer=appeared["source"].map(layer)).sort_values("layer", kind="stable")
    best: dict[str, tuple[float, tuple[str, ...]]] = {}
    for source, target, change in zip(by_layer["source"], by_layer["target"], by_layer[CHANGE], strict=True):
        start = (math.inf, (source,)) if source.startswith("token/") else None
        before = best.get(source, start)
        if before is None or (start and target.startswith("logit/")):
            continue
        strength = min(before[0], float(change))
        if target not in best or strength > best[target][0]:
            best[target] = (strength, (*before[1], target))
    whole = [found for target, found in best.items() if target.startswith("logit/")]
    if whole:
        return max(whole, key=lambda found: found[0])[1]
    strongest = appeared.sort_values(CHANGE, ascending=False, kind="stable").iloc[0]
    return str(strongest["source"]), str(strongest["target"])
