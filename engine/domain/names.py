"""Names that users give, and references to checkpoints. A checked name can never be a path."""

import re
from typing import Annotated, Self

from pydantic import AfterValidator

from engine.domain.errors import InputError, NameRefused
from engine.domain.record import Record

MOST_CHARACTERS = 64  # of a name
_NAME = re.compile(rf"[a-z0-9][a-z0-9._-]{{0,{MOST_CHARACTERS - 1}}}")
# Windows keeps these for devices, whatever the extension.
_RESERVED = {"con", "prn", "aux", "nul", *(f"{d}{i}" for d in ("com", "lpt") for i in range(1, 10))}
_STEP = re.compile(r"\d{1,9}", re.ASCII)
_LABEL = re.compile(r"base|step(\d{1,9})|(\d{1,3}(?:\.\d{1,3})?)%")


def check_name(name: str) -> str:
    """The name itself, if it may name an artefact. Raises NameRefused."""
    if not _NAME.fullmatch(name) or name.endswith(".") or ".." in name or name.split(".")[0] in _RESERVED:
        raise NameRefused(
            f"“{name[:80]}” is not a valid name. Use 1 to {MOST_CHARACTERS} of a–z, 0–9, dot, dash and underscore, "
            "starting with a letter or digit."
        )
    return name


def _check_name_field(name: str) -> str:
    try:
        return check_name(name)
    except NameRefused as error:
        raise ValueError(str(error)) from error


Name = Annotated[str, AfterValidator(_check_name_field)]


class CheckpointRef(Record):
    """A checkpoint as a user writes it: `RUN@base`, `RUN@25%`, `RUN@step150` or `RUN@150`."""

    run: Name
    label: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises InputError where the text is not of the form RUN@LABEL."""
        run, at, label = text.strip().partition("@")
        if _STEP.fullmatch(label):
            label = f"step{label}"
        if not at or not _LABEL.fullmatch(label):
            raise InputError(f"“{text[:80]}” is not a checkpoint. Write RUN@base, RUN@25% or RUN@step150.")
        return cls(run=check_name(run), label=label)

    def step(self, max_steps: int) -> int:
        """The step that the label means in a run of `max_steps` steps."""
        match = _LABEL.fullmatch(self.label)
        if match is None:
            raise InputError(f"“{self.label[:80]}” is not a checkpoint label. Use base, 25% or step150.")
        if match[1]:
            return int(match[1])
        return round(float(match[2]) / 100 * max_steps) if match[2] else 0

    def __str__(self) -> str:
        return f"{self.run}@{self.label}"


def label_for(step: int, max_steps: int) -> str:
    """The label by which a checkpoint is shown: `base`, a whole percentage where exact, else `stepN`."""
    if step == 0:
        return "base"
    percent = 100 * step / max_steps
    return f"{percent:.0f}%" if percent == round(percent) else f"step{step}"
