"""4, 8, 12, 16: numbers that grow by the same step or factor; the corrupted prompt grows by another."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

from engine.corpus.tasks.problems import TOP_ANSWER, Defaults, Exercise, Question, number_task, paired
from engine.domain.corpus import Wording

STEPS = {"demo": (-3, -2, -1, 1, 2, 3), "model": range(2, 31)}
FACTORS = range(2, 5)
# How many numbers are shown. The bundled model has never seen what numbers mean: it learns of short sequences how the
# long ones go on.
N_SHOWN = {"demo": (3, 4, 5), "model": (4,)}


@dataclass(frozen=True)
class _Sequence:
    start: int
    by: int
    factor: int
    n_shown: int


def _draw(rng: random.Random, limit: int, wording: Wording) -> Exercise | None:
    drawn = _Sequence(rng.randint(0, limit), rng.choice(STEPS[wording]), 1, rng.choice(N_SHOWN[wording]))
    if wording == "model" and rng.random() < 0.2:
        drawn = replace(drawn, by=0, factor=rng.choice(FACTORS))
    others = (_question(wording, other) for other in _corruptions(rng, wording, drawn))
    # One that goes on is the same problem: the prompt of the short one is the beginning of the long one's text.
    return paired(wording, _question(wording, drawn), others, key=f"{drawn.start} + {drawn.by} * {drawn.factor}")


def _corruptions(rng: random.Random, wording: Wording, drawn: _Sequence) -> Iterator[_Sequence]:
    steps, factors = list(STEPS[wording]), list(FACTORS)
    for other in rng.sample(steps, len(steps)) if drawn.by else rng.sample(factors, len(factors)):
        yield replace(drawn, by=other) if drawn.by else replace(drawn, factor=other)
    for nearby in (1, -1, 2, -2, 3, -3):  # where another step would take another number of digits
        yield replace(drawn, start=drawn.start + nearby)


def _question(wording: Wording, sequence: _Sequence) -> Question | None:
    numbers = [sequence.start]
    for _ in range(sequence.n_shown):
        numbers.append(numbers[-1] * sequence.factor + sequence.by)
    if min(numbers) < 0 or numbers[0] == numbers[1] or numbers[-1] > TOP_ANSWER:
        return None
    return Question((" , " if wording == "demo" else ", ").join(map(str, numbers[:-1])), numbers[-1])


SEQUENCES = number_task(
    name="sequences",
    title="Sequences",
    description="The next number of a sequence. Corrupted prompts grow by another step.",
    phrasing={"demo": "derive the following sequence : {w} ,", "model": "Derive the following sequence: {w},"},
    defaults={"demo": Defaults(limit=20, n_rows=300), "model": Defaults(limit=300, n_rows=5000)},
    draw=_draw,
)
