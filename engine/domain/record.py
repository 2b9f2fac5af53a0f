"""The base of every config and every piece of metadata that is saved as JSON."""

import math
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict


def _nan_for_null(value: object) -> object:
    return math.nan if value is None else value


# NaN is a gap, as of a loss that diverged. JSON has no NaN: it is written as null, and read as NaN again.
MaybeNumber = Annotated[float, BeforeValidator(_nan_for_null)]


class Record(BaseModel):
    """Frozen, strict about unknown fields; equal records compare equal."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), serialize_by_alias=True)

    def to_json(self) -> str:
        """Indented JSON, floats kept exactly, with a newline at the end."""
        return self.model_dump_json(indent=1) + "\n"
