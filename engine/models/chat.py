"""A chat as a model's own template writes it.

A template is a stranger's program, and what it does can depend on what is said. So it runs in a process of its own,
with limits of time and memory, whenever it meets other messages; what came out is kept.
"""

import hashlib
import json
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from transformers import PreTrainedTokenizerFast

from engine.domain.chat import Message
from engine.domain.errors import PromptRefused
from engine.models.apart import apart
from engine.models.tried import TEMPLATES
from engine.store.kept import kept_values

_log = logging.getLogger(__name__)
LIMIT_S: Final = 3.0  # of the processor, and for each conversation
_EACH_S: Final = 0.02
_MEMORY: Final = 200_000_000  # bytes, and for each of what is said
_TIMES_ITS_SIZE: Final = 40
_MOST_CHARACTERS: Final = 1_000_000  # of a text that comes out
_CODE: Final = r"""
found = []
for turns, is_open in given["conversations"]:
    try:
        text = rendered(given["template"], turns, is_open, given["tokens"])
        found.append([text, ""] if len(text) <= given["most"] else ["", f"it makes {len(text):,} characters of them"])
    except MemoryError:
        found.append(["", "it takes too much memory"])
    except Exception as error:
        found.append(["", " ".join(str(error).split())[:200] or type(error).__name__])
print(json.dumps(found))
"""


def chat_text(tokenizer: PreTrainedTokenizerFast, messages: Sequence[Message]) -> str:
    """The turns, and the beginning of the next answer unless the last turn is one already.

    Raises PromptRefused: no template, or one that does not take these turns.
    """
    (found,) = chat_texts(tokenizer, [messages])
    if isinstance(found, PromptRefused):
        raise found
    return found


def chat_texts(
    tokenizer: PreTrainedTokenizerFast, conversations: Sequence[Sequence[Message]]
) -> list[str | PromptRefused]:
    """`chat_text` of each, or why there is none. Together: to begin a process takes a tenth of a second."""
    if not tokenizer.chat_template:
        none = PromptRefused(
            "This model's tokenizer has no chat template, so that messages cannot be made a prompt. Write the prompt "
            "as the model reads it, or use a chat model."
        )
        return [none] * len(conversations)
    turns = [
        ([message.model_dump() for message in messages], messages[-1].role != "assistant") for messages in conversations
    ]
    written = _written(tokenizer, turns)
    return [_refused(reason) if reason else text for text, reason in written]


def _written(tokenizer: PreTrainedTokenizerFast, turns: Sequence[tuple[Any, bool]]) -> list[tuple[str, str]]:
    """(text, why there is none) of each."""
    if not turns:
        return []
    try:
        template = tokenizer.get_chat_template()
    except ValueError as error:  # several, and none of them is the default
        return [("", " ".join(str(error).split())[:200])] * len(turns)
    given = {"template": template, "tokens": tokenizer.special_tokens_map, "conversations": turns}
    said = json.dumps(given, default=str)
    today = datetime.now(tz=UTC).date()  # a template may name it
    key = "chat", today, hashlib.sha256(said.encode("utf-8", "surrogatepass")).digest()
    return kept_values().get(key, lambda: _elsewhere(tokenizer, json.loads(said), len(said)), holder="models")


def _elsewhere(tokenizer: PreTrainedTokenizerFast, given: dict[str, Any], n_bytes: int) -> list[tuple[str, str]]:
    turns, most_bytes = given["conversations"], _MEMORY + _TIMES_ITS_SIZE * n_bytes
    limit_s = LIMIT_S + _EACH_S * len(turns)
    given = given | {"most": _MOST_CHARACTERS}
    try:
        ended = apart(TEMPLATES + _CODE, given, packages=True, n_bytes=most_bytes, limit_s=limit_s)
    except OSError as error:  # no process can be had: then here
        _log.warning("A chat template could not be run in a process of its own: %s", error)
        return [_here(tokenizer, *one) for one in turns]
    if ended.said is None:
        return [("", ended.why or "it says nothing")] * len(turns)
    return [(text, reason) for text, reason in ended.said]


def _here(tokenizer: PreTrainedTokenizerFast, turns: Any, is_open: bool) -> tuple[str, str]:  # noqa: FBT001 - as given
    try:
        return str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=is_open)), ""
    except Exception as error:  # noqa: BLE001 - a template raises anything
        return "", " ".join(str(error).split())[:200]


def _refused(reason: str) -> PromptRefused:
    return PromptRefused(f"The model's chat template does not take these messages: {reason.rstrip('.')}.")
