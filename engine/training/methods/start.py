"""Where LoRA starts from, as a function of the seed alone."""

import math

import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer


@torch.no_grad()
def draw_lora(tuned: PeftModel, seed: int) -> PeftModel:
    """Draw every A matrix again as PEFT does (Kaiming uniform; B is zero), from a generator of its own.

    PEFT draws from torch's global generator, from which another thread may be drawing at the same time.
    """
    generator = torch.Generator().manual_seed(seed)
    for module in tuned.modules():
        if isinstance(module, LoraLayer):
            for matrix in module.lora_A.values():
                drawn = torch.empty(matrix.weight.shape)
                torch.nn.init.kaiming_uniform_(drawn, a=math.sqrt(5), generator=generator)
                matrix.weight.copy_(drawn)
    return tuned
