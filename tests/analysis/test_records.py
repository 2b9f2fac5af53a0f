"""The JSON records of `trace --json` and `compare --json`."""

import json
from dataclasses import replace

import pytest

from engine.analysis.diff import diff_graphs
from engine.analysis.records import EDGE_FIELDS, NODE_FIELDS, diff_record, graph_record
from tests.analysis.micro_graphs import micro_a, micro_b, random_graph

NODE = ["id", "kind", "layer", "position", "index", "token", "a", "b", "status"]
SIDES = [f"{value}_{side}" for value in ("weight", "share", "contribution") for side in "ab"]
EDGE = ["source", "target", *SIDES, "status"]


def test_compare_fields_and_values():
    record = diff_record(diff_graphs(micro_a(), micro_b()))
    assert list(record) == ["a", "b", "nodes", "edges", "summary"]
    assert list(record["nodes"][0]) == NODE == list(NODE_FIELDS)
    assert list(record["edges"][0]) == EDGE == list(EDGE_FIELDS)
    assert record["a"]["checkpoint"] == "run@25%"
    assert record["a"]["tokens"] == ["<bos>", "x"]
    assert record["b"]["logits"][0] == {"token": "yes", "token_id": 20, "probability": 0.25, "logit": 3.0}
    assert set(record["a"]["scores"]) == {"replacement", "completeness", "error_share", "unexplained_variance"}
    assert record["summary"]["edge_jaccard"] == pytest.approx(0.4)
    by_id = {node["id"]: node for node in record["nodes"]}
    assert by_id["feature/1/1/3"]["a"] == pytest.approx(0.5625)
    row = next(e for e in record["edges"] if (e["source"], e["target"]) == ("feature/0/1/7", "feature/1/1/3"))
    assert (row["weight_a"], row["weight_b"], row["status"]) == (-1, 1, "flipped")
    assert (len(record["nodes"]), len(record["edges"])) == (10, 10)


def test_compare_everything():
    record = diff_record(diff_graphs(micro_a(), micro_b()), everything=True)
    assert (len(record["nodes"]), len(record["edges"])) == (13, 12)
    assert record["summary"]["edge_jaccard"] == pytest.approx(0.4)  # still of the pruned graphs


def test_trace_fields_and_values():
    record = graph_record(micro_a())
    assert list(record["nodes"][0]) == ["id", "kind", "layer", "position", "index", "token", "activation", "influence"]
    assert list(record["edges"][0]) == ["source", "target", "weight", "share", "contribution"]
    assert (len(record["nodes"]), len(record["edges"])) == (8, 8)
    everything = graph_record(micro_a(), everything=True)
    assert (len(everything["nodes"]), len(everything["edges"])) == (12, 10)
    by_id = {node["id"]: node for node in everything["nodes"]}
    for edge in everything["edges"]:
        part = abs(edge["share"]) * by_id[edge["target"]]["influence"]
        assert edge["contribution"] == pytest.approx(part)


@pytest.mark.parametrize("everything", [False, True])
def test_json_is_finite_and_plain(everything):
    a, b = random_graph(1), random_graph(2)
    odd = replace(a, activation=a.activation + float("nan"))
    assert '"activation": null' in json.dumps(graph_record(odd, everything=everything), allow_nan=False)
    json.dumps(diff_record(diff_graphs(a, b), everything=everything), allow_nan=False)
