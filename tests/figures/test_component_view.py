"""Circuits of heads and MLPs as a payload and as a table: worked by hand, finite, and complete."""

import json
from dataclasses import replace

import numpy as np
import pytest

from engine.analysis.components.pruning import collapsed
from engine.domain.components import CIRCUIT_STATUSES, ComponentShape
from engine.domain.errors import ComparisonRefused
from engine.figures.component_view import (
    MOST_EDGES,
    component_view,
    edge_changes,
    effect_text,
    node_changes,
    node_labels,
    summed_qkv,
)
from engine.figures.graph_view import IN_A, IN_B, STRONG_A, STRONG_B, STRONG_CHANGE
from pages._ui.graphs.marks import Marks
from tests.figures.component_makers import SHAPE, micro_side, random_scores, side

MICRO = ComponentShape(n_layers=1, n_heads=2)
A = {("input", "a0.h0<q>"): 0.5, ("input", "a0.h0<v>"): -0.2, ("a0.h0", "logits"): 1.0, ("input", "logits"): -0.4}
B = {("input", "m0"): 0.7, ("m0", "logits"): 2.0, ("input", "logits"): 0.4, ("input", "a0.h0<q>"): 0.1,
     ("a0.h0", "logits"): 0.3}  # fmt: skip


def test_a_table_worked_by_hand():
    table = edge_changes(micro_side(A, "run@base", MICRO), micro_side(B, "run@100%", MICRO))
    rows = {(row["from"], row["to"]): row for row in table.to_dict("records")}
    assert set(rows) == {
        ("input", "L0 · head 0"), ("L0 · head 0", "output"), ("input", "output"), ("input", "L0 · MLP"),
        ("L0 · MLP", "output"),
    }  # fmt: skip
    head = rows["input", "L0 · head 0"]
    assert (head["effect_a"], head["effect_b"]) == pytest.approx((0.3, 0.1))  # q and v add up
    assert (head["via_a"], head["via_b"], head["status"]) == ("q v", "q", "in both")
    assert [head[f"{which}_a"] for which in "qkv"] == pytest.approx([0.5, 0.0, -0.2])
    assert (head["source"], head["target"]) == ("input", "a0.h0")
    mlp = rows["L0 · MLP", "output"]
    assert (mlp["status"], mlp["in_a"], mlp["in_b"], mlp["via_b"]) == ("appeared", False, True, "")
    assert np.isnan(mlp["q_b"])
    assert rows["input", "output"]["status"] == "flipped"
    assert table["change"].abs().is_monotonic_decreasing
    back = edge_changes(micro_side(B, "run@100%", MICRO), micro_side(A, "run@base", MICRO))
    assert set(back.loc[back["status"] == "vanished", "to"]) == {"L0 · MLP", "output"}


def test_nodes_worked_by_hand():
    nodes = node_changes(micro_side(A, "run@base", MICRO), micro_side(B, "run@100%", MICRO)).set_index("id")
    assert list(nodes.index) == ["input", "a0.h0", "a0.h1", "m0", "logits"]
    assert nodes.loc["input", "a"] == pytest.approx(0.5 + 0.2 + 0.4)
    assert nodes.loc["a0.h0", ["a", "b"]].tolist() == pytest.approx([1.0, 0.3])
    assert nodes.loc["logits", "b"] == pytest.approx(2.7)
    assert nodes["status"].to_dict() == {
        "input": "in both", "a0.h0": "in both", "a0.h1": "in both", "m0": "appeared", "logits": "in both",
    }  # fmt: skip
    assert not nodes.loc["a0.h1", ["in_a", "in_b"]].any()


def test_a_payload_worked_by_hand():
    view = component_view(micro_side(A, "run@base", MICRO), micro_side(B, "run@100%", MICRO))
    payload = view.payload()
    nodes = {node["id"]: node for node in payload["nodes"]}
    assert [nodes[name]["shape"] for name in ("input", "a0.h0", "m0", "logits")] == ["box", "circle", "square", "box"]
    assert (nodes["a0.h1"]["kept"] & IN_A, nodes["a0.h1"]["kept"] & IN_B, nodes["a0.h1"]["kept"]) == (0, 0, 4)
    assert nodes["a0.h0"]["tooltip"].splitlines()[0] == "L0 · head 0 (a0.h0)"
    assert "B: edges: 1 in, 1 out" in nodes["m0"]["tooltip"]
    assert "A: not in the circuit" in nodes["m0"]["tooltip"]
    # The MLP reads the heads of its own layer, so it stands above them; input and output at the ends.
    assert nodes["input"]["y"] == 0 < nodes["a0.h0"]["y"] < nodes["m0"]["y"] < nodes["logits"]["y"] == 2
    edges = payload["edges"]
    tips = {tip.splitlines()[0]: place for place, tip in enumerate(edges["tip"])}
    place = tips["L0 · MLP  →  output"]
    assert (edges["kept"][place], CIRCUIT_STATUSES[edges["status"][place]], edges["share_b"][place]) == (
        IN_B,
        "appeared",
        1,
    )
    assert edges["change"][place] == edges["flow_b"][place] == 1
    assert min(edges["flow_a"]) < 0  # as the effect, signed
    assert nodes["m0"]["change"] == nodes["m0"]["b"] > 0 == nodes["m0"]["a"]
    assert "A: effect 0, not in the circuit" in edges["tip"][place]
    assert "     q +0.500, k 0, v −0.200" in edges["tip"][tips["input  →  L0 · head 0"]]
    assert payload["sides"][0]["title"] == "A · run@base"
    assert payload["sides"][1]["fit"] == "2 of 3 heads and MLPs · 5 edges"


def test_input_and_mlp_of_a_parallel_model_stand_in_one_row():
    shape = MICRO.model_copy(update={"parallel": True})
    one = micro_side({("input", "logits"): 1.0}, "run@base", shape)
    nodes = {node["id"]: node for node in component_view(one, one).nodes}
    assert nodes["a0.h0"]["y"] == nodes["m0"]["y"] == 1


@pytest.mark.parametrize(("n_layers", "apart"), [(12, 1.0), (30, 1.8)])
def test_where_rows_are_low_input_and_output_stand_apart(n_layers, apart):
    shape = ComponentShape(n_layers=n_layers, n_heads=2)
    one = micro_side({("input", "logits"): 1.0}, "run@base", shape)
    view = component_view(one, one)
    rows = {row["label"]: row["y"] for row in view.places["rows"]}
    assert rows["L0"] - rows["in"] == pytest.approx(apart)
    assert rows["out"] - rows[f"L{n_layers - 1}"] == pytest.approx(apart)
    assert rows["L1"] - rows["L0"] == pytest.approx(1)
    nodes = {node["id"]: node["y"] for node in view.nodes}
    assert (nodes["input"], nodes["logits"]) == (rows["in"], rows["out"]) == (0, view.places["height"])
    assert nodes["a0.h0"] == pytest.approx(rows["L0"] - 0.22)


@pytest.mark.parametrize("seed", range(3))
def test_what_is_sent_is_complete_and_finite(seed):
    a, b = (side(random_scores(seed, checkpoint=f"run@{n}%", drift=n / 100), share=0.3) for n in (25, 75))
    view = component_view(a, b, strongest=12)
    json.dumps(view.payload(), allow_nan=False)
    kept = np.array(view.edges["kept"])
    for bit, one, name in ((IN_A, a, "a"), (IN_B, b, "b")):
        assert (kept & bit > 0).sum() == collapsed(one.circuit).sum()
        chosen = np.array(view.edges["show"]) & {"a": STRONG_A, "b": STRONG_B}[name] > 0
        size = np.abs(view.edges[f"share_{name}"])
        here = kept & bit > 0
        assert chosen.sum() == 12
        assert size[chosen].min() >= size[here & ~chosen].max()
        assert size[here].max() == 1
    status = np.array(view.edges["status"])
    assert ((status == CIRCUIT_STATUSES.index("appeared")) == (kept == IN_B)).all()
    assert ((status == CIRCUIT_STATUSES.index("vanished")) == (kept == IN_A)).all()
    shared = status == CIRCUIT_STATUSES.index("in both")
    assert not shared[: (~shared).sum()].any()  # what changed is drawn first where not all can be
    assert (np.array(view.edges["show"]) & STRONG_CHANGE > 0).sum() == 24
    assert all(Marks(selected=node["id"]).to_text() for node in view.nodes)
    assert {Marks.from_text(Marks(selected=node["id"]).to_text()).selected for node in view.nodes} == {
        node["id"] for node in view.nodes
    }


def test_a_circuit_against_itself_shows_no_change():
    one = side(random_scores(1))
    view = component_view(one, one)
    assert set(view.edges["status"]) == {CIRCUIT_STATUSES.index("in both")}
    assert set(view.edges["change"]) == {0}
    assert {node["status"] for node in view.nodes} == {"in both"}


def test_a_large_model_sends_its_strongest_edges():
    shape = ComponentShape(n_layers=8, n_heads=12)
    one, two = (side(random_scores(seed, shape), share=0.2) for seed in (1, 2))
    view = component_view(one, two)
    assert len(view.edges["from"]) == MOST_EDGES < len(edge_changes(one, two))
    assert view.sides[0]["n_edges"] == collapsed(one.circuit).sum()  # told whole


def test_an_unlearned_side_is_told():
    weak, sure = side(random_scores(1, clean=-0.3)), side(random_scores(1))
    sides = component_view(weak, sure).sides
    assert "the right answer is not ahead" in sides[0]["warning"]
    assert sides[1]["warning"] == ""


def test_scores_of_q_k_and_v_are_summed():
    one = side(random_scores(2))
    scores = summed_qkv(one.scores.scores, SHAPE)
    assert scores.sum() == pytest.approx(one.scores.scores.sum(dtype=float))
    q = [SHAPE.head_input(2, 1, which) for which in (0, 1, 2)]
    np.testing.assert_allclose(scores[SHAPE.head_source(2, 1) - 1], one.scores.scores[q].sum(axis=0), rtol=1e-5)
    assert len(SHAPE.nodes()) == len(node_labels(SHAPE)) == SHAPE.n_nodes


def test_models_of_other_shapes_are_refused():
    other = side(random_scores(1, MICRO), share=0.5)
    with pytest.raises(ComparisonRefused, match=r"4 layers of 4 heads.* 1 layers of 2 heads"):
        component_view(side(random_scores(1)), other)


def test_scores_of_nothing_but_zero_are_drawn():
    one = micro_side({("input", "logits"): 1.0}, "run@base", MICRO)
    silent = replace(one, scores=replace(one.scores, groups=np.zeros_like(one.scores.groups)))
    json.dumps(component_view(silent, silent).payload(), allow_nan=False)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (1.234567, "+1.23"), (-0.01234, "−0.0123"), (123.4, "+123"), (-1e-9, "0"), (float("nan"), "–")],
)
def test_scores_are_written_shortly(value, text):
    assert effect_text(value) == text
