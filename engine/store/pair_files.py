"""What each graph of a pair has for edges that only the other keeps, as one safetensors file."""

from pathlib import Path

import numpy as np
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from engine.domain.errors import Damaged
from engine.domain.graphs import GraphPair, PairEdges
from engine.store.files import first_reason, write_bytes

_ARRAYS = ("of_first", "of_second")


def write_pair_edges(path: Path, edges: PairEdges) -> None:
    """Raises StorageFailed."""
    arrays = {name: np.ascontiguousarray(getattr(edges, name), np.float32) for name in _ARRAYS}
    write_bytes(path, save(arrays, metadata={"pair": edges.pair.model_dump_json()}))


def read_pair_edges(path: Path) -> PairEdges:
    """Raises Damaged where anything about the file is not as `write_pair_edges` leaves it."""
    try:
        with safe_open(path, framework="np") as file:
            pair = _pair(path, file.metadata())
            arrays = {name: file.get_tensor(name) for name in _ARRAYS}
    except (SafetensorError, OSError) as error:
        raise Damaged(path, f"it is not a complete safetensors file ({error})") from error
    for name, array in arrays.items():
        if array.ndim != 1 or array.dtype != np.float32 or not np.isfinite(array).all():
            raise Damaged(path, f"{name} is not a list of finite numbers in float32")
    return PairEdges(pair, **arrays)


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
