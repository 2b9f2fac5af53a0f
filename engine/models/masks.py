"""Which positions each position sees, made without transformers' detour.

It builds the same mask through a map of scalar functions, which takes longer than all layers of a small model.
"""

import torch
from transformers import PreTrainedModel

from engine.models.families import FAMILIES


def attention_mask(
    model: PreTrainedModel, tokens: torch.Tensor, mask: torch.Tensor | None = None
) -> torch.Tensor | None:
    """What to give `model` for tokens (n, n_pos), of which `mask` (n, n_pos) says where they are no padding.

    The model computes with it, to the bit, what it computes with `mask` (None: no padding). Of models that are not
    known to take it so, or see in windows, `mask` itself.
    """
    config = model.config
    windows = getattr(config, "sliding_window", None) is not None
    family = FAMILIES.get(config.model_type)
    if family is None or family.flat_mlp or windows or config._attn_implementation != "sdpa":
        return mask
    if mask is not None and bool(mask.all()):
        return mask  # transformers has a short way of its own for this
    n, n_pos = tokens.shape
    seen = torch.ones(n_pos, n_pos, dtype=torch.bool, device=tokens.device).tril().expand(n, 1, n_pos, n_pos)
    return seen if mask is None else seen & mask.bool()[:, None, None]
