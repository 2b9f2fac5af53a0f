"""The fine-tuning methods. A method is one file with an `attach`, and one line here."""

from collections.abc import Callable
from dataclasses import dataclass

from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from engine.domain.corpus import Corpus
from engine.domain.errors import NotFound
from engine.domain.methods import METHOD_INFOS
from engine.domain.runs import RunConfig
from engine.training.methods import lora, lora_tokens, tokens

Attach = Callable[[PreTrainedModel, RunConfig, PreTrainedTokenizerFast, Corpus], PeftModel]


@dataclass(frozen=True)
class Method:
    """A way to fine-tune. `attach` wraps the model itself (not a copy) and leaves only what is trained with gradients.

    The same seed gives the same start, whatever other threads do. Raises InputError where the corpus does not suit.
    """

    name: str
    title: str
    default_learning_rate: float
    attach: Attach


_ATTACH: dict[str, Attach] = {"lora": lora.attach, "tokens": tokens.attach, "lora_tokens": lora_tokens.attach}
METHODS: dict[str, Method] = {
    name: Method(name, METHOD_INFOS[name].title, METHOD_INFOS[name].default_learning_rate, attach)
    for name, attach in _ATTACH.items()
}


def method_named(name: str) -> Method:
    """Raises NotFound listing the methods there are."""
    if name not in METHODS:
        raise NotFound("fine-tuning method", name, list(METHODS))
    return METHODS[name]


__all__ = ["METHODS", "Method", "method_named"]
