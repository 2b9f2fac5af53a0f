"""Adapters of models that read pictures, too: what they trained of the language model, by the names it has alone."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TypeGuard

from safetensors.torch import load_file, save_file

from engine.domain.errors import Damaged, InputError
from engine.domain.foreign import translated
from engine.domain.pictures import text_name
from engine.models.adapters import CONFIG, WEIGHTS, plain_name, read_config
from engine.models.base import LoadedModel
from engine.models.bounds import refuse_endless
from engine.models.plain_weights import names_in
from engine.store.files import object_in

_LISTS, _TABLES = ("target_modules", "modules_to_save", "exclude_modules"), ("rank_pattern", "alpha_pattern")


def leave_out_pictures(adapter: Path, base: LoadedModel) -> None:
    """Rewrite the files of such an adapter; another one is left as it is. `base`: what it is put onto.

    Raises Damaged (files that cannot be read) and InputError where nothing of the language model was trained, or where
    PEFT puts tokens that were trained into another matrix than is known here.
    """
    path = adapter / WEIGHTS
    if all(text_name(name) == name for name in names_in(path)):
        return
    _refuse_other_ties(adapter, base)
    whole = load_file(path)
    left = {text_name(name): one for name, one in whole.items() if text_name(name)}
    if not left:
        raise InputError(f"{adapter} trained only what reads pictures, and answers to words stay the base’s.")
    config = read_config(adapter)
    for key in _LISTS:
        names = config.get(key)
        if isinstance(names, list):
            config[key] = [text_name(f"{name}.")[:-1] for name in names if text_name(f"{name}.")]
    rows = config.get("trainable_token_indices")
    if isinstance(rows, dict):  # of the embedding that each is named for
        config["trainable_token_indices"] = {text_name(f"{name}.")[:-1]: tokens for name, tokens in rows.items()}
    modules = {_module(name): _module(text_name(name)) for name in whole if ".lora_" in name and text_name(name)}
    tables = {key: table for key in _TABLES if _is_of_numbers(table := config.get(key))}
    refuse_endless(adapter / CONFIG, tables, list(modules))
    with translated(lambda reason: Damaged(adapter / CONFIG, reason)):  # patterns that are none
        config |= {key: _by_module(table, modules) for key, table in tables.items()}
    if modules and (isinstance(config.get("target_modules"), str) or not config.get("target_parameters")):
        # Patterns may be of names that the language model does not have; those that were adapted have weights.
        config |= {"target_modules": sorted(modules.values()), "exclude_modules": None}
    save_file(left, path, metadata={"format": "pt"})
    (adapter / CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _refuse_other_ties(adapter: Path, base: LoadedModel) -> None:
    """Where the whole's configuration calls the ends tied and its language model's does not, PEFT trains both."""
    config = read_config(adapter)
    trains_tokens = config.get("trainable_token_indices") or config.get("peft_type") == "TRAINABLE_TOKENS"
    whole_ties = object_in(base.folder / "config.json").get("tie_word_embeddings", True)
    if trains_tokens and whole_ties and not base.model.config.tie_word_embeddings:
        raise InputError(
            f"{adapter} trained tokens of a model whose config.json calls input and output embeddings one "
            "(tie_word_embeddings), which those of its language model are not. Merge it with PEFT where it was "
            "trained, and import the merged model’s weights."
        )


def _is_of_numbers(table: object) -> TypeGuard[dict[str, int | float]]:
    """AdaLoRA has lists there."""
    return isinstance(table, dict) and all(isinstance(value, int | float) for value in table.values())


def _by_module(table: Mapping[str, int | float], modules: Mapping[str, str]) -> dict[str, int | float]:
    """What a table of patterns says of each module, by its name in the language model."""
    from peft.utils.other import get_pattern_key

    keys = {own: get_pattern_key(list(table), name) for name, own in modules.items()}
    return {own: table[key] for own, key in keys.items() if key in table}


def _module(name: str) -> str:
    """`base_model.model.model.layers.0.mlp.up_proj.lora_A.weight` -> `model.layers.0.mlp.up_proj`"""
    return plain_name(name).removeprefix("base_model.model.").partition(".lora_")[0]
