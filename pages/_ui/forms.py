"""From what was typed into a form to a checked request, with messages in plain words."""

from collections.abc import Callable, Collection
from typing import TypeVar

from pydantic import ValidationError

from engine.domain.errors import InputError

Made = TypeVar("Made")


def checked(make: Callable[[], Made]) -> Made:
    """What `make` makes. Raises InputError that names each field that cannot be used, and why."""
    try:
        return make()
    except ValidationError as error:
        reasons = [f"{_field(entry['loc'])}{_reason(entry['msg'])}" for entry in error.errors()]
        raise InputError("Check the form. " + "; ".join(reasons)) from error


def _field(location: tuple[int | str, ...]) -> str:
    """Empty of what is wrong with several together, which says itself what it is about."""
    return f"{str(location[0]).replace('n_', 'number of ').replace('_', ' ')}: " if location else ""


def _reason(message: str) -> str:
    return message.removeprefix("Value error, ")


def fractions(text: str) -> tuple[float, ...]:
    """`25, 50, 100` (percent) as fractions of the run. Raises InputError on anything else."""
    parts = [part.strip().removesuffix("%").strip() for part in text.split(",") if part.strip()]
    try:
        values = tuple(float(part) / 100 for part in parts)
    except ValueError as error:
        raise InputError(
            f"“{text[:80]}” is not a list of percentages. Write numbers above 0 and up to 100, such as 25, 50, 100."
        ) from error
    if not all(0 < value <= 1 for value in values):
        raise InputError(f"“{text[:80]}”: each percentage must be above 0 and at most 100.")
    return values


def free_name(wanted: str, taken: Collection[str]) -> str:
    """`wanted`, or with the first number behind it that is not taken."""
    stem = wanted[:58]
    number = 2
    name = stem
    while name in taken:
        name, number = f"{stem}-{number}", number + 1
    return name
