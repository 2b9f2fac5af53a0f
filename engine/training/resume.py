"""The state from which a run goes on to the same bits: optimizer, schedule, random numbers, losses so far.

Written as safetensors and JSON; Trainer's own files of this kind are pickles, which are never written nor read here.
"""

import json
import random
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from engine.domain.errors import Damaged
from engine.domain.record import Record
from engine.domain.runs import LossLog

PROGRESS, TRAINER, OPTIMIZER, SETTINGS, RANDOM = (
    "progress.json", "trainer_state.json", "optimizer.safetensors", "optimizer.json", "random.json",
)  # fmt: skip
ADAPTER = "adapter"
_BLOCK = 2**20
_REMEDY = "Delete the run's folder “resume”; the run then begins again from its first step when it is resumed."


class ResumePoint(Record):
    """How far the run had come."""

    step: int
    wall_time_s: float
    peak_bytes: int = 0
    losses: LossLog
    sums: dict[str, int] = Field(
        default_factory=dict
    )  # CRC-32 of each other file, by its path in the folder; empty in states of before


def read_point(folder: Path) -> ResumePoint | None:
    """None where there is no resume state. Raises Damaged where any of its files is not as it was written.

    A state that was spoilt could often be read, and would train on to something else.
    """
    if not folder.exists():
        return None
    try:
        point = ResumePoint.model_validate_json((folder / PROGRESS).read_text(encoding="utf-8"))
    except (OSError, ValidationError, UnicodeDecodeError) as error:
        raise Damaged(folder / PROGRESS, "it does not say how far the run had come", _REMEDY) from error
    if len(point.losses.loss) != point.step:
        raise Damaged(folder / PROGRESS, f"it has {len(point.losses.loss)} losses of {point.step} steps", _REMEDY)
    for name, wanted in point.sums.items():
        if not (folder / name).is_file() or _sum(folder / name) != wanted:
            raise Damaged(folder / name, "it is not as it was written", _REMEDY)
    return point


def write_point(folder: Path, point: ResumePoint) -> None:
    """Last of all files: it has their sums."""
    others = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / PROGRESS)
    sums = {path.relative_to(folder).as_posix(): _sum(path) for path in others}
    (folder / PROGRESS).write_text(point.model_copy(update={"sums": sums}).to_json(), encoding="utf-8")


def _sum(path: Path) -> int:
    found = 0
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                found = zlib.crc32(block, found)
    except OSError as error:
        raise Damaged(path, f"it cannot be read ({error.strerror})", _REMEDY) from error
    return found


def write_optimizer(folder: Path, optimizer: torch.optim.Optimizer, scheduler: Any) -> None:
    """`state` as tensors named PARAMETER.KEY, everything else as JSON."""
    state = optimizer.state_dict()
    tensors = {
        f"{parameter}.{key}": torch.as_tensor(value).detach().cpu().contiguous()
        for parameter, values in state["state"].items()
        for key, value in values.items()
    }
    save_file(tensors, folder / OPTIMIZER)
    settings = {"param_groups": state["param_groups"], "scheduler": scheduler.state_dict()}
    (folder / SETTINGS).write_text(json.dumps(settings), encoding="utf-8")


def read_optimizer(folder: Path, optimizer: torch.optim.Optimizer, scheduler: Any) -> None:
    """Raises Damaged."""
    try:
        tensors = load_file(folder / OPTIMIZER)
        settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
        state: dict[int, dict[str, torch.Tensor]] = {}
        for name, tensor in tensors.items():
            parameter, _, key = name.partition(".")
            state.setdefault(int(parameter), {})[key] = tensor
        optimizer.load_state_dict({"state": state, "param_groups": settings["param_groups"]})
        scheduler.load_state_dict(settings["scheduler"])
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise Damaged(folder / OPTIMIZER, f"the optimizer's state cannot be read ({error})", _REMEDY) from error


def random_state() -> dict[str, Any]:
    """The state of Python's, NumPy's and torch's global generators, as JSON can hold it."""
    name, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {
        "python": random.getstate(),
        "numpy": [name, np.asarray(keys).tolist(), position, has_gauss, gauss],
        "torch": torch.get_rng_state().tolist(),
        "cuda": [state.tolist() for state in cuda],
    }


def set_random_state(state: dict[str, Any]) -> None:
    """Put back what `random_state` gave."""
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))
    name, keys, position, has_gauss, numpy_gauss = state["numpy"]
    np.random.set_state((name, np.array(keys, dtype=np.uint32), position, has_gauss, numpy_gauss))
    torch.set_rng_state(torch.tensor(state["torch"], dtype=torch.uint8))
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all([torch.tensor(one, dtype=torch.uint8) for one in state["cuda"]])


def write_random(folder: Path) -> None:
    (folder / RANDOM).write_text(json.dumps(random_state()), encoding="utf-8")


def read_random(folder: Path) -> None:
    """Raises Damaged."""
    try:
        set_random_state(json.loads((folder / RANDOM).read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise Damaged(folder / RANDOM, f"the random state cannot be read ({error})", _REMEDY) from error


@contextmanager
def random_state_restored() -> Iterator[None]:
    """Trainer seeds the global generators; afterwards they are as they were."""
    before = random_state()
    try:
        yield
    finally:
        set_random_state(before)
