"""Charts: what they show is read from their specs."""

import pandas as pd
import pytest

from engine.analysis.curves import probe_scores
from engine.domain.runs import LossLog, ProbeResults
from engine.figures.charts import MOST_POINTS, curve_chart, loss_chart, mini_curves
from engine.figures.palette import PROBE_KIND
from tests.analysis.micro_graphs import probe


def scores() -> pd.DataFrame:
    """Two types, two kinds, three steps."""
    cells = [
        (kind, probe_kind)
        for kind in ("simple_mapping", "spatial_relationship")
        for probe_kind in ("paraphrase", "inference")
    ]
    probes = [
        probe().model_copy(update={"id": f"p{row}", "constraint_type": kind, "kind": probe_kind})
        for row, (kind, probe_kind) in enumerate(cells)
    ]
    result = ProbeResults(
        probe_id=tuple(f"p{row}" for row in range(4)), predicted=("x",) * 4, p=(0.5,) * 4, rank=(1,) * 4,
        logit_diff=(1.0,) * 4, correct=(True, False, True, True),
    )  # fmt: skip
    return probe_scores(probes, {0: result, 50: result, 100: result})


def rows_of(spec: dict) -> list[dict]:
    return [row for rows in spec["datasets"].values() for row in rows if "cursor" not in row]


def marks(spec: dict) -> list[str]:
    return [layer["mark"]["type"] for layer in spec["layer"]]


def test_curves_have_a_panel_a_type_a_line_a_kind_and_bands():
    spec = curve_chart({"demo-lora": scores()}).to_dict()
    assert spec["facet"]["column"]["field"] == "type"
    inner = spec["spec"]
    assert marks(inner) == ["area", "line", "point"]
    band, line, _ = inner["layer"]
    assert (band["encoding"]["y"]["field"], band["encoding"]["y2"]["field"]) == ("low", "high")
    assert line["encoding"]["x"]["scale"]["domain"] == [0, 100]
    assert line["encoding"]["y"]["scale"]["domain"] == [0, 1]
    assert line["encoding"]["color"]["scale"] == {
        "domain": ["paraphrase", "inference"],
        "range": [PROBE_KIND["paraphrase"], PROBE_KIND["inference"]],
    }
    assert "strokeDash" not in line["encoding"]
    rows = rows_of(spec)
    assert len(rows) == 12
    assert {row["type"] for row in rows} == {"simple mapping", "spatial relationship"}
    assert all(row["low"] <= row["accuracy"] <= row["high"] for row in rows)


def test_several_runs_are_told_by_dash_and_a_click_names_run_and_step():
    spec = curve_chart({"one": scores(), "two": scores()}, cursor=50, kinds=["inference"]).to_dict()
    inner = spec["spec"]
    assert marks(inner)[-1] == "rule"
    assert inner["layer"][1]["encoding"]["strokeDash"]["scale"]["domain"] == ["one", "two"]
    assert {row["probe_kind"] for row in rows_of(spec)} == {"inference"}
    assert spec["params"][0]["name"] == "checkpoint"
    assert spec["params"][0]["select"]["fields"] == ["run", "step"]


def test_mini_curves_are_means_over_types():
    spec = mini_curves(scores(), cursor=50).to_dict()
    rows = {(row["step"], row["probe_kind"]): row["accuracy"] for row in rows_of(spec)}
    assert rows[50, "paraphrase"] == 1.0
    assert rows[50, "inference"] == 0.5


def test_loss_has_every_step_and_its_exponential_mean():
    losses = LossLog(step=(1, 2, 3), loss=(4.0, 2.0, 2.0), learning_rate=(0.1,) * 3)
    spec = loss_chart({"run": losses}, last_step=100).to_dict()
    rows = rows_of(spec)
    assert [row["loss"] for row in rows] == [4.0, 2.0, 2.0]
    assert [row["smoothed"] for row in rows] == pytest.approx([4.0, 3.8, 3.62])
    assert spec["layer"][0]["encoding"]["x"]["scale"]["domain"] == [0, 100]


def test_long_runs_are_thinned_to_means():
    n = 10_000
    losses = LossLog(step=tuple(range(1, n + 1)), loss=tuple(float(step % 2) for step in range(n)))
    rows = rows_of(loss_chart({"run": losses}).to_dict())
    assert len(rows) <= MOST_POINTS
    assert rows[-1]["step"] == n
    assert all(0.4 <= row["loss"] <= 0.6 for row in rows)


def test_empty_inputs_give_charts():
    empty = pd.DataFrame(columns=scores().columns)
    curve_chart({"run": empty}).to_dict()
    curve_chart({}).to_dict()
    mini_curves(empty).to_dict()
    loss_chart({"run": LossLog()}).to_dict()
    loss_chart({}).to_dict()


def test_no_chart_brings_a_background_of_its_own():
    charts = (
        curve_chart({"run": scores()}),
        mini_curves(scores()),
        loss_chart({"run": LossLog(step=(1,), loss=(1.0,))}),
    )
    for chart in charts:
        assert "background" not in chart.to_dict()
