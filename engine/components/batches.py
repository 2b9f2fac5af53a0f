"""How many tokens go through a model at once."""

from collections.abc import Iterator

import numpy as np

from engine.components.model import ComponentModel
from engine.components.pairs import TokenPairs
from engine.components.passes import shared
from engine.models.memory import free_memory
from engine.models.prompt_memory import PromptMemory, refuse_longer_than_free

# Memory of a forward pass that keeps what its backward pass needs, roughly. On a CPU more is not faster.
PASS_BYTES = {"cpu": 12 << 20}
ACCELERATOR_BYTES = 4 << 30
WRITTEN_BYTES = 8 << 20


def token_budget(model: ComponentModel) -> int:
    """Tokens of one pass, at least 64: memory depends on this alone, not on how many pairs there are."""
    bytes_each = 4 * len(model.layers) * (12 * model.d_model + 5 * model.d_mlp)
    return max(64, PASS_BYTES.get(model.device.type, ACCELERATOR_BYTES) // bytes_each)


def written_tokens(model: ComponentModel) -> int:
    """Tokens for which what every source writes, (n_sources, n_tokens, d_model) float32, can be held, at least 1."""
    return max(1, WRITTEN_BYTES // (4 * model.shape.n_sources * model.d_model))


def input_weight_bytes(model: ComponentModel) -> int:
    """Of `input_weights` of all layers."""
    return 4 * len(model.layers) * 3 * model.n_heads * model.d_head * model.d_model


def refuse_long_pairs(model: ComponentModel, pairs: TokenPairs, *, besides: int = 0) -> None:
    """Raises PromptRefused where the pair that has most tokens of its own takes more memory than is free, with these
    bytes besides."""
    takes, n_sources = PromptMemory.of(model.model), model.shape.n_sources
    n_pos = int((pairs.lengths.numpy() - shared(pairs)).max(initial=0))
    free = free_memory(model.device, takes.scored(n_pos, n_sources) + besides)
    refuse_longer_than_free(
        n_pos, free, lambda n: takes.scored(n, n_sources) + besides, "finding its circuit",
        what="From where its prompts differ the longest pair",
    )  # fmt: skip


def micro_batches(pairs: TokenPairs, tokens: int) -> Iterator[np.ndarray]:
    """Rows (n,) of each batch, those together that are alike in length and in what their prompts share.

    At most `tokens` that are not shared, with padding, or one row alone; what is shared counts for an eighth, as
    nothing but its keys and values is held.
    """
    lengths, n_shared = pairs.lengths.numpy(), shared(pairs)
    order = np.lexsort((n_shared, lengths))
    start, before = 0, n_shared[order[0]] if len(order) else 0
    for place, row in enumerate(order):
        before = min(before, n_shared[row])
        each = lengths[row] - before + before / 8
        if place > start and (place + 1 - start) * each > tokens:
            yield order[start:place]
            start, before = place, n_shared[row]
    if len(order):
        yield order[start:]
