"""Gemma Scope: `layer_N/width_W/average_l0_M/params.npz` (Gemma 2), and Gemma Scope 2: a folder a layer with
`config.json` and `params.safetensors` (Gemma 3), which may have an affine skip connection.

x @ W_enc + b_enc, JumpReLU, @ W_dec + b_dec, and x @ affine_skip_connection. The npz files do not say where they read
and write; their page does: the stream behind the norm before the MLP, without the norm's gain, which is folded into
W_enc, and what is added to the stream. SAEs of the same project look just the same, and are told by the folder's name.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from engine.domain.errors import Damaged, InputError
from engine.models.base import LoadedModel
from engine.models.families import family_of
from engine.models.formats.hook_names import read_at, written_at
from engine.models.formats.layout import (
    AGAIN,
    AnyTranscoders,
    Foreign,
    Format,
    Hooks,
    agreed,
    as_set,
    below,
    not_computed,
    one_a_layer,
)
from engine.models.formats.on_disk import (
    LayerWeights,
    OnDisk,
    Stored,
    TensorFile,
    check_tensors,
    jump_relu,
    open_tensors,
    small,
)
from engine.store.files import read_json

_LAYER = re.compile(r"layer_(\d{1,5})(?:_.*)?")
_SAES = re.compile(r"gemma-scope-[0-9a-z]+-(?:pt|it)-(?:res|mlp|att)(?:-.*)?")
_SKIP = "affine_skip_connection"


class ScopeConfig(Foreign):
    """`config.json` of Gemma Scope 2."""

    type: str
    architecture: str
    hf_hook_point_in: str
    hf_hook_point_out: str
    affine_connection: bool = False


def is_one(file: TensorFile) -> bool:
    """Whether the file is of either Gemma Scope."""
    return file.path.suffix == ".npz" or "w_enc" in file.shapes


def transcoder(layer: int, file: TensorFile, loaded: LoadedModel) -> OnDisk:
    """Of one layer's file. Raises Damaged, InputError."""
    w_enc, w_dec = ("W_enc", "W_dec") if file.path.suffix == ".npz" else ("w_enc", "w_dec")
    encoder, decoder = Stored(file, w_enc, transposed=True), Stored(file, w_dec)
    shapes = {w_dec: ("n", "d"), "b_enc": ("n",), "b_dec": ("d",), "threshold": ("n",)}
    if len(file.shapes.get("w_dec", ())) == 3:
        raise not_computed(file.path, "Gemma Scope 2’s cross-layer transcoders are not read, only one layer’s own")
    if skips := _SKIP in file.shapes:
        shapes[_SKIP] = ("d", "d")
    check_tensors(file, encoder, loaded, shapes)
    weights = LayerWeights(
        encoder, decoder, small(file, "b_enc"), small(file, "b_dec"), jump_relu(small(file, "threshold")),
        small(file, _SKIP).T.contiguous() if skips else None,
    )  # fmt: skip
    return OnDisk(layer, weights, loaded)


def _read_first(folder: Path, loaded: LoadedModel) -> AnyTranscoders:
    if loaded.family != "gemma2":
        raise InputError(
            f"{folder} has Gemma Scope’s transcoders, which are made for Gemma 2; “{loaded.spec.name}” is a "
            f"{family_of(loaded.model).title} model. Use a set made for this model, or none: a shared set is then "
            "trained."
        )
    if saes := [part for part in folder.resolve().parts if _SAES.search(part)]:
        raise not_computed(folder, f"“{saes[-1]}” are autoencoders, which write where they read, not transcoders")
    paths = one_a_layer(_layers(folder, "params.npz"), loaded, folder)
    layers = {layer: transcoder(layer, open_tensors(path), loaded) for layer, path in enumerate(paths)}
    return as_set(layers, Hooks("ln2.hook_normalized", "hook_mlp_out"), loaded, source=folder, scan=str(folder))


def _read_second(folder: Path, loaded: LoadedModel) -> AnyTranscoders:
    layers, hooks = {}, []
    for layer, path in enumerate(one_a_layer(_layers(folder, "params.safetensors"), loaded, folder)):
        file = open_tensors(path)
        hooks.append(_hooks(layer, file, loaded))
        layers[layer] = transcoder(layer, file, loaded)
    return as_set(layers, agreed(hooks, folder), loaded, source=folder, scan=str(folder))


def _hooks(layer: int, file: TensorFile, loaded: LoadedModel) -> Hooks:
    path, family = file.path.with_name("config.json"), family_of(loaded.model)
    config = read_json(path, ScopeConfig)
    if config.type != "transcoder":
        raise not_computed(path, f"it is of type “{config.type[:80]}”, and only transcoders stand for an MLP")
    if config.architecture != "jump_relu":
        raise not_computed(path, f"the architecture “{config.architecture[:80]}” is not known, only jump_relu")
    if config.affine_connection != (_SKIP in file.shapes):
        raise Damaged(file.path, f"{path.name} and the file do not agree whether there is {_SKIP}", AGAIN)
    reads, writes = read_at(config.hf_hook_point_in, family), written_at(config.hf_hook_point_out, family)
    if not reads.layer == writes.layer == layer:
        raise Damaged(path, f"it is for layers {reads.layer} and {writes.layer}, in a folder for layer {layer}", AGAIN)
    return Hooks(reads.hook, writes.hook)


def _layers(folder: Path, name: str) -> Iterable[tuple[int, Path]]:
    """By the name of a folder on the way to each file."""
    for path in below(folder, name):
        numbers = [match[1] for part in path.parent.parts if (match := _LAYER.fullmatch(part))]
        if not numbers:
            raise InputError(
                f"{path} does not say for which layer it is. Keep the published folders' names, as in layer_3/…/{name}."
            )
        yield int(numbers[-1]), path


def _configs_too(folder: Path) -> list[Path]:
    found = below(folder, "params.safetensors")
    return sorted([*found, *(path.with_name("config.json") for path in found)])


GEMMA_SCOPE = Format(
    "Gemma Scope’s", lambda folder: bool(below(folder, "params.npz")), _read_first, lambda f: below(f, "params.npz")
)
GEMMA_SCOPE_2 = Format(
    "Gemma Scope 2’s", lambda folder: bool(below(folder, "params.safetensors")), _read_second, _configs_too
)
