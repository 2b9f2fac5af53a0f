"""Where training acted, as one safetensors file: parts as arrays, all else in the file's metadata."""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field, ValidationError, model_validator
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from engine.domain.acted import Acted, ActedKey, ChangedHead, ChangedMatrix, PlaceEffects, Stretch
from engine.domain.errors import Damaged
from engine.domain.record import Record
from engine.store.files import first_reason, write_bytes

_EFFECTS = {"mlp": 2, "head": 3, "mlp_moved": 2, "move": 2}  # name -> axes


class _StretchHeader(Record):
    before: float
    after: float
    probability_before: float
    probability_after: float
    n_points: int
    matrices: tuple[ChangedMatrix, ...]
    heads: tuple[ChangedHead, ...]


class _ActedHeader(Record):
    key: ActedKey
    tokens: tuple[str, ...]
    words: tuple[str, ...]
    is_said: bool
    n_layers: Annotated[int, Field(ge=0, le=10_000)]  # what is asked of it takes a row a layer
    stretches: tuple[_StretchHeader, ...]

    @model_validator(mode="before")
    @classmethod
    def _of_one_answer(cls, given: Any) -> Any:
        if not isinstance(given, dict) or "answer" not in given:  # the form of before there were several
            return given
        return {name: value for name, value in given.items() if name != "answer"} | {"words": [given["answer"]]}


def write_acted(path: Path, acted: Acted) -> None:
    """Raises StorageFailed."""
    header = _ActedHeader(
        key=acted.key,
        tokens=acted.tokens,
        words=acted.words,
        is_said=acted.is_said,
        n_layers=acted.n_layers,
        stretches=tuple(
            _StretchHeader(**{name: getattr(stretch, name) for name in _StretchHeader.model_fields})
            for stretch in acted.stretches
        ),
    )
    arrays: dict[str, np.ndarray] = {}
    for number, stretch in enumerate(acted.stretches):
        arrays |= {f"matrix.{number}": stretch.by_matrix, f"head.{number}": stretch.by_head}
    if acted.effects is not None:
        arrays |= {name: np.ascontiguousarray(getattr(acted.effects, name), np.float32) for name in _EFFECTS}
    write_bytes(path, save(arrays, metadata={"acted": header.model_dump_json()}))


def read_acted(path: Path) -> Acted:
    """Raises Damaged where anything about the file is not as `write_acted` leaves it."""
    try:
        with safe_open(path, framework="np") as file:
            header = _header(path, file.metadata())
            stretches = tuple(_stretch(path, file, header, number) for number in range(len(header.stretches)))
            effects = _effects(path, file, header)
    except (SafetensorError, OSError) as error:
        raise Damaged(path, f"it is not a complete safetensors file ({error})") from error
    return Acted(header.key, header.tokens, header.words, header.is_said, header.n_layers, effects, stretches)


def read_acted_key(path: Path) -> ActedKey:
    """What was asked, from the head of the file alone. Raises Damaged."""
    try:
        with safe_open(path, framework="np") as file:
            return _header(path, file.metadata()).key
    except (SafetensorError, OSError) as error:
        raise Damaged(path, f"it is not a complete safetensors file ({error})") from error


def _stretch(path: Path, file: Any, header: _ActedHeader, number: int) -> Stretch:
    one = header.stretches[number]
    layers = {matrix.layer for matrix in one.matrices} | {head.layer for head in one.heads}
    if unknown := {layer for layer in layers if not -1 <= layer <= header.n_layers}:
        raise Damaged(path, f"it speaks of layer {min(unknown)}, and there are {header.n_layers}")

    def parts(name: str, n: int) -> np.ndarray:
        array: np.ndarray = file.get_tensor(f"{name}.{number}")
        wanted = (n, len(header.tokens))
        if array.shape != wanted or array.dtype != np.float32 or not np.isfinite(array).all():
            raise Damaged(path, f"{name}.{number} should be {wanted} finite numbers in float32")
        return array

    return Stretch(
        before=one.before,
        after=one.after,
        probability_before=one.probability_before,
        probability_after=one.probability_after,
        matrices=one.matrices,
        by_matrix=parts("matrix", len(one.matrices)),
        heads=one.heads,
        by_head=parts("head", len(one.heads)),
        n_points=one.n_points,
    )


def _effects(path: Path, file: Any, header: _ActedHeader) -> PlaceEffects | None:
    names = set(file.keys()) & set(_EFFECTS)
    if not names:
        return None
    if missing := sorted(set(_EFFECTS) - names):
        raise Damaged(path, f"it has no {', '.join(missing)}")
    found = {name: file.get_tensor(name) for name in _EFFECTS}
    for name, array in found.items():
        ends = (array.shape[0], array.shape[-1]) if array.ndim == _EFFECTS[name] else ()
        n_pos = len(header.tokens)
        if (
            ends != (n_pos if name == "move" else header.n_layers, n_pos)
            or array.dtype != np.float32
            or not np.isfinite(array).all()
        ):
            raise Damaged(path, f"{name} is not finite numbers of each layer and token in float32")
    return PlaceEffects(**found)


def _header(path: Path, metadata: dict[str, str] | None) -> _ActedHeader:
    try:
        header = _ActedHeader.model_validate_json((metadata or {}).get("acted", ""))
    except ValidationError as error:
        raise Damaged(path, f"its metadata does not say where training acted ({first_reason(error)})") from error
    if path.stem != header.key.hash:
        raise Damaged(path, f"its name is not the hash of what was asked ({header.key.hash})")
    if len(header.words) != len(header.key.explained.tokens):
        raise Damaged(path, f"it has {len(header.words)} words for {len(header.key.explained.tokens)} outputs")
    if len(header.stretches) != len(header.key.checkpoints) - 1:
        raise Damaged(path, f"it has {len(header.stretches)} stretches for {len(header.key.checkpoints)} checkpoints")
    return header
