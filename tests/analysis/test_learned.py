"""When a run learned, by hand: the logit at every checkpoint, from which step on it was there, what is not known."""

import numpy as np
import pytest
from scipy import stats

from engine.analysis.acted_mean import ActedMean, acted_mean
from engine.analysis.learned import learned_record, logits, moments, moments_sentence, stretch_table
from tests.acted_means import measured, parts, probe

STEPS = (0, 10, 20, 30, 40)


def mean_of(*changes: tuple[float, ...]) -> ActedMean:
    """A word for each, whose logit begins at 1 and moves by these, all of it at the last token."""
    given = [(probe(f"w{n}"), [parts(e=change) for change in of_word]) for n, of_word in enumerate(changes)]
    return acted_mean([measured(asked, *stretches) for asked, stretches in given])


def test_logits_at_every_checkpoint_begin_with_the_base() -> None:
    assert logits(mean_of((2.0, 3.0), (0.0, -1.0))).tolist() == [[1.0, 3.0, 6.0], [1.0, 1.0, 0.0]]


def test_what_was_gained_counts_from_where_it_stays() -> None:
    """It overshoots at step 10, falls below half of its 10 at step 20, and is back at 30."""
    found = moments(mean_of((8.0, -4.0, 5.0, 1.0), (8.0, -4.0, 5.0, 1.0), (8.0, -4.0, 5.0, 1.0)), STEPS)
    assert (found.half, found.most) == (30, 30)  # 8, 4, 9, 10 of 10
    assert found.rest == 30  # 1 of 10 behind it, which is just within a tenth


def test_at_rest_is_what_surely_stays_near() -> None:
    """Of a change of 10 by every word, nothing that is within 1 from step 20 on is a move; a slow drift is."""
    still = mean_of((9.0, 0.5, 0.25, 0.25), (9.0, 0.5, 0.25, 0.25), (9.0, 0.5, 0.25, 0.25))
    assert moments(still, STEPS).rest == 10
    drift = mean_of((8.2, 0.6, 0.6, 0.6), (8.2, 0.6, 0.6, 0.6), (8.2, 0.6, 0.6, 0.6))
    assert moments(drift, STEPS).rest == 30  # 1.2 after step 20, though no stretch moves by a tenth
    apart = mean_of((9.0, 0.0, 1.0, 0.0), (9.0, 0.0, -1.0, 2.0), (9.0, 0.0, 0.0, 1.0))
    assert moments(apart, STEPS).rest is None  # words move apart, so that the interval is wide


def test_a_change_that_may_be_none_has_no_moments() -> None:
    mean = mean_of((5.0, 0.0), (-4.0, 0.0), (1.0, 0.0))
    assert vars(moments(mean, (0, 10, 20))) == {"half": None, "most": None, "rest": None}
    assert "not surely different from none" in moments_sentence(mean, (0, 10, 20))


def test_of_a_fall_half_is_half_of_the_way_down() -> None:
    found = moments(mean_of((-2.0, -4.0, -4.0, 0.0), (-2.0, -4.0, -4.0, 0.0), (-2.0, -4.0, -4.0, 0.0)), STEPS)
    assert vars(found) == {"half": 20, "most": 30, "rest": 30}


def test_fewer_than_three_words_cannot_tell_whether_it_rests() -> None:
    mean = mean_of((6.0, 4.0, 0.0, 0.0))
    assert vars(moments(mean, STEPS)) == {"half": 10, "most": 20, "rest": None}
    told = moments_sentence(mean, STEPS)
    assert "Half of it was there, and stayed, from step 10 on, 90% from step 20." in told
    assert "It moved most from base to step 10 (+6.00)." in told
    assert "fewer than three words" in told


def test_a_row_a_stretch_with_what_it_came_through() -> None:
    words = [(1.0, 3.0), (2.0, 6.0), (3.0, 9.0)]
    mean = acted_mean([measured(probe(f"w{n}"), parts(w=w), parts(w=-w, e=e)) for n, (w, e) in enumerate(words)])
    first, second = stretch_table(mean, (0, 5, 20)).to_dict("records")
    half = stats.t.ppf(0.975, 2) / np.sqrt(3)
    assert [first[name] for name in ("from", "to", "change", "moved")] == [0, 5, pytest.approx(2.0), "not clear"]
    assert (first["low"], first["high"]) == pytest.approx((2 - half, 2 + half))
    assert (first["new word"], first["last"], first["layers"]) == (2.0, 0.0, "L0 +2.00")
    assert [second[name] for name in ("change", "new word", "last")] == pytest.approx([4.0, -2.0, 6.0])
    assert second["layers"] == "output +6.00, L0 −2.00"
    surely = stretch_table(mean_of((5.0, -1.0), (5.5, -1.1), (6.0, -1.2)), (0, 5, 20))
    assert surely["moved"].tolist() == ["up", "down"]


def test_the_record_adds_up_by_step_and_layer() -> None:
    rng = np.random.default_rng(0)
    mean = acted_mean([measured(probe(word), *rng.normal(size=(2, 4, 6))) for word in ("blarf", "gleem", "zephyr")])
    record = learned_record(mean, (0, 5, 20))
    assert [(step["from_step"], step["to_step"]) for step in record["steps"]] == [(0, 5), (5, 20)]
    for step in record["steps"]:
        assert sum(row["part"] for row in step["layers"]) == pytest.approx(step["sum"]["mean"])
        assert sum(row["part"] for row in step["roles"]) == pytest.approx(step["sum"]["mean"])
    assert {"half_step", "most_step", "rest_step"} <= set(record)
