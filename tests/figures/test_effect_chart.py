"""What an intervention did: which outputs are shown, and their measured and predicted changes."""

import pytest

from engine.domain.interventions import Intervention, InterventionKey
from engine.figures.effect_chart import effect_chart, effect_table
from engine.figures.names import told_apart
from tests.store.artefacts import key

HOSTILE = "<img src=x onerror=alert(1)>"


def found() -> Intervention:
    return Intervention(
        key=InterventionKey(graph=key(), features=("feature/0/1/7",)),
        changed=("feature/0/1/7",),
        tokens=(" smiles", HOSTILE, " cries"),
        p_before=(0.8, 0.125, 0.05),
        p_after=(0.1, 0.25, 0.6),
        logit_before=(3.0, 1.0, 0.5),
        logit_after=(0.5, 1.5, 2.5),
        predicted=(-2.0, 0.25, 1.0),
    )


def test_the_likeliest_before_or_after_come_first_with_both_changes() -> None:
    table = effect_table(found(), n=2)
    assert table["output"].tolist() == ["smiles", "cries"]
    assert table["logit change"].tolist() == [-2.5, 2.0]
    assert table["predicted"].tolist() == [-2.0, 1.0]


def test_tokens_that_read_alike_are_told_apart() -> None:
    table = effect_table(found().model_copy(update={"tokens": (" Paris", "Paris", " cries")}))
    assert table["output"].tolist() == ["␣Paris", "cries", "Paris"]
    assert told_apart(["Rome", " Paris", " Paris", "\n", " "]) == ["Rome", "␣Paris", "␣Paris (2)", "↵", "␣"]


def test_the_chart_has_both_probabilities_of_every_output_as_data() -> None:
    rows = effect_chart(found()).to_dict()
    (data,) = rows["datasets"].values()
    assert {(row["output"], row["when"]): row["p"] for row in data} == {
        ("smiles", "before"): 0.8, ("smiles", "after"): 0.1, (HOSTILE, "before"): 0.125, (HOSTILE, "after"): 0.25,
        ("cries", "before"): 0.05, ("cries", "after"): pytest.approx(0.6),
    }  # fmt: skip
