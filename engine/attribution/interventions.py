"""Change features inside a checkpoint and measure what its outputs do.

As circuit-tracer's `feature_intervention` with nothing held: attention patterns, norms, and every MLP (so features and
errors alike) compute on from what they are given. The change is added to what the layer's own MLP writes: (new - old
activation) x decoder of each feature, where `new` is `factor` times the activation in the untouched run, and `old` is
what it has come to be by then. So a feature that was set stays at its value, whatever changed before it.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

import torch
from transformers import PreTrainedModel

from engine.attribution.predictions import Place, Predictions
from engine.domain.errors import InputError
from engine.domain.graphs import AttributionGraph, NodeKind
from engine.domain.interventions import Intervention, InterventionKey
from engine.models.base import encode
from engine.models.replacement import Replacement


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
    return interventions_on(replacement, graph, merged, [features], factor)[0]


@torch.no_grad()
def interventions_on(
    replacement: Replacement,
    graph: AttributionGraph,
    merged: PreTrainedModel | None,
    groups: Sequence[Sequence[str]],
    factor: float,
) -> list[Intervention]:
    """`intervene_on` for each of `groups` by itself; what they share is computed once."""
    tokens = encode(replacement.loaded, graph.key.prompt)[0]  # (n_pos,)
    targets = torch.as_tensor(graph.index[graph.kind == NodeKind.LOGIT], device=tokens.device)
    done = []
    with replacement.opened(merged) as model:
        shape = (model.n_layers, len(tokens), model.transcoders.d_transcoder)
        asked = [tuple(sorted(set(group))) for group in groups]
        places = {feature: _place(feature, shape) for group in asked for feature in group}
        found, untouched = model.activations_at(tokens, list(places.values()))
        activations = dict(zip(places, found.tolist(), strict=True))
        before = _Outputs.of(*untouched, targets)
        predictions = Predictions(model, tokens, targets)
        for features in asked:
            active = tuple(feature for feature in features if activations[feature] > 0)
            values = [(*places[feature], factor * activations[feature]) for feature in active]
            after = _Outputs.of(*model.with_features(tokens, values), targets)
            one = Intervention(
                key=InterventionKey(graph=graph.key, features=features, factor=factor),
                changed=active,
                tokens=graph.target_tokens,
                p_before=before.p,
                p_after=after.p,
                logit_before=before.centred,
                logit_after=after.centred,
                predicted=predictions.change([places[feature] for feature in active], factor),
                uncut=True,
            )
            done.append(one)
    return done


class _Outputs(NamedTuple):
    """Of the targets, in one forward pass."""

    p: tuple[float, ...]
    centred: tuple[float, ...]  # logits before any soft cap, minus the mean logit

    @classmethod
    def of(cls, logits: torch.Tensor, raw: torch.Tensor, targets: torch.Tensor) -> "_Outputs":
        """logits, raw: (n_vocab,) at the last position, with and without the soft cap."""
        centred = raw - raw.mean()
        return cls(tuple(logits.softmax(-1)[targets].tolist()), tuple(centred[targets].tolist()))


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
