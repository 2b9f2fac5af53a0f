"""The fine-tuning methods. A method is one file with an `attach`, and one line here."""

from collections.abc import Callable
from dataclasses import dataclass

from transformers import PreTrainedModel, PreTrainedTokenizerFast

from engine.domain.corpus import Corpus
from engine.domain.errors import NotFound
from engine.domain.methods import METHOD_INFOS
from engine.domain.runs import RunConfig
from engine.models.adapters import Tuned
from engine.training.methods import (
    adalora,
    circuit_lora,
    circuit_tuning,
    full,
    ia3,
    lora,
    lora_tokens,
    random_lora,
    tokens,
)
from engine.training.methods.steps import Steps

Attach = Callable[[PreTrainedModel, RunConfig, PreTrainedTokenizerFast, Corpus], Tuned]
MakeSteps = Callable[[Tuned, RunConfig], Steps]
Layers = Callable[[RunConfig, int], tuple[int, ...]]


def _nothing(_tuned: Tuned, _config: RunConfig) -> Steps:
    return Steps()


@dataclass(frozen=True)
class Method:
    """A way to fine-tune. `attach` takes the model itself (not a copy) and leaves only what is trained with gradients.

    The same seed gives the same start, whatever other threads do. Raises InputError where the corpus does not suit.
    `steps` is what it does beside Trainer at each step. `layers` gives the critical layers of a run that names none,
    from its config and how many layers the model has; None: it has none, or they are found by a probe run.
    """

    name: str
    title: str
    default_learning_rate: float
    attach: Attach
    steps: MakeSteps = _nothing
    layers: Layers | None = None


def _method(name: str, attach: Attach, *, steps: MakeSteps = _nothing, layers: Layers | None = None) -> Method:
    info = METHOD_INFOS[name]
    return Method(name, info.title, info.default_learning_rate, attach, steps, layers)


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        _method("lora", lora.attach),
        _method("tokens", tokens.attach),
        _method("lora_tokens", lora_tokens.attach),
        _method("full", full.attach),
        _method("adalora", adalora.attach, steps=adalora.AdaLoraSteps),
        _method("ia3", ia3.attach),
        _method("circuit_lora", circuit_lora.attach),
        _method("random_lora", random_lora.attach, layers=random_lora.layers),
        _method("circuit_tuning", circuit_tuning.attach, steps=circuit_tuning.CircuitTuningSteps),
    )
}


def method_named(name: str) -> Method:
    """Raises NotFound listing the methods there are."""
    if name not in METHODS:
        raise NotFound("fine-tuning method", name, list(METHODS))
    return METHODS[name]


__all__ = ["METHODS", "Method", "Steps", "method_named"]
