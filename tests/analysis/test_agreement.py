"""Predicted against measured over everything that was tried: by hand, and what is said of it."""

import math

import pytest

from engine.analysis.agreement import ENOUGH, Agreement, agreement, agreement_words, trust_words
from engine.domain.interventions import Intervention, InterventionKey
from tests.store.artefacts import key


def tried(
    predicted: tuple[float, ...], measured: tuple[float, ...], *, factor: float = 0.0, uncut: bool = True
) -> Intervention:
    n = len(predicted)
    return Intervention(
        key=InterventionKey(graph=key(), features=("feature/0/1/7",), factor=factor),
        changed=("feature/0/1/7",), tokens=("x",) * n, p_before=(0.1,) * n, p_after=(0.1,) * n,
        logit_before=(1.0,) * n, logit_after=tuple(1 + change for change in measured), predicted=predicted, uncut=uncut,
    )  # fmt: skip


def test_all_outputs_of_all_that_was_tried_count() -> None:
    found = agreement([tried((-4.0, 1.0), (-2.0, -0.5)), tried((2.0, 0.5), (1.0, 0.25))])
    assert found is not None
    assert (found.n_tried, found.n) == (2, 4)
    # ranks of -4, 1, 2, 0.5 are 1 3 4 2, those of -2, -0.5, 1, 0.25 are 1 2 4 3: 1 - 6 (0 + 1 + 0 + 1) / (4 · 15)
    assert found.rank_correlation == pytest.approx(0.8)
    assert found.size == pytest.approx(7.5 / 3.75)
    assert found.signs == 0.75
    assert found.signs_of_large == 1.0  # of the first alone


def test_what_changed_nothing_and_what_was_cut_say_nothing() -> None:
    good = tried((1.0,), (1.0,))
    rest = [tried((5.0,), (-1.0,), uncut=False), tried((0.0,), (0.0,), factor=1.0)]
    rest.append(good.model_copy(update={"changed": ()}))
    assert agreement(rest) is None
    assert agreement([good, *rest]) == agreement([good])
    alone = agreement([good])
    assert alone is not None
    assert math.isnan(alone.rank_correlation)
    assert "the rank correlation is –, 100% go" in agreement_words(alone)


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (Agreement(ENOUGH - 1, 90, 0.99, 1.0, 1.0, 1.0), "too few"),
        (Agreement(ENOUGH, 90, 0.95, 1.1, 0.9, 0.97), "Trust them, in direction and size: 97% of the largest quarter"),
        (Agreement(ENOUGH, 90, 0.95, 3.0, 0.9, 0.97), "not its size, and no small one"),
        (Agreement(ENOUGH, 90, 0.5, 1.0, 0.7, 0.81), "Trust the direction of a large prediction (81% of the largest"),
        (Agreement(ENOUGH, 90, 0.3, 1.0, 0.6, 0.58), "Trust none without measuring: only 58% of the largest quarter"),
    ],
)
def test_when_to_trust_follows_from_the_figures(found: Agreement, says: str) -> None:
    assert says in trust_words(found)
