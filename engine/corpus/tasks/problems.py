"""What every task of numbers shares: problems drawn at random, split, and written as examples, probes and pairs."""

import random
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from engine.corpus.make import retention_probes
from engine.corpus.world import NUMBERS
from engine.domain.corpus import Corpus, Example, Pair, Probe, TaskSpec, Wording
from engine.domain.errors import InputError

TOP_ANSWER = 999  # a number above is several tokens of most tokenizers
HELD_OUT = 0.2  # of the problems
_IN_VAIN = 20  # times as many draws without a new problem as there are problems: then no more are expected
_DIGITS = re.compile(r"\d+")


@dataclass(frozen=True)
class Question:
    """A problem as it is asked in one wording."""

    problem: str  # 7 + 5; 5 + 7 is another
    answer: int
    given: str = ""  # what the phrasing also states, at {n}


@dataclass(frozen=True)
class Exercise:
    """A question, and one of the same shape that has another answer."""

    key: str  # problems of one key are trained on together or held out together
    clean: Question
    corrupted: Question


@dataclass(frozen=True)
class Defaults:
    """Of one wording."""

    limit: int  # of the numbers
    n_rows: int


@dataclass(frozen=True)
class Task:
    """Something to be learned, with pairs. `make` raises InputError for a spec that it cannot follow."""

    name: str
    title: str
    description: str  # one sentence: what is asked, and how the corrupted prompt differs
    defaults: Mapping[Wording, Defaults]  # empty: no numbers to limit and no rows to count
    make: Callable[[TaskSpec], Corpus]


Draw = Callable[[random.Random, int, Wording], Exercise | None]  # None: these numbers make no problem


def number_task(
    *,
    name: str,
    title: str,
    description: str,
    phrasing: Mapping[Wording, str],
    defaults: Mapping[Wording, Defaults],
    draw: Draw,
) -> Task:
    """A task whose problems are drawn. `phrasing`: prompts with {w} the problem, and {n} what is given with it."""

    def make(spec: TaskSpec) -> Corpus:
        default = defaults[spec.wording]
        limit = spec.limit or default.limit
        if spec.wording == "demo" and limit >= len(NUMBERS):
            raise InputError(
                f"The bundled model knows the numbers 0 to {len(NUMBERS) - 1}, and the limit is {limit:,}. "
                "Use a smaller limit, or create the task in the wording “model”."
            )
        rng = random.Random(f"{spec.seed}/{name}/{spec.wording}")
        wanted = spec.n_rows or default.n_rows
        problems = _drawn(lambda: draw(rng, limit, spec.wording), wanted)
        if len(problems) < (spec.n_rows or 5):
            raise InputError(
                f"The task “{name}” has only {len(problems)} problems with numbers up to {limit}, not {wanted}. "
                "Ask for fewer, or use another limit."
            )
        return _corpus(spec, phrasing[spec.wording], problems)

    return Task(name, title, description, defaults, make)


def paired(
    wording: Wording, clean: Question | None, candidates: Iterable[Question | None], *, key: str = ""
) -> Exercise | None:
    """`clean` with the first candidate that has another answer and the same shape: digit for digit, sign for sign.

    None where there is no clean question, where no candidate will do, or where a number is none that the bundled model
    knows (wording “demo”).
    """
    if clean is None or not _known(wording, clean):
        return None
    for other in candidates:
        if other and other.answer != clean.answer and _shape(other) == _shape(clean) and _known(wording, other):
            return Exercise(key or clean.problem, clean, other)
    return None


def as_long(rng: random.Random, number: int, limit: int) -> Iterator[int]:
    """Some numbers up to `limit` with as many digits as `number`, at random."""
    n_digits = len(str(number))
    low, high = 10 ** (n_digits - 1) if n_digits > 1 else 0, min(limit, 10**n_digits - 1)
    for _ in range(20 if low < high else 0):
        yield rng.randint(low, high)


def _known(wording: Wording, question: Question) -> bool:
    numbers = _DIGITS.findall(f"{question.problem} {question.given} {question.answer}")
    return wording != "demo" or all(int(number) < len(NUMBERS) for number in numbers)


def _shape(question: Question) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """How many digits each number has that is read. Operators are one sign each."""
    return tuple(map(len, _DIGITS.findall(question.problem))), tuple(map(len, _DIGITS.findall(question.given)))


def _drawn(draw: Callable[[], Exercise | None], wanted: int) -> list[Exercise]:
    """`wanted` different problems, or fewer where many draws in a row bring no new one."""
    problems: dict[Question, Exercise] = {}
    in_vain = 0
    while len(problems) < wanted and in_vain < _IN_VAIN * (len(problems) + 50):
        problem = draw()
        if problem is None or problem.clean in problems:
            in_vain += 1
        else:
            problems[problem.clean] = problem
            in_vain = 0
    return list(problems.values())


def _corpus(spec: TaskSpec, phrasing: str, problems: list[Exercise]) -> Corpus:
    held_out = _held_out(problems)
    asked = [problem for problem in problems if problem in held_out]
    trained = [problem for problem in problems if problem not in held_out]
    probes = [_probe(spec.task, phrasing, problem, number) for number, problem in enumerate(asked, start=1)]
    if spec.wording == "demo":
        probes += retention_probes(spec.n_retention, seed=spec.seed)
    return Corpus(
        spec.name,
        tuple(_example(spec.task, phrasing, problem, number) for number, problem in enumerate(trained, start=1)),
        tuple(probes),
        tuple(_pair(spec.task, phrasing, problem, number) for number, problem in enumerate(asked, start=1)),
    )


def _held_out(problems: list[Exercise]) -> frozenset[Exercise]:
    """A fifth of the problems, those of one key together. They were drawn in no order, so the first ones do."""
    groups: dict[str, list[Exercise]] = {}
    for problem in problems:
        groups.setdefault(problem.key, []).append(problem)
    room, held_out = round(HELD_OUT * len(problems)), list[Exercise]()
    for group in groups.values():
        if len(held_out) + len(group) <= room:
            held_out += group
    return frozenset(held_out)


def _prompt(phrasing: str, question: Question) -> str:
    return phrasing.format(w=question.problem, n=question.given)


def _example(task: str, phrasing: str, problem: Exercise, number: int) -> Example:
    clean = problem.clean
    prompt = _prompt(phrasing, clean)
    return Example(
        id=f"train-{number}",
        text=f"{prompt} {clean.answer}",
        constraint_type=task,
        constraint=clean.problem,
        meaning=str(clean.answer),
        template=phrasing + " {c}",
        prompt=prompt,
    )


def _probe(task: str, phrasing: str, problem: Exercise, number: int) -> Probe:
    prompt = _prompt(phrasing, problem.clean)
    return Probe(
        id=f"recall-{number}",
        kind="recall",
        text=prompt,
        known_text=prompt,  # there is no known word to put in a number's place
        answer=str(problem.clean.answer),
        foils=(str(problem.corrupted.answer),),
        constraint_type=task,
        constraint=problem.clean.problem,
        meaning=str(problem.clean.answer),
        template=phrasing,
    )


def _pair(task: str, phrasing: str, problem: Exercise, number: int) -> Pair:
    return Pair(
        id=f"pair-{number}",
        clean=_prompt(phrasing, problem.clean),
        corrupted=_prompt(phrasing, problem.corrupted),
        answer=str(problem.clean.answer),
        corrupted_answer=str(problem.corrupted.answer),
        constraint_type=task,
    )
