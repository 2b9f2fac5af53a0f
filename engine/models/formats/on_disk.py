"""Transcoders whose matrices stay in their files, and reading safetensors and npz files without loading them.

A published set has gigabytes. An encoder is mapped into memory while one layer is encoded and let go again; of a
decoder only the rows of active features are touched. On the CPU, in the dtype of the file, nothing is copied.
"""

import math
import zipfile
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Literal, Protocol

import numpy as np
import torch
from circuit_tracer.transcoder.activation_functions import JumpReLU
from circuit_tracer.transcoder.single_layer_transcoder import SingleLayerTranscoder
from safetensors import SafetensorError, safe_open

from engine.domain.errors import Damaged
from engine.domain.foreign import translated
from engine.models.base import LoadedModel
from engine.models.formats.layout import AGAIN, check_room, check_size, not_computed

_FLOATS = ("F64", "F32", "F16", "BF16")  # as safetensors calls them
_LOCAL_HEADER = 30  # bytes before the name in a zip file's entry
# A compressed array is unpacked into memory. Weights hardly shrink; what shrinks a thousandfold was made to fill it.
_SURELY_ROOM, _SHRUNK_AT_MOST = 2**24, 20


class TensorFile(Protocol):
    """A file of named tensors; `shapes` and `mapped` raise Damaged."""

    path: Path

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]: ...

    def mapped(self, name: str) -> torch.Tensor:
        """On the CPU and in the file's own dtype; read from the disk where it is used. Never written to."""
        ...


class Safetensors:
    def __init__(self, path: Path) -> None:
        self.path = path
        self._shapes: dict[str, tuple[int, ...]] = {}
        with self._opened() as file:
            parts = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - a safetensors file is no mapping
            self._shapes.update({name: tuple(one.get_shape()) for name, one in parts.items()})
            for name, one in parts.items():
                if one.get_dtype() not in _FLOATS:
                    raise Damaged(path, f"{name[:80]} holds no floating-point numbers but {one.get_dtype()}", AGAIN)

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        return self._shapes

    def mapped(self, name: str) -> torch.Tensor:
        with self._opened() as file:
            tensor: torch.Tensor = file.get_tensor(name)  # a view of the file, which outlives the handle
        return tensor

    def _opened(self) -> safe_open:
        try:
            return safe_open(self.path, framework="pt", device="cpu")
        except FileNotFoundError as error:
            raise Damaged(self.path, "the file is missing", AGAIN) from error
        except (SafetensorError, OSError, ValueError) as error:
            raise Damaged(self.path, f"it is not a safetensors file ({error})", AGAIN) from error


@dataclass(frozen=True)
class _Array:
    """An array of an npz file. `offset`: of its numbers in the file, in bytes; None where it is compressed."""

    shape: tuple[int, ...]
    dtype: np.dtype
    order: Literal["C", "F"]
    offset: int | None


class Npz:
    """Arrays that were saved without compression are mapped, as Gemma Scope's are; others are held in memory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._held: dict[str, np.ndarray] = {}
        if not path.is_file():
            raise Damaged(path, "the file is missing", AGAIN)
        with self._readable(), zipfile.ZipFile(path) as archive, path.open("rb") as raw:
            self._arrays = {
                entry.filename.removesuffix(".npy"): _array(archive, entry, raw) for entry in archive.infolist()
            }

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        return {name: array.shape for name, array in self._arrays.items()}

    def mapped(self, name: str) -> torch.Tensor:
        array = self._arrays[name]
        if array.offset is not None:
            # Copy on write: torch wants memory that may be written to, and the file must stay as it is.
            with self._readable():
                return torch.from_numpy(np.memmap(self.path, array.dtype, "c", array.offset, array.shape, array.order))
        if name not in self._held:
            with self._readable(), np.load(self.path, allow_pickle=False) as arrays:
                self._held[name] = arrays[name]
        return torch.from_numpy(self._held[name])

    def _readable(self) -> AbstractContextManager[None]:
        return translated(lambda reason: Damaged(self.path, f"it is not an npz file of numbers ({reason})", AGAIN))


def _array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, raw: BinaryIO) -> _Array:
    """Raises ValueError for what is no array of numbers."""
    with archive.open(entry) as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, by_column, dtype = read(file)
        header = file.tell()
    if dtype.kind != "f" or not dtype.isnative:  # Python objects among others, which are never read
        raise ValueError(f"{entry.filename} is of type {dtype}")
    n_bytes = math.prod(shape) * dtype.itemsize
    if n_bytes != entry.file_size - header:
        raise ValueError(f"{entry.filename} says that it is {shape} and has {entry.file_size - header:,} bytes")
    if n_bytes > _SURELY_ROOM and n_bytes > _SHRUNK_AT_MOST * entry.compress_size:
        raise ValueError(f"{entry.filename} has {n_bytes:,} bytes, packed into {entry.compress_size:,}")
    raw.seek(entry.header_offset + _LOCAL_HEADER - 4)
    names = int(np.frombuffer(raw.read(4), "<u2").sum())  # bytes of the entry's name and what is noted behind it
    is_plain = entry.compress_type == zipfile.ZIP_STORED and 0 not in shape
    offset = entry.header_offset + _LOCAL_HEADER + names + header if is_plain else None
    return _Array(shape, dtype, "F" if by_column else "C", offset)


def open_tensors(path: Path) -> TensorFile:
    """Raises Damaged."""
    return Npz(path) if path.suffix == ".npz" else Safetensors(path)


@dataclass(frozen=True, eq=False)
class Stored:
    """A matrix (n_features, d_model) in a file, which may hold it the other way round."""

    file: TensorFile
    name: str
    transposed: bool = False

    @property
    def shape(self) -> tuple[int, int]:
        """Raises Damaged where it is missing or no matrix."""
        shape = self.file.shapes.get(self.name, ())
        if len(shape) != 2:
            found = shape or "missing"
            raise Damaged(self.file.path, f"{self.name} should be a matrix and is {found}", AGAIN)
        return (shape[1], shape[0]) if self.transposed else (shape[0], shape[1])

    def mapped(self) -> torch.Tensor:
        tensor = self.file.mapped(self.name)
        return tensor.T if self.transposed else tensor


@dataclass(frozen=True, eq=False)
class LayerWeights:
    """One layer's transcoder: its matrices where they lie, the rest in memory, float32."""

    encoder: Stored
    decoder: Stored
    b_enc: torch.Tensor  # (n_features,)
    b_dec: torch.Tensor  # (d_model,)
    activation: torch.nn.Module
    skip: torch.Tensor | None = None  # (d_model, d_model): what goes out, what comes in

    def reading_less_decoder_bias(self) -> "LayerWeights":
        """The same for an encoder that reads its input minus b_dec: that goes into b_enc."""
        return replace(self, b_enc=self.b_enc - self.encoder.mapped().float() @ self.b_dec)


class OnDisk(SingleLayerTranscoder):
    """circuit-tracer's transcoder of one layer, its encoder and decoder read when they are asked for."""

    def __init__(self, layer: int, weights: LayerWeights, loaded: LoadedModel) -> None:
        n_features, d_model = weights.encoder.shape
        super().__init__(
            d_model, n_features, weights.activation, layer, skip_connection=weights.skip is not None,
            transcoder_path=str(weights.encoder.file.path), lazy_encoder=True, lazy_decoder=True,
            device=loaded.model.device, dtype=loaded.model.dtype,
        )  # fmt: skip
        self._encoder, self._decoder = weights.encoder, weights.decoder
        self.b_enc.data.copy_(weights.b_enc)
        self.b_dec.data.copy_(weights.b_dec)
        if weights.skip is not None:
            self.W_skip.data.copy_(weights.skip)
        self.to(loaded.model.device, loaded.model.dtype)

    @property
    def W_enc(self) -> torch.Tensor:  # noqa: N802
        """(n_features, d_model), read anew each time."""
        encoder = self._encoder.mapped()
        if encoder.dtype != self.dtype:
            # A copy anyway, so features go on axis 0: products of bfloat16 with a transposed one take 15 times as long.
            encoder = encoder.to(self.dtype, memory_format=torch.contiguous_format)
        return encoder.to(self.device)

    @property
    def W_dec(self) -> torch.Tensor:  # noqa: N802
        """(n_features, d_model), read anew each time."""
        return self._decoder.mapped().to(self.device, self.dtype)

    def _get_decoder_vectors(self, feat_ids: torch.Tensor | None = None) -> torch.Tensor:
        rows = self._decoder.mapped()
        return (rows if feat_ids is None else rows[feat_ids.cpu()]).to(self.device, self.dtype)


def check_tensors(
    file: TensorFile, encoder: Stored, loaded: LoadedModel, shapes: Mapping[str, tuple[str, ...]]
) -> None:
    """Whether a layer's file holds what it should: names and axes, each “n” for features or “d” for d_model.

    Raises InputError for another model's size, for one that is larger than the memory that is free and for a tensor
    that is not known (it would change the result), Damaged for one that is missing or of another shape.
    """
    n_features, d_model = encoder.shape
    check_size(loaded.n_layers, d_model, loaded, file.path)
    check_room(n_features * d_model, loaded, file.path)  # while a layer is encoded
    for name, axes in shapes.items():
        wanted = tuple({"n": n_features, "d": d_model}[axis] for axis in axes)
        found = file.shapes.get(name, "missing")
        if found != wanted:
            raise Damaged(file.path, f"{name} should be {wanted} and is {found}", AGAIN)
    if unknown := sorted(file.shapes.keys() - shapes.keys() - {encoder.name}):
        raise not_computed(file.path, f"it holds “{unknown[0][:80]}”, of which is not known what it does")


def small(file: TensorFile, name: str) -> torch.Tensor:
    """A copy in float32. Raises Damaged for values that are not finite."""
    check_finite(file, [name])
    return file.mapped(name).to(torch.float32, copy=True)


def check_finite(file: TensorFile, names: Iterable[str]) -> None:
    """Of what is small: matrices are not read for this. Raises Damaged."""
    for name in names:
        if not torch.isfinite(file.mapped(name)).all():
            raise Damaged(file.path, f"{name} holds values that are not finite", AGAIN)


def jump_relu(threshold: torch.Tensor) -> JumpReLU:
    """ReLU above the threshold, else 0, as SAELens and Gemma Scope have it.

    circuit-tracer's has no ReLU of its own, so a negative threshold (n_features,) must not let negative values pass.
    """
    return JumpReLU(threshold.clamp(min=0), 0.1)
