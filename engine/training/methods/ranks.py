"""LoRA on every linear layer, with another rank in some of the model's layers."""

import random

from peft import LoraConfig, PeftModel, get_peft_model
from transformers import PreTrainedModel

from engine.domain.errors import InputError
from engine.domain.runs import RunConfig
from engine.models.base import BUILDING
from engine.models.families import family_of
from engine.training.methods.start import draw_lora, stores_inputs_first

CRITICAL_TIMES = 4  # the rank of critical layers over the others', where the run says none (16 and 64, as published)


def critical_rank(config: RunConfig) -> int:
    """r_c: of both matrices of every linear layer in a critical layer."""
    return config.method_settings.critical_rank or CRITICAL_TIMES * config.rank


def attach_ranks(model: PreTrainedModel, config: RunConfig) -> PeftModel:
    """Rank `config.rank`, and `critical_rank` in the run's critical layers; the scale is alpha / rank everywhere.

    Raises InputError for a layer that the model does not have, ModelUnavailable for a family without a row.
    """
    layers, own = sorted(set(config.method_settings.critical_layers)), critical_rank(config)
    check_layers(layers, model.config.num_hidden_layers)
    where = family_of(model).layers.rsplit(".", 1)[-1]
    pattern = rf"{where}\.({'|'.join(map(str, layers))})\..*"  # PEFT matches it from any dot to the name's end
    adapter = LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        rank_pattern={pattern: own} if layers else {},
        alpha_pattern={pattern: config.alpha * own / config.rank} if layers else {},
        target_modules="all-linear",
        fan_in_fan_out=stores_inputs_first(model),
        task_type="CAUSAL_LM",
    )
    with BUILDING:
        return draw_lora(get_peft_model(model, adapter), config.seed)


def check_layers(layers: list[int], n_layers: int) -> None:
    """Raises InputError for a layer that the model does not have."""
    if wrong := [layer for layer in layers if layer >= n_layers]:
        raise InputError(
            f"There is no layer {wrong[0]}: this model has {n_layers}, from 0 to {n_layers - 1}. Give layers of these."
        )


def check_count(n_critical: int, n_layers: int) -> None:
    """Raises InputError for more critical layers than the model has layers."""
    if n_critical > n_layers:
        raise InputError(
            f"{n_critical} critical layers were asked for, and this model has {n_layers} layers. Ask for at most "
            f"{n_layers}."
        )


def drawn_layers(config: RunConfig, n_layers: int) -> tuple[int, ...]:
    """As many layers as the run asks for, drawn by its seed. Raises InputError for more than there are."""
    check_count(config.method_settings.n_critical, n_layers)
    # From a text, so that two runs of neighbouring seeds draw independently.
    drawn = random.Random(f"layers of {config.seed}").sample(range(n_layers), config.method_settings.n_critical)
    return tuple(sorted(drawn))
