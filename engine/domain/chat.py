"""What is said in a chat: the turns that a model's own template makes a prompt of."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from engine.domain.record import Record


class Message(Record):
    """One turn."""

    role: Annotated[str, Field(min_length=1, max_length=40)]  # system, user, assistant, or what the template knows
    content: Annotated[str, Field(max_length=100_000)]


_MESSAGES = TypeAdapter(Annotated[tuple[Message, ...], Field(min_length=1)])


def messages_in(text: str) -> tuple[Message, ...] | None:
    """The turns that a text is as JSON, `[{"role": "user", "content": "…"}, …]`; None where it is another text."""
    if not text.lstrip().startswith("["):
        return None
    try:
        return _MESSAGES.validate_json(text)
    except ValidationError:
        return None


def spoken_text(messages: Sequence[Message]) -> str:
    """`user: …`, a line a turn: for people, and no model's format."""
    return "\n".join(f"{message.role}: {message.content}" for message in messages)
