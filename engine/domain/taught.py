"""Which examples taught it: how far training on each sentence pushed toward an answer (TracIn, Pruthi et al. 2020)."""

import hashlib
from functools import cached_property
from typing import Annotated

from pydantic import Field

from engine.domain.record import Record


class TaughtKey(Record):
    """What was asked: of which run, over which captures, and of which answer."""

    checkpoints: Annotated[tuple[str, ...], Field(min_length=2)]  # RUN@LABEL, the base first; the last is asked about
    hashes: tuple[str, ...]  # of their weights and the base: a run made again under its old name differs
    corpus_hash: str
    prompt: str = ""  # without BOS; empty: all probes of the constraint type
    answer: int | None = None  # token id; of a constraint type each probe's own
    constraint_type: str = ""

    @property
    def hash(self) -> str:
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:20]


class TaughtSentence(Record):
    """One training example. Of two that read the same each has its own push."""

    id: str
    text: str
    constraint_type: str
    constraint: str
    # Over the run's steps, learning rate times ⟨unit gradient of the answer's log-probability, minus gradient of the
    # sentence's loss⟩: positive where training on it raised the answer. It ranks; it has no unit of its own.
    push: float


class Taught(Record):
    """Toward one answer to a prompt, or toward the right answers of a constraint type's probes, in the mean."""

    key: TaughtKey
    answer: str  # as the tokenizer writes it, with its blank; empty for a constraint type
    is_said: bool  # the prompt's answer is what the checkpoint says: the most probable token
    n_prompts: int
    before: float  # log-probability in the base, measured; mean over prompts
    after: float  # of the checkpoint
    sentences: tuple[TaughtSentence, ...]  # in the order of the corpus

    @property
    def change(self) -> float:
        return self.after - self.before

    @property
    def strongest(self) -> float:
        """The largest push, up or down; 1 where there is none."""
        return max(abs(sentence.push) for sentence in self.sentences) or 1.0

    @cached_property
    def ranked(self) -> tuple[TaughtSentence, ...]:
        """What raised the answer most comes first."""
        return tuple(sorted(self.sentences, key=lambda sentence: -sentence.push))
