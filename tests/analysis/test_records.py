"""The JSON records of `trace --json` and `compare --json`."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from engine.analysis.diff import diff_graphs
from engine.analysis.records import EDGE_FIELDS, NODE_FIELDS, diff_record, graph_record
from engine.cli.output import write_json
from engine.domain.diffs import DiffSettings
from engine.domain.explained import ExplainedLogits
from engine.domain.graphs import NodeKind
from tests.analysis.micro_graphs import micro_a, micro_b, random_graph

NODE = ["id", "kind", "layer", "position", "index", "token", "a", "b", "part_a", "part_b", "status"]
SIDES = [f"{value}_{side}" for value in ("weight", "share", "contribution", "flow") for side in "ab"]
OF_YES = DiffSettings(explained=ExplainedLogits(answers=(20,)))
EDGE = ["source", "target", *SIDES, "status"]


def records(made: dict[str, Any]) -> dict[str, Any]:
    """Nodes and edges as lists."""
    tables = {name: made[name].to_dict("records") for name in ("nodes", "edges")}
    return {**made, **tables}


def test_compare_fields_and_values():
    record = records(diff_record(diff_graphs(micro_a(), micro_b(), OF_YES)))
    assert list(record) == ["a", "b", "nodes", "edges", "summary", "explained", "parts", "places", "moves"]
    assert record["explained"]["words"] == record["parts"]["a"]["token"] == "yes"
    # by hand: tokens and errors, and what of the 3 they do not make
    of_a = record["parts"]["a"]
    assert (of_a["tokens"], of_a["errors"]) == (pytest.approx(8 - 16 / 9), pytest.approx(-2 / 3))
    assert of_a["tokens"] + of_a["errors"] + of_a["constants"] + of_a["left_out"] == pytest.approx(of_a["logit"])
    assert record["places"][0] == {"layer": 1, "position": 1, "token": "x", "a": 3 - 1, "b": 1 - 1}
    assert record["moves"] == []  # one token of two does anything
    assert (record["a"]["cut"], record["b"]["cut"]) == (False, False)
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
    assert (row["flow_a"], row["flow_b"]) == (-2, pytest.approx(2 / 3))
    assert (len(record["nodes"]), len(record["edges"])) == (10, 10)


def test_what_a_side_does_not_know_is_null():
    a = micro_a()
    cut = replace(a, source=a.source[1:], target=a.target[1:], weight=a.weight[1:], is_whole=False)
    record = records(diff_record(diff_graphs(cut, a, OF_YES)))
    assert record["a"]["cut"]
    (row,) = (e for e in record["edges"] if e["status"] == "not kept")
    assert [row[f"{value}_a"] for value in ("weight", "share", "contribution", "flow")] == [
        pytest.approx(np.nan, nan_ok=True)
    ] * 4
    assert row["flow_b"] == pytest.approx(8)


def test_compare_everything():
    record = diff_record(diff_graphs(micro_a(), micro_b()), everything=True)
    assert (len(record["nodes"]), len(record["edges"])) == (13, 12)
    assert record["summary"]["edge_jaccard"] == pytest.approx(0.4)  # still of the pruned graphs


def test_trace_fields_and_values():
    record = records(graph_record(micro_a()))
    assert list(record["nodes"][0]) == ["id", "kind", "layer", "position", "index", "token", "activation", "influence"]
    assert list(record["edges"][0]) == ["source", "target", "weight", "share", "contribution"]
    assert (len(record["nodes"]), len(record["edges"])) == (8, 8)
    everything = records(graph_record(micro_a(), everything=True))
    assert (len(everything["nodes"]), len(everything["edges"])) == (12, 10)
    by_id = {node["id"]: node for node in everything["nodes"]}
    for edge in everything["edges"]:
        part = abs(edge["share"]) * by_id[edge["target"]]["influence"]
        assert edge["contribution"] == pytest.approx(part)


@pytest.mark.parametrize("everything", [False, True])
def test_json_is_finite_and_whole(everything, tmp_path, monkeypatch):
    """In blocks of rows, and read again as what was written."""
    monkeypatch.setattr("engine.store.json_blocks._ROWS", 7)
    a, b = random_graph(1), random_graph(2)
    odd = replace(a, activation=np.where(a.kind == NodeKind.FEATURE, np.nan, 0).astype(np.float32))
    for made in (graph_record(odd, everything=everything), diff_record(diff_graphs(a, b), everything=everything)):
        write_json(made, str(tmp_path / "made.json"))
        text = (tmp_path / "made.json").read_text(encoding="utf-8")
        read = json.loads(text, parse_constant=pytest.fail)
        for name in ("nodes", "edges"):
            wanted = made[name].astype(object).where(made[name].notna(), None).to_dict("records")
            assert [list(row) for row in read[name]] == [list(row) for row in wanted]
            for row, other in zip(read[name], wanted, strict=True):
                assert row == {
                    key: pytest.approx(value) if isinstance(value, float) else value for key, value in other.items()
                }
    assert [key for key in read if key not in ("nodes", "edges")] == [
        key for key in made if key not in ("nodes", "edges")
    ]
    assert read["summary"] == made["summary"]
