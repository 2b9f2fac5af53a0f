"""What a format of transcoder sets is, and the checks that all of them share."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeAlias

from circuit_tracer.transcoder import TranscoderSet
from circuit_tracer.transcoder.cross_layer_transcoder import CrossLayerTranscoder
from circuit_tracer.transcoder.single_layer_transcoder import SingleLayerTranscoder

from engine.domain.errors import InputError
from engine.domain.numbers import memory
from engine.domain.record import Record
from engine.models.base import LoadedModel
from engine.models.memory import free_memory

AnyTranscoders: TypeAlias = TranscoderSet | CrossLayerTranscoder
AGAIN = "Download the set again."
_DEPTH = 3  # folders below the set's own in which a layer's files are looked for


@dataclass(frozen=True)
class Format:
    """A form in which transcoder sets lie in a folder.

    `read` raises Damaged (a file that is not what it should be), InputError (for another model, or of a kind that is
    not computed here) and ModelUnavailable (files elsewhere that cannot be had). `files` are those that decide what
    the set computes, by which it is told from others.
    """

    title: str
    recognises: Callable[[Path], bool]
    read: Callable[[Path, LoadedModel], AnyTranscoders]
    files: Callable[[Path], list[Path]]


class Hooks(NamedTuple):
    """Where transcoders read and write, by the names in `engine.models.hook_points`."""

    reads: str
    writes: str


class Foreign(Record, extra="ignore"):
    """A config that another program wrote: what matters here, and whatever else it holds."""


def below(folder: Path, name: str) -> list[Path]:
    """Files of this name (or pattern) in the folder and a few levels below it, in order."""
    return sorted(path for depth in range(_DEPTH + 1) for path in folder.glob("*/" * depth + name))


def one_a_layer(found: Iterable[tuple[int, Path]], loaded: LoadedModel, folder: Path) -> list[Path]:
    """What stands for each of the model's layers, in order.

    Raises InputError where a layer has none or several, or where there are more layers than the model has.
    """
    layers: dict[int, list[Path]] = {}
    for layer, path in found:
        layers.setdefault(layer, []).append(path)
    if max(layers, default=0) >= loaded.n_layers:
        check_size(max(layers) + 1, loaded.d_model, loaded, folder)
    for layer, paths in sorted(layers.items()):
        if len(paths) > 1:
            names = " and ".join(str(path.relative_to(folder)) for path in paths[:2])
            raise InputError(
                f"{folder} has several transcoders for layer {layer}: {names}. Which is meant is not known: give a "
                "folder with one for each layer."
            )
    if missing := [str(layer) for layer in range(loaded.n_layers) if layer not in layers]:
        raise InputError(
            f"{folder} has no transcoder for layer {', '.join(missing)}, counted from 0; “{loaded.spec.name}” has "
            f"{loaded.n_layers} layers and each needs one. Add what is missing, or use another set."
        )
    return [layers[layer][0] for layer in range(loaded.n_layers)]


def as_set(
    transcoders: Mapping[int, SingleLayerTranscoder], hooks: Hooks, loaded: LoadedModel, *, source: Path, scan: str
) -> TranscoderSet:
    """Of a transcoder for each layer. Raises InputError where they do not fit each other or the model."""
    for transcoder in transcoders.values():
        check_size(len(transcoders), transcoder.d_model, loaded, source)
    sizes = sorted({transcoder.d_transcoder for transcoder in transcoders.values()})
    if len(sizes) > 1:
        raise InputError(
            f"{source} has layers with {sizes[0]:,} features and layers with {sizes[-1]:,}. Give a folder whose "
            "transcoders all have the same number."
        )
    if len({transcoder.W_skip is None for transcoder in transcoders.values()}) > 1:
        raise InputError(
            f"{source} has a skip connection in some layers only, which is not supported. Use a set whose transcoders "
            "all have one, or none."
        )
    whole = TranscoderSet(dict(transcoders), hooks.reads, hooks.writes, scan=scan)
    return whole.requires_grad_(requires_grad=False)


def agreed(hooks: Iterable[Hooks], source: Path) -> Hooks:
    """The hooks that all layers have in common. Raises InputError where they differ."""
    different = sorted(set(hooks))
    if len(different) > 1:
        one, other = (f"{found.reads} → {found.writes}" for found in different[:2])
        raise InputError(
            f"The transcoders in {source} do not all read and write at the same places: some {one}, some {other}. "
            "Give a folder whose transcoders all do."
        )
    return different[0]


def check_size(n_layers: int, d_model: int, loaded: LoadedModel, source: Path | str) -> None:
    """Raises InputError for transcoders of another shape than the model's."""
    if (n_layers, d_model) != (loaded.n_layers, loaded.d_model):
        raise InputError(
            f"Transcoders {source} are for a model with {n_layers} layers and d_model {d_model}; “{loaded.spec.name}” "
            f"has {loaded.n_layers} layers and d_model {loaded.d_model}. Use a set made for this model, or none: a "
            "shared set is then trained."
        )


def check_room(n_numbers: int, loaded: LoadedModel, source: Path | str) -> None:
    """Raises InputError where so many numbers of a set, in the model's dtype, are more than the memory that is free."""
    device, n_bytes = loaded.model.device, n_numbers * loaded.model.dtype.itemsize
    if n_bytes > (free := free_memory(device, n_bytes)):
        raise InputError(
            f"{source} takes {memory(n_bytes)} at once, and {memory(free)} are free on {device}. Use a set with fewer "
            "features, or a machine with more memory."
        )


def not_computed(source: Path, what: str) -> InputError:
    """A set that says something which changes its result and is not computed here."""
    return InputError(f"{source} cannot be used: {what}. Use another set, or none: a shared set is then trained.")
