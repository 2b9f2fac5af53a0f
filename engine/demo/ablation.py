"""The demo's proof that its features matter: without those that carry the answer it goes, without others it stays."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from engine.analysis.agreement import agreement
from engine.analysis.diff import diff_graphs
from engine.analysis.distinguishing import distinguishing_features
from engine.demo import recipe
from engine.demo.records import Figure
from engine.domain.graphs import AttributionGraph, NodeKind
from engine.domain.jobs import Intervene
from engine.store import Store
from engine.workflows.queries import comparison_found, stored_interventions

if TYPE_CHECKING:
    from engine.models.replacement import Replacement

N_DRAWS = 20  # of as many other features, at random
P_TOLERANCE, LOGIT_TOLERANCE, SIZE_TOLERANCE, DRAW_TOLERANCE = 0.03, 0.1, 0.3, 2


def ablation_request(store: Store) -> Intervene:
    """Switch off what carries B's answer and not A's, in the default comparison. Raises NotFound, Damaged."""
    a, b = recipe.COMPARISONS[-1]
    prompt = recipe.PROMPTS[0]
    graphs = _graphs(store)
    probe = store.probe_with([ref.partition("@")[0] for ref in (a, b)], prompt)
    assert probe is not None  # the default prompts are probes
    features = distinguishing_features(diff_graphs(*graphs), word=probe.constraint)
    return Intervene(a=a, b=b, prompt=prompt, transcoders=recipe.TRANSCODERS, features=features)


def ablation_figures(store: Store, replacement: "Replacement") -> Iterator[Figure]:
    """What the stored intervention says, measured again, beside `N_DRAWS` of as many other features active in B.

    The answer is the first target token. Raises NotFound, Damaged.
    """
    from engine.attribution.interventions import intervene_on
    from engine.models.sharing import checkpoint_model

    request, (graph_a, graph_b) = ablation_request(store), _graphs(store)
    merged = checkpoint_model(replacement.loaded, store.checkpoint(request.b).adapter)
    done = intervene_on(replacement, graph_b, merged, request.features, request.factor)
    controls = [
        intervene_on(replacement, graph_b, merged, drawn, request.factor).p_after
        for drawn in _others(graph_b, request.features)
    ]
    kept = sum(after[0] == max(after) for after in controls)
    stored = stored_interventions(store, (graph_a, graph_b), request.features, request.factor)
    yield Figure(name="ablation/stored sides", value=sum(one is not None for one in stored))
    yield Figure(name="ablation/features", value=len(done.changed))
    for name, value in (
        ("p of the answer before", done.p_before[0]),
        ("p of the answer after", done.p_after[0]),
        ("p of the answer after others, median", float(np.median([after[0] for after in controls]))),
    ):
        yield Figure(name=f"ablation/{name}", value=round(value, 3), tolerance=P_TOLERANCE)
    for name, value in (
        ("change of the answer's logit, measured", done.logit_after[0] - done.logit_before[0]),
        ("change of the answer's logit, predicted", done.predicted[0]),
    ):
        yield Figure(name=f"ablation/{name}", value=round(value, 2), tolerance=LOGIT_TOLERANCE)
    whole = agreement([done])
    assert whole is not None  # its features are active
    yield Figure(name="ablation/outputs", value=whole.n)
    yield Figure(name="ablation/size predicted", value=round(whole.size, 1), tolerance=SIZE_TOLERANCE)
    yield Figure(name="ablation/draws of others", value=N_DRAWS)
    yield Figure(name="ablation/draws of others that keep the answer", value=kept, tolerance=DRAW_TOLERANCE)


def _graphs(store: Store) -> tuple[AttributionGraph, AttributionGraph]:
    pair = comparison_found(store, *recipe.COMPARISONS[-1], recipe.PROMPTS[0], recipe.TRANSCODERS)
    return store.graph_pair(pair.graph_a, pair.graph_b)


def _others(graph: AttributionGraph, features: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Draws of as many features of the graph that are not among `features`."""
    rows = np.flatnonzero(graph.kind == NodeKind.FEATURE).tolist()
    others = [node for node in map(graph.node_id, rows) if node not in features]
    rng = np.random.default_rng(0)
    return [tuple(rng.choice(others, len(features), replace=False).tolist()) for _ in range(N_DRAWS)]
