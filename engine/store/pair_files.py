"""What each graph of a pair has for what only the other one has, as one safetensors file.

Gradients are estimates of what a change does: they are kept to three digits, as the upper halves of their float32
(bfloat16), which hold any size.
"""

from pathlib import Path

import numpy as np
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from engine.domain.errors import Damaged
from engine.domain.graphs import GraphPair, PairMeasures
from engine.store.files import first_reason, write_bytes

_EDGES = ("of_first", "of_second")
_GRADIENTS = ("gradients_of_first", "gradients_of_second")  # there are none of pairs from before they were kept


def write_pair_measures(path: Path, measures: PairMeasures) -> None:
    """Raises StorageFailed."""
    arrays = {name: np.ascontiguousarray(getattr(measures, name), np.float32) for name in _EDGES}
    gradients = {name: getattr(measures, name) for name in _GRADIENTS}
    arrays |= {name: _halved(array) for name, array in gradients.items() if array is not None}
    write_bytes(path, save(arrays, metadata={"pair": measures.pair.model_dump_json()}))


def read_pair_measures(path: Path) -> PairMeasures:
    """Raises Damaged where anything about the file is not as `write_pair_measures` leaves it."""
    try:
        with safe_open(path, framework="np") as file:
            pair = _pair(path, file.metadata())
            names = [*_EDGES, *(_GRADIENTS if set(file.keys()) & set(_GRADIENTS) else ())]
            arrays = {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError) as error:
        raise Damaged(path, f"it is not a complete safetensors file ({error})") from error
    for name in names:
        dtype, n_axes = (np.float32, 1) if name in _EDGES else (np.uint16, 2)
        if arrays[name].dtype != dtype or arrays[name].ndim != n_axes:
            raise Damaged(path, f"{name} is not {'a list' if n_axes == 1 else 'a table'} of {np.dtype(dtype)}")
        if name in _GRADIENTS:
            arrays[name] = _whole(arrays[name])
        if not np.isfinite(arrays[name]).all():
            raise Damaged(path, f"{name} has values that are not finite")
    return PairMeasures(pair, **arrays)


def _halved(values: np.ndarray) -> np.ndarray:
    """uint16: the upper halves of float32, rounded to the nearest, of two equally near ones to the even one."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def _whole(halves: np.ndarray) -> np.ndarray:
    return (halves.astype(np.uint32) << 16).view(np.float32)


def read_pair(path: Path) -> GraphPair:
    """Which graphs, from the head of the file alone. Raises Damaged."""
    try:
        with safe_open(path, framework="np") as file:
            return _pair(path, file.metadata())
    except (SafetensorError, OSError) as error:
        raise Damaged(path, f"it is not a complete safetensors file ({error})") from error


def _pair(path: Path, metadata: dict[str, str] | None) -> GraphPair:
    try:
        pair = GraphPair.model_validate_json((metadata or {}).get("pair", ""))
    except ValidationError as error:
        raise Damaged(path, f"its metadata does not name two graphs ({first_reason(error)})") from error
    if path.stem != pair.hash:
        raise Damaged(path, f"its name is not the hash of its graphs ({pair.hash})")
    return pair
