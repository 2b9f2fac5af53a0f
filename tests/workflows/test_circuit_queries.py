"""What is told of stored component circuits: which there are, in which order, and what changed between them."""

import json
import os
from dataclasses import replace
from itertools import pairwise

import networkx as nx
import numpy as np
import pytest

from engine.domain.components import (
    ComponentKey,
    ComponentScores,
    ComponentShape,
    CurvePoint,
    CurveReport,
    ScoreSettings,
    UnionReport,
)
from engine.domain.decisions import CircuitReading, RunDecisions, TypeReading
from engine.domain.errors import ComparisonRefused, InputError, NotFound
from engine.domain.measures import Change
from engine.export.component_graph import component_csv, component_edges, component_graphml, component_record
from engine.store import Store
from engine.workflows.component_queries import (
    FeatureLikeness,
    checkpoint_scores,
    component_change,
    curve_of,
    feature_likeness,
    found_with,
    parts_likeness,
    reports_of,
    settings_found,
)
from tests.store.artefacts import add_run

SHAPE = ComponentShape(n_layers=2, n_heads=1)
PLAIN, OTHER = ScoreSettings(), ScoreSettings(n_steps=1)
# Edges by name, as (input, source): what goes where in a circuit of this shape.
EDGES = {
    f"{source}->{target}": (row, column)
    for row, target in enumerate(SHAPE.inputs())
    for column, source in enumerate(SHAPE.sources())
    if SHAPE.edge_mask()[row, column]
}


def scores(
    checkpoint: str,
    sizes: dict[str, float],
    *,
    settings: ScoreSettings = PLAIN,
    pairs: str = "words",
    weights: str = "c",
    shape: ComponentShape = SHAPE,
) -> ComponentScores:
    key = ComponentKey(checkpoint=checkpoint, checkpoint_hash=weights, pairs=pairs, pairs_hash="h", settings=settings)
    groups = np.zeros((1, shape.n_inputs, shape.n_sources), np.float32)
    for name, size in sizes.items():
        groups[0][EDGES[name]] = size
    return ComponentScores(key, shape, groups, np.array([4]), np.array([2.0]), np.array([-1.0]))


DIRECT = {"input->logits": 3.0}
BY_MLP = {"input->m0": 2.0, "m0->logits": -1.0}
BY_HEAD = {"input->a1.h0<v>": 1.0, "a1.h0->logits": 1.0}


def kept(store: Store, *made: ComponentScores) -> None:
    """Each a second younger than the one before."""
    for one in made:
        store.save_components(one)
        path = store.workspace / "components" / f"{one.key.hash}.safetensors"
        age = len(list(path.parent.iterdir())) * 10**9
        os.utime(path, ns=(age, age))
    store.sync()


@pytest.fixture
def told(store: Store) -> Store:
    """A run of three checkpoints, whose circuit changes at each."""
    add_run(store)
    kept(
        store,
        scores("one@100%", DIRECT | BY_HEAD),
        scores("one@base", DIRECT | BY_MLP),
        scores("one@50%", DIRECT | BY_MLP | BY_HEAD),
    )
    return store


def test_series_are_in_order_of_steps_and_the_likeliest_settings_come_first(told: Store) -> None:
    kept(
        told,
        scores("one@base", DIRECT, settings=OTHER),
        scores("one@base", DIRECT, pairs="others"),
        scores("one@step3", DIRECT),  # of a checkpoint that is no more
    )
    found = settings_found(told, "one")
    assert [(one.pairs, one.settings, one.steps) for one in found] == [
        ("words", PLAIN, (0, 2, 4)),
        ("words", OTHER, (0,)),
        ("others", PLAIN, (0,)),
    ]
    assert found[0].checkpoints == ("one@base", "one@50%", "one@100%")
    assert found_with(told, "one") == found[0]
    assert found_with(told, "one", settings=OTHER) == found[1]
    assert found_with(told, "one", pairs="others") == found[2]
    # Of one checkpoint, too, not the newest, which is alone, but what its run's other checkpoints have.
    assert checkpoint_scores(told, "one@base").key.settings == PLAIN
    assert checkpoint_scores(told, "one@base", n_steps=OTHER.n_steps).key.settings == OTHER
    assert found_with(told, "one", n_steps=OTHER.n_steps) == found[1]
    assert checkpoint_scores(told, "one@base", pairs="others").key.pairs == "others"


def test_scores_of_other_weights_give_way_to_newer_ones(told: Store) -> None:
    kept(told, scores("one@base", BY_HEAD, weights="new"))
    (found,) = settings_found(told, "one")
    assert [key.checkpoint_hash for key in found.keys] == ["new", "c", "c"]


def test_what_is_asked_for_but_not_there_is_said_with_what_is(told: Store) -> None:
    add_run(told, "other")
    with pytest.raises(InputError, match=r"No circuits of “other” have been found yet. Find them first: .*find other"):
        found_with(told, "other")
    with pytest.raises(
        InputError, match=r"on the pairs of “gone” yet; there are circuits on “words” by EAP-IG \(5 points\) at"
    ):
        found_with(told, "one", pairs="gone")
    with pytest.raises(
        InputError, match=r"circuit of one@base has not been found on the pairs of “gone” yet; .* “words”"
    ):
        checkpoint_scores(told, "one@base", pairs="gone")
    with pytest.raises(InputError, match=r"circuit of other@50% has not been found yet\. Find it first"):
        checkpoint_scores(told, "other@50%")
    for unknown in ("one@step3", "nobody@base"):
        with pytest.raises(NotFound):
            checkpoint_scores(told, unknown)
    with pytest.raises(NotFound):
        settings_found(told, "nobody")
    assert checkpoint_scores(told, "one@step2").key.checkpoint == "one@50%"


def test_change_is_told_step_by_step(told: Store) -> None:
    found = component_change(told, found_with(told, "one"), share=5 / SHAPE.n_edges)
    assert [circuit.n_edges for circuit in found.circuits] == [3, 5, 3]
    first, second = found.flips.steps
    assert (first.edges_appeared, first.edges_vanished, first.nodes_appeared, first.nodes_vanished) == (2, 0, 1, 0)
    assert (second.edges_appeared, second.edges_vanished, second.nodes_appeared, second.nodes_vanished) == (0, 2, 0, 1)
    assert (first.edge_jaccard, first.node_jaccard) == (pytest.approx(3 / 5), pytest.approx(3 / 4))
    assert (found.flips.delta_edges, found.flips.delta_nodes) == (pytest.approx(4 / 3), pytest.approx(2 / 3))
    # What leaves a1.h0 is of layer 1, what leaves m0 of layer 0, what leaves the input of none.
    assert found.layers == pytest.approx(np.array([[0, 1], [1, 0]]))
    assert found.whole == pytest.approx(np.array([1, 1]))


def test_change_needs_two_checkpoints_of_one_shape_with_something_left(told: Store) -> None:
    whole = found_with(told, "one")
    kept(told, scores("one@base", BY_MLP, settings=OTHER))
    with pytest.raises(InputError, match="at one checkpoint only, one@base"):
        component_change(told, found_with(told, "one", settings=OTHER))
    kept(told, scores("one@50%", {"a0.h0->m0": 1.0}))
    with pytest.raises(InputError, match="one@50%: The circuit is empty"):
        component_change(told, whole, share=1 / SHAPE.n_edges)
    kept(told, scores("one@50%", {}, shape=ComponentShape(n_layers=1, n_heads=1)))
    with pytest.raises(ComparisonRefused, match="different shape"):
        component_change(told, whole, share=1.0)


def test_parts_of_the_pairs_say_how_much_is_noise(told: Store) -> None:
    (found,) = settings_found(told, "one")
    share = 2 / SHAPE.n_edges
    assert parts_likeness(told, found) == (None, None, None)  # of one part nothing can be said
    whole, direct = scores("one@base", DIRECT | BY_MLP), scores("one@base", DIRECT | BY_HEAD)
    two = np.concatenate([whole.groups, direct.groups])
    kept(told, replace(whole, groups=two, n_pairs=np.array([2, 2]), clean=np.zeros(2), corrupted=np.zeros(2)))
    alike, *_ = parts_likeness(told, found, share=3 / SHAPE.n_edges)
    assert alike is not None
    # input -> logits of five edges; input and logits of four nodes.
    assert (alike.edges.value, alike.nodes.value, alike.n) == (pytest.approx(1 / 5), pytest.approx(1 / 2), 1)
    assert parts_likeness(told, found, share=share, how="greedy")[0] is not None
    kept(told, replace(whole, groups=np.concatenate([whole.groups, scores("one@base", {"a0.h0->m0": 1}).groups]),
                       n_pairs=np.array([2, 2]), clean=np.zeros(2), corrupted=np.zeros(2)))  # fmt: skip
    assert parts_likeness(told, found, share=1 / SHAPE.n_edges)[0] is None  # nothing is left of a part


def reading(step: int, change: float | None) -> CircuitReading:
    changed = Change(value=change or 0, low=0, high=1, edge=None)
    measures = {} if change is None else {"node_jaccard": changed, "edge_jaccard": changed}
    types = [
        TypeReading(constraint_type=name, n_prompts=2, fit=0.9, lowest_fit=0.8, change=measures)  # type: ignore[arg-type]
        for name in ("simple_mapping", "spatial_relationship")
    ]
    return CircuitReading(
        step=step, transcoders="t", transcoders_hash="t", refreshed=False, types=tuple(types), trace_s=0
    )


def test_feature_graphs_say_the_same_of_their_own_captures(told: Store) -> None:
    assert feature_likeness(told, "one") == {}
    told.save_decisions("one", RunDecisions(readings=(reading(0, None), reading(2, 0.25), reading(4, 1.0))))
    found = feature_likeness(told, "one")
    assert found == {
        (2, 0): (FeatureLikeness("simple_mapping", 0.75, 0.75), FeatureLikeness("spatial_relationship", 0.75, 0.75)),
        (4, 2): (FeatureLikeness("simple_mapping", 0.0, 0.0), FeatureLikeness("spatial_relationship", 0.0, 0.0)),
    }
    assert list(found) == [(late, early) for early, late in pairwise(found_with(told, "one").steps)]


def test_reports_are_told_by_kind(told: Store) -> None:
    (found,) = settings_found(told, "one")
    point = CurvePoint(share=0.5, n_asked=1, n_edges=1, n_nodes=2, faithfulness=None)
    curve = CurveReport(key=found.keys[1], points=(point,))
    union = UnionReport(key=found.keys[1], parts=found.keys[:1], points=())
    for report in (curve, union):
        told.save_circuit_report(report)
    assert reports_of(told, "one", CurveReport) == (curve,)
    assert reports_of(told, "one", UnionReport) == (union,)
    assert curve_of(told, found.keys[1]) == curve
    assert curve_of(told, found.keys[0]) is None


def test_a_circuit_goes_to_other_tools(told: Store) -> None:
    found = component_change(told, found_with(told, "one"), share=5 / SHAPE.n_edges)
    made, circuit = checkpoint_scores(told, "one@50%"), found.circuits[1]
    edges = component_edges(made, circuit)
    assert edges.values.tolist() == [
        ["input", "logits", "", 3.0],
        ["input", "m0", "", 2.0],
        ["input", "a1.h0", "v", 1.0],
        ["m0", "logits", "", -1.0],
        ["a1.h0", "logits", "", 1.0],
    ]
    record = json.loads(json.dumps(component_record(made, circuit)))
    assert record["nodes"] == ["input", "m0", "a1.h0", "logits"]
    assert (record["clean"], record["corrupted"], record["n_pairs"]) == (2.0, -1.0, 4)
    assert record["edges"][3] == {"source": "m0", "target": "logits", "input": "", "score": -1.0}
    assert record["n_edges_of_model"] == SHAPE.n_edges
    assert component_csv(made, circuit).splitlines()[:2] == ["source,target,input,score", "input,logits,,3.0"]
    graph = nx.parse_graphml(component_graphml(made, circuit), force_multigraph=True)
    assert list(graph) == record["nodes"]
    assert graph.nodes["a1.h0"] == {"label": "a1.h0", "kind": "head", "layer": 1, "head": 0}
    assert graph.edges["input", "a1.h0", "v"] == {"input": "v", "score": 1.0}
    assert graph.number_of_edges() == 5
