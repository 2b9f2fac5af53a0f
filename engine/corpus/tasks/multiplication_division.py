"""6 * 7 and 42 / 7; the corrupted prompt has another first operand with as many digits."""

import random

from engine.corpus.tasks.problems import TOP_ANSWER, Defaults, Exercise, Question, as_long, number_task, paired
from engine.domain.corpus import Wording


def _draw(rng: random.Random, limit: int, wording: Wording) -> Exercise | None:
    a, b = rng.randint(1, limit), rng.randint(1, limit)
    if rng.random() < 0.5:
        return paired(wording, _product(a, b), (_product(n, b) for n in as_long(rng, a, limit)))
    return paired(wording, _quotient(a, b), (_quotient(n // b, b) for n in as_long(rng, a * b, limit * b)))


def _product(a: int, b: int) -> Question | None:
    return Question(f"{a} * {b}", a * b) if 0 < a * b <= TOP_ANSWER else None


def _quotient(answer: int, b: int) -> Question | None:
    return Question(f"{answer * b} / {b}", answer) if answer else None


MULTIPLICATION_DIVISION = number_task(
    name="multiplication_division",
    title="Multiplication and division",
    description="Products, and quotients without remainder. Corrupted prompts have another first operand.",
    phrasing={
        "demo": "{w} =",
        "model": "Calculate the result of the following arithmetic expression and provide only the final answer: {w} =",
    },
    defaults={"demo": Defaults(limit=9, n_rows=300), "model": Defaults(limit=100, n_rows=2000)},
    draw=_draw,
)
