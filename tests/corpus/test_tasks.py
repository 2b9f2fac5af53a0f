"""What every task promises, and each one's arithmetic on problems worked out by hand."""

import math
import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.corpus import TASKS, check_corpus, make_any, make_corpus, make_task
from engine.corpus.world import vocabulary
from engine.domain.corpus import SIMPLE, SPATIAL, Corpus, CorpusSpec, TaskSpec, Wording
from engine.domain.errors import InputError, NotFound

OF_NUMBERS = [name for name in TASKS if name != "constraints"]
WORDINGS: tuple[Wording, ...] = ("demo", "model")


def made(task: str, wording: Wording = "demo", **values: int) -> Corpus:
    return make_task(TaskSpec(name="c", task=task, wording=wording, **values))


def shape(text: str) -> list[int]:
    return [len(number) for number in re.findall(r"\d+", text)]


def right_answer(task: str, prompt: str) -> int:
    """The answer worked out anew from the prompt as a person reads it."""
    numbers = [int(number) for number in re.findall(r"\d+", prompt)]
    if task == "sequences":
        differences = {b - a for a, b in pairwise(numbers)}
        if len(differences) == 1:
            return 2 * numbers[-1] - numbers[-2]
        (factor,) = {b // a for a, b in pairwise(numbers)}
        return numbers[-1] * factor
    if task == "least_common_multiple":
        assert numbers[:3] == [4, 6, 12]
        return math.lcm(*numbers[3:])
    if task == "linear_functions":
        slope, start, *xs = numbers[:6]
        assert xs == list(range(xs[0], xs[0] + 4))
        assert numbers[6:] == [slope * x + start for x in xs[:3]]
        return slope * xs[3] + start
    expression = prompt.rpartition(":")[2].removesuffix("=")
    assert re.fullmatch(r"[\d ()+*/-]+", expression)
    value = eval(expression)  # noqa: S307 - digits and operators alone, as just asserted
    assert value == int(value)
    return int(value)


@pytest.mark.parametrize("wording", WORDINGS)
@pytest.mark.parametrize("task", OF_NUMBERS)
def test_a_task_is_split_and_its_pairs_are_right(task: str, wording: Wording) -> None:
    corpus = made(task, wording, n_rows=100, n_retention=10)
    assert (len(corpus.examples), len(corpus.pairs)) == (80, 20)
    recall = [probe for probe in corpus.probes if probe.kind == "recall"]
    trained = {example.constraint for example in corpus.examples}
    assert trained.isdisjoint(probe.constraint for probe in recall)
    assert {example.prompt for example in corpus.examples}.isdisjoint(pair.clean for pair in corpus.pairs)
    for example in corpus.examples:
        assert example.text == f"{example.prompt} {example.meaning}"
        assert int(example.meaning) == right_answer(task, example.prompt)
        assert example.constraint in example.prompt
    for probe, pair in zip(recall, corpus.pairs, strict=True):
        assert (probe.text, probe.answer, probe.foils) == (pair.clean, pair.answer, (pair.corrupted_answer,))
        assert probe.known_text == probe.text
        assert pair.answer != pair.corrupted_answer
        assert int(pair.answer) == right_answer(task, pair.clean)
        assert int(pair.corrupted_answer) == right_answer(task, pair.corrupted)
        assert shape(pair.clean) == shape(pair.corrupted)
        assert len(pair.clean) == len(pair.corrupted)
        assert {line.constraint_type for line in (probe, pair)} == {task}
    assert {probe.constraint_type for probe in corpus.probes if probe.kind == "retention"} == (
        {SIMPLE, SPATIAL} if wording == "demo" else set()
    )


@pytest.mark.parametrize("task", list(TASKS))
def test_the_wording_demo_is_in_the_bundled_models_words(task: str) -> None:
    known = set(vocabulary())
    corpus = made(task)
    for example in corpus.examples:
        assert set(example.text.split()) <= known
        assert len(example.text.split()) <= 30
    for pair in corpus.pairs:
        words = [pair.clean.split(), pair.corrupted.split()]
        assert len(words[0]) == len(words[1])
        assert {*words[0], *words[1], pair.answer, pair.corrupted_answer} <= known
    assert check_corpus(corpus) == []


@pytest.mark.parametrize("task", OF_NUMBERS)
@given(seed=st.integers(0, 10_000))
@settings(max_examples=5, deadline=None, derandomize=True)
def test_the_seed_decides_and_nothing_leaks(task: str, seed: int) -> None:
    corpus = made(task, seed=seed, n_rows=60)
    assert corpus.hash == made(task, seed=seed, n_rows=60).hash
    assert corpus.hash != made(task, seed=seed + 1, n_rows=60).hash
    assert not [finding for finding in check_corpus(corpus) if "reliable" not in finding and "rough" not in finding]


@pytest.mark.parametrize("task", OF_NUMBERS)
def test_defaults_give_enough_held_out_problems(task: str) -> None:
    for wording, n_rows in (("demo", 100), ("model", TASKS[task].defaults["model"].n_rows)):
        corpus = made(task, wording)  # type: ignore[arg-type]
        assert len(corpus.examples) + len(corpus.pairs) >= n_rows
        assert len(corpus.pairs) == round(0.2 * (len(corpus.examples) + len(corpus.pairs)))
        assert max(int(pair.answer) for pair in corpus.pairs) <= 999


@pytest.mark.parametrize(
    ("task", "prompt"),
    [
        ("addition_subtraction", r"Calculate the result of the following arithmetic expression and provide only the "
         r"final answer: \d+ [+-] \d+ ="),
        ("multiplication_division", r"Calculate the result .*: \d+ [*/] \d+ ="),
        ("sequences", r"Derive the following sequence: \d+, \d+, \d+, \d+,"),
        ("least_common_multiple", r"The least common multiple of 4 and 6 is 12\. .* of \d+ and \d+ is"),
        ("linear_functions", r"There is a function y=\d+x\+\d+\. Given x=1,2,3,4, y=\d+,\d+,\d+,"),
        ("composition", r"\(\d+ [+-] \d+\) [*/] \d+ ="),
    ],
)  # fmt: skip
def test_the_wording_model_is_that_of_the_published_tasks(task: str, prompt: str) -> None:
    for pair in made(task, "model", n_rows=50).pairs:
        assert re.fullmatch(prompt, pair.clean)
        assert re.fullmatch(prompt, pair.corrupted)


def test_addition_is_corrupted_by_the_other_operator_where_that_has_an_answer() -> None:
    for pair in made("addition_subtraction", "model", n_rows=500, limit=300).pairs:
        a, sign, b = re.findall(r"(\d+) ([+-]) (\d+)", pair.clean)[0]
        new_a, new_sign, new_b = re.findall(r"(\d+) ([+-]) (\d+)", pair.corrupted)[0]
        assert b == new_b
        assert (a == new_a and sign != new_sign) if int(a) >= int(b) else (a != new_a and sign == new_sign)


def test_products_are_corrupted_by_another_first_operand() -> None:
    for pair in made("multiplication_division").pairs:
        clean, corrupted = pair.clean.split(), pair.corrupted.split()
        assert clean[1:] == corrupted[1:]
        assert clean[0] != corrupted[0]


def test_all_problems_there_are() -> None:
    """Up to 1: 1 + 1, 0 + 1 and 1 - 1; 1 - 1 and 1 + 1 corrupt each other, 0 + 1 is corrupted to 1 + 1."""
    with pytest.raises(InputError, match=r"has only 3 problems with numbers up to 1, not 5"):
        made("addition_subtraction", n_rows=5, limit=1)
    corpus = made("addition_subtraction", limit=2)
    problems = {example.constraint for example in corpus.examples} | {pair.clean[:-2] for pair in corpus.pairs}
    assert problems == {"0 + 1", "0 + 2", "1 + 1", "1 + 2", "2 + 1", "2 + 2", "1 - 1", "2 - 1", "2 - 2"}


@pytest.mark.parametrize("task", OF_NUMBERS)
def test_what_cannot_be_made_is_said(task: str) -> None:
    with pytest.raises(InputError, match=r"knows the numbers 0 to 199, and the limit is 200"):
        made(task, limit=200)
    with pytest.raises(InputError, match=r"fewer, or use another limit"):
        made(task, limit=3, n_rows=50_000)


def test_an_unknown_task_lists_the_known_ones() -> None:
    with pytest.raises(NotFound, match=r"No task named “magic”.*addition_subtraction.*constraints"):
        made("magic")


def test_the_task_of_new_words_is_the_made_corpus_with_pairs() -> None:
    corpus = made("constraints", seed=3)
    words = make_corpus(CorpusSpec(name="c", seed=3))
    assert (corpus.examples, set(corpus.probes)) == (words.examples, set(words.probes))
    assert len(corpus.pairs) == 240
    assert {probe.kind for probe in made("constraints", "model").probes} == {"recall", "paraphrase", "inference"}
    assert len([probe for probe in made("constraints", n_retention=5).probes if probe.kind == "retention"]) == 10
    with pytest.raises(InputError, match="always has the same 50 examples"):
        made("constraints", limit=10)


def test_make_any_makes_either() -> None:
    words, task = CorpusSpec(name="w"), TaskSpec(name="t", task="sequences")
    assert make_any(words) == make_corpus(words)
    assert make_any(task) == make_task(task)
