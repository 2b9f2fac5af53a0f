"""Checkpoints of models whose own weights were trained: the tensors that changed, in the model's own names."""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

from engine.domain.errors import Damaged, InputError
from engine.domain.foreign import one_line

TENSORS, ABOUT = "weights.safetensors", "weights.json"
TYPES = ("full", "circuit_tuning")  # methods that make such checkpoints


def is_plain(folder: Path) -> bool:
    """Whether a checkpoint's folder holds weights of the model itself, and no adapter."""
    return (folder / ABOUT).exists()


def save_plain(
    model: PreTrainedModel, folder: Path, *, method: str, base_name: str, start: Mapping[str, torch.Tensor]
) -> None:
    """The parameters that differ from `start` (name -> the base's), the same bytes for the same weights."""
    folder.mkdir(parents=True, exist_ok=True)
    own = dict(model.named_parameters())  # of tied matrices only one
    changed = {name: own[name].detach() for name in sorted(start) if not torch.equal(own[name], start[name])}
    save_file(
        {name: value.contiguous() for name, value in changed.items()}, folder / TENSORS, metadata={"format": "pt"}
    )
    about = {"base": base_name, "type": method}
    (folder / ABOUT).write_text(json.dumps(about, indent=2, sort_keys=True) + "\n", encoding="utf-8")


@torch.no_grad()
def put_plain(model: PreTrainedModel, folder: Path) -> None:
    """Set the weights of `model`, which holds the base's, to those of a folder: all of them or none.

    Raises Damaged (files that cannot be read) and InputError (another type, tensors of another model).
    """
    kind = read_about(folder).get("type")
    if kind not in TYPES:
        raise InputError(f"{folder} holds weights of type {str(kind)[:40]}. Supported types: {', '.join(TYPES)}.")
    tensors, own = _read(folder), dict(model.named_parameters())
    for name, tensor in tensors.items():
        parameter = own.get(name)
        if parameter is None:
            raise InputError(
                f"{folder} does not fit this model, which has no {name[:80]}. Use the model that it was made for."
            )
        if parameter.shape != tensor.shape or parameter.dtype != tensor.dtype:
            raise InputError(
                f"{folder} does not fit this model: {name} must be {_described(parameter)}, and is "
                f"{_described(tensor)}. Use the model that it was made for."
            )
    for name, tensor in tensors.items():
        own[name].copy_(tensor)


def changed_names(folder: Path) -> tuple[str, ...]:
    """The parameters that a folder has weights of. Raises Damaged."""
    return tuple(_read(folder))


def read_about(folder: Path) -> dict[str, object]:
    """`weights.json` as it stands. Raises Damaged."""
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise Damaged(folder / ABOUT, one_line(error)) from error
    if not isinstance(about, dict):
        raise Damaged(folder / ABOUT, "it is not a JSON object")
    return about


def _read(folder: Path) -> dict[str, torch.Tensor]:
    path = folder / TENSORS
    if not path.is_file():
        pickled = next(iter(sorted((*folder.glob("*.bin"), *folder.glob("*.pt"), *folder.glob("*.pth")))), None)
        reason = f"only a pickled {pickled.name} is there, which is never read" if pickled else "it is missing"
        raise Damaged(path, reason, "Save the weights again with safetensors.")
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise Damaged(path, one_line(error)) from error


def _described(tensor: torch.Tensor) -> str:
    return f"{tuple(tensor.shape)} of {str(tensor.dtype).removeprefix('torch.')}"
