"""How many tokens go through a model at once."""

from collections.abc import Iterator

import numpy as np

from engine.circuits.model import ComponentModel

# Memory of a forward pass that keeps what its backward pass needs, roughly; more is not faster.
PASS_BYTES = {"cpu": 256 << 20}
ACCELERATOR_BYTES = 4 << 30
WRITTEN_BYTES = 48 << 20


def token_budget(model: ComponentModel) -> int:
    """Tokens of one pass, at least 64: memory depends on this alone, not on how many pairs there are."""
    config = model.model.config
    bytes_each = 4 * len(model.layers) * (12 * model.d_model + 5 * config.intermediate_size)
    return max(64, PASS_BYTES.get(model.device.type, ACCELERATOR_BYTES) // bytes_each)


def written_tokens(model: ComponentModel) -> int:
    """Tokens for which what every source writes, (n_sources, n_tokens, d_model) float32, can be held, at least 1."""
    return max(1, WRITTEN_BYTES // (4 * model.shape.n_sources * model.d_model))


def micro_batches(lengths: np.ndarray, tokens: int) -> Iterator[np.ndarray]:
    """Rows (n,) of each batch: those of like length together, at most `tokens` with padding, or one row alone."""
    order = np.argsort(lengths, kind="stable")
    start = 0
    while start < len(order):
        stop = start + 1
        while stop < len(order) and (stop + 1 - start) * lengths[order[stop]] <= tokens:
            stop += 1
        yield order[start:stop]
        start = stop
