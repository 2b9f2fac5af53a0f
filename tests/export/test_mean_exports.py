"""The mean circuit of many prompts is exported like any other difference, with its spreads, and is titled as one."""

import io
import json

import networkx as nx

from engine.analysis.aggregate import aggregate
from engine.analysis.diff import diff_graphs
from engine.domain.diffs import DiffSettings, GraphDiff
from engine.domain.explained import ExplainedLogits
from engine.export import graph_html, graph_svg, node_table, to_graphml, tracer_json
from engine.figures.graph_view import pair_view
from tests.analysis.micro_graphs import micro_a, micro_b, probe
from tests.export.markup import look_into


def mean() -> GraphDiff:
    yes = DiffSettings(explained=ExplainedLogits(answers=(20,)))
    return aggregate(
        [(probe().model_copy(update={"template": "{w}", "constraint": "x"}), diff_graphs(micro_a(), micro_b(), yes))]
    )


def test_spreads_go_along() -> None:
    diff = mean()
    graph = nx.read_graphml(io.BytesIO(to_graphml(diff).encode()))
    assert all(edge["n"] == 1 and edge["spread_change"] == 0.0 for _, _, edge in graph.edges(data=True))
    assert {"n", "spread_a"} <= set(node_table(diff).columns)


def test_it_is_titled_as_a_mean_circuit() -> None:
    diff = mean()
    view = pair_view(diff)
    assert "<h1>simple mapping · inference (1 prompt)</h1>" in graph_html(view, diff)
    assert "right answer" in look_into(graph_html(view, diff)).text
    assert "right answer" in graph_svg(view)


def test_ids_stay_unique() -> None:
    ids = [node["node_id"] for node in json.loads(tracer_json(mean().b, slug="mean"))["nodes"]]
    assert len(set(ids)) == len(ids) > 4
