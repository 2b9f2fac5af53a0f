"""What `train` takes for single methods."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from engine.domain.errors import InputError

if TYPE_CHECKING:
    from engine.domain.methods import MethodSettings

PANEL = "Single methods"  # the heading of these options in the help
OPTIONS = {  # option -> field of MethodSettings
    "critical_rank": "critical_rank",
    "critical_layers": "n_critical",
    "layer": "critical_layers",
    "prior": "prior",
    "probe_steps": "probe_steps",
    "edges": "n_edges",
    "last_edges": "last_n_edges",
    "discover_every": "discover_every",
}


def method_settings(given: Mapping[str, object], base: "MethodSettings") -> "MethodSettings":
    """`base` with each option (by its name) put in that says something. Raises InputError naming what is wrong."""
    from pydantic import ValidationError

    said = {OPTIONS[option]: value for option, value in given.items() if value is not None and value != []}
    try:
        return type(base).model_validate(base.model_dump() | said)
    except ValidationError as error:
        wrong = error.errors()[0]
        field = str(wrong["loc"][0])
        option = next(name for name, own in OPTIONS.items() if own == field).replace("_", "-")
        raise InputError(f"“{str(said.get(field, ''))[:40]}” cannot be --{option}. {wrong['msg']}.") from error
