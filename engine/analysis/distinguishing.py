"""What to point at in a difference: the features that only one side uses. Pure."""

from engine.domain.diffs import PART, GraphDiff


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
