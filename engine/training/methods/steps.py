"""What a method does beside Trainer's own step."""

from pathlib import Path

import torch

from engine.domain.runs import TuningLog
from engine.training.texts import Batch


class Steps:
    """Called at every step, in this order; does nothing. Steps are counted from 1."""

    log: TuningLog | None = None  # what is kept beside the losses

    def before(self, step: int, batch: Batch) -> None:
        """Before the forward pass. `batch` is on the model's device."""

    def penalty(self) -> torch.Tensor | float:
        """What the method adds to the loss, at the weights of the forward pass: it is not recorded as loss."""
        return 0.0

    def before_update(self, step: int, optimizer: torch.optim.Optimizer) -> None:
        """The gradients are there."""

    def after_update(self, step: int) -> None:
        """The weights were changed; the gradients are still there."""

    def save(self, folder: Path) -> None:
        """Keep in the resume state what the next steps depend on."""

    def load(self, folder: Path) -> None:
        """Take that over, once the optimizer is made. Raises Damaged."""

    def read_log(self, folder: Path) -> None:
        """Take over `log` alone: where nothing is left to train, `load` is never called. Raises Damaged."""
