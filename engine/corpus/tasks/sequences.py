"""4, 8, 12, 16: numbers that grow by the same step or factor; the corrupted prompt grows by another."""

import random
from collections.abc import Iterator

from engine.corpus.tasks.problems import TOP_ANSWER, Defaults, Problem, Question, number_task, paired
from engine.domain.corpus import Wording

N_SHOWN = 4
STEPS = {"demo": (-2, -1, 2), "model": range(2, 31)}  # one more each time is what the bundled model knows already
FACTORS = range(2, 5)


def _draw(rng: random.Random, limit: int, wording: Wording) -> Problem | None:
    start = rng.randint(0, limit)
    by, factor = rng.choice(STEPS[wording]), 1
    if wording == "model" and rng.random() < 0.2:
        by, factor = 0, rng.choice(FACTORS)
    clean = _asked(wording, start, by, factor)
    return paired(wording, clean, _corruptions(rng, wording, start, by, factor))


def _corruptions(rng: random.Random, wording: Wording, start: int, by: int, factor: int) -> Iterator[Question | None]:
    steps, factors = list(STEPS[wording]), list(FACTORS)
    for other in rng.sample(steps, len(steps)) if by else rng.sample(factors, len(factors)):
        yield _asked(wording, start, other, 1) if by else _asked(wording, start, 0, other)
    for nearby in (1, -1, 2, -2, 3, -3):  # where another step would take another number of digits
        yield _asked(wording, start + nearby, by, factor)


def _asked(wording: Wording, start: int, by: int, factor: int) -> Question | None:
    numbers = [start]
    for _ in range(N_SHOWN):
        numbers.append(numbers[-1] * factor + by)
    if min(numbers) < 0 or numbers[0] == numbers[1] or numbers[-1] > TOP_ANSWER:
        return None
    return Question((" , " if wording == "demo" else ", ").join(map(str, numbers[:-1])), numbers[-1])


SEQUENCES = number_task(
    name="sequences",
    title="Sequences",
    description="Four numbers of a sequence, and the next is asked for; the corrupted prompt grows by another step.",
    phrasing={"demo": "derive the following sequence : {w} ,", "model": "Derive the following sequence: {w},"},
    defaults={"demo": Defaults(limit=100, n_rows=300), "model": Defaults(limit=300, n_rows=5000)},
    draw=_draw,
)
