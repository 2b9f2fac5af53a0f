"""Models of checkpoints that share with their base every tensor that fine-tuning left alone.

So one copy of the weights serves training's start, tracing, probes and circuits, and a further checkpoint costs what
was trained: of LoRA and AdaLoRA the two thin matrices, which stay beside the weight instead of in it.
"""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from peft import PeftModel
from peft.tuners.adalora import SVDLinear
from peft.tuners.lora.layer import Linear as LoraLinear
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from engine.models.adapters import with_adapter
from engine.models.base import BUILDING, LoadedModel
from engine.models.low_rank import LowRank
from engine.models.plain_weights import changed_names, is_plain

Module = TypeVar("Module", bound=nn.Module)


def sharing_copy(model: Module) -> Module:
    """The same modules again, hooks and modes of their own, over the very same parameters and buffers."""
    shared = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    with BUILDING:
        return copy.deepcopy(model, shared)


def checkpoint_model(loaded: LoadedModel, adapter: Path | None) -> PreTrainedModel:
    """The base with what was saved put on (None: nothing): in eval mode, not to be trained.

    A method that changes whole matrices has its own copy of these, and of nothing else. Raises as `merged_weights`
    does: Damaged (files that cannot be read) and InputError (an adapter for another model, or of an unknown type).
    """
    model = sharing_copy(loaded.model)
    if adapter is None:
        return model.eval()
    if is_plain(adapter):
        parameters = dict(model.named_parameters())
        _own(model, [parameters[name] for name in changed_names(adapter) if name in parameters])
    tuned = with_adapter(model, adapter)
    if isinstance(tuned, PeftModel):
        with BUILDING:
            _keep_thin(tuned)
            _own(model, list(_touched(tuned)))
            model = tuned.merge_and_unload()
    return model.eval().requires_grad_(requires_grad=False)


def _keep_thin(tuned: PeftModel) -> None:
    """Take terms of low rank out of PEFT's layers, which would add them to the weight."""
    for module in list(tuned.modules()):
        for name, child in list(module.named_children()):
            term = _term(child)
            if term is not None:
                setattr(module, name, term)


def _term(module: nn.Module) -> LowRank | None:
    """None for a layer of another kind, or whose term is not all that it does."""
    if not isinstance(module, (LoraLinear, SVDLinear)) or not isinstance(module.base_layer, (nn.Linear, Conv1D)):
        return None
    (name,) = module.active_adapters
    if isinstance(module, SVDLinear):
        down = module.lora_A[name] * module.lora_E[name]
        return LowRank(
            module.base_layer, down, module.lora_B[name], module.scaling[name] / float(module.ranknum[name] + 1e-5)
        )
    if module.lora_variant or module.lora_bias.get(name):
        return None
    return LowRank(
        module.base_layer, module.lora_A[name].weight, module.lora_B[name].weight, float(module.scaling[name])
    )


def _touched(tuned: PeftModel) -> Iterator[nn.Parameter]:
    """What a merge would write into."""
    for module in tuned.modules():
        if isinstance(module, BaseTunerLayer):
            yield from module.get_base_layer().parameters(recurse=False)


def _own(model: nn.Module, parameters: list[nn.Parameter]) -> None:
    """Copies of these in their place, wherever they stand (tied matrices stand in two places)."""
    copies = {id(one): nn.Parameter(one.detach().clone(), requires_grad=one.requires_grad) for one in parameters}
    for module in model.modules():
        for name, parameter in list(module.named_parameters(recurse=False, remove_duplicate=False)):
            if id(parameter) in copies:
                setattr(module, name, copies[id(parameter)])
