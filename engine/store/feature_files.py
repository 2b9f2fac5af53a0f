"""Facts of features as one safetensors file: a row a feature; texts and tokens, which many share, once in its head."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from engine.domain.errors import Damaged
from engine.domain.features import FeatureFacts, FeatureKey, FeatureText
from engine.domain.record import Record
from engine.store.files import first_reason, write_bytes

T = TypeVar("T")
Facts = dict[tuple[int, int], FeatureFacts]  # by (layer, index)
_ARRAYS: dict[str, tuple[type[np.generic], int]] = {  # type and number of axes
    "layer": (np.int32, 1), "index": (np.int64, 1), "n_tokens": (np.int64, 1), "n_active": (np.int64, 1),
    "max_activation": (np.float32, 1), "counts": (np.int32, 2), "text": (np.int32, 2), "activation": (np.float32, 1),
    "promoted": (np.int32, 2), "promoted_by": (np.float32, 1), "suppressed": (np.int32, 2),
    "suppressed_by": (np.float32, 1),
}  # fmt: skip


class _FeatureHeader(Record):
    key: FeatureKey
    texts: tuple[tuple[str, ...], ...]
    tokens: tuple[str, ...]


def write_features(path: Path, key: FeatureKey, facts: Facts) -> None:
    """Raises StorageFailed."""
    rows = [facts[name] for name in sorted(facts)]
    texts = _Numbered([text.tokens for row in rows for text in row.texts])
    tokens = _Numbered([token for row in rows for token, _ in (*row.promoted, *row.suppressed)])
    header = _FeatureHeader(key=key, texts=tuple(texts.values), tokens=tuple(tokens.values))
    activations = [text.activation for row in rows for text in row.texts]
    arrays = {
        "layer": np.array([row.layer for row in rows], np.int32),
        "index": np.array([row.index for row in rows], np.int64),
        "n_tokens": np.array([row.n_tokens for row in rows], np.int64),
        "n_active": np.array([row.n_active for row in rows], np.int64),
        "max_activation": np.array([row.max_activation for row in rows], np.float32),
        "counts": np.array([row.counts for row in rows], np.int32).reshape(len(rows), -1),
        "text": _ragged([[texts.number[text.tokens] for text in row.texts] for row in rows]),
        "activation": np.concatenate([np.zeros(0), *activations]).astype(np.float32),  # in the order of `text`
    }
    for name in ("promoted", "suppressed"):
        pairs = [getattr(row, name) for row in rows]
        arrays[name] = _ragged([[tokens.number[token] for token, _ in row] for row in pairs])
        arrays[f"{name}_by"] = np.array([by for row in pairs for _, by in row], np.float32)
    write_bytes(path, save(arrays, metadata={"features": header.model_dump_json()}))


def read_features(path: Path, only: Collection[tuple[int, int]] | None = None) -> Facts:
    """Of all features, or of those in `only` that are there: 1,000 take longer to make than the file to read.

    Raises Damaged where anything about the file is not as `write_features` leaves it.
    """
    try:
        with safe_open(path, framework="np") as file:
            header = _header(path, file.metadata())
            arrays = {name: _exact(name, file.get_tensor(name)) for name in _ARRAYS}
        return _facts(header, arrays, only)
    except (SafetensorError, OSError) as error:
        raise Damaged(path, f"it is not a complete safetensors file of feature facts ({error})") from error
    except (IndexError, ValueError) as error:
        raise Damaged(path, f"its columns do not match ({error})") from error


def read_feature_key(path: Path) -> FeatureKey:
    """What made the facts, from the head of the file alone. Raises Damaged."""
    try:
        with safe_open(path, framework="np") as file:
            return _header(path, file.metadata()).key
    except (SafetensorError, OSError) as error:
        raise Damaged(path, f"it is not a complete safetensors file ({error})") from error


class _Numbered(Generic[T]):
    """The different values in the order in which they are met, and the number of each."""

    def __init__(self, values: Sequence[T]) -> None:
        self.values = list(dict.fromkeys(values))
        self.number = {value: number for number, value in enumerate(self.values)}


def _exact(name: str, array: np.ndarray) -> np.ndarray:
    """Raises ValueError where it is not of the type and number of axes that it was written with."""
    dtype, n_axes = _ARRAYS[name]
    if array.dtype != dtype or array.ndim != n_axes:
        raise ValueError(f"{name} is {array.dtype} with {array.ndim} axes, expected {np.dtype(dtype)} with {n_axes}")
    return array


def _ragged(rows: Sequence[Sequence[int]]) -> np.ndarray:
    """(n_rows, longest) int32, filled up with -1."""
    width = max((len(row) for row in rows), default=0)
    return np.array([[*row, *[-1] * (width - len(row))] for row in rows], np.int32).reshape(len(rows), width)


def _facts(header: _FeatureHeader, arrays: Mapping[str, np.ndarray], only: Collection[tuple[int, int]] | None) -> Facts:
    lengths = np.array([*map(len, header.texts), 0])  # the last for -1, which fills up
    starts = _starts(lengths[arrays["text"]].sum(1), arrays["activation"])
    weighted = {name: _starts((arrays[name] >= 0).sum(1), arrays[f"{name}_by"]) for name in ("promoted", "suppressed")}
    facts: Facts = {}
    for row, feature in enumerate(zip(arrays["layer"].tolist(), arrays["index"].tolist(), strict=True)):
        if only is not None and feature not in only:
            continue
        facts[feature] = FeatureFacts(
            layer=feature[0],
            index=feature[1],
            n_tokens=int(arrays["n_tokens"][row]),
            n_active=int(arrays["n_active"][row]),
            max_activation=float(arrays["max_activation"][row]),
            counts=arrays["counts"][row],
            texts=tuple(_texts(header, arrays, row, starts[row])),
            promoted=_weighted(header, arrays, "promoted", row, weighted["promoted"][row]),
            suppressed=_weighted(header, arrays, "suppressed", row, weighted["suppressed"][row]),
        )
    return facts


def _starts(counts: np.ndarray, values: np.ndarray) -> list[int]:
    """Where each row begins among the values, of which it has `counts`. Raises ValueError where they do not add up."""
    ends = np.cumsum(counts)
    if len(values) != counts.sum():
        raise ValueError(f"{len(values)} values for {counts.sum()} places")
    return [int(start) for start in ends - counts]


def _texts(header: _FeatureHeader, arrays: Mapping[str, np.ndarray], row: int, start: int) -> Iterator[FeatureText]:
    for number in arrays["text"][row]:
        if number >= 0:
            tokens = header.texts[number]
            yield FeatureText(tokens, arrays["activation"][start : start + len(tokens)])
            start += len(tokens)


def _weighted(
    header: _FeatureHeader, arrays: Mapping[str, np.ndarray], name: str, row: int, start: int
) -> tuple[tuple[str, float], ...]:
    tokens = [header.tokens[number] for number in arrays[name][row] if number >= 0]
    by = arrays[f"{name}_by"][start : start + len(tokens)]
    return tuple(zip(tokens, by.tolist(), strict=True))


def _header(path: Path, metadata: dict[str, str] | None) -> _FeatureHeader:
    try:
        header = _FeatureHeader.model_validate_json((metadata or {}).get("features", ""))
    except ValidationError as error:
        raise Damaged(path, f"its metadata is not that of feature facts ({first_reason(error)})") from error
    if path.stem != header.key.hash:
        raise Damaged(path, f"its name is not the hash of what made it ({header.key.hash})")
    return header
