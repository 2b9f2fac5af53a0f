"""Change features inside a checkpoint and measure what its outputs do.

circuit-tracer's `feature_intervention` with nothing held: attention patterns, norms, and every MLP (so features and
errors alike) compute on from what they are given. The change is added to what the layer's own MLP writes: (new - old
activation) x decoder of each feature, where `new` is `factor` times the activation in the untouched run, and `old` is
what it has come to be by then. So a feature that was set stays at its value, whatever changed before it.
"""

import re
from collections.abc import Sequence

import torch
from transformers import PreTrainedModel

from engine.analysis.effects import predicted_effect
from engine.domain.errors import InputError
from engine.domain.graphs import AttributionGraph, NodeKind
from engine.domain.interventions import Intervention, InterventionKey
from engine.models.base import encode
from engine.models.replacement import Replacement

Place = tuple[int, int, int]  # layer, position, index of a feature


@torch.no_grad()
def intervene_on(
    replacement: Replacement,
    graph: AttributionGraph,
    merged: PreTrainedModel | None,
    features: Sequence[str],
    factor: float,
) -> Intervention:
    """Multiply the activations of `features` by `factor` (0 ablates) in the checkpoint whose weights are `merged`.

    `graph` is of that checkpoint (None: the base) and of these transcoders. Features that are not active there are
    left out: `changed` names the others. Where none is active, nothing changes, to the bit. Safe in threads: it holds
    the replacement's lock. Raises InputError for what is no feature of this prompt and these transcoders.
    """
    tokens = encode(replacement.loaded, graph.key.prompt)[0]  # (n_pos,)
    targets = torch.as_tensor(graph.index[graph.kind == NodeKind.LOGIT], device=tokens.device)
    with replacement.swapped(merged) as model:
        seen = _Outputs(targets)
        with model.hooks(fwd_hooks=[("unembed.hook_post", seen.logits)]):
            logits, activations = model.get_activations(tokens)  # (1, n_pos, n_vocab), (n_layers, n_pos, n_features)
            seen.probabilities(logits)
            places = {feature: _place(feature, tuple(activations.shape)) for feature in sorted(set(features))}
            active = {feature: place for feature, place in places.items() if activations[place] > 0}
            values = [(*place, factor * float(activations[place])) for place in active.values()]
            # With nothing to change circuit-tracer runs the model as it is.
            logits, _ = model.feature_intervention(tokens, values, freeze_attention=False, return_activations=False)
            seen.probabilities(logits)
    return Intervention(
        key=InterventionKey(graph=graph.key, features=tuple(places), factor=factor),
        changed=tuple(active),
        tokens=graph.target_tokens,
        p_before=seen.p[0],
        p_after=seen.p[1],
        logit_before=seen.centred[0],
        logit_after=seen.centred[1],
        predicted=tuple(predicted_effect(graph, list(active), factor).tolist()),
    )


class _Outputs:
    """Logits and probabilities of the targets, of one forward pass after the other."""

    def __init__(self, targets: torch.Tensor) -> None:
        self._targets = targets
        self.centred: list[tuple[float, ...]] = []
        self.p: list[tuple[float, ...]] = []

    def logits(self, activations: torch.Tensor, **_: object) -> None:
        """Forward hook on the unembedding: (1, n_pos, n_vocab) before any soft cap."""
        last = activations[0, -1].float()
        self.centred.append(tuple((last - last.mean())[self._targets].tolist()))

    def probabilities(self, logits: torch.Tensor) -> None:
        """(1, n_pos, n_vocab), after it."""
        self.p.append(tuple(logits[0, -1].float().softmax(-1)[self._targets].tolist()))


def _place(feature: str, shape: Place) -> Place:
    """`shape`: how many layers, tokens and features there are."""
    kind, *numbers = feature.split("/")
    if kind != "feature" or len(numbers) != 3 or not all(re.fullmatch(r"[0-9]{1,9}", number) for number in numbers):
        raise InputError(
            f"“{feature[:80]}” is not a feature, and only features can be changed. Write feature/LAYER/POSITION/INDEX, "
            "as feature/2/5/217."
        )
    layer, position, index = place = (int(numbers[0]), int(numbers[1]), int(numbers[2]))
    if position == 0:
        raise InputError(f"“{feature}” stands on the first token, where the model has no features. Choose another.")
    for what, value, n in zip(("layers", "tokens", "features"), (layer, position, index), shape, strict=True):
        if value >= n:
            raise InputError(f"“{feature}” does not exist: there are {n} {what} here, counted from 0.")
    return place
