"""Memory that is free on a device, and what weights take, so that what cannot fit is refused before any work."""

import math
from contextlib import suppress
from pathlib import Path

import torch
from safetensors import SafetensorError

from engine.domain.errors import Damaged, ModelUnavailable
from engine.domain.numbers import memory
from engine.domain.pictures import text_name
from engine.store.kept import kept_values
from engine.store.memory import free_here
from engine.store.tensor_headers import tensor_headers

_SMALLER = {"float32": "bfloat16"}  # what half the memory is called


def free_memory(device: torch.device, wanted: int = 0) -> int:
    """Bytes that may still be taken there. On a processor, what the system and the container's limit leave.

    Work goes first: where less than `wanted` is free, values that are kept and that nobody is using are let go.
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    free = free_here()
    if wanted > free and kept_values().let_go(wanted - free):
        return free_here()
    return free


def weight_bytes(folder: Path, dtype: torch.dtype) -> int:
    """What the language model in the safetensors files of a folder takes in memory in that dtype. Only their headers
    are read."""
    headers = (tensor for path in folder.glob("*.safetensors") for tensor in tensor_headers(path))
    return sum(math.prod(tensor.shape) for tensor in headers if text_name(tensor.name)) * dtype.itemsize


def expected_bytes(folder: Path | None, dtype: str) -> int:
    """As `weight_bytes`; 0 where nothing can be told of the folder, or there is none."""
    with suppress(OSError, ValueError, SafetensorError, Damaged):
        return 0 if folder is None else weight_bytes(folder, getattr(torch, dtype))
    return 0


def held_bytes(model: torch.nn.Module) -> int:
    """What its tensors take in memory, each once."""
    tensors = {one.data_ptr(): one.nbytes for one in (*model.parameters(), *model.buffers())}
    return sum(tensors.values())


def refuse_larger_than_free(name: str, folder: Path, dtype: str, device: torch.device) -> None:
    """Raises ModelUnavailable for weights that do not fit, and SafetensorError for a file that is none."""
    needed = weight_bytes(folder, getattr(torch, dtype))
    free = free_memory(device, needed)
    if needed > free:
        smaller = f"Load it as {_SMALLER[dtype]}, which takes half of that, or use" if dtype in _SMALLER else "Use"
        raise ModelUnavailable(
            f"Model “{name}” takes {memory(needed)} in {dtype}, and {memory(free)} are free on {device}. {smaller} a "
            "device or a machine with more memory."
        )
