"""PEFT adapters on a base model: put on, merge, save, and name by content."""

import copy
import hashlib
import json
from functools import lru_cache
from pathlib import Path

import torch
from peft import PeftConfig, PeftModel, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

from engine.domain.errors import Damaged, InputError
from engine.models.base import BUILDING, LoadedModel, one_line

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
METHOD_TYPES = ("LORA", "TRAINABLE_TOKENS")  # PEFT's types whose merge is exact and tested here
# What says where an adapter was made, not what it does.
_ORIGIN = {"base_model_name_or_path", "revision", "inference_mode", "peft_version", "auto_mapping", "task_type"}


def checkpoint_hash(base: LoadedModel | Path, adapter: Path | None) -> str:
    """Names the weights of a checkpoint: 20 hex digits over the base's weights and, if any, the adapter's.

    Raises Damaged where the adapter's files cannot be read.
    """
    digest = hashlib.sha256(base_hash(base.folder if isinstance(base, LoadedModel) else base).encode())
    if adapter is not None:
        config = {key: value for key, value in read_config(adapter).items() if key not in _ORIGIN}
        digest.update(json.dumps(_in_order(config), sort_keys=True).encode())
        try:
            digest.update((adapter / WEIGHTS).read_bytes())
        except OSError as error:
            raise Damaged(adapter / WEIGHTS, one_line(error)) from error
    return digest.hexdigest()[:20]


def base_hash(folder: Path) -> str:
    """sha256 over the weight files of a base model; remembered while the files do not change."""
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise Damaged(folder, "it holds no safetensors weights", "Download or save the model again.")
    return _files_hash(tuple((str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files))


def merged_weights(loaded: LoadedModel, adapter: Path | None) -> PreTrainedModel:
    """A fresh copy of the base with the adapter merged into it: in eval mode, without gradients.

    Raises Damaged (files that cannot be read) and InputError (an adapter for another model, or of an unknown type).
    """
    with BUILDING:
        model = copy.deepcopy(loaded.model)
        if adapter is not None:
            model = with_adapter(model, adapter).merge_and_unload()
    return model.eval().requires_grad_(requires_grad=False)


def with_adapter(model: PreTrainedModel, adapter: Path) -> PeftModel:
    """`model` itself (not a copy) with the saved adapter put on. Raises as `merged_weights` does."""
    config = _peft_config(adapter)
    if config.peft_type == "TRAINABLE_TOKENS" and _only_embeddings(model, config.target_modules):
        # PEFT finds the input embeddings by itself, and warns about tied ones (which it handles) where they are named.
        config.target_modules = None
    try:
        with BUILDING:
            tuned = PeftModel(model, config)
    except (ValueError, TypeError, KeyError, AttributeError, RuntimeError) as error:
        raise InputError(
            f"{adapter} does not fit this model: {one_line(error)}. Use the model it was made for."
        ) from error
    put_weights(tuned, adapter)
    return tuned


def put_weights(tuned: PeftModel, adapter: Path) -> None:
    """Set the adapter weights of `tuned` to those saved in a folder, all of them or none."""
    weights = _read_weights(adapter)
    expected = get_peft_model_state_dict(tuned, save_embedding_layers=False)
    for name, tensor in expected.items():
        found = weights.get(name)
        if found is None or found.shape != tensor.shape:
            what = "none" if found is None else tuple(found.shape)
            raise InputError(
                f"{adapter} does not fit this model: {name} must have the shape {tuple(tensor.shape)}, the adapter has "
                f"{what}. Use the model it was made for."
            )
    try:
        result = set_peft_model_state_dict(tuned, weights)
    except (RuntimeError, ValueError, KeyError) as error:
        raise InputError(f"{adapter} does not fit this model: {one_line(error)}.") from error
    if result.unexpected_keys:
        raise InputError(
            f"{adapter} does not fit this model: it has no {result.unexpected_keys[0]}. Use the model it was made for."
        )


def save_adapter(tuned: PeftModel, folder: Path, *, base_name: str) -> None:
    """PEFT's own adapter folder, the same bytes for the same adapter. `base_name` is what PEFT tools load it onto."""
    # Not PEFT's save_pretrained, which writes a model card beside it, with paths of this machine, in most of its time.
    # The embeddings of the base are never copied into it: an adapter of ten tokens stays at 10 KB.
    weights = get_peft_model_state_dict(tuned, save_embedding_layers=False)
    folder.mkdir(parents=True, exist_ok=True)
    own = {name: w.clone().contiguous() for name, w in weights.items()}  # the names of a tied matrix share memory
    save_file(own, folder / WEIGHTS, metadata={"format": "pt"})
    tuned.peft_config[tuned.active_adapter].save_pretrained(str(folder))
    config = read_config(folder) | {"base_model_name_or_path": base_name, "inference_mode": True}
    # PEFT writes its sets in an order that differs from process to process.
    (folder / CONFIG).write_text(json.dumps(_in_order(config), indent=2, sort_keys=True) + "\n", encoding="utf-8")


def read_config(adapter: Path) -> dict[str, object]:
    """`adapter_config.json` as it stands. Raises Damaged."""
    try:
        config = json.loads((adapter / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Damaged(adapter / CONFIG, one_line(error)) from error
    if not isinstance(config, dict):
        raise Damaged(adapter / CONFIG, "it is not a JSON object")
    return config


def _peft_config(adapter: Path) -> PeftConfig:
    fields = read_config(adapter)
    kind = str(fields.get("peft_type"))
    if kind not in METHOD_TYPES:
        raise InputError(f"{adapter} is an adapter of type {kind[:40]}. Supported are {', '.join(METHOD_TYPES)}.")
    if fields.get("megatron_config"):  # makes PEFT import a module that the file names
        raise InputError(f"{adapter} asks for Megatron layers, which are not supported.")
    try:
        return PeftConfig.from_peft_type(**fields)
    except (TypeError, ValueError, KeyError) as error:
        raise Damaged(adapter / CONFIG, one_line(error)) from error


def _only_embeddings(model: PreTrainedModel, targets: object) -> bool:
    """Whether the only target is the input embedding."""
    names = [targets] if isinstance(targets, str) else sorted(targets) if isinstance(targets, (list, set)) else []
    embedding = model.get_input_embeddings()
    return len(names) == 1 and any(
        module is embedding and f".{name}".endswith(f".{names[0]}") for name, module in model.named_modules()
    )


def _read_weights(adapter: Path) -> dict[str, torch.Tensor]:
    path = adapter / WEIGHTS
    if not path.is_file():
        pickled = (adapter / "adapter_model.bin").exists()
        reason = "only a pickled adapter_model.bin is there, which is never read" if pickled else "it is missing"
        raise Damaged(path, reason, "Save the adapter again with safetensors.")
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise Damaged(path, one_line(error)) from error


def _in_order(value: object) -> object:
    """Lists of names sorted (PEFT keeps them as sets), everything else as it is."""
    if isinstance(value, dict):
        return {key: _in_order(member) for key, member in value.items()}
    if isinstance(value, list) and all(isinstance(member, str) for member in value):
        return sorted(value)
    return value


@lru_cache(maxsize=64)
def _files_hash(files: tuple[tuple[str, int, int], ...]) -> str:
    digest = hashlib.sha256()
    for path, _size, _time in files:
        with Path(path).open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
