"""Probes as tokens, in batches that need no padding."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from transformers import PreTrainedTokenizerFast

from engine.domain.corpus import Probe
from engine.domain.errors import InputError, PromptRefused
from engine.models.prompts import PromptReader

BATCH_TOKENS = 4096  # tokens of one forward pass

_Item = TypeVar("_Item")


@dataclass(frozen=True, eq=False)
class LongAnswers:
    """Answers and foils that have as many tokens each, behind prompts of equal length."""

    rows: torch.Tensor  # (n,) int64, of the probes
    is_answer: torch.Tensor  # (n,) bool; the others are foils
    tokens: torch.Tensor  # (n, n_pos) int64, the prompt and what follows it, but for the last token
    following: torch.Tensor  # (n, n_following) int64, the answer or foil


@dataclass(frozen=True, eq=False)
class ProbeBatch:
    """Probes as tokens, made once for a run. `groups` are rows of equal length, so that nothing is padded.

    A probe whose answer and foils are one token each is in `groups`. Any other is in `longer`, once for its answer and
    once for each foil.
    """

    ids: tuple[str, ...]  # of the probes
    groups: tuple[tuple[torch.Tensor, torch.Tensor], ...]  # rows (n,) and their tokens (n, n_pos), int64
    answers: torch.Tensor  # (n_probes,) int64, the first token of each
    foils: tuple[tuple[int, ...], ...]  # first tokens; empty where a probe has none
    longer: tuple[LongAnswers, ...]
    tokenizer: PreTrainedTokenizerFast


def prepare_probes(
    tokenizer: PreTrainedTokenizerFast, probes: Sequence[Probe], *, limit: int, use_known: bool = False
) -> ProbeBatch:
    """Tokenise probes (their known prompts with `use_known`) for a model that takes `limit` tokens.

    Raises InputError naming the probe: a prompt, answer or foil that the model cannot take.
    """
    asked = _read(tokenizer, probes, limit=limit, use_known=use_known)
    short = [row for row, one in enumerate(asked) if one.is_short]
    groups = _batches(short, lambda row: len(asked[row].prompt), lambda row: len(asked[row].prompt))
    return ProbeBatch(
        ids=tuple(probe.id for probe in probes),
        groups=tuple((torch.tensor(rows), torch.tensor([asked[row].prompt for row in rows])) for rows in groups),
        answers=torch.tensor([one.answer[0] for one in asked], dtype=torch.int64),
        foils=tuple(tuple(foil[0] for foil in one.foils) for one in asked),
        longer=tuple(_longer(asked)),
        tokenizer=tokenizer,
    )


def first_tokens(
    tokenizer: PreTrainedTokenizerFast, probes: Sequence[Probe], *, limit: int
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Prompts of equal length (n, n_pos) and the first token of each one's answer (n,). Raises as `prepare_probes`."""
    asked = _read(tokenizer, probes, limit=limit)
    groups = _batches(asked, lambda one: len(one.prompt), lambda one: len(one.prompt))
    return [
        (torch.tensor([one.prompt for one in group]), torch.tensor([one.answer[0] for one in group]))
        for group in groups
    ]


@dataclass(frozen=True)
class _Read:
    """A probe as tokens."""

    prompt: list[int]  # with BOS
    answer: list[int]
    foils: list[list[int]]

    @property
    def is_short(self) -> bool:
        return all(len(ids) == 1 for ids in (self.answer, *self.foils))


def _read(
    tokenizer: PreTrainedTokenizerFast, probes: Sequence[Probe], *, limit: int, use_known: bool = False
) -> list[_Read]:
    read, found = PromptReader(tokenizer), []
    for probe in probes:
        text = probe.known_text if use_known else probe.text
        try:
            prompt = read.prompt(text, limit=limit)
            answer, *foils = (read.answer(text, word, blank=probe.blank) for word in (probe.answer, *probe.foils))
            _check_length(len(prompt) - 1 + max(map(len, (answer, *foils))), limit)
        except PromptRefused as error:
            raise InputError(f"Probe “{probe.id}”: {error}") from error
        found.append(_Read(prompt, answer, foils))
    return found


def _check_length(n_tokens: int, limit: int) -> None:
    """Of a prompt without BOS and its answer: the answer's last token is asked for and not read."""
    if n_tokens > limit:
        raise PromptRefused(
            f"The prompt and its answer have {n_tokens} tokens; this model takes at most {limit}. Shorten them."
        )


def _longer(asked: Sequence[_Read]) -> Iterator[LongAnswers]:
    wanted = [
        (row, number == 0, one.prompt, ids)
        for row, one in enumerate(asked)
        if not one.is_short
        for number, ids in enumerate((one.answer, *one.foils))
    ]
    # Logits are made at every token of an answer, so as many fewer fit side by side.
    groups = _batches(wanted, lambda one: (len(one[2]), len(one[3])), lambda one: (len(one[2]) + 1) * len(one[3]))
    for group in groups:
        rows, is_answer, prompts, following = zip(*group, strict=True)
        yield LongAnswers(
            rows=torch.tensor(rows),
            is_answer=torch.tensor(is_answer),
            tokens=torch.tensor([[*prompt, *ids[:-1]] for prompt, ids in zip(prompts, following, strict=True)]),
            following=torch.tensor(following),
        )


def _batches(
    items: Iterable[_Item], shape: Callable[[_Item], Hashable], cost: Callable[[_Item], int]
) -> Iterator[list[_Item]]:
    """Those of one shape together, as many as cost BATCH_TOKENS."""
    by_shape: dict[Hashable, list[_Item]] = defaultdict(list)
    for item in items:
        by_shape[shape(item)].append(item)
    for _, alike in sorted(by_shape.items(), key=lambda pair: pair[0]):  # type: ignore[arg-type, return-value]
        size = max(1, BATCH_TOKENS // cost(alike[0]))
        for start in range(0, len(alike), size):
            yield alike[start : start + size]
