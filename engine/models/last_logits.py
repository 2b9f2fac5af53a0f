"""Logits at the last position alone: of a large vocabulary those of all positions would be most of the memory."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from transformers import PreTrainedModel


@contextmanager
def last_logits(model: PreTrainedModel) -> Iterator[list[torch.Tensor]]:
    """Within it the model makes logits of the last position only; the list gets them, of each pass: (n, n_vocab)
    float32, before any soft cap.
    """
    found: list[torch.Tensor] = []
    unembedding = model.get_output_embeddings()
    last = unembedding.register_forward_pre_hook(lambda _, args: (args[0][:, -1:],))
    seen = unembedding.register_forward_hook(lambda _, args, output: found.append(output[:, -1].float()))
    try:
        yield found
    finally:
        last.remove()
        seen.remove()
