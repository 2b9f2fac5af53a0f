"""How policies call things in their reasons."""

from collections.abc import Sequence


def spoken(constraint_type: str) -> str:
    """`simple_mapping` → simple mapping."""
    return constraint_type.replace("_", " ")


def listed(parts: Sequence[str]) -> str:
    """a, b and c."""
    return " and ".join(filter(None, (", ".join(parts[:-1]), *parts[-1:])))


def captures_in_words(n: int) -> str:
    return "1 capture" if n == 1 else f"{n} captures"
