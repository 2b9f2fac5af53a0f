"""( 6 - 4 ) * 3: a sum or difference, then a product or quotient; the corrupted prompt has another inner operator."""

import random
from collections.abc import Iterator

from engine.corpus.tasks.problems import TOP_ANSWER, Defaults, Exercise, Question, as_long, number_task, paired
from engine.domain.corpus import Wording

# The largest c. The bundled model has never seen what numbers mean, and learns a table that is small enough.
FACTORS: dict[Wording, int | None] = {"demo": 3, "model": None}


def _draw(rng: random.Random, limit: int, wording: Wording) -> Exercise | None:
    a, b, c = rng.randint(0, limit), rng.randint(1, limit), rng.randint(2, FACTORS[wording] or max(2, limit))
    inner, outer = rng.choice("+-"), rng.choice("*/")
    clean = _question(wording, a, inner, b, outer, c)
    return paired(wording, clean, _corruptions(rng, wording, (a, inner, b, outer, c), limit))


def _corruptions(
    rng: random.Random, wording: Wording, parts: tuple[int, str, int, str, int], limit: int
) -> Iterator[Question | None]:
    a, inner, b, outer, c = parts
    yield _question(wording, a, "-" if inner == "+" else "+", b, outer, c)
    for other in as_long(rng, a, limit):
        yield _question(wording, other, inner, b, outer, c)


def _question(wording: Wording, a: int, inner: str, b: int, outer: str, c: int) -> Question | None:
    first = a + b if inner == "+" else a - b
    if first < 0 or (outer == "/" and first % c):
        return None
    answer = first * c if outer == "*" else first // c
    sum_of = f"( {a} {inner} {b} )" if wording == "demo" else f"({a} {inner} {b})"
    return Question(f"{sum_of} {outer} {c}", answer) if answer <= TOP_ANSWER else None


COMPOSITION = number_task(
    name="composition",
    title="Two operations",
    description="(a ± b) multiplied or divided by c. Corrupted prompts swap + and −.",
    phrasing={"demo": "{w} =", "model": "{w} ="},
    defaults={"demo": Defaults(limit=6, n_rows=400), "model": Defaults(limit=100, n_rows=5000)},
    draw=_draw,
)
