"""Where an adapter starts from, as a function of the seed alone.

PEFT draws from torch's global generator, from which another thread may be drawing at the same time; so what it drew is
drawn again as it does, from a generator of its own.
"""

import math

import torch
from peft import PeftModel
from peft.tuners.adalora import AdaLoraLayer
from peft.tuners.lora import LoraLayer
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D


def stores_inputs_first(model: PreTrainedModel) -> bool:
    """Whether the model's layers hold their weights as (n_in, n_out), as GPT-2's do. PEFT wants to be told."""
    return any(isinstance(module, Conv1D) for module in model.modules())


@torch.no_grad()
def draw_lora(tuned: PeftModel, seed: int) -> PeftModel:
    """LoRA: every A matrix Kaiming uniform; B is zero."""
    generator = torch.Generator().manual_seed(seed)
    for module in tuned.modules():
        if isinstance(module, LoraLayer):
            for matrix in module.lora_A.values():
                drawn = torch.empty(matrix.weight.shape)
                torch.nn.init.kaiming_uniform_(drawn, a=math.sqrt(5), generator=generator)
                matrix.weight.copy_(drawn)
    return tuned


@torch.no_grad()
def draw_adalora(tuned: PeftModel, seed: int) -> PeftModel:
    """AdaLoRA: every singular vector normal with a standard deviation of 0.02; the singular values are zero."""
    generator = torch.Generator().manual_seed(seed)
    for module in tuned.modules():
        if isinstance(module, AdaLoraLayer):
            for vectors in (*module.lora_A.values(), *module.lora_B.values()):
                vectors.copy_(0.02 * torch.randn(vectors.shape, generator=generator))
    return tuned
