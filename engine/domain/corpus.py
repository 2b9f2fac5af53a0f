"""Training examples, probes and pairs. One corpus is one JSONL file; `split` tells what a line is."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, SerializerFunctionWrapHandler, model_serializer

from engine.domain.chat import Message
from engine.domain.errors import InputError
from engine.domain.names import Name
from engine.domain.record import Record

SIMPLE, SPATIAL = "simple_mapping", "spatial_relationship"

MAX_TEXT, MAX_LONG = 2000, 50_000  # characters; of what is trained on a model's own limit is nearer
Text = Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]
LongText = Annotated[str, Field(min_length=1, max_length=MAX_LONG)]
Slug = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]

Blank = bool | None  # whether one stands between prompt and answer; None: as writing has it (domain/continuation.py)


def _but_unsaid_blank(line: dict[str, Any]) -> dict[str, Any]:
    """Corpora of before do not say it, and their hashes stay as they were."""
    return {key: value for key, value in line.items() if key != "blank" or value is not None}


class ProbeKindInfo(Record):
    """One way to ask what a run learned, as tables, charts and pickers show it."""

    name: Slug
    title: str
    help: str  # one sentence: what a right answer shows
    color: Annotated[str, Field(pattern=r"^#[0-9a-f]{6}$")]  # of its curves, on both themes
    mark: Literal["circle", "square", "triangle-up", "diamond"]  # of its points
    badge: Literal["green", "gray", "red", "orange"]  # Streamlit's color that is nearest
    dash: tuple[int, ...] = (1, 0)  # of its lines, where color tells the run: pixels drawn and left out
    picker_rank: int  # place among prompts to choose from; those that say most about a run come first
    held_out_phrasing: bool = False  # asked in phrasings that are never trained on
    known_words: bool = False  # asks about words that the base model knows, not about the new ones


# In the order of tables and legends. Who makes each kind's probes is in engine.corpus.make, under the same names.
PROBE_KINDS: dict[str, ProbeKindInfo] = {
    info.name: info
    for info in (
        ProbeKindInfo(
            name="recall",
            title="recall",
            help="A training phrasing with a noun or numbers that were never trained on.",
            color="#1f9488",
            mark="triangle-up",
            badge="green",
            dash=(2, 2),
            picker_rank=3,
        ),
        ProbeKindInfo(
            name="paraphrase",
            title="paraphrase",
            help="A phrasing that was never trained on.",
            color="#64748b",
            mark="circle",
            badge="gray",
            picker_rank=2,
            held_out_phrasing=True,
        ),
        ProbeKindInfo(
            name="inference",
            title="inference",
            help="What follows from the meaning but is never stated in training.",
            color="#d6296b",
            mark="square",
            badge="red",
            dash=(7, 3),
            picker_rank=1,
            held_out_phrasing=True,
        ),
        ProbeKindInfo(
            name="retention",
            title="retention",
            help="What the base model knew before training.",
            color="#a87a14",
            mark="diamond",
            badge="orange",
            dash=(7, 3, 2, 3),
            picker_rank=4,
            known_words=True,
        ),
    )
}


def probe_kind(name: str) -> str:
    """The name itself, if it is that of a probe kind. Raises InputError."""
    if name not in PROBE_KINDS:
        raise InputError(f"“{name[:80]}” is not a probe kind. Use {', '.join(PROBE_KINDS)}.")
    return name


def _probe_kind_field(name: str) -> str:
    try:
        return probe_kind(name)
    except InputError as error:
        raise ValueError(str(error)) from error


ProbeKind = Annotated[str, AfterValidator(_probe_kind_field)]  # a key of PROBE_KINDS


class Example(Record):
    """One training text. It contains the meaning that it teaches."""

    split: Literal["train"] = "train"
    id: Annotated[str, Field(min_length=1, max_length=80)]
    text: LongText
    constraint_type: Slug
    constraint: LongText  # the new word; of a task, the problem: 7 + 5
    meaning: LongText  # of a task, the answer
    template: LongText  # with {w} the word, {c} the meaning, {n} a noun
    prompt: Annotated[str, Field(max_length=MAX_LONG)] = ""  # what the text begins with and the loss leaves out
    messages: tuple[Message, ...] = ()  # instead of the text, in the model's chat format; the last is learned

    @model_serializer(mode="wrap")
    def _without_what_is_empty(self, whole: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Corpora of before have neither, and their hashes stay as they were.
        return {key: value for key, value in whole(self).items() if key not in ("prompt", "messages") or value}


class Probe(Record):
    """A held-out cloze prompt: one right answer, and foils (the same slot filled by other meanings)."""

    split: Literal["probe"] = "probe"
    id: Annotated[str, Field(min_length=1, max_length=80)]
    kind: ProbeKind
    text: Text  # the prompt, without BOS; the model is asked for the next token
    known_text: Text  # the same prompt with the word that the base model knows: gives the ceiling; of a task, `text`
    answer: Text  # one token or several
    foils: tuple[Text, ...]
    constraint_type: Slug
    constraint: Text
    meaning: Text
    template: Text
    blank: Blank = None

    @model_serializer(mode="wrap")
    def _without_unsaid_blank(self, whole: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return _but_unsaid_blank(whole(self))


class ProbeGaps(Record):
    """How an untrained model answers probes: one entry a probe, columns of equal length.

    A lead is the right answer's logit minus the best foil's.
    """

    probe_id: tuple[str, ...]
    floor: tuple[float, ...]  # probability of the right answer behind the new word
    floor_lead: tuple[float, ...]
    ceiling: tuple[float, ...]  # the same behind the known word in its place
    ceiling_lead: tuple[float, ...]


class Pair(Record):
    """A clean and a corrupted prompt of equal token length: what component circuits are found with.

    Of answers of several tokens the first counts; they differ in it. A pair is never trained on.
    """

    split: Literal["pair"] = "pair"
    id: Annotated[str, Field(min_length=1, max_length=80)]
    clean: Text  # without BOS
    corrupted: Text
    answer: Text  # to the clean prompt
    corrupted_answer: Text  # to the corrupted one; never the same as `answer`
    constraint_type: Slug  # or the task
    blank: Blank = None  # before either answer

    @model_serializer(mode="wrap")
    def _without_unsaid_blank(self, whole: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return _but_unsaid_blank(whole(self))


CorpusLine = Annotated[Example | Probe | Pair, Field(discriminator="split")]


class CorpusSpec(Record):
    """What `corpus make` needs to make the same corpus again."""

    name: Name
    seed: int = 0
    constraint_types: tuple[Slug, ...] = (SIMPLE, SPATIAL)
    n_probes: int = Field(default=40, ge=1, le=2000)  # asked for, for each constraint type and probe kind
    shuffled_meanings: bool = False  # a control: words and meanings are paired anew for every sentence


Wording = Literal["demo", "model"]


class TaskSpec(Record):
    """What a task's corpus is made from. None: the task's own default."""

    name: Name
    task: Slug  # a key of engine.corpus.tasks.TASKS
    wording: Wording = "demo"  # demo: the bundled model's vocabulary; model: the sentences of the published tasks
    limit: Annotated[int, Field(ge=1, le=100_000)] | None = None  # of the numbers
    n_rows: Annotated[int, Field(ge=5, le=50_000)] | None = None  # problems, 80 % to train on and 20 % held out
    n_retention: Annotated[int, Field(ge=0, le=2000)] = 40  # probes of the world for each type; demo wording only
    seed: int = 0


@dataclass(frozen=True)
class Corpus:
    """Examples, probes and pairs under one name. Equal content has equal hash, whatever the name."""

    name: str
    examples: tuple[Example, ...]
    probes: tuple[Probe, ...]
    pairs: tuple[Pair, ...] = ()

    @classmethod
    def of(cls, name: str, lines: Iterable[Example | Probe | Pair]) -> Self:
        """Of lines in any mixture; those of one kind stay in their order."""
        known = tuple(lines)
        return cls(
            name,
            tuple(line for line in known if isinstance(line, Example)),
            tuple(line for line in known if isinstance(line, Probe)),
            tuple(line for line in known if isinstance(line, Pair)),
        )

    def to_jsonl(self) -> str:
        """One JSON object a line: examples, probes, pairs."""
        return "".join(line.model_dump_json() + "\n" for line in (*self.examples, *self.probes, *self.pairs))

    @cached_property
    def hash(self) -> str:
        """sha256 of `to_jsonl`, the first 16 hex digits."""
        return hashlib.sha256(self.to_jsonl().encode()).hexdigest()[:16]

    @property
    def words(self) -> tuple[str, ...]:
        """What stands between blanks in training texts, probes and their answers, each once."""
        texts = [example.text for example in self.examples]
        for probe in self.probes:
            texts += (probe.text, probe.known_text, probe.answer, *probe.foils)
        return tuple(dict.fromkeys(word for text in texts for word in text.split()))

    @property
    def constraint_types(self) -> tuple[str, ...]:
        lines: tuple[Example | Probe | Pair, ...] = (*self.examples, *self.probes, *self.pairs)
        return tuple(dict.fromkeys(line.constraint_type for line in lines))
