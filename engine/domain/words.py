"""How things are named and listed in sentences."""

from collections.abc import Sequence


def spoken(constraint_type: str) -> str:
    """`simple_mapping` → simple mapping."""
    return constraint_type.replace("_", " ")


def listed(parts: Sequence[str]) -> str:
    """a, b and c."""
    return " and ".join(filter(None, (", ".join(parts[:-1]), *parts[-1:])))
