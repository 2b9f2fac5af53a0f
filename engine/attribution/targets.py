"""The output tokens that both sides of a comparison are traced to.

Traced each to its own top tokens, two graphs would differ mostly in which logits they have.
"""

from collections.abc import Sequence
from contextlib import suppress

import torch
from transformers import PreTrainedModel

from engine.attribution.acted import at_last
from engine.domain.corpus import Probe
from engine.domain.errors import InputError, PromptRefused
from engine.models.base import LoadedModel, encode
from engine.models.prompts import PromptReader
from engine.models.sharing import sharing_copy

MAX_TARGETS = 12
_FOILS = 5
_TOP = 5  # of either side


def common_targets(
    loaded: LoadedModel, models: Sequence[PreTrainedModel], prompt: str, probe: Probe | None
) -> tuple[int, ...]:
    """Token ids: the first of the probe's answer and of its foils, then the sides' most probable tokens in turn; each
    once.

    At most MAX_TARGETS. Where the prompt is not a probe's (None), the top tokens alone. Raises PromptRefused.
    """
    tokens = encode(loaded, prompt)
    with torch.no_grad():
        tops = [at_last(sharing_copy(model), tokens)[1][0].topk(_TOP).indices.tolist() for model in models]
    asked = [] if probe is None else _first_tokens(loaded, probe, [probe.answer, *probe.foils[:_FOILS]])
    in_turn = [side[place] for place in range(_TOP) for side in tops]
    return tuple(dict.fromkeys([*asked, *in_turn]))[:MAX_TARGETS]


def probe_targets(loaded: LoadedModel, probe: Probe) -> tuple[int, ...]:
    """Token ids: the probe's right answer, its first foils, then the base model's most probable tokens; each once.

    At most MAX_TARGETS, and the same for every checkpoint, so that all of a run's graphs can be laid together.
    Of an answer or foil of several tokens the first counts. Raises PromptRefused; InputError where the model does not
    know the answer, so that no output would stand for it.
    """
    try:
        PromptReader(loaded.tokenizer).next_token(probe.text, probe.answer, blank=probe.blank)
    except PromptRefused as error:
        encode(loaded, probe.text)  # where it is the prompt that is refused
        raise InputError(
            f"The answer “{probe.answer[:40]}” of probe “{probe.id}” is none that circuits can be traced to: give a "
            f"probe with another answer. {error}"
        ) from error
    return common_targets(loaded, [loaded.model], probe.text, probe)


def _first_tokens(loaded: LoadedModel, probe: Probe, words: Sequence[str]) -> list[int]:
    """Of those words that the model knows the first token each, as they follow the probe's prompt."""
    read, ids = PromptReader(loaded.tokenizer), []
    for word in words:
        with suppress(PromptRefused):
            ids.append(read.next_token(probe.text, word, blank=probe.blank))
    return ids
