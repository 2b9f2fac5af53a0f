"""What a safetensors file says it holds, without reading it: names, shapes, dtypes. Without torch."""

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from safetensors import safe_open


@dataclass(frozen=True)
class TensorHeader:
    """One tensor of a file. `dtype` as safetensors writes it: F32, BF16."""

    name: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def n_numbers(self) -> int:
        return math.prod(self.shape)


def tensor_headers(path: Path) -> tuple[TensorHeader, ...]:
    """Of all tensors of a file, as it is now. Raises OSError, SafetensorError for a file that is none."""
    status = path.stat()
    return _read(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=256)  # a page asks at every rerun, and a model of several billion parameters has many files
def _read(path: Path, _size: int, _changed_ns: int) -> tuple[TensorHeader, ...]:
    with safe_open(path, framework="np") as file:
        parts = ((name, file.get_slice(name)) for name in file.keys())  # noqa: SIM118 - a safetensors file is no mapping
        return tuple(TensorHeader(name, tuple(one.get_shape()), str(one.get_dtype())) for name, one in parts)
