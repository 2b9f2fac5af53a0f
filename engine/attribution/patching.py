"""Which features, and which edges of a graph, matter for the change: estimated from gradients, and measured.

A feature is a place as an MLP is: what the answer would lose if it wrote in B what it wrote in A. `FeatureChanges`
estimates it, to first order: the gradient at what the transcoders' layer writes, along what the feature writes there,
mean of A and B, times the change of its activation. `features_taken_back` measures it with the hooks of interventions.

An edge is patched along its path alone: its target gets from its source what it got in A, and from all others what it
gets. By the graph's definition of an edge that is the difference of weights, with attention patterns and norm
denominators of each side; it is added to the target's activation, and everything behind the target reacts.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import PreTrainedModel

from engine.attribution.acted import explained
from engine.attribution.gradients import along_features, output_gradients
from engine.domain.explained import ExplainedLogits
from engine.models.replacement import Replacement, ReplacementModel


@dataclass(frozen=True, eq=False)
class FeatureChanges:
    """Of all features that are active in A or in B on one prompt; (n,) each."""

    places: np.ndarray  # (n, 3) layer, position, index
    before: np.ndarray  # activation in A
    after: np.ndarray  # in B
    gradients: np.ndarray  # (2, n) what a unit of activation does to what is explained, in A and in B
    length: np.ndarray  # of what a unit writes

    @property
    def change(self) -> np.ndarray:
        return self.after - self.before

    @property
    def effect(self) -> np.ndarray:
        """What the answer would lose, about, if the feature wrote in B what it wrote in A."""
        return self.gradients.mean(0) * self.change


def feature_changes(
    replacement: Replacement,
    a: PreTrainedModel | None,
    b: PreTrainedModel | None,
    prompt: torch.Tensor,
    of: ExplainedLogits,
) -> FeatureChanges:
    """On prompt (n_pos,), BOS first; None is the base. Safe in threads: it holds the replacement's lock."""
    active, gradients = [], []
    for side in (a, b):
        with replacement.opened(side) as model:
            active.append(model.activations(prompt)[0].float())  # (n_layers, n_pos, n_features)
            gradients.append(_gradient(model, prompt, of))
    places = ((active[0] != 0) | (active[1] != 0)).nonzero()
    with replacement.opened(b) as model:
        along, length = along_features(model, places, torch.stack(gradients)), _lengths(model, places)
    before, after = (one[places.unbind(1)] for one in active)
    return FeatureChanges(places.cpu().numpy(), *(_numpy(one) for one in (before, after, along, length)))


@torch.no_grad()
def features_taken_back(
    replacement: Replacement,
    b: PreTrainedModel | None,
    prompt: torch.Tensor,
    of: ExplainedLogits,
    changes: FeatureChanges,
    groups: Iterable[Sequence[int]],
) -> list[float]:
    """Of each group of rows of `changes`: what is explained loses in B where these features have A's activations."""
    found = []
    with replacement.opened(b) as model:
        whole = _value(model.logits(prompt), of)
        for group in groups:
            values = [(*changes.places[row].tolist(), float(changes.before[row])) for row in group]
            found.append(whole - _value(model.with_features(prompt, values), of))
    return found


@torch.no_grad()
def inputs_taken_back(
    replacement: Replacement,
    b: PreTrainedModel | None,
    prompt: torch.Tensor,
    of: ExplainedLogits,
    changes: FeatureChanges,
    groups: Iterable[Sequence[tuple[int, float]]],
) -> list[float]:
    """Of each group of (row of `changes`, what its feature gets more): what is explained loses in B.

    A feature of several inputs gets all of them; none falls below zero, and one that is not active in B stays silent.
    """
    found = []
    with replacement.opened(b) as model:
        whole = _value(model.logits(prompt), of)
        for group in groups:
            more: dict[int, float] = {}
            for row, value in group:
                more[row] = more.get(row, 0.0) + value
            rows = [row for row in more if changes.after[row] > 0]
            moved = [max(more[row], -float(changes.after[row])) for row in rows]
            found.append(whole - _value(_with_more(model, prompt, changes.places[rows], moved), of))
    return found


def _with_more(
    model: ReplacementModel, prompt: torch.Tensor, places: np.ndarray, more: Sequence[float]
) -> tuple[torch.Tensor, torch.Tensor]:
    """As `logits`, with what features (n, 3) write for so much more activation added to what is written."""
    added: dict[int, torch.Tensor] = {}
    for (layer, position, index), value in zip(places.tolist(), more, strict=True):
        rows = model.decoders(layer, torch.tensor([index], device=model.device))[0].float()
        for number, row in enumerate(rows):
            written = added.setdefault(layer + number, row.new_zeros(len(prompt), len(row)))
            written[position] += value * row
    writes = {layer: (lambda output, own=own: output + own.to(output.dtype)) for layer, own in added.items()}
    return model.logits(prompt, {}, writes)


def _gradient(model: ReplacementModel, prompt: torch.Tensor, of: ExplainedLogits) -> torch.Tensor:
    """(n_layers, n_pos, d_model) of what is explained, at what transcoders stand for."""
    weights = torch.as_tensor(of.weights(of.tokens), dtype=torch.float32, device=prompt.device)
    return torch.tensordot(weights, output_gradients(model, prompt, of.tokens), 1)


def _lengths(model: ReplacementModel, places: torch.Tensor) -> torch.Tensor:
    """(n,) of what a unit of each feature (n, 3) writes, over all layers that it writes in."""
    square = torch.zeros(len(places), device=places.device)
    for layer in places[:, 0].unique().tolist():
        rows = (places[:, 0] == layer).nonzero()[:, 0]
        square[rows] = model.decoders(layer, places[rows, 2]).float().square().sum((1, 2))
    return square.sqrt()


def _value(logits: tuple[torch.Tensor, torch.Tensor], of: ExplainedLogits) -> float:
    return float(explained(logits[1][None], of))


def _numpy(values: torch.Tensor) -> np.ndarray:
    found: np.ndarray = values.double().cpu().numpy()
    return found
