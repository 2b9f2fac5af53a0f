"""One place for each node, the same on both sides, none upon another."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from engine.analysis.diff import diff_everything, diff_graphs
from engine.figures.layout import Layout, layout
from tests.analysis.micro_graphs import micro_a, micro_b, random_graph


def of(seed: int, **sizes: int) -> tuple[pd.DataFrame, Layout]:
    diff = diff_graphs(random_graph(seed, **sizes), random_graph(seed + 1, **sizes))
    return diff.nodes, layout(diff.nodes, diff.a.tokens, diff.a.n_layers)


@pytest.mark.parametrize(
    "sizes", [{}, {"n_features": 400, "pool": 120}, {"n_features": 300, "n_layers": 1, "n_pos": 2, "pool": 300}]
)
def test_no_two_nodes_share_a_place(sizes):
    nodes, places = of(3, **sizes)
    assert len({(round(x, 6), round(y, 6)) for x, y in zip(places.x, places.y, strict=True)}) == len(nodes)


@pytest.mark.parametrize("seed", range(4))
def test_inside_the_frame_and_each_layer_in_its_band(seed):
    nodes, places = of(seed, n_features=300, pool=120)
    assert (places.x >= 0).all()
    assert (places.x <= places.width).all()
    inner = (nodes["kind"] != "logit").to_numpy()
    rows = np.array([row.y for row in places.rows])
    nearest = np.abs(places.y[inner, None] - rows).argmin(axis=1)
    np.testing.assert_array_equal(nearest, nodes["layer"].to_numpy()[inner] + 1)
    assert (places.y[~inner] == places.height).all()
    assert (places.y[(nodes["kind"] == "token").to_numpy()] == 0).all()


@pytest.mark.parametrize("n_features", [200, 1200])
def test_rows_of_a_layer_never_run_into_the_next_layers(n_features):
    """However crowded: rows are a pitch apart, layers more than that, and no node is drawn higher than its row."""
    graphs = [random_graph(seed, n_features=n_features, pool=400, n_pos=3) for seed in (1, 2)]
    diff = diff_everything(*graphs)
    places = layout(diff.nodes, diff.a.tokens, diff.a.n_layers)
    layer = np.where(diff.nodes["kind"] == "logit", diff.a.n_layers, diff.nodes["layer"])
    spans = [(places.y[layer == one].min(), places.y[layer == one].max()) for one in range(-1, diff.a.n_layers + 1)]
    assert all(above[0] - below[1] >= 0.45 - 1e-9 for below, above in pairwise(spans))
    assert places.room.min() >= 0.25
    assert places.width <= 65


def test_columns_hold_their_own_nodes_and_do_not_overlap():
    nodes, places = of(5, n_features=200, pool=100)
    for column in places.columns:
        mine = ((nodes["position"] == column.position) & (nodes["kind"] != "logit")).to_numpy()
        assert (places.x[mine] > column.left).all()
        assert (places.x[mine] < column.right).all()
    edges = [(column.left, column.right) for column in places.columns]
    assert all(right == left for (_, right), (left, _) in pairwise(edges))


def test_wider_where_there_are_more_nodes():
    _, places = of(5)
    diff = diff_graphs(micro_a(), micro_b())
    micro = layout(diff.nodes, diff.a.tokens, 2)
    assert places.width > micro.width
    assert [row.label for row in micro.rows] == ["Emb", "L0", "L1", "Out"]
    assert [column.token for column in micro.columns] == ["<bos>", "x"]


def test_place_depends_on_identity_not_on_order():
    diff = diff_graphs(random_graph(1), random_graph(2))
    ordered = layout(diff.nodes, diff.a.tokens, diff.a.n_layers)
    order = np.random.default_rng(0).permutation(len(diff.nodes))
    shuffled = layout(diff.nodes.iloc[order], diff.a.tokens, diff.a.n_layers)
    np.testing.assert_array_equal(ordered.x[order], shuffled.x)
    np.testing.assert_array_equal(ordered.y[order], shuffled.y)
    swapped = diff_graphs(random_graph(2), random_graph(1)).nodes
    assert swapped["id"].tolist() == diff.nodes["id"].tolist()
    np.testing.assert_array_equal(ordered.x, layout(swapped, diff.a.tokens, diff.a.n_layers).x)


def test_crowded_cells_wrap_and_stay_within_a_laptops_width():
    diff = diff_everything(random_graph(1, n_features=200, pool=80), random_graph(2, n_features=200, pool=80))
    places = layout(diff.nodes, diff.a.tokens, diff.a.n_layers)
    assert places.width <= 60
    assert len(set(np.round(places.y, 3))) > diff.a.n_layers + 2


def test_three_layers_without_nodes_are_one_row_and_two_are_not():
    diff = diff_graphs(random_graph(1, n_layers=12), random_graph(2, n_layers=12))
    away = diff.nodes["kind"].isin(["feature", "error"]) & diff.nodes["layer"].isin([2, 3, 4, 7, 8])
    nodes = diff.nodes[~away].reset_index(drop=True)
    places = layout(nodes, diff.a.tokens, diff.a.n_layers)
    labels = [row.label for row in places.rows]
    assert labels == ["Emb", "L0", "L1", "L2–4", "L5", "L6", "L7", "L8", "L9", "L10", "L11", "Out"]
    heights = [row.y for row in places.rows]
    assert all(above - below >= 1 for below, above in pairwise(heights))
    assert places.height == heights[-1]
    on_top = nodes["layer"].to_numpy() == 11
    assert np.abs(places.y[on_top] - heights[-2]).max() < 0.5


def test_outputs_of_a_long_prompt_keep_the_room_of_their_labels() -> None:
    """A graph of twice the width is drawn in the same frame: its outputs stand twice as far apart in its own units."""
    tokens = ("<s>", *(f" word{place}" for place in range(60)))
    nodes = [("token", -1, place, place) for place in range(61)] + [("logit", 2, 60, index) for index in range(10)]
    table = pd.DataFrame(nodes, columns=["kind", "layer", "position", "index"])
    table = table.assign(id=[f"{one[0]}/{one[1]}/{one[2]}/{one[3]}" for one in nodes], a=0.1, b=0.1)
    found = layout(table, tokens, 2)
    assert found.width > 96
    apart = np.diff(np.sort(found.x[61:]))
    assert apart.min() >= found.width / 20 - 1e-9
