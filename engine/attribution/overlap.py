"""Activations of features with a new word, with the word it means, and with other meanings in its place."""

from collections.abc import Sequence

import numpy as np
import torch
from transformers import PreTrainedModel

from engine.analysis.meaning_prompts import MeaningPrompts, meaning_prompts
from engine.analysis.overlap import OverlapRow
from engine.domain.corpus import Probe
from engine.domain.errors import PromptRefused
from engine.models.base import LoadedModel, encode
from engine.models.batches import padded
from engine.models.hook_points import Read
from engine.models.replacement import Replacement, ReplacementModel

_PLACES_AT_ONCE = 4096  # tokens of one forward pass, with their padding


def overlap_rows(
    replacement: Replacement, merged: PreTrainedModel | None, probes: Sequence[Probe]
) -> dict[str, list[OverlapRow]]:
    """By constraint type, a row for each constraint and phrasing (`engine.analysis.meaning_prompts`).

    Feature activations at the last position in the checkpoint whose weights are `merged` (None: the base): those of
    circuit-tracer's `get_activations`, all different prompts in few forward passes. Phrasings that the model cannot
    read are left out, as are other meanings that it does not know. Safe in threads: it holds the replacement's lock.
    """
    rows = meaning_prompts(probes)
    readable = _readable(replacement.loaded, rows)
    found = _last_activations(replacement, merged, readable)
    by_type: dict[str, list[OverlapRow]] = {}
    for row in rows:
        if row.new in found and row.own in found:
            others = tuple(found[text] for text in row.others if text in found)
            by_type.setdefault(row.constraint_type, []).append(
                OverlapRow(row.constraint, row.template, found[row.new], found[row.own], others)
            )
    return by_type


def _readable(loaded: LoadedModel, rows: Sequence[MeaningPrompts]) -> dict[str, torch.Tensor]:
    """Prompt -> (n_pos,) its tokens with BOS, each once."""
    tokens = {}
    for text in dict.fromkeys(text for row in rows for text in (row.new, row.own, *row.others)):
        try:
            tokens[text] = encode(loaded, text)[0]
        except PromptRefused:
            continue
    return tokens


def _last_activations(
    replacement: Replacement, merged: PreTrainedModel | None, prompts: dict[str, torch.Tensor]
) -> dict[str, np.ndarray]:
    """Prompt -> (n_layers, n_features) float32 at its last position."""
    found: dict[str, np.ndarray] = {}
    longest = max(map(len, prompts.values()), default=1)
    texts, size = list(prompts), max(1, _PLACES_AT_ONCE // longest)
    with replacement.opened(merged) as model:
        for start in range(0, len(texts), size):
            part = texts[start : start + size]
            values = _batch(model, [prompts[text] for text in part])
            found.update(zip(part, values, strict=True))
    return found


def _batch(model: ReplacementModel, prompts: Sequence[torch.Tensor]) -> np.ndarray:
    """(n_prompts, n_layers, n_features)"""
    tokens, _ = padded(prompts, model.device)
    row = torch.arange(len(prompts), device=model.device)
    last = torch.tensor([len(prompt) - 1 for prompt in prompts], device=model.device)
    layers: list[torch.Tensor] = []

    def reading(layer: int) -> Read:
        return lambda x: layers.append(model.transcoders.encode_layer(x[row, last], layer).float().cpu())

    model.read(tokens, {layer: reading(layer) for layer in range(model.n_layers)})
    return torch.stack(layers, dim=1).numpy()
