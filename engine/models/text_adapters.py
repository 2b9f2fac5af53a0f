"""Adapters of models that read pictures, too: what they trained of the language model, by the names it has alone."""

import json
from pathlib import Path

from safetensors.torch import load_file, save_file

from engine.domain.errors import InputError
from engine.domain.pictures import text_name
from engine.models.adapters import CONFIG, WEIGHTS, read_config
from engine.models.plain_weights import names_in

_LISTS, _TABLES = ("target_modules", "modules_to_save", "exclude_modules"), ("rank_pattern", "alpha_pattern")


def leave_out_pictures(adapter: Path) -> None:
    """Rewrite the files of such an adapter; another one is left as it is.

    Raises Damaged (files that cannot be read) and InputError where nothing of the language model was trained.
    """
    path = adapter / WEIGHTS
    if all(text_name(name) == name for name in names_in(path)):
        return
    left = {text_name(name): one for name, one in load_file(path).items() if text_name(name)}
    if not left:
        raise InputError(f"{adapter} trained only what reads pictures, and answers to words stay the base’s.")
    config = read_config(adapter)
    for key in _LISTS:
        names = config.get(key)
        if isinstance(names, list):
            config[key] = [text_name(f"{name}.")[:-1] for name in names if text_name(f"{name}.")]
    for key in _TABLES:
        table = config.get(key)
        if isinstance(table, dict):
            config[key] = {text_name(f"{name}.")[:-1]: value for name, value in table.items() if text_name(f"{name}.")}
    if isinstance(config.get("target_modules"), str):  # a pattern of names that the language model does not have
        config["target_modules"] = sorted({_module(name) for name in left if ".lora_" in name})
    save_file(left, path, metadata={"format": "pt"})
    (adapter / CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _module(name: str) -> str:
    """`base_model.model.model.layers.0.mlp.up_proj.lora_A.weight` -> `model.layers.0.mlp.up_proj`"""
    return name.removeprefix("base_model.model.").partition(".lora_")[0]
