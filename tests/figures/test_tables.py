"""Tables to read and to download."""

import csv
import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from engine.analysis.aggregate import aggregate
from engine.analysis.diff import diff_graphs
from engine.analysis.supernodes import merge_supernodes
from engine.domain.annotations import Annotations, Supernode
from engine.domain.diffs import MEAN_COLUMNS, DiffSettings
from engine.domain.explained import ExplainedLogits
from engine.figures.names import node_name, visible
from engine.figures.tables import CHANGE_TITLE, CHANGED, edge_table, neighbours, to_csv
from tests.analysis.micro_graphs import micro_a, micro_b, probe

EDGE_COLUMNS = ("from", "to", "in A", "in B", CHANGE_TITLE, "status", "share A", "share B")
YES = DiffSettings(explained=ExplainedLogits(answers=(20,)))  # the output that does not stay as it is


def test_edge_table_of_the_micro_pair():
    table = edge_table(diff_graphs(micro_a(), micro_b(), YES))
    assert tuple(table.columns) == (*EDGE_COLUMNS, "source", "target")
    assert table[CHANGE_TITLE].abs().is_monotonic_decreasing
    row = table[table["status"] == "flipped"].iloc[0]
    assert (row["from"], row["to"]) == ("L0 · x · feature 7", "L1 · x · feature 3")
    assert (row["in A"], row["in B"], row[CHANGE_TITLE]) == pytest.approx((-2, 2 / 3, 8 / 3))
    assert (row["share A"], row["share B"]) == (-0.25, 0.25)
    assert "token x" in set(table["from"])
    assert "output yes" in set(table["to"])


def test_changed_only():
    diff = diff_graphs(micro_a(), micro_b())
    assert "unchanged" not in set(edge_table(diff, statuses=CHANGED)["status"])
    assert edge_table(diff_graphs(micro_a(), micro_a()), statuses=CHANGED).empty


def test_the_first_edges_are_those_of_the_whole_table():
    diff = diff_graphs(micro_a(), micro_b(), YES)
    whole = edge_table(diff)
    pd.testing.assert_frame_equal(edge_table(diff, most=3), whole.head(3))
    some = whole["status"].isin(["flipped", "appeared"])
    assert 0 < some.sum() < len(whole)
    pd.testing.assert_frame_equal(
        edge_table(diff, statuses=("flipped", "appeared")), whole[some].reset_index(drop=True)
    )
    least = float(whole[CHANGE_TITLE].abs().iloc[2])
    pd.testing.assert_frame_equal(
        edge_table(diff, least=least), whole[whole[CHANGE_TITLE].abs() >= least].reset_index(drop=True)
    )


def test_the_edges_of_one_node():
    table = edge_table(diff_graphs(micro_a(), micro_b(), YES), node="feature/1/1/4")
    table = table.sort_values("in B", kind="stable")
    assert sorted(zip(table["from"], table["to"], strict=True)) == [
        ("L0 · x · error", "L1 · x · feature 4"),
        ("L0 · x · feature 7", "L1 · x · feature 4"),
        ("L1 · x · feature 4", "output no"),
        ("L1 · x · feature 4", "output yes"),
    ]
    assert table["in B"].tolist() == pytest.approx([-1, -2 / 3, -2 / 3, 0])
    assert edge_table(diff_graphs(micro_a(), micro_b()), node="feature/9/9/9").empty


def test_a_mean_circuit_shows_its_spreads():
    own = probe().model_copy(update={"template": "x"})
    mean = aggregate([(own, diff_graphs(micro_a(), micro_b(), YES))])
    table = edge_table(mean)
    assert tuple(table.columns) == (*EDGE_COLUMNS, *MEAN_COLUMNS, "source", "target")
    assert set(table["n"]) == {1}
    assert tuple(neighbours(mean, "feature/1/1/4")[0].columns[1:-1]) == (*EDGE_COLUMNS[2:], *MEAN_COLUMNS)
    assert "output right answer" in set(table["to"])


def test_what_only_grew_by_the_common_factor_did_not_change():
    into = micro_a().kind[micro_a().target] == 3
    louder = replace(micro_a(), weight=np.where(into, 2, 1) * micro_a().weight, target_logit=2 * micro_a().target_logit)
    table = edge_table(diff_graphs(micro_a(), louder, YES))
    assert table["in B"].tolist() == pytest.approx((2 * table["in A"]).tolist())
    assert table[CHANGE_TITLE].tolist() == pytest.approx([0] * len(table))


def test_what_a_side_did_not_keep_is_blank():
    whole = micro_b()
    flipped = (whole.source == 0) & (whole.target == 2)
    cut = replace(
        whole, is_whole=False, **{name: getattr(whole, name)[~flipped] for name in ("source", "target", "weight")}
    )
    table = edge_table(diff_graphs(micro_a(), cut, YES))
    (row,) = table[table["status"] == "not kept"].to_dict("records")
    assert (row["in A"], row["share A"]) == pytest.approx((-2, -0.25))
    assert np.isnan([row[name] for name in ("in B", "share B", CHANGE_TITLE)]).all()
    (read,) = (row for row in csv.DictReader(io.StringIO(to_csv(table))) if row["status"] == "not kept")
    assert read["in B"] == read[CHANGE_TITLE] == ""


def test_a_group_is_called_by_its_name():
    named = Annotations(transcoders_hash="abc", supernodes=(Supernode(name="a/b", features=("1/3", "1/4")),))
    sides = [replace(g, key=g.key.model_copy(update={"transcoders_hash": "abc"})) for g in (micro_a(), micro_b())]
    table = edge_table(merge_supernodes(diff_graphs(*sides), named))
    assert "a/b" in set(table["from"]) & set(table["to"])


def test_neighbours_of_a_node():
    inputs, outputs = neighbours(diff_graphs(micro_a(), micro_b(), YES), "feature/1/1/4")
    assert inputs["node"].tolist() == ["L0 · x · feature 7", "L0 · x · error"]
    assert set(outputs["node"]) == {"output yes", "output no"}
    assert outputs.set_index("node").loc["output yes", ["in A", "share A"]].tolist() == [-1, -0.25]
    assert all(part.empty for part in neighbours(diff_graphs(micro_a(), micro_b()), "feature/9/9/9"))


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", " ="])
def test_no_cell_is_run_as_a_formula(start):
    hostile = f'{start}cmd|" /C calc"!A0'
    table = pd.DataFrame({"from": [hostile], "in A": [-0.5], "status": ["vanished"]})
    (row,) = csv.DictReader(io.StringIO(to_csv(table)))
    assert row["from"] == f"'{hostile}"
    assert row["in A"] == "-0.5"  # a number stays a number


def test_csv_of_hostile_tokens_reads_back():
    outputs = ('=1+1,"x"\n', "no")
    a, b = (replace(side, target_tokens=outputs) for side in (micro_a(), micro_b()))
    text = to_csv(edge_table(diff_graphs(a, b)))
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == 10
    assert any(row["to"].startswith("output =1+1") for row in rows)


@pytest.mark.parametrize(
    ("token", "shown"),
    [("Ġcat", "cat"), ("▁cat", "cat"), (" cat", "cat"), ("\n", "↵"), (" ", "␣"), ("Ġ", "Ġ"), ("<bos>", "<bos>")],
)
def test_tokens_are_visible(token, shown):
    assert visible(token) == shown


def test_names():
    assert node_name("feature", 3, "and", 490) == "L3 · and · feature 490"
    assert node_name("token", -1, "<bos>", 1) == "token <bos>"
    assert node_name("logit", 4, " smiles", 82) == "output smiles"
    assert node_name("error", 0, "cat", 0) == "L0 · cat · error"
