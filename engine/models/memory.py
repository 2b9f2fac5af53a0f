"""Memory that is free on a device, and what weights take, so that what cannot fit is refused before any work."""

import math
from pathlib import Path

import torch

from engine.domain.errors import ModelUnavailable
from engine.domain.numbers import memory
from engine.store.memory import free_here
from engine.store.tensor_headers import tensor_headers

_SMALLER = {"float32": "bfloat16"}  # what half the memory is called


def free_memory(device: torch.device) -> int:
    """Bytes that may still be taken there. On a processor, what the system and the container's limit leave."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return free_here()


def weight_bytes(folder: Path, dtype: torch.dtype) -> int:
    """What the safetensors files of a folder take in memory in that dtype. Only their headers are read."""
    headers = (tensor for path in folder.glob("*.safetensors") for tensor in tensor_headers(path))
    return sum(math.prod(tensor.shape) for tensor in headers) * dtype.itemsize


def refuse_larger_than_free(name: str, folder: Path, dtype: str, device: torch.device) -> None:
    """Raises ModelUnavailable for weights that do not fit, and SafetensorError for a file that is none."""
    needed, free = weight_bytes(folder, getattr(torch, dtype)), free_memory(device)
    if needed > free:
        smaller = f"Load it as {_SMALLER[dtype]}, which takes half of that, or use" if dtype in _SMALLER else "Use"
        raise ModelUnavailable(
            f"Model “{name}” takes {memory(needed)} in {dtype}, and {memory(free)} are free on {device}. {smaller} a "
            "device or a machine with more memory."
        )
