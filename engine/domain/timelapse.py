"""A comparison over training."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Moment:
    """Which checkpoint (RUN@LABEL) each side shows at one step."""

    step: int
    a: str
    b: str
