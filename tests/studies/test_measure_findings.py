"""What a study of measures says: which ranking finds what matters, and which examples taught it."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest

from engine.domain.studies import Finding, Grid, StudySpec, StudyTables
from engine.studies.findings import MEASURE_QUESTIONS, findings
from engine.studies.tables import TAUGHT_COLUMNS
from tests.studies.made_tables import ranked_places
from tests.studies.one_question import question
from tests.studies.truths import figure

SPEC = StudySpec(name="made", asks="measures", grids=(Grid(),))
NOTHING = pd.DataFrame()
COMMAND = "python -m engine study made.yaml"


def ranked(*tables: pd.DataFrame) -> Finding:
    made = StudyTables(NOTHING, NOTHING, rankings=pd.concat(tables, ignore_index=True))
    return question("rankings", MEASURE_QUESTIONS)(made, SPEC, COMMAND)


def test_the_app_s_ranking_beats_chance_and_no_other_beats_it() -> None:
    found = ranked(ranked_places({"gradient": 0.8, "size": 0.2, "random": 0.1}))
    assert found.verdict == "yes"
    assert "MLPs of a model" in found.answer
    assert "No other ranking is clearly better." in found.answer
    assert found.command.endswith("--keep made")
    assert "There are 8 prompts (MLPs of a model), from 1 run of a model" in found.evidence
    first_five = figure(found, "gradient (app)", "taken back by the first 5, MLPs of a model")
    assert first_five.value == pytest.approx(0.8, abs=0.1)
    assert first_five.null == pytest.approx(0.1, abs=0.1)
    assert figure(found, "size", "rank correlation, MLPs of a model").null == 0


@pytest.mark.parametrize("better", ["first five", "correlation"])
def test_a_better_one_is_named(better: str) -> None:
    first_five = {"gradient": 0.8, "other": 0.9 if better == "first five" else 0.7, "random": 0.1}
    correlation = {"other": 0.9 if better == "correlation" else 0.4}
    one = ranked_places(first_five, correlation=correlation)
    found = ranked(one, ranked_places({"gradient": 0.8, "random": 0.1}, what="edges"))
    assert found.verdict == "partly"
    assert "“other” (MLPs of a model)" in found.answer
    assert ranked(one).verdict == "no"


def test_what_is_no_better_than_chance_finds_nothing() -> None:
    assert ranked(ranked_places({"gradient": 0.1, "size": 0.1, "random": 0.3})).verdict == "no"
    few = ranked(ranked_places({"gradient": 0.8, "size": 0.1, "random": 0.1}, n=3))
    assert few.verdict == "inconclusive"
    assert "not clearly" in few.answer


def test_without_rankings_the_command_is_told() -> None:
    found = findings(StudyTables(NOTHING, NOTHING), SPEC, command=COMMAND)
    assert [one.verdict for one in found] == ["inconclusive"] * len(MEASURE_QUESTIONS)
    answers = {one.key: one.answer for one in found}
    assert "--only rankings" in answers["rankings"]
    assert "measure: [taught]" in answers["taught"]


def taught(lost: Mapping[str, float], *, about: float = 5, n_words: int = 6) -> Finding:
    """By method what is lost without the first ones; random ones cost half a nat, the last ones nothing."""
    rng = np.random.default_rng(0)
    rows, runs = [], []
    for method, first in lost.items():
        for seed in range(2):
            run = f"{method}-{seed}"
            runs.append({"run": run, "method": method, "seed": seed})
            for word in range(n_words):
                noise = rng.normal(0, 0.1, 3)
                rows.append(
                    (
                        run, "t", f"w{word}", "p", "a", -0.1, -0.1 - first + noise[0], -0.1 + noise[1],
                        -0.6 + noise[2], 3, 5, about, 8, 5, 50,
                    )
                )  # fmt: skip
    tables = StudyTables(pd.DataFrame(runs), NOTHING, taught=pd.DataFrame(rows, columns=list(TAUGHT_COLUMNS)))
    return question("taught", MEASURE_QUESTIONS)(tables, SPEC, COMMAND)


def test_the_answer_rests_on_the_first_ones() -> None:
    found = taught({"lora": 4, "tokens": 3})
    assert found.verdict == "yes"
    assert "3.5 (LoRA)" in found.answer
    first = figure(found, "first 5, LoRA")
    assert (first.n, first.null) == (6, 0)
    assert first.value == pytest.approx(4, abs=0.2)
    about = figure(found, "LoRA", "examples, about the word of the first 8")
    assert (about.value, about.null) == (5, pytest.approx(0.8))


def test_only_one_method_s_answers_do() -> None:
    found = taught({"lora": 4, "tokens": 0.2})
    assert found.verdict == "partly"


def test_answers_that_lose_no_more_than_by_chance() -> None:
    assert taught({"lora": 0.2}, about=0).verdict == "no"
    assert taught({"lora": 4}, n_words=2).verdict == "inconclusive"
