"""Where a logit comes from, and what is said of it: parts worked by hand, of features that are no nodes among them."""

from dataclasses import replace

import numpy as np
import pytest
from micro_graphs import F, T, Y, graph_of

from engine.analysis.diff import diff_graphs
from engine.analysis.origins import left_out_note, left_out_of, marks_note, mean_origins, origins
from engine.domain.graphs import AttributionGraph, LogitParts
from engine.export.map_svg import map_svg
from engine.figures.map_view import carried_view

NODES = [(F, 0, 1, 7), (T, -1, 0, 3), (T, -1, 1, 4), (Y, 1, 1, 50)]


def side(logit: float, left_out: float, checkpoint: str) -> AttributionGraph:
    """Of the logit 0.75 run from a token through a feature, whose own constant is 0.5 more, `left_out` through features
    that are no nodes, and 2 are what a unit-free constant of the output gives; the rest comes from a token."""
    rest = logit - 1.25 - left_out - 2
    edges = [(1, 0, 0.9), (0, 3, 1.25), (2, 3, rest)]
    made = graph_of(
        NODES, edges, tokens=("glonk", "the"), outputs=(" river",), probability=(0.8,), n_layers=1,
        checkpoint=checkpoint,
    )  # fmt: skip
    parts = LogitParts(
        part=np.array([[1.25, 0.75, rest, 0]], np.float32),
        constant=np.array([0.6, 0, 0, 2], np.float32),  # 0.6 of the feature's 1.5
        left_out=np.array([0, 0, 0, left_out], np.float32),
        moved=np.zeros((1, 2, 2), np.float32),
    )
    return replace(made, parts=parts, target_logit=np.array([logit], np.float32))


def test_a_mark_is_told_with_the_constants_of_both_sides() -> None:
    diff = diff_graphs(side(4, 0, "r@base"), side(12, 0, "r@100%"))
    found = origins(diff)
    assert found is not None
    for one in found:
        assert one.tokens + one.errors + one.left_out + one.constants == pytest.approx(one.logit)
        assert one.constants == pytest.approx(2.5)
    assert marks_note(" river", found) == (
        "A mark is what of “river” runs through a layer’s features and error at a word, directly or by later layers. "
        "Marks overlap, so they do not add up to it. Biases, also a layer’s own transcoder’s, count as constants: "
        "+2.50 in A, +2.50 in B."
    )
    assert marks_note("right answer", None).endswith("count as constants.")
    assert left_out_of(diff) == ""


def test_what_left_out_features_carry_is_told_where_it_is_much() -> None:
    diff = diff_graphs(side(4, 0.5, "r@base"), side(12, -3, "r@100%"))
    told = "The features left out carry −3.00 of 12.00 logits in B: with them, other places may carry most."
    assert left_out_of(diff) == told
    both = origins(diff_graphs(side(4, 1.3, "r@base"), side(12, 7, "r@100%")))
    assert "carry 1.30 of 4.00 logits in A and 7.00 of 12.00 logits in B:" in left_out_note(both)
    assert left_out_note(origins(diff_graphs(side(4, 1.1, "r@base"), side(12, 1.1, "r@100%")))) == ""  # a tenth of 12
    drawn = map_svg(carried_view([(None, diff)], {}), width=4000)
    assert told in drawn
    assert "A mark is what of “river” runs through" in drawn


def test_of_many_prompts_the_means_are_told() -> None:
    one, other = (origins(diff_graphs(side(4, 0, "r@base"), side(12, out, "r@100%"))) for out in (4, 8))
    assert one is not None
    assert other is not None
    found = mean_origins([one, other], "right answer")
    assert (found[1].token, found[1].left_out, found[1].logit) == ("right answer", pytest.approx(6), pytest.approx(12))
