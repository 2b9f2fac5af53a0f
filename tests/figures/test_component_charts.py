"""Charts of component circuits: what they show is read from their rows and specs."""

import numpy as np
import pandas as pd
import pytest

from engine.analysis.components.compare import Flip, Flips, flips
from engine.figures import palette
from engine.figures.component_charts import (
    faithfulness_charts,
    flip_charts,
    jaccard_charts,
    layer_change_charts,
    robustness_charts,
    side_by_side,
    union_chart,
)
from engine.figures.component_rows import (
    APPEARED,
    COMPLETENESS,
    COMPONENTS,
    CURVE_COLUMNS,
    DIRECT,
    FAITHFULNESS,
    FEATURES,
    PUBLISHED,
    UNION,
    UNION_COLUMNS,
    VANISHED,
    curve_rows,
    flip_rows,
    jaccard_rows,
    layer_rows,
    published_union_rows,
    robustness_rows,
    union_rows,
)
from tests.analysis.components.component_makers import circuit
from tests.figures.component_reports import curve, point, robustness, union

STEPS = (0, 50, 100)
FLIPS = Flips(
    steps=(
        Flip(
            edges_appeared=4, edges_vanished=2, nodes_appeared=1, nodes_vanished=0, edge_jaccard=0.4, node_jaccard=0.8
        ),
        Flip(
            edges_appeared=0, edges_vanished=3, nodes_appeared=0, nodes_vanished=1, edge_jaccard=0.6, node_jaccard=0.9
        ),
    ),
    delta_edges=0.9,
    delta_nodes=0.4,
)


def encoding(layer: dict) -> dict:
    """Channel to field."""
    return {channel: one.get("field") for channel, one in layer["encoding"].items() if isinstance(one, dict)}


def test_a_curve_has_a_row_a_size_with_what_is_left_after_pruning():
    rows = curve_rows(
        {"base": curve("r@base", point(0.1, 0.5), point(0.01, 0.2)), "final": curve("r@final", point(0.1, 0.9))}
    )
    assert tuple(rows.columns) == CURVE_COLUMNS
    assert rows[["checkpoint", "share", "n_asked", "n_edges", "n_nodes", "value"]].to_numpy().tolist() == [
        ["base", 0.01, 10, 9, 4, 0.2], ["base", 0.1, 100, 90, 22, 0.5], ["final", 0.1, 100, 90, 22, 0.9],
    ]  # fmt: skip
    assert rows["interval"][0] == "0.10 to 0.30"
    assert set(rows["measure"]) == {FAITHFULNESS}  # completeness was not measured


def test_the_curve_is_drawn_over_a_log_axis_with_a_tick_at_every_size():
    rows = curve_rows(
        {
            name: curve(f"r@{name}", *(point(share, 0.5, completeness=0.6) for share in (0.01, 0.1, 1.0)))
            for name in "ab"
        }
    )
    charts = faithfulness_charts(rows)
    assert list(charts) == [FAITHFULNESS, COMPLETENESS]
    spec = charts[FAITHFULNESS].to_dict()
    assert "width" not in spec  # it stretches with the page
    band, line, marks = spec["layer"]
    assert [one["mark"]["type"] for one in (band, line, marks)] == ["area", "line", "point"]
    assert (encoding(band)["y"], encoding(band)["y2"]) == ("low", "high")
    x = line["encoding"]["x"]
    assert (x["scale"]["type"], x["axis"]["values"]) == ("log", [0.01, 0.1, 1.0])
    assert x["scale"]["domain"][0] < 0.01 < 1 < x["scale"]["domain"][1]
    assert line["encoding"]["y"]["scale"]["domain"] == [0, 1]
    assert {tip["field"] for tip in marks["encoding"]["tooltip"]} >= {"n_edges", "n_nodes", "interval", "share"}
    # told apart without colour, in the order given
    assert marks["encoding"]["shape"]["scale"] == {"domain": ["a", "b"], "range": ["circle", "square"]}
    assert marks["encoding"]["color"]["scale"]["domain"] == ["a", "b"]


def test_of_a_single_size_the_interval_is_still_seen():
    spec = faithfulness_charts(curve_rows({"final": curve("r@final", point(0.05, 0.5))}))[FAITHFULNESS].to_dict()
    assert spec["layer"][0]["mark"]["type"] == "rule"


def test_a_circuit_that_outdoes_the_model_is_in_the_picture_and_a_wild_interval_does_not_squeeze_it():
    rows = curve_rows({"final": curve("r@final", point(0.1, 1.3), point(0.2, -0.2))})
    rows.loc[0, "high"] = 90.0
    domain = faithfulness_charts(rows)[FAITHFULNESS].to_dict()["layer"][1]["encoding"]["y"]["scale"]["domain"]
    assert domain == pytest.approx([-0.3, 1.8])


def test_where_nothing_can_be_said_there_is_a_row_without_a_mark():
    rows = curve_rows({"final": curve("r@final", point(0.1, None), point(1.0, 1.0))})
    assert rows["interval"].tolist() == ["not measurable", "0.90 to 1.10"]
    assert rows["value"].isna().tolist() == [True, False]
    faithfulness_charts(rows)[FAITHFULNESS].to_dict()


def test_a_union_stands_beside_the_direct_circuit_of_its_size():
    rows = union_rows(union())
    assert tuple(rows.columns) == UNION_COLUMNS
    assert rows[["which", "share", "value", "edges"]].to_numpy().tolist()[:2] == [
        [UNION, 0.01, 0.51, 0.4], [DIRECT, 0.01, 0.71, 0.4],
    ]  # fmt: skip
    scale = union_chart(rows).to_dict()["layer"][2]["encoding"]["color"]["scale"]
    assert scale["domain"] == [UNION, DIRECT]  # the published values only where they are asked for


def test_published_unions_are_marks_of_their_own_without_a_line():
    published = published_union_rows()
    assert tuple(published.columns) == UNION_COLUMNS
    assert published[["share", "value"]].to_numpy().tolist() == [
        [0.01, 0.674], [0.02, 0.794], [0.03, 0.837], [0.04, 0.872], [0.05, 0.892], [0.1, 0.897],
    ]  # fmt: skip
    spec = union_chart(pd.concat([union_rows(union()), published], ignore_index=True)).to_dict()
    band, line, marks = spec["layer"]
    assert all(one["transform"] == [{"filter": f"datum.which != '{PUBLISHED}'"}] for one in (band, line))
    assert "transform" not in marks
    assert marks["encoding"]["color"]["scale"]["domain"] == [UNION, DIRECT, PUBLISHED]
    assert marks["encoding"]["color"]["scale"]["range"][2] == palette.SAME


def test_layer_change_is_drawn_between_both_checkpoints_and_in_parts_of_its_largest():
    rows = layer_rows(STEPS, np.array([[1.0, 4.0], [0.0, 2.0]]))
    assert rows[["what", "layer", "left", "right", "change", "relative"]].to_numpy().tolist() == [
        [COMPONENTS, 0, 0, 50, 1.0, 0.25], [COMPONENTS, 1, 0, 50, 4.0, 1.0],
        [COMPONENTS, 0, 50, 100, 0.0, 0.0], [COMPONENTS, 1, 50, 100, 2.0, 0.5],
    ]  # fmt: skip
    spec = layer_change_charts(rows, last_step=100)[COMPONENTS].to_dict()
    assert spec["encoding"]["y"]["sort"] == [1, 0]  # the first layer at the bottom
    assert spec["encoding"]["x"]["scale"]["domain"] == [0, 100]


def test_feature_graphs_have_a_panel_of_their_own_scale():
    features = pd.DataFrame(
        [("simple_mapping", 0, 50, 0, 0.4, -0.2, 0, 50), ("simple_mapping", 1, 50, 0, 0.6, 0.1, 0, 50)],
        columns=["constraint_type", "layer", "step", "to_step", "share", "change", "left", "right"],
    )
    rows = layer_rows((0, 50), np.array([[3.0, 0.0]]), features=features)
    assert rows[["what", "change", "relative"]].to_numpy().tolist() == [
        [COMPONENTS, 3.0, 1.0], [COMPONENTS, 0.0, 0.0],
        [f"{FEATURES}: simple mapping", 0.2, 1.0], [f"{FEATURES}: simple mapping", 0.1, 0.5],
    ]  # fmt: skip
    assert list(layer_change_charts(rows, last_step=50)) == [COMPONENTS, f"{FEATURES}: simple mapping"]


def test_where_nothing_changed_no_cell_is_coloured():
    assert layer_rows((0, 50), np.zeros((1, 2)))["relative"].tolist() == [0.0, 0.0]


def test_likeness_to_the_checkpoint_before_beside_that_of_features():
    rows = jaccard_rows(STEPS, FLIPS, features={(50, 0): (0.7, 0.3)})
    assert rows.to_numpy().tolist() == [
        ["nodes", 50, 0, COMPONENTS, 0.8], ["edges", 50, 0, COMPONENTS, 0.4],
        ["nodes", 100, 50, COMPONENTS, 0.9], ["edges", 100, 50, COMPONENTS, 0.6],
        ["nodes", 50, 0, FEATURES, 0.7], ["edges", 50, 0, FEATURES, 0.3],
    ]  # fmt: skip
    charts = jaccard_charts(rows, last_step=100)
    assert list(charts) == ["nodes", "edges"]
    assert charts["nodes"].to_dict()["layer"][1]["encoding"]["color"]["scale"]["domain"] == [COMPONENTS, FEATURES]
    alone = jaccard_charts(jaccard_rows(STEPS, FLIPS), last_step=100)["edges"].to_dict()
    assert alone["layer"][1]["encoding"]["color"]["scale"]["domain"] == [COMPONENTS]


def test_what_came_goes_up_and_what_went_goes_down():
    rows = flip_rows(STEPS, FLIPS, n_nodes=5, n_edges=10)
    edges = rows[rows["what"] == "edges"]
    assert edges[["left", "right", "kind", "n", "height"]].to_numpy().tolist() == [
        [0, 50, APPEARED, 4, 4], [0, 50, VANISHED, 2, -2], [50, 100, APPEARED, 0, 0], [50, 100, VANISHED, 3, -3],
    ]  # fmt: skip
    charts = flip_charts(rows, last_step=100)
    assert list(charts) == ["nodes", "edges"]
    spec = charts["edges"].to_dict()
    assert (encoding(spec)["y"], encoding(spec)["x2"]) == ("height", "right")


def test_the_shares_of_all_flips_add_up_to_delta():
    series = [
        circuit({"input>m0", "m0>logits"}),
        circuit({"input>m0", "m0>logits", "input>m1", "m1>logits"}),
        circuit({"input>m1", "m1>logits", "input>logits"}),
    ]
    found = flips(series)
    sums = flip_rows(STEPS, found, n_nodes=3, n_edges=2).groupby("what")["share"].sum()
    assert sums["edges"] == pytest.approx(found.delta_edges)
    assert sums["nodes"] == pytest.approx(found.delta_nodes)
    assert flip_rows(STEPS, found, n_nodes=0, n_edges=0)["share"].isna().all()


def test_robustness_has_a_line_a_model_and_disjoint_data_apart():
    rows = robustness_rows(robustness())
    assert len(rows) == 3 * 4 * 2  # subjects, levels with 0, nodes and edges
    tuned = rows[(rows["subject"] == "tuned") & (rows["what"] == "edges")]
    assert tuned["level"].tolist() == [0, 0.1, 0.5, 0.9]
    assert tuned["kind"].tolist() == ["fifths", *["perturbed"] * 3]
    assert tuned["jaccard"].tolist() == pytest.approx([0.7, 0.72, 0.4, 0.08])
    assert (tuned["at"].tolist()[1:], tuned["n"].tolist()) == ([0.1, 0.5, 0.9], [10, 5, 5, 5])
    beside = rows[rows["level"] == 0].groupby("subject", sort=False)["at"].first()
    assert beside.is_unique
    assert beside.sum() == pytest.approx(0)  # around 0
    area, line, _, rule, apart = robustness_charts(rows)["edges"].to_dict()["layer"]
    assert all(one["transform"] == [{"filter": "datum.kind == 'perturbed'"}] for one in (area, line))
    assert all(one["transform"] == [{"filter": "datum.kind == 'fifths'"}] for one in (rule, apart))
    assert apart["encoding"]["shape"]["scale"]["domain"] == ["tuned", "before training", "random weights"]
    assert apart["encoding"]["y"]["scale"]["domain"] == [0, 1]


def test_without_perturbed_inputs_the_disjoint_parts_are_left():
    rows = robustness_rows(robustness(()))
    assert set(rows["kind"]) == {"fifths"}
    side_by_side(robustness_charts(rows)).to_dict()


def test_nothing_measured_gives_charts_without_marks():
    none = Flips((), 0.0, 0.0)
    assert not faithfulness_charts(curve_rows({}))
    union_chart(union_rows(union(()))).to_dict()
    assert not layer_change_charts(layer_rows((0,), np.zeros((0, 2))), last_step=0)
    assert not jaccard_charts(jaccard_rows((0,), none), last_step=0)
    assert not flip_charts(flip_rows((0,), none, n_nodes=3, n_edges=3), last_step=0)
    assert layer_rows((0,), np.zeros((0, 2))).empty


@pytest.mark.parametrize("background", ["#ffffff", "#12161c"])
def test_series_are_seen_on_both_backgrounds_and_differ_by_shape(background: str):
    def luminance(code: str) -> float:  # WCAG 2.1, relative luminance
        parts = [int(code[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for colour in palette.SERIES:
        light, dark = sorted((luminance(colour), luminance(background)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 3, colour
    assert len(set(palette.SERIES)) == len(set(palette.SHAPES)) == len(palette.SERIES)
