"""An attribution graph as one safetensors file: arrays in the smallest integer type that holds them, all else in the
file's metadata. The round trip is exact."""

import math
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from engine.domain.errors import Damaged
from engine.domain.graphs import AttributionGraph, Fit, GraphKey, LogitParts, NodeKind, Uncut
from engine.domain.record import Record
from engine.store.files import first_reason, write_bytes

_DTYPES: dict[str, type[np.generic]] = {
    "kind": np.uint8,
    "layer": np.int32,
    "position": np.int32,
    "index": np.int64,
    "activation": np.float32,
    "source": np.int32,
    "target": np.int32,
    "weight": np.float32,
    "token_ids": np.int64,
    "target_probability": np.float32,
    "target_logit": np.float32,
}
# Of graphs that were traced before they were kept, and of means, there are none.
_PARTS: dict[str, type[np.generic]] = dict.fromkeys(("part", "constant", "left_out", "moved"), np.float32)
_UNCUT: dict[str, type[np.generic]] = {
    "inputs": np.float32, "influence": np.float32, "kept_nodes": np.bool_, "kept_edges": np.uint8
}  # fmt: skip
_COUNTS = "n_inputs"  # (n_nodes,) edges into each node: says the same as `target` where edges are ordered by it
_NODE_ARRAYS = ("kind", "layer", "position", "index", "activation")
_EDGE_ARRAYS = ("source", "target", "weight")
_SMALL: dict[str, tuple[type[np.integer[Any]], ...]] = {
    "layer": (np.int16,),
    "position": (np.int16,),
    "index": (np.uint16, np.int32),
    "source": (np.uint16,),
    "target": (np.uint16,),
    _COUNTS: (np.uint16,),
    "token_ids": (np.int32,),
}


class _GraphHeader(Record):
    """One metadata entry: with several, their order in the file would change from process to process."""

    key: GraphKey
    n_layers: int
    tokens: tuple[str, ...]
    target_tokens: tuple[str, ...]
    fit: Fit
    n_edges: int | None = None  # before any was cut; None: not known


def write_graph(path: Path, graph: AttributionGraph) -> None:
    """Raises StorageFailed; ValueError where the graph contradicts itself (a mistake of whoever made it)."""
    reason = contradiction(graph)
    if reason:
        raise ValueError(f"this graph contradicts itself: {reason}")
    header = _GraphHeader(
        key=graph.key,
        n_layers=graph.n_layers,
        tokens=graph.tokens,
        target_tokens=graph.target_tokens,
        fit=graph.fit,
        n_edges=graph.uncut.n_edges if graph.uncut else graph.n_edges if graph.is_whole else None,
    )
    arrays = {name: _compact(name, getattr(graph, name)) for name in _DTYPES}
    if (np.diff(graph.target) >= 0).all():  # as traced; a quarter of the file's bytes
        del arrays["target"]
        arrays[_COUNTS] = _compact(_COUNTS, np.bincount(graph.target, minlength=graph.n_nodes))
    if graph.parts is not None:
        arrays |= {name: np.ascontiguousarray(getattr(graph.parts, name), dtype) for name, dtype in _PARTS.items()}
    if graph.uncut is not None:
        arrays |= {name: np.ascontiguousarray(getattr(graph.uncut, name)) for name in _UNCUT}
        arrays["kept_edges"] = np.packbits(graph.uncut.kept_edges)
    write_bytes(path, save(arrays, metadata={"graph": header.model_dump_json()}))


def read_graph(path: Path) -> AttributionGraph:
    """Raises Damaged where anything about the file is not as `write_graph` leaves it."""
    try:
        with safe_open(path, framework="np") as file:
            header = _header(path, file.metadata())
            stored = set(file.keys())
            wanted = [_COUNTS if name == "target" and _COUNTS in stored else name for name in _DTYPES]
            if missing := sorted(set(wanted) - stored):
                raise Damaged(path, f"it has no {', '.join(missing)}")
            arrays = {name: _exact(path, name, file.get_tensor(name)) for name in wanted}
            parts = _measures(path, file, stored, _PARTS) if stored & set(_PARTS) else None
            was_cut = header.n_edges not in (None, len(arrays["weight"]))
            uncut = _measures(path, file, stored, _UNCUT) if was_cut else None
    except (SafetensorError, OSError) as error:
        raise Damaged(path, f"it is not a complete safetensors file ({error})") from error
    if _COUNTS in arrays:
        arrays["target"] = _targets(path, arrays.pop(_COUNTS), len(arrays["weight"]))
    graph = AttributionGraph(
        key=header.key,
        n_layers=header.n_layers,
        tokens=header.tokens,
        target_tokens=header.target_tokens,
        fit=header.fit,
        parts=LogitParts(**parts) if parts else None,
        gradients=None,  # they are kept with pairs
        uncut=_uncut(path, header, uncut, len(arrays["weight"])) if uncut else None,
        is_whole=len(arrays["weight"]) == (header.n_edges or _before_cut(header.key, arrays)),
        **arrays,
    )
    reason = contradiction(graph)
    if reason:
        raise Damaged(path, reason)
    return graph


def _before_cut(key: GraphKey, arrays: dict[str, np.ndarray]) -> float:
    """How many edges a graph had that does not say so: one at its limit may have had any number."""
    n = len(arrays["weight"])
    return n if n < key.settings.max_edges else math.inf


def _measures(path: Path, file: Any, stored: set[str], names: dict[str, type[np.generic]]) -> dict[str, np.ndarray]:
    if missing := sorted(set(names) - stored):
        raise Damaged(path, f"it has no {', '.join(missing)}")
    found = {name: file.get_tensor(name) for name in names}
    if strange := [name for name, dtype in names.items() if found[name].dtype != dtype]:
        raise Damaged(path, f"{strange[0]} is {found[strange[0]].dtype}, expected {np.dtype(names[strange[0]])}")
    return found


def _uncut(path: Path, header: _GraphHeader, arrays: dict[str, np.ndarray], n_edges: int) -> Uncut:
    """`kept_edges` is packed, eight to a byte."""
    packed = arrays.pop("kept_edges")
    if packed.shape != (-(-n_edges // 8),):
        raise Damaged(path, f"kept_edges has shape {packed.shape}, expected ({-(-n_edges // 8)},)")
    kept = np.unpackbits(packed, count=n_edges).astype(bool)
    return Uncut(n_edges=header.n_edges or n_edges, kept_edges=kept, **arrays)


def read_key(path: Path) -> GraphKey:
    """What made the graph, from the head of the file alone. Raises Damaged."""
    try:
        with safe_open(path, framework="np") as file:
            return _header(path, file.metadata()).key
    except (SafetensorError, OSError) as error:
        raise Damaged(path, f"it is not a complete safetensors file ({error})") from error


def contradiction(graph: AttributionGraph) -> str:
    """What is inconsistent about a graph; empty where nothing is."""
    n_nodes, n_edges, n_pos, n_logits = len(graph.kind), len(graph.weight), len(graph.tokens), len(graph.target_tokens)
    lengths = dict.fromkeys(_NODE_ARRAYS, n_nodes) | dict.fromkeys(_EDGE_ARRAYS, n_edges)
    lengths |= {"token_ids": n_pos, "target_probability": n_logits, "target_logit": n_logits}
    for name, length in lengths.items():
        if getattr(graph, name).shape != (length,):
            return f"{name} has shape {getattr(graph, name).shape}, expected ({length},)"
    ranges = {
        "kind": (0, max(NodeKind)),
        "layer": (-1, graph.n_layers),
        "position": (0, n_pos - 1),
        "source": (0, n_nodes - 1),
        "target": (0, n_nodes - 1),
    }
    for name, (low, high) in ranges.items():
        values = getattr(graph, name)
        if len(values) and not (low <= values.min() and values.max() <= high):
            return f"{name} goes from {values.min()} to {values.max()}, allowed is {low} to {high}"
    for name in ("activation", "weight", "target_probability", "target_logit"):
        if not np.isfinite(getattr(graph, name)).all():
            return f"{name} has values that are not finite"
    if reason := _contradiction_of_measures(graph):
        return reason
    if (np.diff(graph.kind.astype(np.int8)) < 0).any():
        return "nodes are not ordered features, errors, tokens, logits"
    if np.count_nonzero(graph.kind == NodeKind.LOGIT) != n_logits:
        return f"{np.count_nonzero(graph.kind == NodeKind.LOGIT)} logit nodes for {n_logits} targets"
    return ""


def _contradiction_of_measures(graph: AttributionGraph) -> str:
    n_nodes, n_edges, n_pos, n_logits = len(graph.kind), len(graph.weight), len(graph.tokens), len(graph.target_tokens)
    if (parts := graph.parts) is not None:
        shapes: dict[str, tuple[int, ...]] = dict.fromkeys(("constant", "left_out"), (n_nodes,))
        shapes |= {"part": (n_logits, n_nodes), "moved": (n_logits, n_pos, n_pos)}
        if reason := _wrong_array(parts, shapes):
            return reason
    if (uncut := graph.uncut) is None:
        return ""
    if uncut.n_edges < n_edges:
        return f"it has {n_edges} edges, and had {uncut.n_edges} before any was cut"
    shapes = dict.fromkeys(("inputs", "influence", "kept_nodes"), (n_nodes,))
    return _wrong_array(uncut, {**shapes, "kept_edges": (n_edges,)})


def _wrong_array(holder: LogitParts | Uncut, shapes: dict[str, tuple[int, ...]]) -> str:
    for name, shape in shapes.items():
        array = getattr(holder, name)
        if array.shape != shape:
            return f"{name} has shape {array.shape}, expected {shape}"
        if not np.isfinite(array).all():
            return f"{name} has values that are not finite"
    return ""


def _targets(path: Path, n_inputs: np.ndarray, n_edges: int) -> np.ndarray:
    """(n_edges,) int32"""
    if n_inputs.ndim != 1 or (n_inputs < 0).any() or n_inputs.sum() != n_edges:
        raise Damaged(path, f"{_COUNTS} does not count {n_edges} edges")
    return np.repeat(np.arange(len(n_inputs), dtype=np.int32), n_inputs)


def _compact(name: str, array: np.ndarray) -> np.ndarray:
    for dtype in _SMALL.get(name, ()):
        info = np.iinfo(dtype)
        if not len(array) or (array.min() >= info.min and array.max() <= info.max):
            return np.ascontiguousarray(array, dtype=dtype)
    return np.ascontiguousarray(array, dtype=_dtype(name))


def _exact(path: Path, name: str, array: np.ndarray) -> np.ndarray:
    if array.dtype not in (*_SMALL.get(name, ()), _dtype(name)):
        raise Damaged(path, f"{name} is {array.dtype}, expected {np.dtype(_dtype(name))}")
    return array.astype(_dtype(name))


def _dtype(name: str) -> type[np.generic]:
    return np.int32 if name == _COUNTS else _DTYPES[name]


def _header(path: Path, metadata: dict[str, str] | None) -> _GraphHeader:
    try:
        header = _GraphHeader.model_validate_json((metadata or {}).get("graph", ""))
    except ValidationError as error:
        raise Damaged(path, f"its metadata is not that of a graph ({first_reason(error)})") from error
    if path.stem != header.key.hash:
        raise Damaged(path, f"its name is not the hash of what made it ({header.key.hash})")
    return header
