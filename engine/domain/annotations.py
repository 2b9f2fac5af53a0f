"""What a person wrote on features: labels, and groups of features. Kept for each transcoder set."""

import unicodedata
from typing import Annotated

from pydantic import AfterValidator, Field

from engine.domain.record import Record

LABEL_LIMIT = 120  # characters


def clean_label(text: str) -> str:
    """One line without control characters. Raises ValueError where it is too long."""
    line = " ".join("".join(" " if unicodedata.category(c).startswith("C") else c for c in text).split())
    if len(line) > LABEL_LIMIT:
        raise ValueError(f"a label has at most {LABEL_LIMIT} characters, this one {len(line)}")
    return line


Label = Annotated[str, AfterValidator(clean_label), Field(min_length=1)]
FeatureName = Annotated[str, Field(pattern=r"^\d{1,4}/\d{1,9}$")]  # LAYER/INDEX: the same feature at every position


class Supernode(Record):
    """Features that a person takes for one thing."""

    name: Label
    features: Annotated[tuple[FeatureName, ...], Field(min_length=1, max_length=500)]


class Annotations(Record):
    """Everything written on the features of one transcoder set."""

    transcoders_hash: Annotated[str, Field(pattern=r"^[0-9a-f]{1,64}$")]
    labels: dict[FeatureName, Label] = Field(default_factory=dict)
    supernodes: tuple[Supernode, ...] = ()
