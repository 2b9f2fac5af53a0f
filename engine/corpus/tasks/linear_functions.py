"""y = 5 x + 75 with the values for 1, 2 and 3; the corrupted prompt has another function and its values."""

import random
from collections.abc import Iterator

from engine.corpus.tasks.problems import Defaults, Problem, Question, as_long, number_task, paired
from engine.domain.corpus import Wording

SLOPES = {"demo": range(1, 4), "model": range(2, 21)}
ASKED_AT = 4


def _draw(rng: random.Random, limit: int, wording: Wording) -> Problem | None:
    slope, start = rng.choice(SLOPES[wording]), rng.randint(0, limit)
    clean = _asked(wording, slope, start)
    return paired(wording, clean, _corruptions(rng, wording, slope, start, limit))


def _corruptions(rng: random.Random, wording: Wording, slope: int, start: int, limit: int) -> Iterator[Question]:
    for other in rng.sample(SLOPES[wording], len(SLOPES[wording])):
        yield _asked(wording, other, start)
    for other in as_long(rng, start, limit):  # where another slope gives values with more or fewer digits
        yield _asked(wording, slope, other)


def _asked(wording: Wording, slope: int, start: int) -> Question:
    values = [str(slope * x + start) for x in range(1, ASKED_AT)]
    if wording == "demo":
        return Question(f"y = {slope} * x + {start}", slope * ASKED_AT + start, given=" , ".join(values))
    return Question(f"y={slope}x+{start}", slope * ASKED_AT + start, given=",".join(values))


LINEAR_FUNCTIONS = number_task(
    name="linear_functions",
    title="Linear functions",
    description="A function and its first three values, and the fourth is asked for; another function corrupts it.",
    phrasing={
        "demo": "function {w} . given x = 1 , 2 , 3 , 4 , y = {n} ,",
        "model": "There is a function {w}. Given x=1,2,3,4, y={n},",
    },
    defaults={"demo": Defaults(limit=60, n_rows=240), "model": Defaults(limit=500, n_rows=5000)},
    draw=_draw,
)
