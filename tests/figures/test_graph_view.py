"""The payload of the component: complete, finite, and text as text."""

import json
from dataclasses import replace

import numpy as np
import pytest

from engine.analysis.diff import diff_graphs
from engine.analysis.supernodes import merge_supernodes
from engine.domain.annotations import Annotations, Supernode
from engine.domain.diffs import NOT_CHANGED, STATUSES, DiffSettings
from engine.domain.explained import ExplainedLogits
from engine.domain.graphs import Fit
from engine.figures.graph_view import IN_A, IN_B, N_BARS, STRONG_A, STRONG_B, STRONG_CHANGE, pair_view
from engine.figures.palette import GRAPH
from pages._ui.compare.workbench import DEEP_PX
from tests.analysis.micro_graphs import micro_a, micro_b, probe, random_graph

YES = DiffSettings(explained=ExplainedLogits(answers=(20,)))  # the output that does not stay as it is


def test_nodes_and_edges_of_the_micro_pair():
    diff = diff_graphs(micro_a(), micro_b(), YES)
    view = pair_view(diff, probe=probe("x", "yes"), loss_a="loss 0.80")
    by_id = {node["id"]: node for node in view.nodes}
    gone = by_id["feature/0/1/5"]
    assert (gone["shape"], gone["kept"], gone["status"], gone["b"]) == ("circle", IN_A, "vanished", 0)
    assert by_id["error/1/1/0"]["shape"] == "diamond"
    assert by_id["error/1/1/0"]["kept"] == IN_B
    assert (by_id["logit/2/1/20"]["answer"], by_id["logit/2/1/21"]["answer"]) == (True, False)
    assert (
        by_id["logit/2/1/20"]["tooltip"]
        == "Output “yes”\nprobability: A 0.750 · B 0.250\npart: A +3.00 · B +3.00 logits"
    )
    assert by_id["logit/2/1/21"]["tooltip"] == "Output “no”\nprobability: A 0.250 · B 0.750"  # it is not explained
    assert "part: A +6.00 · B 0.00 logits\ninfluence: A 0.422 · B 0.000" in gone["tooltip"]
    assert gone["change"] == -6
    assert "pruned in B" in by_id["feature/1/1/3"]["tooltip"]
    assert "not in B" in gone["tooltip"]

    names = [node["id"] for node in view.nodes]
    pairs = [(names[s], names[t]) for s, t in zip(view.edges["from"], view.edges["to"], strict=True)]
    assert pairs == list(zip(diff.edges["source"], diff.edges["target"], strict=True))
    flipped = pairs.index(("feature/0/1/7", "feature/1/1/3"))
    assert STATUSES[view.edges["status"][flipped]] == "flipped"
    assert (view.edges["weight_a"][flipped], view.edges["weight_b"][flipped]) == (-1, 1)
    assert [view.edges[name][flipped] for name in ("flow_a", "flow_b", "change")] == [-2, 0.66667, 2.6667]
    assert view.explained == {"words": "yes", "scale": 1}
    assert view.sides[0]["title"] == "A · run · 25%"
    assert (view.sides[0]["loss"], view.sides[1]["loss"]) == ("loss 0.80", "")
    bars = [[(bar["token"], bar["p"], bar["answer"]) for bar in side["bars"]] for side in view.sides]
    assert bars[0] == [("yes", 0.75, True), ("no", 0.25, False), ("all others", 0, False)]
    assert bars[1] == [("yes", 0.25, True), ("no", 0.75, False), ("all others", 0, False)]


def test_strongest_edges_are_those_of_the_largest_flow():
    diff = diff_graphs(random_graph(1), random_graph(2))
    view = pair_view(diff, strongest=12)
    show = np.array(view.edges["show"])
    for bit, kept, part in (
        (STRONG_A, diff.edges["kept_a"], diff.edges["flow_a"].abs()),
        (STRONG_B, diff.edges["kept_b"], diff.edges["flow_b"].abs()),
        (STRONG_CHANGE, ~diff.edges["status"].isin(NOT_CHANGED), diff.edges["change"].abs()),
    ):
        chosen = (show & bit) > 0
        assert chosen.sum() == min(12, ((part > 0) & kept).sum()) > 0
        assert kept[chosen].all()
        assert part[chosen].min() >= part[kept & ~chosen].max()


def test_a_graph_against_itself_shows_no_change():
    view = pair_view(diff_graphs(micro_a(), micro_a()))
    assert not any(show & STRONG_CHANGE for show in view.edges["show"])
    assert {node["kept"] for node in view.nodes} == {IN_A | IN_B}


def test_what_a_side_did_not_keep_is_not_known_there():
    whole = micro_b()
    flipped = (whole.source == 0) & (whole.target == 2)
    cut = replace(
        whole, is_whole=False, **{name: getattr(whole, name)[~flipped] for name in ("source", "target", "weight")}
    )
    edges = pair_view(diff_graphs(micro_a(), cut, YES)).edges
    place = [STATUSES[status] for status in edges["status"]].index("not kept")
    assert [edges[f"{name}_b"][place] for name in ("weight", "share", "flow")] == [None] * 3
    assert (edges["weight_a"][place], edges["change"][place]) == (-1, 0)
    assert not edges["show"][place] & STRONG_CHANGE


def test_of_thirty_layers_all_are_in_sight_at_once() -> None:
    shallow, deep = (pair_view(diff_graphs(*(random_graph(seed, n_layers=n) for seed in (1, 2)))) for n in (3, 30))
    assert len(deep.places["rows"]) == 32
    around, almost = 38 + 26, 1.12  # as in assets/graph/scene.js
    assert deep.places["height"] * deep.places["least_px"] <= almost * (DEEP_PX - around)
    assert deep.places["least_px"] < shallow.places["least_px"]


def test_weak_fit_carries_a_warning_and_is_not_rounded_up():
    weak = replace(micro_b(), fit=Fit(replacement=0.7996, completeness=0.9, error_share=0.2))
    sides = pair_view(diff_graphs(micro_a(), weak)).sides
    assert sides[0]["warning"] == ""
    assert "under 0.80" in sides[1]["warning"]
    assert sides[1]["fit"] == "replacement score 0.79"


def test_hostile_tokens_come_through_as_they_are():
    hostile = ("<img src=x onerror=alert(1)>", "</script><script>")
    a, b = (replace(side, target_tokens=hostile, tokens=("<bos>", hostile[0])) for side in (micro_a(), micro_b()))
    payload = pair_view(diff_graphs(a, b)).payload()
    assert hostile[0] in {node["token"] for node in payload["nodes"]}
    assert hostile[0] in {column["token"] for column in payload["places"]["columns"]}


def test_bars_leave_nothing_unsaid():
    """Four tokens in one order on both sides, the right answer among them, and all others."""
    a, b = (random_graph(seed, n_logits=8) for seed in (1, 2))
    unlikely = int(np.argmin(np.maximum(a.target_probability, b.target_probability)))
    view = pair_view(diff_graphs(a, b), probe=probe("x", a.target_tokens[unlikely]))
    tokens = [[bar["token"] for bar in side["bars"]] for side in view.sides]
    assert tokens[0] == tokens[1]
    assert len(tokens[0]) == N_BARS + 1
    assert [bar["answer"] for bar in view.sides[0]["bars"]] == [False, False, False, True, False]
    for side, graph in zip(view.sides, (a, b), strict=True):
        shown = [bar["p"] for bar in side["bars"]]
        assert sum(shown) == pytest.approx(1, abs=1e-4)
        untraced = 1 - float(graph.target_probability.sum())
        assert f"{untraced:.3f} on tokens" in side["bars"][-1]["note"]


def test_a_group_of_features_is_one_wide_box():
    diff = diff_graphs(random_graph(1), random_graph(2))
    features = diff.nodes[diff.nodes["kind"] == "feature"]
    names = tuple(dict.fromkeys(f"{la}/{ix}" for la, ix in zip(features["layer"], features["index"], strict=True)))
    groups = Annotations(transcoders_hash="aa", supernodes=(Supernode(name="happy / joy", features=names[:6]),))
    key = diff.a.key.model_copy(update={"transcoders_hash": "aa"})
    merged = merge_supernodes(replace(diff, a=replace(diff.a, key=key)), groups)
    boxes = [node for node in pair_view(merged).nodes if node["kind"] == "supernode"]
    assert boxes
    assert {(box["label"], box["shape"]) for box in boxes} == {("happy / joy", "box")}
    assert boxes[0]["tooltip"].startswith("happy / joy\na group of features in layer")
    beside = [node["x"] for node in pair_view(merged).nodes if node["y"] == boxes[0]["y"] and node not in boxes]
    assert all(abs(x - boxes[0]["x"]) >= 4 for x in beside)  # room for half its name, in node pitches


def test_a_mean_circuit_tells_its_spread():
    diff = diff_graphs(random_graph(1), random_graph(2))
    mean = {"n": 7, "spread_a": 0.25, "spread_b": 0.5, "spread_change": 0.125}
    view = pair_view(replace(diff, nodes=diff.nodes.assign(**mean), edges=diff.edges.assign(**mean)))
    assert "in 7 of them; spread of the part: A ± 0.25 · B ± 0.50" in view.nodes[0]["tooltip"]
    assert set(view.edges["spread_change"]) == {0.125}
    assert "n" not in pair_view(diff).edges


@pytest.mark.parametrize("seed", range(3))
def test_payload_is_finite_json_and_small(seed):
    diff = diff_graphs(random_graph(seed), random_graph(seed + 20))
    text = json.dumps(pair_view(diff).payload(), allow_nan=False)
    assert json.loads(text)["statuses"] == list(STATUSES)
    assert len(text) < 500 * len(diff.nodes) + 160 * len(diff.edges) + 3000


def _luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize(("theme", "background"), [("light", "#ffffff"), ("dark", "#0e1117")])
def test_colours_are_seen_on_their_background(theme, background):
    colours = GRAPH[theme]
    for name in ("text", "muted"):
        assert _contrast(colours[name], background) >= 4.5
    for name in (
        "positive",
        "negative",
        "gained",
        "lost",
        "flipped",
        "outline",
        "ring",
        "answer",
        "found",
    ):
        assert _contrast(colours[name], background) >= 3, name


def test_sign_and_difference_share_no_colour():
    for colours in GRAPH.values():
        assert len({colours[name] for name in ("positive", "negative", "gained", "lost", "flipped", "same")}) == 6


def test_outputs_that_read_alike_are_told_apart_in_the_graph_as_in_its_bars() -> None:
    alike = diff_graphs(*(replace(graph, target_tokens=(" yes", "yes")) for graph in (micro_a(), micro_b())))
    view = pair_view(alike)
    outputs = [node["token"] for node in view.nodes if node["kind"] == "logit"]
    assert sorted(outputs) == ["yes", "␣yes"]
    assert sorted(bar["token"] for bar in view.sides[0]["bars"] if not bar["others"]) == sorted(outputs)
