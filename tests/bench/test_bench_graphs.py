"""The large graph that the drawing is measured on is as large as the measure says."""

from engine.bench.graphs import N_EDGES, large_diff
from engine.bench.row import at_least


def test_the_large_graph_has_what_its_row_names():
    diff = large_diff()
    assert len(diff.nodes) == 1_500
    assert len(diff.edges) == N_EDGES == 40_000
    assert (diff.edges["source"] != diff.edges["target"]).all()


def test_a_lower_limit_is_met_from_there_on():
    assert at_least("frames", 30, "frames/s", limit=30).met
    missed = at_least("frames", 29.9, "frames/s", limit=30)
    assert (missed.met, missed.target) == (False, "≥ 30 frames/s")
