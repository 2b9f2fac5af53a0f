"""y = 5 x + 75 with the values for 1, 2 and 3; the corrupted prompt has another function and its values."""

import random
from collections.abc import Iterable, Iterator

from engine.corpus.tasks.problems import Defaults, Exercise, Question, as_long, number_task, paired
from engine.domain.corpus import Wording

SLOPES = {"demo": range(1, 5), "model": range(2, 21)}
N_GIVEN = 3
# The first x. The bundled model has never seen what numbers mean: it learns of one function how others go on.
FIRST = {"demo": (1, 2, 3, 4), "model": (1,)}


def _draw(rng: random.Random, limit: int, wording: Wording) -> Exercise | None:
    slope, start, first = rng.choice(SLOPES[wording]), rng.randint(0, limit), rng.choice(FIRST[wording])
    others = _corruptions(rng, wording, slope, start, first, limit)
    return paired(wording, _question(wording, slope, start, first), others, key=f"{slope} x + {start}")


def _corruptions(
    rng: random.Random, wording: Wording, slope: int, start: int, first: int, limit: int
) -> Iterator[Question]:
    for other in rng.sample(SLOPES[wording], len(SLOPES[wording])):
        yield _question(wording, other, start, first)
    for other in as_long(rng, start, limit):  # where another slope gives values with more or fewer digits
        yield _question(wording, slope, other, first)


def _question(wording: Wording, slope: int, start: int, first: int) -> Question:
    xs = range(first, first + N_GIVEN + 1)
    *values, answer = (slope * x + start for x in xs)
    if wording == "demo":
        given = f"x = {_row(xs, ' , ')} , y = {_row(values, ' , ')}"
        return Question(f"y = {slope} * x + {start}", answer, given)
    return Question(f"y={slope}x+{start}", answer, given=f"x={_row(xs, ',')}, y={_row(values, ',')}")


def _row(numbers: Iterable[int], between: str) -> str:
    return between.join(map(str, numbers))


LINEAR_FUNCTIONS = number_task(
    name="linear_functions",
    title="Linear functions",
    description="The fourth value of a function after its first three. Corrupted prompts have another function.",
    phrasing={
        "demo": "function {w} . given {n} ,",
        "model": "There is a function {w}. Given {n},",
    },
    defaults={"demo": Defaults(limit=15, n_rows=300), "model": Defaults(limit=500, n_rows=5000)},
    draw=_draw,
)
