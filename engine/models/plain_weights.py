"""Checkpoints of models whose own weights were trained: the tensors that changed, in the model's own names.

They lie in `weights.safetensors`. Of a model that was trained elsewhere and differs from the base nearly everywhere
they stay where they are: `weights.json` names the folder, its files with their hashes, and each parameter's tensor.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import PreTrainedModel

from engine.domain.errors import Damaged, InputError, Lost
from engine.domain.foreign import one_line
from engine.domain.hub import HubId
from engine.models.configs import AGAIN
from engine.store.files import file_hash, storing

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
    _write_about(folder, {"base": base_name, "type": method})


def save_changed(folder: Path, changed: Mapping[str, torch.Tensor], *, base_name: str) -> None:
    """Parameters of a model that was trained elsewhere, as they lie there."""
    own = {name: value.contiguous() for name, value in changed.items()}
    with storing(folder):
        save_file(own, folder / TENSORS, metadata={"format": "pt"})
    n_changed = sum(value.numel() for value in changed.values())
    _write_about(folder, {"base": base_name, "type": "full", "n_changed": n_changed})


def save_reference(
    folder: Path, source: Path, tensors: Mapping[str, str], files: Iterable[str], *, base_name: str, n_changed: int
) -> None:
    """That parameters (name -> tensor) lie in `files` of the folder `source`, which are hashed."""
    hashes = {name: file_hash(source / name) for name in files}
    _write_about(
        folder,
        {
            "base": base_name, "type": "full", "folder": str(source.resolve()), "files": hashes,
            "tensors": dict(tensors), "n_changed": n_changed,
        },
    )  # fmt: skip


def _write_about(folder: Path, about: Mapping[str, object]) -> None:
    (folder / ABOUT).write_text(json.dumps(about, indent=2, sort_keys=True) + "\n", encoding="utf-8")


@torch.no_grad()
def put_plain(model: PreTrainedModel, folder: Path) -> None:
    """Set the weights of `model`, which holds the base's, to those of a folder: all of them or none.

    Where both ends of a tie have weights of their own there, it is cut. Raises Damaged (files that cannot be read, or
    that have changed since they were referred to) and InputError (another type, tensors of another model).
    """
    kind = read_about(folder).get("type")
    if kind not in TYPES:
        raise InputError(f"{folder} holds weights of type {str(kind)[:40]}. Supported types: {', '.join(TYPES)}.")
    tensors, own = _read(folder), dict(model.named_parameters(remove_duplicate=False))
    for name, tensor in tensors.items():
        parameter = own.get(name)
        if parameter is None:
            raise InputError(
                f"{folder} does not fit this model, which has no {name[:80]}. Use the model that it was made for."
            )
        if parameter.shape != tensor.shape or not tensor.is_floating_point():
            raise InputError(
                f"{folder} does not fit this model: {name} must be {_described(parameter)}, and is "
                f"{_described(tensor)}. Use the model that it was made for."
            )
    _cut_ties(model, tensors)
    own = dict(model.named_parameters(remove_duplicate=False))
    for name, tensor in tensors.items():
        own[name].copy_(tensor)


def _cut_ties(model: PreTrainedModel, names: Iterable[str]) -> None:
    """Of these parameters, one that another of them is too becomes one of its own."""
    own, seen = dict(model.named_parameters(remove_duplicate=False)), set()
    for name in names:
        if id(own[name]) in seen:
            parent, _, last = name.rpartition(".")
            copy = nn.Parameter(own[name].detach().clone(), requires_grad=own[name].requires_grad)
            setattr(model.get_submodule(parent), last, copy)
            model.config.tie_word_embeddings = False
        seen.add(id(own[name]))


def changed_names(folder: Path) -> tuple[str, ...]:
    """The parameters that a folder has weights of. Raises Damaged."""
    return tuple(_tensors_elsewhere(folder) if refers(folder) else _read(folder))


def refers(folder: Path) -> bool:
    """Whether the weights lie in another folder. Raises Damaged."""
    return "folder" in read_about(folder)


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
    if refers(folder):
        return _read_elsewhere(folder)
    path = folder / TENSORS
    if not path.is_file():
        pickled = next(iter(sorted((*folder.glob("*.bin"), *folder.glob("*.pt"), *folder.glob("*.pth")))), None)
        reason = f"only a pickled {pickled.name} is there, which is never read" if pickled else "it is missing"
        raise Damaged(path, reason, "Save the weights again with safetensors.")
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise Damaged(path, one_line(error)) from error


def _read_elsewhere(folder: Path) -> dict[str, torch.Tensor]:
    about, tensors = read_about(folder), _tensors_elsewhere(folder)
    source, files = Path(str(about["folder"])), about.get("files")
    if not isinstance(files, dict):
        raise Damaged(folder / ABOUT, "it names no files")
    lying: dict[str, torch.Tensor] = {}
    for file, expected in sorted(files.items()):
        _refuse_other_file(source / Path(file).name, expected)
        lying |= tensors_in(source / Path(file).name, tensors.values())
    if missing := sorted(set(tensors.values()) - lying.keys()):
        raise Damaged(folder / ABOUT, f"its files have no {missing[0][:80]}")
    return {name: lying[tensor] for name, tensor in tensors.items()}


def _tensors_elsewhere(folder: Path) -> dict[str, str]:
    tensors = read_about(folder).get("tensors")
    if not isinstance(tensors, dict) or not all(isinstance(name, str) for name in tensors.values()):
        raise Damaged(folder / ABOUT, "it names no tensors")
    return tensors


def _refuse_other_file(path: Path, expected: object) -> None:
    again = "Put it back as it was, or import its folder again."
    if hub := HubId.of_cached(path.parent):
        again = f"Download it again: `huggingface-cli download {hub.name} --revision {hub.revision}`."
    try:
        found = file_hash(path)
    except OSError as error:
        raise Lost(path, "an imported checkpoint refers to it", again) from error
    if found != expected:
        raise Damaged(path, "it has changed since it was imported by reference", again)


def names_in(path: Path) -> tuple[str, ...]:
    """Of the tensors in a safetensors file. Raises Damaged."""
    with _opened(path) as file:
        return tuple(file.keys())


def shape_in(path: Path, name: str) -> tuple[int, ...]:
    """Of a tensor in a safetensors file. Raises Damaged."""
    with _opened(path) as file:
        return tuple(file.get_slice(name).get_shape())


def tensors_in(path: Path, names: Iterable[str]) -> dict[str, torch.Tensor]:
    """Those of the names that a safetensors file has. Raises Damaged."""
    with _opened(path) as file:
        return {name: file.get_tensor(name) for name in set(names) & set(file.keys())}


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError, ValueError) as error:
        raise Damaged(path, f"it cannot be read ({one_line(error)})", AGAIN) from error


def _described(tensor: torch.Tensor) -> str:
    return f"{tuple(tensor.shape)} of {str(tensor.dtype).removeprefix('torch.')}"
