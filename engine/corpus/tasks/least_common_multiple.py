"""The least common multiple of two numbers, after one worked example; the corrupted prompt has another first number."""

import math
import random

from engine.corpus.tasks.problems import TOP_ANSWER, Defaults, Exercise, Question, as_long, number_task, paired
from engine.domain.corpus import Wording

WORKED = (4, 6)  # of 12; never asked for


def _draw(rng: random.Random, limit: int, wording: Wording) -> Exercise | None:
    a, b = rng.randint(1, limit), rng.randint(1, limit)
    if {a, b} == set(WORKED):
        return None
    others = (_question(wording, n, b) for n in as_long(rng, a, limit) if n)
    return paired(wording, _question(wording, a, b), others)


def _question(wording: Wording, a: int, b: int) -> Question | None:
    answer = math.lcm(a, b)
    problem = f"{a} , {b}" if wording == "demo" else f"{a} and {b}"
    return Question(problem, answer) if answer <= TOP_ANSWER else None


LEAST_COMMON_MULTIPLE = number_task(
    name="least_common_multiple",
    title="Least common multiple",
    description="One worked example, then the question. Corrupted prompts have another first number.",
    phrasing={
        "demo": "least common multiple 4 , 6 = 12 . least common multiple {w} =",
        "model": "The least common multiple of 4 and 6 is 12. The least common multiple of {w} is",
    },
    defaults={"demo": Defaults(limit=13, n_rows=300), "model": Defaults(limit=100, n_rows=2500)},
    draw=_draw,
)
