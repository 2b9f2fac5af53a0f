"""The same architecture with weights that mean nothing: what a circuit in it looks like is chance."""

import copy

import torch
from transformers import PreTrainedModel

from engine.models.base import BUILDING
from engine.models.families import family_of


@torch.no_grad()
def random_copy(model: PreTrainedModel, seed: int) -> PreTrainedModel:
    """A copy in eval mode with weights drawn anew, as these families begin their training: matrices and embeddings
    normal with the configuration's deviation, norms that change nothing, biases zero.

    The draws come from a generator of its own, on the CPU whatever the device. Raises ModelUnavailable for a family
    without hooks.
    """
    config = model.config
    unchanged = 0.0 if family_of(model).norm == "rms_plus_one" else 1.0
    deviation = getattr(config, "initializer_range", None) or config.init_std  # as OPT calls it
    generator = torch.Generator().manual_seed(seed)
    with BUILDING:
        drawn = copy.deepcopy(model)
    for name, parameter in drawn.named_parameters():
        if parameter.ndim > 1:
            values = torch.empty(parameter.shape).normal_(0.0, deviation, generator=generator)
            parameter.copy_(values)
        else:
            parameter.fill_(0.0 if name.endswith("bias") else unchanged)
    return drawn.eval().requires_grad_(False)
