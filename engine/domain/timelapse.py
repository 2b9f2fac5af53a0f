"""A comparison over training."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Moment:
    """Which checkpoint (RUN@LABEL) each side shows at one step."""

    step: int
    a: str
    b: str


def step_compared(moments: Sequence[Moment], a: str, b: str) -> int | None:
    """The last step at which the sides stand at `a` and `b`; of runs of unequal length that is not B's own step."""
    return next((moment.step for moment in reversed(moments) if (moment.a, moment.b) == (a, b)), None)
