"""GraphML: what networkx reads back is what the difference says."""

import io

import networkx as nx
import pytest

from engine.analysis.diff import diff_graphs
from engine.analysis.pruning import prune
from engine.analysis.records import graph_record
from engine.domain.diffs import GraphDiff
from engine.export.graphml import graph_graphml, to_graphml
from engine.export.texts import printable
from tests.analysis.micro_graphs import micro_a, micro_b, random_graph
from tests.export.hostile import empty_diff, empty_graph, hostile_diff, hostile_graph


def read(text: str) -> nx.DiGraph:
    return nx.read_graphml(io.BytesIO(text.encode("utf-8")))


@pytest.mark.parametrize(
    "diff", [diff_graphs(micro_a(), micro_b()), diff_graphs(random_graph(1), random_graph(2)), hostile_diff()]
)
def test_the_difference_comes_back(diff: GraphDiff) -> None:
    graph = read(to_graphml(diff))
    assert graph.is_directed()
    assert list(graph.nodes) == list(diff.nodes["id"])
    for row in diff.nodes.drop(columns="id").assign(id=diff.nodes["id"]).to_dict("records"):
        node = graph.nodes[row.pop("id")]
        assert node.pop("label")
        assert node == {name: printable(v) if isinstance(v, str) else v for name, v in row.items()}
        assert {name: type(value) for name, value in node.items()} == {
            "kind": str, "layer": int, "position": int, "index": int, "token": str, "a": float, "b": float,
            "activation_a": float, "activation_b": float, "kept_a": bool, "kept_b": bool, "status": str,
        }  # fmt: skip
    assert graph.number_of_edges() == len(diff.edges)
    for row in diff.edges.to_dict("records"):
        edge = graph.edges[row.pop("source"), row.pop("target")]
        assert edge == row
    assert graph.graph["checkpoint_b"] == diff.b.key.checkpoint
    assert graph.graph["prompt"] == printable(diff.a.key.prompt)
    assert graph.graph["node_threshold"] == 0.8


@pytest.mark.parametrize("graph", [micro_a(), random_graph(5), hostile_graph()])
def test_one_graph_comes_back(graph) -> None:  # type: ignore[no-untyped-def]
    got = read(graph_graphml(graph))
    kept = prune(graph)
    ids = graph.node_ids()
    assert set(got.nodes) == {ids[row] for row in kept.node_mask.nonzero()[0]}
    assert got.number_of_edges() == kept.edge_mask.sum()
    for edge in graph_record(graph)["edges"]:
        found = got.edges[edge["source"], edge["target"]]
        assert (found["weight"], found["share"], found["contribution"]) == (
            edge["weight"], edge["share"], edge["contribution"],
        )  # fmt: skip


def test_graphs_without_edges() -> None:
    assert read(to_graphml(empty_diff())).number_of_edges() == 0
    assert set(read(graph_graphml(empty_graph())).nodes) == set(empty_graph().node_ids())
