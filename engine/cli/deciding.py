"""The settings of the policies, as `train` takes them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.domain.errors import InputError

if TYPE_CHECKING:
    from engine.domain.decisions import DecisionSettings


def decision_settings(pairs: Sequence[str], base: "DecisionSettings") -> "DecisionSettings":
    """`base` with each `KEY=VALUE` put in; of equal keys the last counts. Raises InputError naming what is wrong."""
    from pydantic import ValidationError

    values = base.model_dump()
    given = {}
    for pair in pairs:
        key, equals, value = (part.strip() for part in pair.partition("="))
        if not equals:
            raise InputError(f"“{pair[:80]}” has no value. Write --decide KEY=VALUE, as --decide loss_drop=0.01.")
        if key not in values:
            raise InputError(f"“{key[:40]}” is not a policy setting. Choose one of {', '.join(values)}.")
        given[key] = value
    try:
        return type(base).model_validate(values | given)
    except ValidationError as error:
        wrong = error.errors()[0]
        key, own = str(wrong["loc"][0]), wrong["msg"].removeprefix("Value error, ")
        if own != wrong["msg"]:  # one of our own messages names the value itself
            raise InputError(own) from error
        raise InputError(f"“{given.get(key, '')[:40]}” is not a valid {key}. {own}.") from error
