"""What was found where a person pointed to: checkpoints, what each is, and whether it will be taken in."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from engine.domain.hub import HubFolder
from engine.domain.record import Record

FoundKind = Literal["adapter", "changed weights", "full"]  # full: all weights of a model


class FoundCheckpoint(Record):
    """One folder. Nothing of its weights was loaded."""

    step: int | None  # None: nothing says it
    path: Path  # of the adapter or the weights
    kind: FoundKind
    taken: bool
    why: str  # it is not taken, or what is odd; else empty
    left_out: bool = False  # not taken, and not asked for by name: it is no part of the series that it lies beside
    usable: bool = False  # of what is left out: it can be taken in by itself
    needs_step: bool = False  # it would be taken, if a person set the steps of all
    base: str = ""  # the model that it says it was made for
    stored: str = ""  # what the run will keep of it, and how large that is
    hub: HubFolder | None = Field(default=None, exclude=True)  # where it has to be fetched from; `path` is then its id
    same_as: Path | None = None  # another one with the same weights, which is taken instead
    trainer: dict[str, Any] = Field(default_factory=dict, exclude=True)  # Trainer's state, where there is one


class ImportPreview(Record):
    """By step those that are taken, or would be with steps of a person; then the others."""

    checkpoints: tuple[FoundCheckpoint, ...]
    download_bytes: int = 0  # what an import downloads first, with a base that was looked at

    @property
    def refused(self) -> tuple[FoundCheckpoint, ...]:
        """Those that were asked for and cannot be taken, though no other one stands for them."""
        return tuple(one for one in self.checkpoints if not (one.taken or one.left_out) and one.same_as is None)

    @property
    def left_out(self) -> tuple[FoundCheckpoint, ...]:
        return tuple(one for one in self.checkpoints if one.left_out)

    @property
    def of_same_kind(self) -> bool:
        """Whether what is left out could be in one run with what is taken, were its step told."""
        return bool({one.kind for one in self.left_out if one.usable} & {one.kind for one in self.taken})

    @property
    def taken(self) -> tuple[FoundCheckpoint, ...]:
        return tuple(one for one in self.checkpoints if one.taken)
