"""What an adapter's configuration says that no import can take, so that a preview tells it. Without torch and PEFT."""

import json
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Final

_NO_NUMBER = 1e30  # nobody means a rank or a scale as large
_OTHER_TASKS = ("SEQ_CLS", "TOKEN_CLS", "QUESTION_ANS")  # with a head that a language model does not have
_NOT_TOLD = ("pissa_niter", "corda", "loftq", "lora_ga")  # by chance, or with what is not in the adapter's files
_REFUSED: Final[Mapping[str, str]] = {  # settings of an adapter that has no weights to merge, and why
    "megatron_config": "asks for Megatron layers, which are not supported",  # PEFT would import a module that it names
    "alora_invocation_tokens": "acts only after certain tokens (activated LoRA), so it is no one set of weights",
    "layer_replication": "repeats layers of the model, which is then another model than the base",
    "arrow_config": "chooses between adapters at every token, so it is no one set of weights",
}
# What says where an adapter was made, not what it does.
ORIGIN = frozenset(
    [
        "base",
        "folder",
        "base_model_name_or_path",
        "revision",
        "inference_mode",
        "peft_version",
        "auto_mapping",
        "task_type",
    ]
)
_LORA = frozenset(
    [
        "peft_type",
        "alora_invocation_tokens",
        "alpha_pattern",
        "arrow_config",
        "bias",
        "corda_config",
        "ensure_weight_tying",
        "eva_config",
        "exclude_modules",
        "fan_in_fan_out",
        "init_lora_weights",
        "kasa_config",
        "layer_replication",
        "layers_pattern",
        "layers_to_transform",
        "loftq_config",
        "lora_alpha",
        "lora_bias",
        "lora_dropout",
        "lora_ga_config",
        "megatron_config",
        "megatron_core",
        "modules_to_save",
        "monteclora_config",
        "qalora_group_size",
        "r",
        "rank_pattern",
        "runtime_config",
        "target_modules",
        "target_parameters",
        "trainable_token_indices",
        "use_bdlora",
        "use_dora",
        "use_qalora",
        "use_rslora",
        "velora_config",
    ]
)
# What the pinned PEFT reads, by the types whose merge is exact and tested here; to ask PEFT takes seconds.
PEFT_FIELDS: Final[Mapping[str, frozenset[str]]] = {
    "LORA": ORIGIN | _LORA,
    "TRAINABLE_TOKENS": ORIGIN | {"peft_type", "init_weights", "target_modules", "token_indices"},
    "ADALORA": ORIGIN
    | _LORA
    | {"beta1", "beta2", "deltaT", "init_r", "orth_reg_weight", "target_r", "tfinal", "tinit", "total_step"},
    "IA3": ORIGIN
    | {"peft_type", "exclude_modules", "fan_in_fan_out", "feedforward_modules", "init_ia3_weights", "modules_to_save"}
    | {"target_modules"},
}


def _is_whole(value: object) -> bool:
    return type(value) is int and value >= 1


def _are_names(value: object) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(one, str) for one in value))


def _are_numbers(value: object) -> bool:
    return isinstance(value, dict) and all(type(one) in (int, float) for one in value.values())


# What PEFT would stumble over without naming it.
_SHAPES: Final[Mapping[str, tuple[Callable[[object], bool], str]]] = {
    "r": (_is_whole, "no whole number above 0"),
    "target_modules": (_are_names, "no list of names"),
    "exclude_modules": (_are_names, "no list of names"),
    "modules_to_save": (lambda value: isinstance(value, list) and _are_names(value), "no list of names"),
    "alpha_pattern": (_are_numbers, "no table of numbers by name"),
}


def _why_no_value(fields: Mapping[str, object]) -> str:
    """Of a setting that cannot be what it says."""
    for name in ("r", "lora_alpha"):
        value = fields.get(name, 1)
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _NO_NUMBER:
            return f"says in adapter_config.json that {name} is {json.dumps(value)[:40]}, which is no number"
    for name, (fits, what) in _SHAPES.items():
        if fields.get(name) is not None and not fits(fields[name]):
            return f"says in adapter_config.json that {name} is {json.dumps(fields[name])[:40]}, which is {what}"
    return ""


def why_refused(fields: Mapping[str, object]) -> str:
    """Why an adapter with this `adapter_config.json` cannot be used and the way out, as what follows “it” or its path;
    empty where nothing in it speaks against it."""
    kind = str(fields.get("peft_type"))
    if kind not in PEFT_FIELDS:
        return f"is an adapter of type {kind[:40]}. Supported types: {', '.join(PEFT_FIELDS)}"
    for name, why in _REFUSED.items():
        if fields.get(name):
            return why
    if fields.get("task_type") in _OTHER_TASKS:
        return (
            f"is an adapter of a classifier or reward model ({fields['task_type']}): such a model scores a text and "
            "does not continue it. Use adapters of models that were trained to continue text (CAUSAL_LM)"
        )
    if why := _why_no_value(fields):
        return why
    if unknown := sorted(name for name, value in fields.items() if value and name not in PEFT_FIELDS[kind]):
        return (
            f"sets {', '.join(unknown[:5])} in adapter_config.json, which PEFT {version('peft')} does not know: it may "
            "change the result. Save the adapter without it, or with this version"
        )
    how = str(fields.get("init_lora_weights"))
    if how.startswith(_NOT_TOLD):
        return (
            f"begins with “{how[:40]}”, and its files alone do not tell what that made of the base. Convert it to "
            "plain LoRA where it was trained, with save_pretrained’s path_initial_model_for_weight_conversion"
        )
    return ""
