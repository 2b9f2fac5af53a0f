"""What the graph predicts for a change of features, with all of its edges: none that was cut for storage is missed.

An edge's weight is the part of its target's value that its source writes with attention patterns, norm denominators
and the set of active features held (Ameisen et al. 2025). It grows in proportion to the source's activation: where
that changes by the fraction r, the target's value changes by weight x r. A feature's value is what its activation
function is given; while the feature stays active, its activation is that value, so

    change of a feature = Σ weight x r(source)        r(feature) = change / activation
    change of a logit   = Σ weight x r(source)

in the order of the layers. Biases are part of the activation and do not change; tokens and errors have r = 0; a
feature that was set keeps its own r = factor - 1 whatever reaches it, so a path counts once, from the last feature on
it that was set. Of a single feature this is r times its part of the logit.

The sums are taken from the logits down, without edges: the gradient of a logit meets what a layer's features write,
and each but those that were set hands its share on to what it reads. That is one linear pass, whatever was traced or
stored before; features that are no nodes of a graph take part.

A feature that the change would wake, or push below zero, is beyond this rule, and so is what attention, norms and the
MLPs themselves make of the change: it is exact for small changes with everything held, and a first guess otherwise.
"""

from collections.abc import Iterable

import torch

from engine.attribution.effects import Effects
from engine.attribution.recording import record
from engine.attribution.sources import sources_of
from engine.models.low_rank import matrix
from engine.models.replacement import ReplacementModel

Place = tuple[int, int, int]  # layer, position, index of a feature


class Predictions:
    """Of one prompt in one checkpoint, which runs once; then a linear pass down for every set of features."""

    def __init__(self, model: ReplacementModel, tokens: torch.Tensor, targets: torch.Tensor) -> None:
        """tokens (n_pos,), targets (n_logits,) token ids."""
        recorded = record(model, tokens)
        sources = sources_of(model, recorded)
        self._effects = Effects(model, recorded, sources)
        self._rows = {tuple(place): row for row, place in enumerate(sources.active.tolist())}
        outputs = matrix(model.parts.unembedding)
        self._vectors = outputs[targets] - outputs.mean(0)  # (n_logits, d_model)

    def change(self, features: Iterable[Place], factor: float) -> tuple[float, ...]:
        """(n_logits,) change of the targets' logits, minus the mean logit and before any soft cap.

        `features`: those whose activation is multiplied by `factor`; such as are not active predict nothing.
        """
        rows = [self._rows[place] for place in features if place in self._rows]
        free = torch.ones(len(self._rows), dtype=torch.bool, device=self._vectors.device)
        free[rows] = False
        effects = self._effects.of_logits(self._vectors, handing_on=free)
        return tuple(((factor - 1) * effects[:, rows].double().sum(1)).tolist())
