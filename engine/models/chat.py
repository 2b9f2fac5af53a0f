"""A chat as a model's own template writes it."""

from collections.abc import Sequence

from transformers import PreTrainedTokenizerFast

from engine.domain.chat import Message
from engine.domain.errors import PromptRefused


def chat_text(tokenizer: PreTrainedTokenizerFast, messages: Sequence[Message]) -> str:
    """The turns, and the beginning of the next answer unless the last turn is one already.

    Raises PromptRefused: no template, or one that does not take these turns.
    """
    if not tokenizer.chat_template:
        raise PromptRefused(
            "This model's tokenizer has no chat template, so that messages cannot be made a prompt. Write the prompt "
            "as the model reads it, or use a chat model."
        )
    turns = [message.model_dump() for message in messages]
    try:
        text = tokenizer.apply_chat_template(
            turns, tokenize=False, add_generation_prompt=messages[-1].role != "assistant"
        )
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise PromptRefused(f"The model's chat template does not take these messages: {reason}.") from error
    return str(text)
