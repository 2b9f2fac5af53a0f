"""How far a measure of several passes is, told from within each pass: of a long prompt one may take half a minute."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from engine.domain.jobs import Report, quiet

FORWARD, BACKWARD = 1.0, 1.0  # of one prompt through a model; on SmolLM2-135M both take about as long


class Effort:
    """Counts what is done of what is to be done, in passes of one prompt, and tells it layer by layer.

    A pass ends between two layers where the report raises, as it does when a job is canceled.
    """

    def __init__(self, report: Report = quiet, expected: float = 1.0) -> None:
        """`expected`: what will be done at least, in FORWARD and BACKWARD."""
        self._report, self._expected = report, expected
        self._done = self._told = 0.0
        self._message = ""

    def say(self, message: str) -> None:
        """What is being done."""
        self._message = message
        self._tell(self._done)

    def expect(self, more: float) -> None:
        """There is more to be done than was known (or less, below 0). What was told is not taken back: the fraction
        stands until it is reached again."""
        self._expected += more

    def did(self, amount: float) -> None:
        """Something besides passes, that takes as long as so much of them."""
        self._done += amount
        self._tell(self._done)

    @contextmanager
    def passing(self, model: PreTrainedModel, *, n: int = 1, back: bool = False) -> Iterator[None]:
        """Within it the model runs once, on `n` prompts; `back`: a gradient is taken, too.

        `model` gets hooks meanwhile: a copy of one's own.
        """
        layers, amount, start = _layers(model), n * (FORWARD + back * BACKWARD), self._done
        n_ticks, ticks = len(layers) * (1 + back), 0

        def tick() -> None:
            nonlocal ticks
            ticks += 1
            self._tell(start + amount * min(1.0, ticks / n_ticks))

        with ExitStack() as hooks:
            for layer in layers:
                hooks.callback(layer.register_forward_pre_hook(_before(tick)).remove)
                if back:
                    hooks.callback(layer.register_forward_hook(_behind(tick)).remove)
            yield
        self.did(amount)

    def _tell(self, done: float) -> None:
        self._told = max(self._told, min(1.0, done / max(self._expected, done, 1e-9)))
        self._report(self._told, self._message)


def _layers(model: PreTrainedModel) -> list[nn.Module]:
    """Of a model of any family; none where they are not found."""
    n = int(getattr(model.config, "num_hidden_layers", 0))
    lists = (module for module in model.modules() if isinstance(module, nn.ModuleList) and len(module) == n > 0)
    return list(next(lists, ()))


def _before(tick: Callable[[], None]) -> Any:
    return lambda module, args: tick()


def _behind(tick: Callable[[], None]) -> Any:
    """Once more, when the gradient of what the layer gives is known."""

    def hook(_: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        given = output[0] if isinstance(output, tuple) else output
        if isinstance(given, torch.Tensor) and given.requires_grad:
            given.register_hook(lambda gradient: tick())

    return hook
