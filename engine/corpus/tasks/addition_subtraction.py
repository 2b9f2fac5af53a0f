"""7 + 5 and 7 - 5; the corrupted prompt has the other operator."""

import random
from collections.abc import Iterator

from engine.corpus.tasks.problems import Defaults, Exercise, Question, as_long, number_task, paired
from engine.domain.corpus import Wording


def _draw(rng: random.Random, limit: int, wording: Wording) -> Exercise | None:
    a, b, sign = rng.randint(0, limit), rng.randint(1, limit), rng.choice("+-")
    return paired(wording, _question(a, sign, b), _corruptions(rng, a, sign, b, limit))


def _corruptions(rng: random.Random, a: int, sign: str, b: int, limit: int) -> Iterator[Question | None]:
    yield _question(a, "-" if sign == "+" else "+", b)
    for other in as_long(rng, a, limit):  # where swapping would give less than nothing
        yield _question(other, sign, b)


def _question(a: int, sign: str, b: int) -> Question | None:
    answer = a + b if sign == "+" else a - b
    return Question(f"{a} {sign} {b}", answer) if answer >= 0 else None


ADDITION_SUBTRACTION = number_task(
    name="addition_subtraction",
    title="Addition and subtraction",
    description="Sums and differences. Corrupted prompts swap + and −.",
    phrasing={
        "demo": "{w} =",
        "model": "Calculate the result of the following arithmetic expression and provide only the final answer: {w} =",
    },
    defaults={"demo": Defaults(limit=10, n_rows=400), "model": Defaults(limit=100, n_rows=5000)},
    draw=_draw,
)
