"""GraphML: what networkx reads back is what the difference says."""

import io
from dataclasses import replace

import networkx as nx
import pytest

from engine.analysis.diff import diff_graphs
from engine.domain.diffs import DiffSettings, GraphDiff
from engine.domain.explained import ExplainedLogits
from engine.export.graphml import to_graphml
from engine.export.texts import printable
from tests.analysis.micro_graphs import micro_a, micro_b, random_graph
from tests.export.hostile import empty_diff, hostile_diff


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
            "activation_a": float, "activation_b": float, "part_a": float, "part_b": float,
            "compared_a": float, "compared_b": float,
            "kept_a": bool, "kept_b": bool, "status": str,
        }  # fmt: skip
    assert graph.number_of_edges() == len(diff.edges)
    for row in diff.edges.to_dict("records"):
        edge = graph.edges[row.pop("source"), row.pop("target")]
        assert edge == row
    assert graph.graph["checkpoint_b"] == diff.b.key.checkpoint
    assert graph.graph["prompt"] == printable(diff.a.key.prompt)
    assert graph.graph["node_threshold"] == 0.8
    assert graph.graph["explained_words"] == printable(diff.explained.words)
    assert graph.graph["explained_b"] == diff.explained.b


def test_what_a_side_did_not_keep_is_left_out() -> None:
    whole, yes = micro_b(), DiffSettings(explained=ExplainedLogits(answers=(20,)))
    left = (whole.source != 0) | (whole.target != 2)
    cut = replace(
        whole, is_whole=False, **{name: getattr(whole, name)[left] for name in ("source", "target", "weight")}
    )
    graph = read(to_graphml(diff_graphs(micro_a(), cut, yes)))
    (edge,) = (edge for *_, edge in graph.edges(data=True) if edge["status"] == "not kept")
    assert {name for name in edge if name.endswith("_b")} == {"kept_b"}
    assert (edge["weight_a"], edge["flow_a"]) == (-1, -2)


def test_graphs_without_edges() -> None:
    assert read(to_graphml(empty_diff())).number_of_edges() == 0
