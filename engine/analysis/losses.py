"""What is told of a training loss: of a checkpoint made here its running mean, of an imported one what was logged."""

import math
from dataclasses import dataclass
from typing import Final

from engine.domain.numbers import count, decimal, plural
from engine.domain.runs import LOSS_SMOOTHING, CheckpointState, LossLog

LOSS_HELP: Final = (
    "Training loss at the last checkpoint: smoothed over steps; of an imported run as its trainer logged it last, "
    "which is the mean of some steps."
)
_FEW: Final = 20  # logged losses that are drawn as they are
_LONG: Final = 10  # of how many points the mean stands for one


@dataclass(frozen=True)
class ToldLoss:
    """The training loss of a checkpoint."""

    value: float
    steps: tuple[int, int] | None = None  # first and last that a trainer logged it for; None: smoothed here

    @property
    def span(self) -> str:
        """`mean of steps 56 to 60`; empty of a smoothed one."""
        if self.steps is None:
            return ""
        first, last = self.steps
        return f"step {count(last)}" if first == last else f"mean of steps {count(first)} to {count(last)}"

    @property
    def text(self) -> str:
        """`loss 0.58`, `logged loss 0.58`: for titles, where there is no room for its steps."""
        return f"{'logged ' if self.steps else ''}loss {decimal(self.value)}"


def told_loss(state: CheckpointState, log: LossLog) -> ToldLoss | None:
    """The running mean, which is kept where a run was trained here; else the loss that was logged at the checkpoint's
    step or last before it, with the steps that it is the mean of. None for the base, and where that is no number."""
    if state.smoothed_loss is not None:
        return ToldLoss(state.smoothed_loss)
    if state.loss is not None:
        return ToldLoss(state.loss, (state.step, state.step))
    rows = [row for row, step in enumerate(log.step) if step <= state.step]
    if not rows or not math.isfinite(value := log.loss[rows[-1]]):
        return None
    first = log.step[rows[-1] - 1] + 1 if rows[-1] else 1
    return ToldLoss(value, (first, log.step[rows[-1]]))


def is_of_every_step(log: LossLog) -> bool:
    return log.step == tuple(range(1, len(log.step) + 1))


def suiting_smoothing(log: LossLog) -> float:
    """Of the curve, where nobody sets it. That of the tables for losses of every step; means of several steps are
    smooth themselves: few are drawn as they are, and never is the mean over more than a tenth of them."""
    if is_of_every_step(log):
        return LOSS_SMOOTHING
    n = len(log.step)
    return 0.0 if n <= _FEW else round(min(LOSS_SMOOTHING, 1 - _LONG / n), 2)


def logged_words(log: LossLog) -> str:
    """`12 points, each the mean of 5 steps`; empty for losses of every step, and where there are none."""
    if not log.step or is_of_every_step(log):
        return ""
    gaps = {step - before for before, step in zip((0, *log.step), log.step, strict=False)}
    of = f"{plural(gaps.pop(), 'step')}" if len(gaps) == 1 else "the steps since the one before"
    return f"{plural(len(log.step), 'point')}, each the mean of {of}"
