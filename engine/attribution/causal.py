"""Does a circuit carry the answer? Its features are switched off together, and then as many others instead.

Structurally different circuits can do the same, so a circuit that was found is confirmed by what goes without it.
"""

from collections.abc import Sequence

import numpy as np
import torch
from transformers import PreTrainedModel

from engine.analysis.ablations import Ablation
from engine.analysis.pruning import prune
from engine.domain.graphs import AttributionGraph, NodeKind
from engine.models.base import encode
from engine.models.replacement import Replacement, ReplacementModel

Places = Sequence[Sequence[int]]  # layer, position, index of features


@torch.no_grad()
def causal_check(
    replacement: Replacement,
    graph: AttributionGraph,
    merged: PreTrainedModel | None,
    *,
    n_draws: int,
    rng: np.random.Generator,
) -> Ablation:
    """Switch off what pruning keeps of the graph's features, in the checkpoint whose weights are `merged`.

    Everything computes on freely, as in `engine.attribution.interventions`. The answer is the graph's first target.
    The others are drawn from all features active on the prompt that are not of the circuit, BOS left out. A generator
    of the same seed draws the same features in every checkpoint, as far as they are active there. Safe in threads: it
    holds the replacement's lock. Raises PromptRefused.
    """
    tokens = encode(replacement.loaded, graph.key.prompt)[0]  # (n_pos,)
    answer = int(graph.index[graph.kind == NodeKind.LOGIT][0])
    rows = np.flatnonzero(prune(graph).node_mask & (graph.kind == NodeKind.FEATURE))
    with replacement.opened(merged) as model:
        activations, untouched = model.activations(tokens)  # (n_layers, n_pos, n_features)
        active = (activations > 0).cpu().numpy()
        own = graph.layer[rows], graph.position[rows], graph.index[rows]
        circuit = np.zeros_like(active)
        circuit[own] = active[own]
        others = np.argwhere(active & ~circuit)
        n = int(circuit.sum())
        after = _without(model, tokens, np.argwhere(circuit).tolist(), answer)
        drawn = [_draw(others, n, rng.random(active.shape)) for _ in range(n_draws)]
        after_others = tuple(_without(model, tokens, places, answer) for places in drawn)
    return Ablation(
        n_features=n,
        n_others=min(n, len(others)),
        p_before=_p(untouched, answer),
        p_after=after,
        p_after_others=after_others,
    )


def _draw(others: np.ndarray, n: int, rank: np.ndarray) -> Places:
    """The `n` of (n_others, 3) places that rank lowest; a place has its rank whatever else is active."""
    order = np.argsort(rank[tuple(others.T)], kind="stable")
    chosen: Places = others[order[:n]].tolist()
    return chosen


def _without(model: ReplacementModel, tokens: torch.Tensor, places: Places, answer: int) -> float:
    """The answer's probability with these features switched off."""
    values = [(layer, position, index, 0.0) for layer, position, index in places]
    return _p(model.with_features(tokens, values), answer)


def _p(logits: tuple[torch.Tensor, torch.Tensor], answer: int) -> float:
    """Of what `ReplacementModel.logits` gives."""
    return float(logits[0].softmax(-1)[answer])
