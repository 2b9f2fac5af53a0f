"""A prompt that is given as messages, in the chat format of a run's model."""

from engine.domain.chat import messages_in
from engine.store import Store


def as_prompt(store: Store, run: str, text: str) -> str:
    """The text as it is; where it is messages as JSON, what the template of the run's model makes of them.

    Raises NotFound, and for messages also PromptRefused, Damaged, ModelUnavailable.
    """
    messages = messages_in(text)
    if messages is None:
        return text
    from engine.models.base import load_tokenizer
    from engine.models.chat import chat_text
    from engine.models.prompts import PromptReader

    spec = store.run(run).model
    tokenizer = load_tokenizer(spec, store.tokenizer_folder(spec))
    prompt = chat_text(tokenizer, messages)
    PromptReader(tokenizer)(prompt)
    return prompt
