"""Circuits: on how many pairs it rests, what could not be measured, and what moved though it stands in both."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from page_texts import texts
from stored_circuits import REFS, found, keep, ready, store
from streamlit.testing.v1 import AppTest

from engine.domain.components import FEW_PAIRS, SHARES, CurvePoint, CurveReport, UnionPoint, UnionReport
from engine.domain.measures import Estimate
from engine.figures.component_view import ComponentSide, component_view, edge_changes
from engine.figures.component_words import few_pairs, found_on, n_moved
from pages._ui.circuits.words import behavior, recovered
from tests.figures.component_makers import SHAPE, micro_side, random_scores

OpenPage = Callable[..., AppTest]
CHAIN = ("input", "m0"), ("m0", "m3"), ("m3", "logits")


def one_way(effect: float, checkpoint: str) -> ComponentSide:
    """A circuit of three edges; the last one has this effect."""
    return micro_side({CHAIN[0]: 1.0, CHAIN[1]: 1.0, CHAIN[2]: effect}, checkpoint, SHAPE)


@pytest.mark.parametrize(("effect", "moves"), [(1.0, False), (0.6, False), (0.5, True), (2.0, True), (1.9, False)])
def test_an_edge_in_both_moved_by_half_of_the_larger_effect(effect: float, moves: bool) -> None:
    edges = edge_changes(one_way(1.0, "run@base"), one_way(effect, "run@100%"))
    assert set(edges["status"]) == {"in both"}
    assert n_moved(edges) == moves


def test_what_appeared_or_flipped_is_not_counted_as_moved() -> None:
    a, b = one_way(1.0, "run@base"), one_way(-1.0, "run@100%")
    assert n_moved(edge_changes(a, b)) == 0


def test_the_picture_names_an_edge_in_both_and_tells_its_change() -> None:
    view = component_view(one_way(1.0, "run@base"), one_way(0.25, "run@100%"))
    tips = {tip.splitlines()[0]: tip.splitlines()[-1] for tip in view.edges["tip"]}
    assert tips["L3 · MLP  →  output"] == "in both circuits, with the same sign · change of effect −0.750"
    payload = view.payload()
    assert "kept" not in {*payload["statuses"], *payload["status_words"]}
    assert not [words for _, words in payload["wording"]["overlay"] if "kept" in words]
    mlp = next(node for node in view.nodes if node["id"] == "m3")
    assert "added by size: 1.00 in A, 0.250 in B" in mlp["tooltip"]


def test_counts_are_of_all_edges_though_fewer_are_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.figures.component_view.MOST_EDGES", 2)
    view = component_view(one_way(1.0, "run@base"), one_way(0.5, "run@100%"))
    assert len(view.edges["from"]) == 2
    assert view.payload()["counts"] == {"appeared": 0, "vanished": 0, "flipped": 0, "in both": 3}


@pytest.mark.parametrize("n", [1, 4, FEW_PAIRS - 1])
def test_few_pairs_are_told(n: int) -> None:
    assert f"Bring {FEW_PAIRS} or more" in few_pairs(n)
    assert ("this pair" in few_pairs(n)) == (n == 1)


def test_enough_pairs_need_no_word() -> None:
    assert few_pairs(FEW_PAIRS) == ""


def with_pairs(n: int) -> None:
    made = ready()
    for place, ref in enumerate(REFS):
        made.save_components(replace(keep(made, ref, place), n_pairs=np.array([n])))


@pytest.mark.parametrize("mode", ["map", "graphs", "difference"])
def test_the_page_says_on_how_many_pairs_it_rests(open_page: OpenPage, mode: str) -> None:
    with_pairs(4)
    app = open_page("circuits", bundled=None, mode=mode)
    assert not app.exception
    assert "Found with 4 prompt pairs of “sums”" in texts(app)
    assert few_pairs(4) in texts(app)
    assert "This cannot be checked on 4 prompt pairs: the pairs are parted into 5, and a part needs two." in texts(app)
    assert "Check B’s circuit" not in [button.label for button in app.button]


def test_of_enough_pairs_the_number_is_told_and_no_more(open_page: OpenPage) -> None:
    with_pairs(FEW_PAIRS)
    app = open_page("circuits", bundled=None)
    assert f"Found with {FEW_PAIRS} prompt pairs of “sums”" in texts(app)
    assert "Bring" not in texts(app)
    assert "Check B’s circuit" in [button.label for button in app.button]


def point(share: float, **measured: Any) -> CurvePoint:
    return CurvePoint(share=share, n_asked=9, n_edges=8, n_nodes=7, **{"faithfulness": None} | measured)


def charts(app: AppTest) -> str:
    return " ".join(str(chart.proto) for chart in app.get("vega_lite_chart"))


def test_faithfulness_that_could_not_be_measured_is_told_instead_of_drawn(open_page: OpenPage) -> None:
    scores = found()
    for one in (scores[0], scores[2]):
        store().save_circuit_report(CurveReport(key=one.key, points=tuple(point(share) for share in SHARES)))
    app = open_page("circuits", bundled=None)
    assert not app.exception
    assert "Faithfulness of base and step 4 cannot be told: on 10 prompt pairs of “sums”" in texts(app)
    assert "**A and B may have no behavior on these pairs**" in texts(app)
    assert "**A and B may have no behavior on these pairs**" in texts(open_page("circuits", bundled=None, mode="map"))
    assert "share of all edges" not in charts(app)
    assert "Measure faithfulness" not in [button.label for button in app.button]


def test_one_side_without_faithfulness_leaves_the_other_drawn(open_page: OpenPage) -> None:
    scores = found()
    value = {"value": 0.5, "low": 0.4, "high": 0.6}
    for one, measured in ((scores[0], None), (scores[2], value)):
        points = tuple(point(share, faithfulness=measured) for share in SHARES)
        store().save_circuit_report(CurveReport(key=one.key, points=points))
    app = open_page("circuits", bundled=None)
    assert "Faithfulness of base cannot be told" in texts(app)
    assert "share of all edges" in charts(app)


def test_a_union_without_faithfulness_is_told(open_page: OpenPage) -> None:
    _, middle, last = found()
    points = tuple(
        UnionPoint(share=share, union=point(share), direct=point(share), nodes=1, edges=1) for share in SHARES
    )
    store().save_circuit_report(UnionReport(key=last.key, parts=(middle.key, middle.key), points=points))
    app = open_page("circuits", bundled=None)
    assert not app.exception
    assert "Faithfulness of step 4 cannot be told" in texts(app)
    assert "published" not in charts(app)


def test_circuits_that_never_changed_are_told_instead_of_drawn(open_page: OpenPage) -> None:
    made = ready()
    for ref in REFS:
        keep(made, ref, 0)
    app = open_page("circuits", bundled=None)
    assert not app.exception
    assert "Nothing appeared or vanished" in texts(app)
    assert "No score changed between these checkpoints." in texts(app)
    assert found_on(made.components(made.component_keys("one")[0].hash)) == "10 prompt pairs of “sums”"


@pytest.mark.parametrize(
    ("low", "told"),
    [(0.31, "**50%** (95% interval 31% to 86%)"), (-0.02, "**50%** (95% interval −2% to 86%, perhaps nothing)")],
)
def test_what_a_circuit_recovers_has_its_interval(low: float, told: str) -> None:
    assert recovered("B", Estimate(value=0.5, low=low, high=0.86)) == f"B’s circuit recovers {told}"


def test_the_behavior_is_what_lies_between_clean_and_corrupted_prompts() -> None:
    """The same answer may lead on both: then little of it is what the circuit is about."""
    scores = random_scores(0, clean=11.28)
    made = replace(scores, corrupted=np.full_like(scores.clean, 9.47))
    assert "by 11.28 on clean prompts and by 9.47 on corrupted ones: the behavior is the 1.81" in behavior("B", made)
