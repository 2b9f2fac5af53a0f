"""circuit-tracer's JSON: its own model takes it, its own code writes the same, and no two nodes share an id."""

import json
from typing import Any

import numpy as np
import pytest

from engine.analysis.pruning import prune
from engine.domain.annotations import Annotations, Supernode
from engine.domain.feature_names import AutomaticLabels, FeatureNames, FoundLabels
from engine.domain.graphs import AttributionGraph, NodeKind, PruneSettings
from engine.export.tracer import tracer_json
from tests.analysis.micro_graphs import E, F, T, Y, graph_of, micro_a, random_graph
from tests.export.hostile import PROMPT, empty_graph, hostile_graph


def read(graph: AttributionGraph, **options: Any) -> dict[str, Any]:
    model = json.loads(tracer_json(graph, slug="one", **options))
    assert isinstance(model, dict)
    return model


GRAPHS = [micro_a(), random_graph(1), random_graph(2, n_features=200), hostile_graph(), empty_graph()]


@pytest.mark.parametrize("graph", GRAPHS)
def test_circuit_tracers_own_model_takes_every_field(graph: AttributionGraph) -> None:
    from circuit_tracer.frontend.graph_models import Link, Model, Node

    model = read(graph)
    taken = Model.model_validate(model)
    assert [set(node) for node in model["nodes"]] == [set(Node.model_fields)] * len(taken.nodes)
    assert set(model["qParams"]) == set(type(taken.qParams).model_fields)
    assert set(type(taken.metadata).model_fields) <= set(model["metadata"])
    for link in model["links"]:
        assert Link.model_validate(link).model_dump() == link
    assert [node.model_dump() for node in taken.nodes] == model["nodes"]


@pytest.mark.parametrize("graph", GRAPHS)
def test_ids_are_unique_and_links_have_both_ends(graph: AttributionGraph) -> None:
    model = read(graph, settings=PruneSettings(node_threshold=1, edge_threshold=1))
    ids = [node["node_id"] for node in model["nodes"]]
    assert len(set(ids)) == len(ids)
    assert {end for link in model["links"] for end in (link["source"], link["target"])} <= set(ids)


def test_an_error_never_has_the_id_of_a_feature() -> None:
    """Feature 1 of layer 0 at position 0, and the error of layer 1 there: both `0_1_0` in circuit-tracer."""
    nodes = [(F, 0, 0, 1), (E, 1, 0, 0), (T, -1, 0, 3), (Y, 2, 0, 7)]
    edges = [(2, 0, 1.0), (0, 3, 1.0), (1, 3, 1.0)]
    graph = graph_of(nodes, edges, tokens=("x",), outputs=("y",), probability=(0.5,), n_layers=2)
    assert [node["node_id"] for node in read(graph)["nodes"]] == ["0_1_0", "1_error_0", "E_3_0", "3_7_0"]


@pytest.mark.parametrize("seed", range(4))
def test_it_is_what_circuit_tracer_writes(seed: int) -> None:
    """Same nodes, numbers, labels and links as `create_graph_files` of its own graph, but for the ids of errors."""
    import torch
    from circuit_tracer.graph import prune_graph
    from circuit_tracer.utils.create_graph_files import create_nodes, create_used_nodes_and_edges

    graph = in_order_of_probability(random_graph(seed, n_features=80))
    torch.set_default_dtype(torch.float64)
    try:
        theirs = as_circuit_tracer(graph)
        masks = prune_graph(theirs, 0.8, 0.98)
        made = create_nodes(theirs, masks[0], None, masks[2].tolist())
        used, links = create_used_nodes_and_edges(theirs, made, masks[1])
    finally:
        torch.set_default_dtype(torch.float32)
    ours = read(graph)
    expected = {renamed(node.model_dump())["node_id"]: renamed(node.model_dump()) for node in used}
    assert {node["node_id"] for node in ours["nodes"]} == set(expected)
    for node in ours["nodes"]:
        like = expected[node["node_id"]]
        for name in ("influence", "activation", "token_prob"):
            assert node.pop(name) == (like[name] if like[name] is None else pytest.approx(like[name], abs=1e-6)), name
            like.pop(name)
        assert node == like
    error_ids = {node.node_id: renamed(node.model_dump())["node_id"] for node in used if "error" in node.feature_type}
    features = {node.node_id for node in used if "error" not in node.feature_type}
    assert not features & set(error_ids), "seeds are chosen so that circuit-tracer's ids do not collide"
    named = {(error_ids.get(k["source"], k["source"]), k["target"]): k["weight"] for k in links}
    assert {(k["source"], k["target"]): k["weight"] for k in ours["links"]} == pytest.approx(named)


def in_order_of_probability(graph: AttributionGraph) -> AttributionGraph:
    """As circuit-tracer orders outputs that it chose itself."""
    import dataclasses

    return dataclasses.replace(graph, target_probability=np.sort(graph.target_probability)[::-1].copy())


def renamed(node: dict[str, Any]) -> dict[str, Any]:
    if "error" not in node["feature_type"]:
        return node
    name = f"{node['layer']}_error_{node['ctx_idx']}"
    return node | {"node_id": name, "jsNodeId": f"{name}-0"}


def as_circuit_tracer(graph: AttributionGraph) -> Any:
    from types import SimpleNamespace

    import torch

    matrix = np.zeros((graph.n_nodes, graph.n_nodes))
    matrix[graph.target, graph.source] = graph.weight
    features = np.flatnonzero(graph.kind == NodeKind.FEATURE)
    outputs = graph.index[graph.kind == NodeKind.LOGIT].tolist()
    tokens = graph.index[graph.kind == NodeKind.TOKEN]
    return SimpleNamespace(
        adjacency_matrix=torch.tensor(matrix),
        input_tokens=torch.tensor(tokens),
        logit_targets=list(zip(graph.target_tokens, outputs, strict=True)),
        selected_features=torch.arange(len(features)),
        active_features=torch.tensor(np.stack([graph.layer, graph.position, graph.index], axis=1)[features]),
        activation_values=torch.tensor(graph.activation[features]),
        logit_probabilities=torch.tensor(graph.target_probability.astype(np.float64)),
        n_pos=len(graph.tokens),
        cfg=SimpleNamespace(n_layers=graph.n_layers),
    )


def test_weights_and_what_is_kept_are_the_graphs() -> None:
    graph = random_graph(7)
    kept = prune(graph, PruneSettings(node_threshold=0.6, edge_threshold=0.9))
    model = read(graph, settings=PruneSettings(node_threshold=0.6, edge_threshold=0.9))
    assert sorted(link["weight"] for link in model["links"]) == sorted(graph.weight[kept.edge_mask].tolist())
    assert model["metadata"]["node_threshold"] == 0.6
    assert model["metadata"]["pruning_settings"] == {"node_threshold": 0.6, "edge_threshold": 0.9}
    assert [node["is_target_logit"] for node in model["nodes"]].count(True) == 1


def test_labels_and_groups_go_along() -> None:
    notes = Annotations(
        transcoders_hash="ab",
        labels={"1/3": "says “yes” <b>"},
        supernodes=(Supernode(name="early", features=("0/5", "0/7", "9/9")), Supernode(name="gone", features=("8/8",))),
    )
    found = FoundLabels(("run@25%",), 10, {"0/5": (["x"], ["no", "yes"]), "1/3": (["x"], [])})
    names = FeatureNames(notes, AutomaticLabels(transcoders_hash="ab").added(found))
    model = read(micro_a(), names=names)
    assert next(node for node in model["nodes"] if node["node_id"] == "1_3_1")["clerp"] == "says “yes” <b>"
    assert next(node for node in model["nodes"] if node["node_id"] == "0_5_1")["clerp"] == "x → no, yes (automatic)"
    assert model["qParams"]["supernodes"] == [["early", "0_5_1", "0_7_1"]]
    assert model["qParams"]["pinnedIds"] == ["0_5_1", "0_7_1"]


def test_any_text_is_utf8() -> None:
    text = tracer_json(hostile_graph(), slug="x\ud800")
    assert json.loads(text.encode("utf-8"))["metadata"]["slug"] == "x\ud800"
    assert json.loads(text)["metadata"]["prompt"] == PROMPT
