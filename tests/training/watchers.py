"""A watcher without tracing: what it sees follows from the bits of the adapters, as real looks do."""

import hashlib
import threading
from collections.abc import Callable

import torch

from engine.domain.decisions import CircuitReading, TypeReading
from engine.domain.errors import TracelapseError
from engine.domain.measures import Change
from engine.domain.runs import Checkpoint
from tests.tiny import SIMPLE, SPATIAL

EDGE = 0.1  # of the noise


class FakeWatcher:
    """Circuits that move before step `quiet_from` and rest from then on."""

    def __init__(self, *, quiet_from: int = 10**6) -> None:
        self.quiet_from = quiet_from
        self.asked: list[tuple[int, int | None]] = []  # (step, step before)
        self.threads: set[int] = set()
        self.n_torch_threads: set[int] = set()
        self.errors: dict[int, Exception] = {}  # by step
        self.before: Callable[[int], None] = lambda _step: None  # called first, with the step

    def take_reading(self, checkpoint: Checkpoint, previous: Checkpoint | None) -> CircuitReading:
        self.asked.append((checkpoint.step, previous.step if previous else None))
        self.threads.add(threading.get_ident())
        self.n_torch_threads.add(torch.get_num_threads())
        torch.rand(7)  # what another thread draws must not matter to training
        self.before(checkpoint.step)
        if error := self.errors.get(checkpoint.step):
            raise error
        types = tuple(self._type(name, checkpoint, previous) for name in (SIMPLE, SPATIAL))
        return CircuitReading(
            step=checkpoint.step, transcoders="t", transcoders_hash="h", refreshed=False, types=types, trace_s=0.5
        )

    def _type(self, name: str, checkpoint: Checkpoint, previous: Checkpoint | None) -> TypeReading:
        if previous is None:
            return TypeReading(constraint_type=name, n_prompts=4, fit=1.0, lowest_fit=1.0)
        bits = name.encode() + _bits(checkpoint) + _bits(previous)
        moved = EDGE + int.from_bytes(hashlib.sha256(bits).digest()[:4], "big") / 2**33
        value = moved if checkpoint.step < self.quiet_from else EDGE
        change = Change(value=value, low=value, high=value, edge=EDGE)
        return TypeReading(constraint_type=name, n_prompts=4, fit=1.0, lowest_fit=1.0, change={"influence": change})


def _bits(checkpoint: Checkpoint) -> bytes:
    return (checkpoint.folder / "adapter_model.safetensors").read_bytes() if checkpoint.adapter else b""


class Failed(TracelapseError):
    """A look that does not come about."""
