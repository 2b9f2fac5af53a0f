"""The nodes of a difference as CSV."""

import io

import networkx as nx
import pandas as pd
import pytest

from engine.analysis.diff import diff_graphs
from engine.domain.annotations import Annotations
from engine.domain.diffs import DiffSettings
from engine.domain.explained import ExplainedLogits
from engine.domain.feature_names import AutomaticLabels, FeatureNames, FoundLabels
from engine.export.graphml import to_graphml
from engine.export.tables import edges_csv, node_table, nodes_csv
from tests.analysis.micro_graphs import micro_a, micro_b
from tests.export.hostile import empty_diff, hostile_diff


def test_by_hand() -> None:
    yes = DiffSettings(explained=ExplainedLogits(answers=(20,)))
    table = node_table(diff_graphs(micro_a(), micro_b(), yes))
    assert table.loc[0, "node"] == "L0 · x · feature 5"  # it gave way
    assert (table.loc[0, "part in A"], table.loc[0, "part in B"]) == pytest.approx((6, 0))
    row = table[table["id"] == "feature/1/1/3"].iloc[0]
    assert row["node"] == "L1 · x · feature 3"
    assert row["influence in A"] == pytest.approx(0.5625)
    assert (row["part in A"], row["part in B"]) == pytest.approx((3, 1))
    assert table.set_index("id").loc[["token/-1/1/2", "feature/1/1/3", "logit/2/1/20"], "layer"].tolist() == [
        "embeddings", "L1", "output",
    ]  # fmt: skip
    assert row["effect of change"] == 0  # it is as active as it was: what its edge does is told of the edge
    assert table["effect of change"].abs().is_monotonic_decreasing


def test_labels_have_columns_of_their_own() -> None:
    found = FoundLabels(("run@25%",), 10, {"0/5": (["x"], ["no"]), "1/3": ([], ["yes"])})
    names = FeatureNames(
        Annotations(transcoders_hash="ab", labels={"1/3": "says yes"}),
        AutomaticLabels(transcoders_hash="ab").added(found),
    )
    diff = diff_graphs(micro_a(), micro_b())
    rows = node_table(diff, names).set_index("id")
    columns = ["node", "label", "labelled by"]
    assert rows.loc["feature/0/1/5", columns].tolist() == ["L0 · x · x → no (5)", "x → no", "automatic"]
    assert rows.loc["feature/1/1/3", columns].tolist() == ["L1 · x · “says yes” (3)", "says yes", "a person"]
    assert rows.loc["feature/1/1/4", columns].tolist() == ["L1 · x · feature 4", "", ""]
    assert "L0 · x · x → no (5)" in edges_csv(diff, names)
    graph = nx.parse_graphml(to_graphml(diff, names))
    assert graph.nodes["feature/0/1/5"]["feature_label"] == "x → no"
    assert graph.nodes["feature/0/1/5"]["label"] == "L0 · x · x → no (5)"
    assert graph.nodes["feature/1/1/3"]["labelled_by"] == "a person"
    assert "feature_label" not in graph.nodes["feature/1/1/4"]


def test_csv_is_read_back_and_runs_no_formula() -> None:
    table = node_table(hostile_diff())
    read = pd.read_csv(io.StringIO(nodes_csv(hostile_diff())))
    assert list(read["id"]) == list(table["id"])
    assert read["influence in A"].tolist() == pytest.approx(table["influence in A"].tolist())
    assert len(pd.read_csv(io.StringIO(edges_csv(hostile_diff())))) == len(hostile_diff().edges)
    assert len(node_table(empty_diff())) == 3
    assert edges_csv(empty_diff()).count("\n") == 1  # the header
