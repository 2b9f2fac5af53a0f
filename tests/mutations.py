"""Spoils a file that is right: its bytes, a value somewhere in its JSON, an array of its safetensors."""

import gzip
import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st
from safetensors import SafetensorError
from safetensors.numpy import load, save

# What a value may have become: other types, numbers that no field expects, texts that are half a character.
STRANGE: list[Any] = [
    None, True, 0, -1, 2**31, 2**63, 2**64, 10**400, 0.5, math.nan, math.inf, -1e308, "", "x", "\x00", "\ud800", "../x",
    "1" * 5000, [], [[]], [None], {}, {"": None}, {"x": {"x": []}}, [1, "2", None],
]  # fmt: skip
ARRAYS: list[Callable[[np.ndarray], np.ndarray]] = [
    lambda a: a[..., :-1] if a.ndim else a,
    lambda a: a.reshape(-1),
    lambda a: a[None],
    lambda a: np.zeros(0, a.dtype),
    lambda a: np.zeros((), a.dtype),
    lambda a: np.zeros((0, 3), a.dtype),
    lambda a: a.astype(np.float64),
    lambda a: a.astype(np.float16),
    lambda a: a.astype(np.uint8),
    lambda a: a.astype(np.int64),
    lambda a: a.astype(bool),
    lambda a: np.full_like(a, np.iinfo(a.dtype).max if a.dtype.kind in "iu" else a.dtype.kind == "b" or np.inf),
    lambda a: np.full_like(a, np.iinfo(a.dtype).min if a.dtype.kind in "iu" else a.dtype.kind == "b" or np.nan),
    lambda a: a[::-1] if a.ndim else a,
]


def spoilt(data: st.DataObject, raw: bytes, name: str) -> bytes:
    """`raw` with one thing wrong with it, as the end of the name allows. Never raises."""
    ways = [_bytes]
    if name.endswith((".json", ".jsonl", ".json.gz")):
        ways += [_in_json] * 3
    if name.endswith(".safetensors"):
        ways += [_in_tensors, _in_metadata] * 2
    return data.draw(st.sampled_from(ways))(data, raw)


def _bytes(data: st.DataObject, raw: bytes) -> bytes:
    at = data.draw(st.integers(0, len(raw)))
    piece = data.draw(st.binary(max_size=6))
    return data.draw(
        st.sampled_from([raw[:at], raw[:at] + piece + raw[at + len(piece) :], raw[:at] + piece + raw[at:], piece])
    )


def _in_json(data: st.DataObject, raw: bytes) -> bytes:
    packed = raw[:2] == b"\x1f\x8b"
    lines = (gzip.decompress(raw) if packed else raw).split(b"\n")
    try:
        row, document = -1, json.loads(b"\n".join(lines))
    except ValueError:  # a document a line
        row = data.draw(st.integers(0, max(0, len(lines) - 2)))
        document = json.loads(lines[row])
    text = json.dumps(changed(data, document)).encode()
    changed_lines = text if row < 0 else b"\n".join([*lines[:row], text, *lines[row + 1 :]])
    return gzip.compress(changed_lines) if packed else changed_lines


def changed(data: st.DataObject, document: Any) -> Any:
    """With one value, at any depth, replaced or missing, or one key too many."""
    if isinstance(document, dict | list) and document and data.draw(st.integers(0, 3)):
        keys = list(document) if isinstance(document, dict) else list(range(len(document)))
        key = data.draw(st.sampled_from(keys))
        copy = document.copy()
        if not data.draw(st.integers(0, 5)):
            del copy[key]
        elif isinstance(copy, dict) and not data.draw(st.integers(0, 8)):
            copy["unheard of"] = copy[key]
        else:
            copy[key] = changed(data, document[key])
        return copy
    return data.draw(st.sampled_from(STRANGE))


def _in_tensors(data: st.DataObject, raw: bytes) -> bytes:
    try:
        arrays, metadata = load(raw), _metadata(raw)
        name = data.draw(st.sampled_from(sorted(arrays)))
        if data.draw(st.integers(0, 4)):
            with np.errstate(all="ignore"):
                arrays[name] = np.ascontiguousarray(data.draw(st.sampled_from(ARRAYS))(arrays[name]))
        else:
            del arrays[name]
        return save(arrays, metadata=metadata)
    except (SafetensorError, ValueError, KeyError):
        return raw[:-1]


def _in_metadata(data: st.DataObject, raw: bytes) -> bytes:
    metadata = _metadata(raw)
    if not metadata:
        return _bytes(data, raw)
    name = data.draw(st.sampled_from(sorted(metadata)))
    try:
        value = json.dumps(changed(data, json.loads(metadata[name])))
    except ValueError:
        value = "x"
    return save(load(raw), metadata={**metadata, name: value.encode("utf-8", "replace").decode()})


def _metadata(raw: bytes) -> dict[str, str]:
    header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    return dict(header.get("__metadata__") or {})
