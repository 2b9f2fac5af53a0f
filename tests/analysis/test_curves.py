"""Learning curves from probe results."""

import numpy as np
import pytest
from scipy.stats import binomtest

from engine.analysis.curves import SCORE_COLUMNS, as_good, best_step, probe_scores, wilson
from engine.domain.corpus import Probe
from engine.domain.errors import InputError
from engine.domain.runs import ProbeResults
from tests.analysis.micro_graphs import probe


def probes() -> list[Probe]:
    """Two paraphrase probes of each type, one inference probe of the first."""
    kinds = [("simple_mapping", "paraphrase")] * 2 + [("spatial_relationship", "paraphrase")] * 2
    kinds += [("simple_mapping", "inference")]
    return [
        probe().model_copy(update={"id": f"p{row}", "constraint_type": kind, "kind": probe_kind})
        for row, (kind, probe_kind) in enumerate(kinds)
    ]


def results(*correct: bool) -> ProbeResults:
    n = len(correct)
    return ProbeResults(
        probe_id=tuple(f"p{row}" for row in range(n)),
        predicted=("x",) * n,
        p=tuple(0.1 * (row + 1) for row in range(n)),
        rank=tuple(range(1, n + 1)),
        logit_diff=tuple(float(row) for row in range(n)),
        correct=correct,
    )


@pytest.mark.parametrize("n", [1, 7, 40, 500])
def test_wilson_is_scipys(n):
    for k in range(0, n + 1, max(1, n // 7)):
        low, high = wilson(np.array([float(k)]), np.array([float(n)]))
        expected = binomtest(k, n).proportion_ci(0.95, method="wilson")
        assert (low[0], high[0]) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_rows_by_hand():
    scores = probe_scores(probes(), {75: results(True, True, False, True, False), 0: results(*[False] * 5)})
    assert tuple(scores.columns) == SCORE_COLUMNS
    assert scores["step"].tolist() == [0, 0, 0, 75, 75, 75]
    row = scores[(scores["step"] == 75) & (scores["constraint_type"] == "spatial_relationship")].iloc[0]
    assert row["n"] == 2
    assert row["accuracy"] == 0.5
    assert (row["low"], row["high"]) == pytest.approx(tuple(binomtest(1, 2).proportion_ci(method="wilson")))
    assert (row["mean_p"], row["mean_rank"], row["logit_diff"]) == pytest.approx((0.35, 3.5, 2.5))


def test_best_step_is_that_of_the_worst_type_and_the_earliest_of_equals():
    curve = {
        0: results(False, False, False, False, True),
        50: results(True, True, False, False, True),  # one type alone does not count
        100: results(True, True, True, False, False),
        150: results(True, False, True, True, False),
    }
    assert best_step(probe_scores(probes(), curve)) == 100
    assert best_step(probe_scores(probes(), dict.fromkeys((0, 50), curve[0]))) is None  # none is best of nothing


def test_steps_whose_intervals_reach_that_of_the_best_may_be_as_good():
    kind = probe().model_copy(update={"kind": "paraphrase"})
    many = [kind.model_copy(update={"id": f"p{row}"}) for row in range(16)]
    right = lambda n: results(*[row < n for row in range(16)])  # noqa: E731
    curve = {0: right(0), 15: right(12), 30: right(15), 45: right(14)}
    scores = probe_scores(many, curve)
    assert best_step(scores) == 30
    assert as_good(scores, 30) == (15, 45)  # 12 of 16: 51% to 90%; 15 of 16: 72% to 99%
    few = probe_scores(many, {0: right(0), 30: right(3), 45: right(2)})
    assert as_good(few, 30) == (0, 45)


def test_nothing_measured():
    assert probe_scores(probes(), {}).empty
    assert tuple(probe_scores(probes(), {}).columns) == SCORE_COLUMNS
    assert best_step(probe_scores(probes(), {})) is None


def test_results_of_another_corpus_are_refused():
    with pytest.raises(InputError, match="p4"):
        probe_scores(probes()[:4], {10: results(*[True] * 5)})
