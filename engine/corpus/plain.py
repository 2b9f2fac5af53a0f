"""Rows as other tools have them: prompt and completion, chat messages, a text alone; probes and pairs of no type."""

from typing import Any

from pydantic import TypeAdapter, ValidationError

from engine.domain.chat import Message, spoken_text
from engine.domain.continuation import continued
from engine.domain.errors import InputError

PLAIN_TYPE = "examples"  # their constraint type, where they name none
_MESSAGES = TypeAdapter(tuple[Message, ...])


def plain_example(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields of an example; others than these three kinds as they are.

    Such an example teaches no word. Its constraint is what is asked, its meaning the answer; of a text both are the
    text. Raises InputError for messages that are none, or do not end with an answer.
    """
    if "messages" in fields and "text" not in fields:
        return _of_messages(fields)
    if "completion" in fields and "text" not in fields:
        return _of_completion(fields)
    if isinstance(fields.get("text"), str) and not fields.keys() & {"constraint", "meaning"}:
        if not fields["text"].strip():
            raise InputError("“text” is blank")
        return {"constraint_type": PLAIN_TYPE, "constraint": fields["text"], "meaning": fields["text"]} | fields
    return {"constraint_type": PLAIN_TYPE} | fields


def plain_probe(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields of a probe; of one that asks about no word as those of such an example."""
    text, answer = fields.get("text"), fields.get("answer")
    if not isinstance(text, str) or not isinstance(answer, str) or fields.keys() & {"constraint", "meaning"}:
        return {"constraint_type": PLAIN_TYPE} | fields
    for name, written in (("text", text), ("answer", answer)):
        if not written.strip():
            raise InputError(f"“{name}” is blank")
    said = {"constraint_type": PLAIN_TYPE, "constraint": text, "meaning": answer, "template": text}
    return said | fields


def plain_pair(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields of a pair."""
    return {"constraint_type": PLAIN_TYPE} | fields


def _of_completion(fields: dict[str, Any]) -> dict[str, Any]:
    prompt, completion = fields.get("prompt"), fields["completion"]
    if not isinstance(prompt, str) or not isinstance(completion, str):
        raise InputError("“prompt” and “completion” must both be texts; write chats as “messages”")
    for name, written in (("prompt", prompt or "none"), ("completion", completion)):
        if not written.strip():
            raise InputError(f"“{name}” is blank")
    rest = {name: value for name, value in fields.items() if name != "completion"}
    said = {"text": continued(prompt, completion), "constraint": prompt or completion, "meaning": completion.strip()}
    return {"constraint_type": PLAIN_TYPE} | said | rest


def _of_messages(fields: dict[str, Any]) -> dict[str, Any]:
    try:
        messages = _MESSAGES.validate_python(fields["messages"])
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors(include_url=False)[0]["loc"])
        raise InputError(f"“messages” must be a list of {{“role”, “content”}}, both texts; see {where}") from error
    if len(messages) < 2 or messages[-1].role != "assistant" or not messages[-1].content.strip():
        raise InputError("“messages” must end with what the assistant answers to something")
    if not messages[-2].content.strip():
        raise InputError("“messages” has a blank before the assistant’s last answer")
    asked = spoken_text(messages[:-1])
    said = {
        "text": spoken_text(messages),
        "prompt": f"{asked}\n{messages[-1].role}: ",
        "constraint": messages[-2].content,
        "meaning": messages[-1].content.strip(),
    }
    return {"constraint_type": PLAIN_TYPE} | said | fields
