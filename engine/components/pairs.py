"""Clean and corrupted prompts as tokens: which of them are taken, and how they are perturbed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedTokenizerFast

from engine.corpus.pairs import misfits
from engine.domain.components import ScoreSettings
from engine.domain.corpus import Pair
from engine.domain.errors import InputError, PromptRefused
from engine.domain.numbers import plural
from engine.models.prompts import PromptReader

N_NAMED = 5  # bad pairs that a message names


@dataclass(frozen=True, eq=False)
class TokenPairs:
    """Pairs with BOS first, padded on the right (with 0, which nothing reads); both prompts of a pair are as long."""

    ids: tuple[str, ...]  # of the pairs
    types: tuple[str, ...]  # constraint types
    clean: torch.Tensor  # (n, n_pos) int64
    corrupted: torch.Tensor  # (n, n_pos) int64
    lengths: torch.Tensor  # (n,) int64, tokens of each prompt
    answers: torch.Tensor  # (n,) int64, the first token of the answer to the clean prompt
    corrupted_answers: torch.Tensor  # (n,) int64

    def __len__(self) -> int:
        return len(self.ids)

    def part(self, rows: Sequence[int] | np.ndarray) -> "TokenPairs":
        """The pairs of these rows, in this order, padded no further than they need."""
        chosen = [int(row) for row in rows]
        index = torch.tensor(chosen, dtype=torch.int64)
        lengths = self.lengths[index]
        n_pos = int(lengths.max()) if chosen else 0
        return TokenPairs(
            ids=tuple(self.ids[row] for row in chosen),
            types=tuple(self.types[row] for row in chosen),
            clean=self.clean[index, :n_pos],
            corrupted=self.corrupted[index, :n_pos],
            lengths=lengths,
            answers=self.answers[index],
            corrupted_answers=self.corrupted_answers[index],
        )


def prepare_pairs(tokenizer: PreTrainedTokenizerFast, pairs: Sequence[Pair], *, limit: int) -> TokenPairs:
    """Tokenise pairs for a model that takes `limit` tokens.

    Of an answer of several tokens the first is taken. Left out are pairs that cannot be used: a prompt that the model
    cannot take, prompts of unequal token length, answers that begin alike. Raises InputError, naming them, where there
    are no others; or no pair at all.
    """
    if not pairs:
        raise InputError("There are no prompt pairs. Choose a corpus that has some.")
    rows: list[_Row] = []
    read = PromptReader(tokenizer)
    bad: list[str] = []
    for pair in pairs:
        try:
            rows.append(_row(read, pair, limit))
        except PromptRefused as error:
            bad.append(f"“{pair.id}”: {str(error).rstrip('.')}")
    if not rows:
        more = f"; and {len(bad) - N_NAMED} more" if len(bad) > N_NAMED else ""
        raise InputError(
            f"None of the {plural(len(pairs), 'pair')} can be used with this model. {'; '.join(bad[:N_NAMED])}{more}. "
            "Mend those pairs, or choose a corpus whose pairs this model reads."
        )
    return TokenPairs(
        ids=tuple(row.pair.id for row in rows),
        types=tuple(row.pair.constraint_type for row in rows),
        clean=_padded([row.clean for row in rows]),
        corrupted=_padded([row.corrupted for row in rows]),
        lengths=torch.tensor([len(row.clean) for row in rows]),
        answers=torch.tensor([row.answer for row in rows]),
        corrupted_answers=torch.tensor([row.corrupted_answer for row in rows]),
    )


def drawn(pairs: TokenPairs, settings: ScoreSettings) -> TokenPairs:
    """At most `settings.n_pairs` of them, drawn by the seed, as evenly over the types as these allow.

    Drawing from what was drawn changes nothing.
    """
    if len(pairs) <= settings.n_pairs:
        return pairs
    kinds, places = _shuffled(pairs.types, settings.seed)
    turns = sorted(range(len(pairs)), key=lambda row: (places[row], kinds[row]))  # the types take turns
    return pairs.part(sorted(turns[: settings.n_pairs]))


def grouped(pairs: TokenPairs, settings: ScoreSettings) -> np.ndarray:
    """(n,) int64: the group of each pair, of `settings.n_groups` (as many as there are pairs, if those are fewer).

    Groups are disjoint, drawn by the seed, and even in size and types.
    """
    kinds, places = _shuffled(pairs.types, settings.seed)
    order = np.lexsort((places, kinds))  # type by type
    groups = np.empty(len(pairs), dtype=np.int64)
    groups[order] = np.arange(len(pairs)) % min(settings.n_groups, len(pairs))
    return groups


def perturbed(pairs: TokenPairs, level: float, *, seed: int) -> TokenPairs:
    """Pairs whose context is noise to this level (0 to 1); answers stay.

    Each token is, with probability `level`, replaced in both prompts alike; not BOS, not the last one, and none in
    which the two prompts differ. The new token is another one that stands at that position in the clean prompt of a
    pair of equal length, drawn as often as it stands there; where there is no other, the token stays.
    """
    if not 0 <= level <= 1:
        raise InputError(f"Inputs are perturbed by a level of 0 to 1, not {level:g}.")
    rng = np.random.default_rng(seed)
    clean, corrupted = pairs.clean.numpy().copy(), pairs.corrupted.numpy().copy()
    lengths = pairs.lengths.numpy()
    for length in np.unique(lengths):
        rows = np.flatnonzero(lengths == length)
        for position in range(1, length - 1):
            there = clean[rows, position].copy()
            chosen = (rng.random(len(rows)) < level) & (there == corrupted[rows, position])
            for row, old in zip(rows[chosen], there[chosen], strict=True):
                others = there[there != old]
                if len(others):
                    clean[row, position] = corrupted[row, position] = rng.choice(others)
    return replace(pairs, clean=torch.from_numpy(clean), corrupted=torch.from_numpy(corrupted))


@dataclass(frozen=True)
class _Row:
    pair: Pair
    clean: list[int]
    corrupted: list[int]
    answer: int
    corrupted_answer: int


def _row(read: PromptReader, pair: Pair, limit: int) -> _Row:
    if reasons := misfits(pair, read):
        raise PromptRefused("; ".join(reasons))
    return _Row(
        pair=pair,
        clean=read.prompt(pair.clean, limit=limit),
        corrupted=read.prompt(pair.corrupted, limit=limit),
        answer=read.next_token(pair.clean, pair.answer, blank=pair.blank),
        corrupted_answer=read.next_token(pair.corrupted, pair.corrupted_answer, blank=pair.blank),
    )


def _padded(prompts: Sequence[list[int]]) -> torch.Tensor:
    return pad_sequence([torch.tensor(prompt) for prompt in prompts], batch_first=True)


def _shuffled(types: Sequence[str], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Of each pair the number of its type and its place, drawn anew, among those of its type; (n,) int64 each."""
    known = {kind: number for number, kind in enumerate(dict.fromkeys(types))}
    kinds = np.array([known[kind] for kind in types], dtype=np.int64)
    places = np.empty(len(types), dtype=np.int64)
    order = np.random.default_rng(seed).permutation(len(types))
    for number in range(len(known)):
        of_kind = order[kinds[order] == number]
        places[of_kind] = np.arange(len(of_kind))
    return kinds, places
