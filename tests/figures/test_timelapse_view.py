"""A time-lapse: one layout for all steps, each step's own values, learning curves."""

import json
from dataclasses import replace

import pandas as pd
import pytest

from engine.analysis.curves import telling_kinds
from engine.analysis.diff import diff_graphs
from engine.analysis.focus import focus, union
from engine.domain.diffs import DiffSettings, GraphDiff
from engine.domain.errors import InputError
from engine.domain.explained import ExplainedLogits
from engine.domain.timelapse import Moment, step_compared
from engine.figures.graph_view import IN_A, pair_view
from engine.figures.timelapse_view import MOST_EDGES, TimelapseView, largest_edges, timelapse_view
from tests.analysis.micro_graphs import micro_a, micro_b, probe, random_graph

MOMENTS = [Moment(0, "r@base", "s@base"), Moment(50, "r@step50", "s@step50"), Moment(100, "r@100%", "s@100%")]


def micro() -> TimelapseView:
    """Step 0: both sides as A. Step 50 is not traced. Step 100: A against B."""
    yes = DiffSettings(explained=ExplainedLogits(answers=(20,)))
    diffs = {0: diff_graphs(micro_a(), micro_a(), yes), 100: diff_graphs(micro_a(), micro_b(), yes)}
    scores = {"r": curve(0.5), "s": curve(1.0)}
    losses = {"r@base": "loss 2.00", "s@100%": "loss 0.25"}
    return timelapse_view(MOMENTS, diffs, scores, probe=probe("x", "yes"), losses=losses)


def curve(top: float) -> pd.DataFrame:
    rows = [
        (step, constraint, kind, top * step / 100 * factor)
        for step in (0, 100)
        for constraint, factor in (("simple_mapping", 1.0), ("spatial_relationship", 0.5))
        for kind in ("recall", "paraphrase", "inference")
    ]
    return pd.DataFrame(rows, columns=["step", "constraint_type", "probe_kind", "accuracy"]).assign(n=8)


def test_union_of_the_micro_pair_by_hand():
    timelapse = micro()
    ids = [node["id"] for node in timelapse.nodes]
    assert "feature/0/1/5" in ids  # gave way to another in B
    assert "error/1/1/0" in ids  # kept in B alone
    assert len(set(ids)) == len(ids)
    first, last = timelapse.frames[0]["nodes"], timelapse.frames[100]["nodes"]
    assert ids.index("error/1/1/0") not in first["row"]
    place = last["row"].index(ids.index("feature/0/1/5"))
    assert (last["kept"][place], last["status"][place], last["b"][place]) == (IN_A, "vanished", 0)
    assert set(timelapse.frames[0]["nodes"]["status"]) == {"unchanged"}
    assert [moment["ready"] for moment in timelapse.moments] == [True, False, True]
    assert timelapse.frames[0]["sides"][0]["loss"] == "loss 2.00"
    assert timelapse.frames[0]["sides"][1]["loss"] == ""
    assert timelapse.frames[100]["sides"][1]["loss"] == "loss 0.25"
    bars = [[bar["token"] for bar in side["bars"]] for frame in timelapse.frames.values() for side in frame["sides"]]
    assert bars == [["yes", "no", "all others"]] * 4  # one order for all steps and both sides


@pytest.mark.parametrize("seed", range(3))
def test_a_frame_is_the_pair_of_its_step(seed):
    """Values, edges and facts of each step are those of the pair's own view; only the places are the union's."""
    diffs = {step: random_diff(seed + step) for step in (0, 50, 100)}
    timelapse = timelapse_view(MOMENTS, diffs, {})
    for step, diff in diffs.items():
        pair, frame = pair_view(diff), timelapse.frames[step]
        own = {node["id"]: node for node in pair.nodes}
        shown = [timelapse.nodes[row] for row in frame["nodes"]["row"]]
        assert [node["id"] for node in shown] == list(own)
        for place, node in enumerate(shown):
            for name in ("status", "kept", "tooltip", "a", "b", "change"):
                assert frame["nodes"][name][place] == own[node["id"]][name]
            for name in ("label", "shape", "kind", "token", "layer", "position", "index"):
                assert node[name] == own[node["id"]][name]
        ends = lambda edges, ids: [(ids[s], ids[t]) for s, t in zip(edges["from"], edges["to"], strict=True)]  # noqa: E731
        union = [node["id"] for node in timelapse.nodes]
        assert ends(frame["edges"], union) == ends(pair.edges, list(own))
        assert frame["edges"]["show"] == pair.edges["show"]
        assert frame["edges"]["change"] == pytest.approx(pair.edges["change"], rel=5e-3)


def random_diff(seed: int) -> GraphDiff:
    return diff_graphs(random_graph(seed), random_graph(seed + 1000))


def test_curves_are_means_over_constraint_types():
    lines = micro().curves
    assert [(line["run"], line["probes"], line["place"]) for line in lines] == [
        ("r", "paraphrase", 0), ("r", "inference", 0), ("s", "paraphrase", 1), ("s", "inference", 1),
    ]  # fmt: skip
    assert lines[0]["steps"] == [0, 100]
    assert lines[0]["accuracy"] == [0, 0.375]  # half of 1 and of 0.5, over two types
    assert lines[2]["accuracy"] == [0, 0.75]


def test_the_two_probe_kinds_that_tell_most_have_curves():
    """Of those that the corpus has."""
    few = {"r": curve(0.5).query("probe_kind != 'inference'")}
    lines = timelapse_view(MOMENTS, {0: random_diff(1)}, few).curves
    assert [line["probes"] for line in lines] == ["recall", "paraphrase"]
    assert telling_kinds([pd.DataFrame()]) == ()


def test_sizes_are_on_one_scale_for_all_steps():
    diffs = {0: random_diff(1), 100: random_diff(2)}
    timelapse = timelapse_view(MOMENTS, diffs, {})
    changes = [diff.edges["change"].abs().max() for diff in diffs.values()]
    assert timelapse.largest["change"] == pytest.approx(max(changes), rel=1e-4)


def test_only_the_largest_edges_of_a_step_are_sent():
    diff = diff_graphs(
        random_graph(1, n_features=200, pool=80, density=0.5), random_graph(2, n_features=200, pool=80, density=0.5)
    )
    few = largest_edges(diff.edges, 100)
    size = diff.edges[["flow_a", "flow_b", "change"]].abs().max(axis=1)
    assert len(few) == 100
    assert few.index.is_monotonic_increasing
    assert size[few.index].min() >= size.drop(few.index).max()
    assert largest_edges(diff.edges, len(diff.edges)) is diff.edges
    timelapse = timelapse_view(MOMENTS, {0: diff}, {})
    assert len(timelapse.frames[0]["edges"]["from"]) == min(len(diff.edges), MOST_EDGES)
    assert timelapse.most_edges == (len(diff.edges) if len(diff.edges) > MOST_EDGES else 0)


def test_nothing_traced_is_refused_in_words():
    with pytest.raises(InputError, match="No step of this time-lapse is traced"):
        timelapse_view(MOMENTS, {7: random_diff(1)}, {})


def test_the_wire_is_one_line_of_finite_json():
    hostile = ("<script>alert(1)</script>", "a\nb\u2028c")
    diff = diff_graphs(*(replace(side, target_tokens=hostile) for side in (micro_a(), micro_b())))
    timelapse = timelapse_view(MOMENTS, {0: diff}, {"r": curve(1.0)}, losses={"r@base": ""})
    assert b"\n" not in timelapse.wire
    sent = json.loads(timelapse.wire)
    assert sent == json.loads(json.dumps(timelapse.payload(), allow_nan=False))
    assert timelapse.wire is timelapse.wire
    assert hostile[0] in {node["token"] for node in sent["nodes"]}


def test_only_what_is_among_them_is_drawn_and_each_step_is_told_whole():
    diffs = {step: random_diff(step) for step in (0, 100)}
    most = union(focus(diff, 0.3) for diff in diffs.values())
    whole, some = timelapse_view(MOMENTS, diffs, {}), timelapse_view(MOMENTS, diffs, {}, among=most)
    assert {node["id"] for node in some.nodes} == most.nodes & {node["id"] for node in whole.nodes}
    assert len(some.nodes) < some.n_nodes == len(whole.nodes) == whole.n_nodes
    for step, frame in some.frames.items():
        assert frame["counts"] == whole.frames[step]["counts"]
        assert 0 < len(frame["edges"]["from"]) < len(whole.frames[step]["edges"]["from"])


def test_of_many_layers_each_is_lower():
    two = micro()
    deep = replace_layers(random_diff(1), 30)
    assert two.places["least_px"] > timelapse_view(MOMENTS[:1], {0: deep}, {}).places["least_px"]


def replace_layers(diff: GraphDiff, n_layers: int) -> GraphDiff:
    return replace(diff, a=replace(diff.a, n_layers=n_layers), b=replace(diff.b, n_layers=n_layers))


def test_it_begins_where_both_runs_stand_as_they_are_compared():
    """r ends at 60, s at 1: at s's own step, r stands elsewhere."""
    moments = [Moment(0, "r@base", "s@base"), Moment(1, "r@base", "s@100%"), Moment(60, "r@100%", "s@100%")]
    assert step_compared(moments, "r@100%", "s@100%") == 60
    assert step_compared(moments, "r@base", "s@100%") == 1
    assert step_compared(moments, "r@100%", "s@base") is None


def test_a_step_of_two_equal_checkpoints_says_so():
    told = ["".join(text for text, _ in frame["sentence"]) for frame in micro().frames.values()]
    assert told[0].endswith("and nothing in their graphs differs by more than rounding.")
    assert "rounding" not in told[1]
