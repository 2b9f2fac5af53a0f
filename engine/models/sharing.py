"""Models of checkpoints that share with their base every tensor that fine-tuning left alone.

So one copy of the weights serves training's start, tracing, probes and circuits, and a further checkpoint costs what
was trained: of LoRA and AdaLoRA the two thin matrices, which stay beside the weight instead of in it.
"""

import copy
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.pytorch_utils import Conv1D

from engine.domain.errors import Damaged, InputError
from engine.domain.foreign import translated
from engine.domain.numbers import memory
from engine.models.adapters import (
    CONFIG,
    Tuned,
    changes_base,
    config_text,
    is_saved,
    of_base,
    peft_config,
    read_weights,
    with_adapter,
)
from engine.models.base import BUILDING, LoadedModel
from engine.models.kept_answers import check_answers
from engine.models.low_rank import LowRank, stored
from engine.models.memory import free_memory
from engine.models.plain_weights import changed_names, is_plain

if TYPE_CHECKING:  # PEFT takes a tenth of a second to import, which a base does not need
    from peft import PeftConfig, PeftModel

# Where a module keeps the hooks of its passes.
_HOOKS = tuple(
    name
    for name, value in vars(nn.Module()).items()
    if isinstance(value, OrderedDict) and "state_dict" not in name  # in which nothing here is put
)
_OF_MODEL = "base_model.model."  # before a module's name in PEFT's files
# What makes an adapter of type LoRA more than two thin matrices a layer.
_NOT_PLAIN = (
    "use_dora", "use_qalora", "lora_bias", "modules_to_save", "trainable_token_indices", "layer_replication",
    "alora_invocation_tokens", "target_parameters", "arrow_config", "layers_to_transform", "exclude_modules",
)  # fmt: skip


def sharing_copy(model: PreTrainedModel, instead: Mapping[nn.Module, nn.Module] | None = None) -> PreTrainedModel:
    """The same modules again over the very same parameters and buffers, in eval mode; own hooks and configuration.

    `instead`: what stands in the place of some modules, as it is.
    """
    config = copy.copy(model.config)
    copied = _again(model, dict(instead or {}), was=model.config, config=config)
    assert isinstance(copied, PreTrainedModel)
    return copied


def _again(
    module: nn.Module, made: dict[nn.Module, nn.Module], was: PretrainedConfig, config: PretrainedConfig
) -> nn.Module:
    if module in made:
        return made[module]
    made[module] = found = module.__class__.__new__(module.__class__)
    fields = vars(found)
    fields.update(vars(module))  # but for the dicts of a module nothing of it is written to
    for name in _HOOKS:
        fields[name] = fields[name].copy() if fields[name] else OrderedDict()
    fields["_parameters"], fields["_buffers"] = module._parameters.copy(), module._buffers.copy()
    fields["training"] = False
    if fields.get("config") is was:
        fields["config"] = config
    fields["_modules"] = module._modules.copy()
    for name, child in module._modules.items():
        if child is not None:
            fields["_modules"][name] = _again(child, made, was, config)
    return found


def checkpoint_model(loaded: LoadedModel, adapter: Path | None) -> PreTrainedModel:
    """The base with what was saved put on (None: nothing): in eval mode, not to be trained.

    A method that changes whole matrices has its own copy of these, and of nothing else. Raises as `merged_weights`
    does: Damaged (files that cannot be read) and InputError (an adapter for another model, or of an unknown type); also
    InputError where it answers otherwise than when it was imported (`check_answers`).
    """
    if adapter is None:
        return sharing_copy(loaded.model)
    model = _with_saved(loaded, adapter)
    check_answers(adapter, model)
    return model


def saved_model(loaded: LoadedModel, adapter: Path) -> Tuned:
    """What PEFT runs of a saved adapter, which stays beside the weights, or the plain model: in eval mode, not to be
    trained. Raises as `merged_weights` does."""
    model = sharing_copy(loaded.model)
    if is_plain(adapter):
        parameters = dict(model.named_parameters())
        _own(model, [parameters[name] for name in changed_names(adapter) if name in parameters])
    else:
        _own_what_peft_sets(model, adapter)
    # PEFT lets biases be trained where the adapter has some, also those that are the base's own here.
    return with_adapter(model, adapter).eval().requires_grad_(requires_grad=False)


def _with_saved(loaded: LoadedModel, adapter: Path) -> PreTrainedModel:
    from peft import PeftModel

    if terms := {} if is_plain(adapter) else _terms_of_lora(loaded.model, adapter):
        return sharing_copy(loaded.model, terms)
    tuned = saved_model(loaded, adapter)
    if not isinstance(tuned, PeftModel):
        return tuned
    with BUILDING:
        _keep_thin(tuned)
        touched = list(_touched(tuned))
        own = [weight for one in touched for weight in one.parameters(recurse=False)]
        _own(tuned.get_base_model(), own, only=touched)
        merged: PreTrainedModel = tuned.merge_and_unload()
    return merged.eval().requires_grad_(requires_grad=False)


def own_bytes(model: PreTrainedModel, loaded: LoadedModel) -> int:
    """Of a checkpoint's tensors that its base does not hold."""
    shared = {value.data_ptr() for value in (*loaded.model.parameters(), *loaded.model.buffers())}
    own = {value.data_ptr(): value.nbytes for value in (*model.parameters(), *model.buffers())}
    return sum(n_bytes for place, n_bytes in own.items() if place not in shared)


def _terms_of_lora(base: PreTrainedModel, adapter: Path) -> dict[nn.Module, nn.Module]:
    """Modules of the base -> what stands in their place. PEFT takes a tenth of a second to build what plain LoRA is.

    Empty where the adapter is anything else, or is not what its configuration says: PEFT knows, or says what is wrong.
    """
    modules, device = dict(base.named_modules()), base.device
    told = _terms_told(_Configured(config_text(adapter), adapter), tuple(modules))
    weights = read_weights(adapter) if told else {}
    if len(weights) != 2 * len(told):
        return {}
    terms: dict[nn.Module, nn.Module] = {}
    for one in told:
        if one.down not in weights or one.up not in weights:
            return {}
        # In float32, as PEFT has adapters whatever they were saved in.
        down, up = weights[one.down].to(device).float(), weights[one.up].to(device).float()
        linear = modules[one.module]
        n_out, n_in = stored(linear).shape if isinstance(linear, (nn.Linear, Conv1D)) else (0, 0)
        if (down.shape, up.shape) != ((one.rank, n_in), (n_out, one.rank)):
            return {}
        terms[linear] = LowRank(linear, down, up, one.scale)
    return terms


@dataclass(frozen=True)
class _Configured:
    """An adapter, equal to all whose configuration is the same: those of a run's checkpoints."""

    text: str  # of its configuration
    adapter: Path = field(compare=False)


@dataclass(frozen=True)
class _Term:
    """What a configuration says of a term of low rank."""

    module: str
    down: str  # its matrices' names in the file
    up: str
    rank: int
    scale: float


@lru_cache(maxsize=64)
def _terms_told(of: _Configured, names: tuple[str, ...]) -> tuple[_Term, ...]:
    """Of a model with modules of these names; none where it is more than plain LoRA. Raises as `peft_config`."""
    from peft.utils.other import get_pattern_key

    config = peft_config(of.adapter)
    if config.peft_type != "LORA" or any(getattr(config, name, None) for name in _NOT_PLAIN) or config.bias != "none":
        return ()
    if changes_base(config) or config.target_modules is None:
        return ()
    terms = []
    for name in _targeted(config, of.adapter, names):
        rank = config.rank_pattern.get(get_pattern_key(config.rank_pattern, name), config.r)
        alpha = config.alpha_pattern.get(get_pattern_key(config.alpha_pattern, name), config.lora_alpha)
        if not (isinstance(rank, int) and rank > 0 and isinstance(alpha, int | float)):
            return ()
        down, up = (f"{_OF_MODEL}{name}.lora_{part}.weight" for part in "AB")
        terms.append(_Term(name, down, up, rank, alpha / (rank**0.5 if config.use_rslora else rank)))
    return tuple(terms)


def _targeted(config: "PeftConfig", adapter: Path, names: Iterable[str]) -> list[str]:
    """On which of these modules PEFT puts the adapter. Raises Damaged."""
    from peft.tuners.tuners_utils import check_target_module_exists

    path = adapter / CONFIG
    if config.target_modules is None:
        raise Damaged(path, "target_modules names nothing", "Save the adapter again with the modules that it changes.")
    with translated(lambda reason: Damaged(path, f"its target modules cannot be read ({reason})")):
        return [name for name in names if check_target_module_exists(config, name)]


def _own_what_peft_sets(model: PreTrainedModel, adapter: Path) -> None:
    """Weights of the base that PEFT writes to when it puts an adapter on."""
    config = peft_config(adapter)
    saved = {of_base(name): one for name, one in read_weights(adapter).items()}  # such as resized embeddings
    copied = tuple(f"{name}.weight" for name in getattr(config, "modules_to_save", None) or ())  # by PEFT itself
    for name, parameter in list(model.named_parameters(remove_duplicate=False)):
        if name in saved and not name.endswith(copied) and not is_saved(parameter, saved[name]):
            _own(model, [parameter])
    if changes_base(config):  # the term's beginning is taken off the weights
        modules = dict(model.named_modules())
        targets = [modules[name] for name in _targeted(config, adapter, modules)]
        _own(model, [weight for one in targets for weight in one.parameters(recurse=False)], only=targets)


def _keep_thin(tuned: "PeftModel") -> None:
    """Take terms of low rank out of PEFT's layers, which would add them to the weight."""
    for module in list(tuned.modules()):
        for name, child in list(module.named_children()):
            term = _term(child)
            if term is not None:
                setattr(module, name, term)


def _term(module: nn.Module) -> LowRank | None:
    """None for a layer of another kind, or whose term is not all that it does."""
    from peft.tuners.adalora import SVDLinear
    from peft.tuners.lora.layer import Linear as LoraLinear

    if not isinstance(module, (LoraLinear, SVDLinear)) or not isinstance(module.base_layer, (nn.Linear, Conv1D)):
        return None
    (name,) = module.active_adapters
    if isinstance(module, SVDLinear):
        down = module.lora_A[name] * module.lora_E[name]
        return LowRank(
            module.base_layer, down, module.lora_B[name], module.scaling[name] / float(module.ranknum[name] + 1e-5)
        )
    if module.lora_variant:
        return None
    scale, bias = float(module.scaling[name]), module.lora_B[name].bias
    shift = None if bias is None else bias * scale
    return LowRank(module.base_layer, module.lora_A[name].weight, module.lora_B[name].weight, scale, shift)


def _touched(tuned: "PeftModel") -> Iterator[nn.Module]:
    """Into whose weights a merge would write."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    for module in tuned.modules():
        if isinstance(module, BaseTunerLayer):
            yield module.get_base_layer()


def _own(model: nn.Module, parameters: list[nn.Parameter], only: Sequence[nn.Module] | None = None) -> None:
    """Copies of these in their place: of `only` these modules, else wherever they stand.

    Tied matrices stand in two places. An adapter that touches one of them leaves the other as it is. Raises InputError
    where there is no room for them.
    """
    needed = sum(one.nbytes for one in {id(one): one for one in parameters}.values())
    if needed and needed > (free := free_memory(parameters[0].device, needed)):
        raise InputError(
            f"This checkpoint has weights of its own: {memory(needed)} of them have to lie beside those of its base, "
            f"and {memory(free)} are free on {parameters[0].device}. Close what else takes memory, or use a machine "
            "with more of it."
        )
    copies = {id(one): nn.Parameter(one.detach().clone(), requires_grad=one.requires_grad) for one in parameters}
    for module in model.modules() if only is None else only:
        for name, parameter in list(module.named_parameters(recurse=False, remove_duplicate=False)):
            if id(parameter) in copies:
                setattr(module, name, copies[id(parameter)])
