"""Scores of one checkpoint's edges as one safetensors file: only where there is an edge, all else in its metadata."""

from pathlib import Path

import numpy as np
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from engine.domain.components import ComponentKey, ComponentScores, ComponentShape
from engine.domain.errors import Damaged
from engine.domain.record import Record
from engine.store.files import first_reason, write_bytes

# Half of (n_inputs, n_sources) is no edge: `edges` is (n_groups, n_edges), in the order of `ComponentShape.edge_mask`.
_DTYPES: dict[str, type[np.generic]] = {
    "edges": np.float32, "n_pairs": np.int64, "clean": np.float64, "corrupted": np.float64,
}  # fmt: skip


class _ComponentHeader(Record):
    """One metadata entry: with several, their order in the file would change from process to process."""

    key: ComponentKey
    shape: ComponentShape


def write_components(path: Path, scores: ComponentScores) -> None:
    """Raises StorageFailed; ValueError where the scores contradict themselves (a mistake of whoever made them)."""
    mask = scores.shape.edge_mask()
    if scores.groups.shape[1:] != mask.shape:
        raise ValueError(f"groups have shape {scores.groups.shape}, the model's edges {mask.shape}")
    if scores.groups[:, ~mask].any():
        raise ValueError("there are scores where the model has no edge")
    arrays = {
        "edges": scores.groups[:, mask],
        "n_pairs": scores.n_pairs,
        "clean": scores.clean,
        "corrupted": scores.corrupted,
    }
    arrays = {name: np.ascontiguousarray(array, _DTYPES[name]) for name, array in arrays.items()}
    if reason := _contradiction(scores.shape, arrays):
        raise ValueError(f"these scores contradict themselves: {reason}")
    header = _ComponentHeader(key=scores.key, shape=scores.shape)
    write_bytes(path, save(arrays, metadata={"components": header.model_dump_json()}))


def read_components(path: Path) -> ComponentScores:
    """Raises Damaged where anything about the file is not as `write_components` leaves it."""
    try:
        with safe_open(path, framework="np") as file:
            header = _header(path, file.metadata())
            if missing := sorted(_DTYPES.keys() - set(file.keys())):
                raise Damaged(path, f"it has no {', '.join(missing)}")
            arrays = {name: file.get_tensor(name) for name in _DTYPES}
    except (SafetensorError, OSError) as error:
        raise Damaged(path, f"it is not a complete safetensors file ({error})") from error
    for name, array in arrays.items():
        if array.dtype != _DTYPES[name]:
            raise Damaged(path, f"{name} is {array.dtype}, expected {np.dtype(_DTYPES[name])}")
    if reason := _contradiction(header.shape, arrays):
        raise Damaged(path, reason)
    groups = np.zeros((len(arrays["edges"]), header.shape.n_inputs, header.shape.n_sources), np.float32)
    groups[:, header.shape.edge_mask()] = arrays["edges"]
    return ComponentScores(
        key=header.key,
        shape=header.shape,
        groups=groups,
        n_pairs=arrays["n_pairs"],
        clean=arrays["clean"],
        corrupted=arrays["corrupted"],
    )


def read_component_key(path: Path) -> ComponentKey:
    """What made the scores, from the head of the file alone. Raises Damaged."""
    try:
        with safe_open(path, framework="np") as file:
            return _header(path, file.metadata()).key
    except (SafetensorError, OSError) as error:
        raise Damaged(path, f"it is not a complete safetensors file ({error})") from error


def _contradiction(shape: ComponentShape, arrays: dict[str, np.ndarray]) -> str:
    """What is inconsistent; empty where nothing is. Nothing of the shape's size is made before it fits the file."""
    edges = arrays["edges"]
    if edges.ndim != 2 or edges.shape[1] != shape.n_edges or not len(edges):
        return f"edges has shape {edges.shape}, expected one or more groups of {shape.n_edges}"
    for name in ("n_pairs", "clean", "corrupted"):
        if arrays[name].shape != (len(edges),):
            return f"{name} has shape {arrays[name].shape}, expected ({len(edges)},)"
    if arrays["n_pairs"].min() < 0 or not arrays["n_pairs"].any():
        return "a group cannot have fewer than no pairs, and all together need one"
    for name in ("edges", "clean", "corrupted"):
        if not np.isfinite(arrays[name]).all():
            return f"{name} has values that are not finite"
    return ""


def _header(path: Path, metadata: dict[str, str] | None) -> _ComponentHeader:
    try:
        header = _ComponentHeader.model_validate_json((metadata or {}).get("components", ""))
    except ValidationError as error:
        raise Damaged(path, f"its metadata is not that of component scores ({first_reason(error)})") from error
    if path.stem != header.key.hash:
        raise Damaged(path, f"its name is not the hash of what made it ({header.key.hash})")
    return header
