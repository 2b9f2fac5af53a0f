"""Training examples and probes. One corpus is one JSONL file: a line is an example or a probe, told by `split`."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Literal

from pydantic import Field

from engine.domain.names import Name
from engine.domain.record import Record

ProbeKind = Literal["recall", "paraphrase", "inference", "retention"]
PROBE_KINDS: tuple[ProbeKind, ...] = ("recall", "paraphrase", "inference", "retention")
SIMPLE, SPATIAL = "simple_mapping", "spatial_relationship"

Text = Annotated[str, Field(min_length=1, max_length=2000)]
Slug = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]


class Example(Record):
    """One training text. It contains the meaning that it teaches."""

    split: Literal["train"] = "train"
    id: Annotated[str, Field(min_length=1, max_length=80)]
    text: Text
    constraint_type: Slug
    constraint: Text  # the new word
    meaning: Text
    template: Text  # with {w} the word, {c} the meaning, {n} a noun


class Probe(Record):
    """A held-out cloze prompt: one right next token, and foils (the same slot filled by other meanings)."""

    split: Literal["probe"] = "probe"
    id: Annotated[str, Field(min_length=1, max_length=80)]
    kind: ProbeKind
    text: Text  # the prompt, without BOS; the model is asked for the next token
    known_text: Text  # the same prompt with the word that the base model knows: gives the ceiling
    answer: Text  # one token
    foils: tuple[Text, ...]
    constraint_type: Slug
    constraint: Text
    meaning: Text
    template: Text


CorpusLine = Annotated[Example | Probe, Field(discriminator="split")]


class CorpusSpec(Record):
    """What `corpus make` needs to make the same corpus again."""

    name: Name
    seed: int = 0
    constraint_types: tuple[Slug, ...] = (SIMPLE, SPATIAL)
    n_probes: int = Field(default=40, ge=1, le=2000)  # asked for, for each constraint type and probe kind
    shuffled_meanings: bool = False  # a control: words and meanings are paired anew for every sentence


@dataclass(frozen=True)
class Corpus:
    """Examples and probes under one name. Equal content has equal hash, whatever the name."""

    name: str
    examples: tuple[Example, ...]
    probes: tuple[Probe, ...]

    def to_jsonl(self) -> str:
        """One JSON object a line, examples first."""
        return "".join(line.model_dump_json() + "\n" for line in (*self.examples, *self.probes))

    @cached_property
    def hash(self) -> str:
        """sha256 of `to_jsonl`, the first 16 hex digits."""
        return hashlib.sha256(self.to_jsonl().encode()).hexdigest()[:16]

    @property
    def constraint_types(self) -> tuple[str, ...]:
        lines: tuple[Example | Probe, ...] = (*self.examples, *self.probes)
        return tuple(dict.fromkeys(line.constraint_type for line in lines))
