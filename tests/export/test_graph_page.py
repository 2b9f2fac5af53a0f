"""The standalone page: its parts, and that no text in it becomes code or an address. A browser is asked elsewhere."""

import base64
import hashlib
import json
import re

import pytest

from engine.analysis.diff import diff_graphs
from engine.domain.diffs import DiffSettings, GraphDiff
from engine.domain.graphs import PruneSettings
from engine.export.graph_page import MOST_EDGES, graph_html
from engine.export.pages import inline_json
from tests.analysis.micro_graphs import micro_a, micro_b, probe, random_graph
from tests.export.hostile import TOKENS, badly_explained, empty_diff, hostile_diff, view_of
from tests.export.markup import look_into


def micro() -> GraphDiff:
    return diff_graphs(micro_a(), micro_b())


@pytest.mark.parametrize("diff", [micro(), hostile_diff(), empty_diff()])
def test_it_runs_two_scripts_of_ours_and_fetches_nothing(diff: GraphDiff) -> None:
    found = look_into(graph_html(view_of(diff), diff))
    assert found.addresses == []
    assert found.handlers == []
    assert len(found.scripts) == 2
    assert "vis-network" in found.scripts[0]
    for script in found.scripts:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in found.policy
    assert "unsafe-inline'" not in found.policy.partition("script-src")[2].partition(";")[0]
    assert "default-src 'none'" in found.policy
    assert "sourceMappingURL" not in found.scripts[0]
    assert not {"iframe", "object", "embed", "img", "a", "form", "base"} & set(found.tags)


def test_hostile_texts_are_shown_as_texts() -> None:
    diff = hostile_diff()
    page = graph_html(view_of(diff), diff)
    found = look_into(page)
    assert "<script>window.hacked = 1</script>" in found.text
    assert "\x00" not in page
    assert "␀" in found.text


def test_the_data_is_read_back_as_it_was() -> None:
    data = {"tokens": list(TOKENS), "more": "</script><!--<script>\u2028"}
    text = str(inline_json(data))
    assert "<" not in text
    assert json.loads(text) == data


def test_what_a_reader_looks_for_is_there() -> None:
    diff = badly_explained(micro())
    found = look_into(graph_html(view_of(diff), diff, probe=probe()))
    for text in (
        "run@25%", "run@100%", "Only A expects the right answer", "0.410", "0.900",
        "replacement score is 0.41 in A, under 0.80",
        "shared", "circuit-tracer 0.", "80 %", "98 %", "L0 · x · feature 7", "replacement score 0.41",
    ):  # fmt: skip
        assert text in found.text, text
    unwarned = look_into(graph_html(view_of(micro()), micro())).text
    assert "replacement score under" not in unwarned


def test_three_networks_of_the_views_nodes_at_the_same_places() -> None:
    diff = micro()
    page = graph_html(view_of(diff), diff)
    body = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert body is not None
    panels = json.loads(body[1])["panels"]
    assert [panel["side"] for panel in panels] == ["a", "b", "overlay"]
    places = [{node["id"]: (node["x"], node["y"]) for node in panel["nodes"]} for panel in panels]
    assert places[0] == places[1] == places[2]
    assert set(places[0]) == set(diff.nodes["id"])
    for panel in panels:
        assert panel["options"]["physics"] is False
        assert panel["options"]["edges"]["smooth"] is False
        assert all(edge["arrows"] == "to" for edge in panel["edges"])


def test_very_large_graphs_keep_their_strongest_edges() -> None:
    graphs = [random_graph(seed, n_features=900, n_layers=6, n_pos=8, n_edges=12_000, pool=60) for seed in (1, 2)]
    everything = PruneSettings(node_threshold=1, edge_threshold=1)
    diff = diff_graphs(*graphs, DiffSettings(prune=everything))
    assert len(diff.edges) > 2 * MOST_EDGES
    page = graph_html(view_of(diff), diff)
    body = re.search(r'id="data">(.*?)</script>', page, re.DOTALL)
    assert body is not None
    for panel in json.loads(body[1])["panels"]:
        assert len(panel["edges"]) <= MOST_EDGES + 35
    assert len(page) < 8e6


def test_nothing_differs() -> None:
    diff = diff_graphs(micro_a(), micro_a())
    assert "Nothing differs by more than" in look_into(graph_html(view_of(diff), diff)).text


def test_dark() -> None:
    page = graph_html(view_of(micro()), micro(), theme="dark")
    assert "color-scheme: dark" in page
    assert "#0e1117" in page
