"""How things are named and listed in sentences."""

from collections.abc import Sequence


def spoken(constraint_type: str) -> str:
    """`simple_mapping` → simple mapping."""
    return constraint_type.replace("_", " ")


def with_edges(text: str) -> str:
    """A text with what cannot be seen of it: blanks at its edges as ␣, ends of lines as ↵, tabulators as ⇥."""
    body = text.strip(" ")
    lead, trail = (len(text) - len(text.lstrip(" ")), len(text) - len(text.rstrip(" "))) if body else (len(text), 0)
    shown = body.replace("\r\n", "↵").replace("\n", "↵").replace("\r", "↵").replace("\t", "⇥")
    return "␣" * lead + shown + "␣" * trail


def token_name(text: str) -> str:
    """A token without its blanks; one that is nothing else as ␣ or ↵."""
    return text.strip() or with_edges(text)


def listed(parts: Sequence[str]) -> str:
    """a, b and c."""
    return " and ".join(filter(None, (", ".join(parts[:-1]), *parts[-1:])))
