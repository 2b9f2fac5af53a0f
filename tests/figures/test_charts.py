"""Charts: what they show is read from their specs."""

import pandas as pd
import pytest

from engine.analysis.curves import probe_scores
from engine.domain.corpus import PROBE_KINDS
from engine.domain.runs import LossLog, ProbeResults
from engine.figures import palette
from engine.figures.charts import MOST_POINTS, curve_chart, curve_panels, loss_chart, mini_curves, run_colors
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
    assert line["encoding"]["x"]["scale"]["domain"] == pytest.approx([-1.5, 101.5])  # marks at the ends are whole
    assert line["encoding"]["y"]["scale"]["domain"] == [-0.03, 1.03]
    assert line["encoding"]["color"]["scale"] == {
        "domain": ["paraphrase", "inference"],
        "range": [PROBE_KINDS[kind].color for kind in ("paraphrase", "inference")],
    }
    assert "strokeDash" not in line["encoding"]
    rows = rows_of(spec)
    assert len(rows) == 12
    assert {row["type"] for row in rows} == {"simple mapping", "spatial relationship"}
    assert all(row["low"] <= row["accuracy"] <= row["high"] for row in rows)


TEN = [f"run-{place}" for place in range(10)]


def test_color_tells_ten_runs_and_marker_and_dash_tell_the_probe_kind():
    panels = curve_panels(dict.fromkeys(TEN, scores()), kinds=["paraphrase", "inference"])
    assert list(panels) == ["simple_mapping", "spatial_relationship"]
    spec = panels["simple_mapping"].to_dict()
    assert marks(spec) == ["line", "point"]  # the bands of ten runs would hide each other
    line, point = spec["layer"]
    colors = line["encoding"]["color"]
    assert (colors["field"], colors["scale"]["domain"]) == ("run", TEN)
    assert len(set(colors["scale"]["range"])) == 10
    used = ["paraphrase", "inference"]
    assert point["encoding"]["shape"]["scale"]["range"] == [PROBE_KINDS[kind].mark for kind in used]
    assert line["encoding"]["strokeDash"]["scale"]["range"] == [[*PROBE_KINDS[kind].dash] for kind in used]
    assert "width" not in spec  # as wide as its column
    clicks = next(param for param in spec["params"] if param["name"] == "checkpoint")
    assert clicks["select"]["fields"] == ["run", "step"]


def test_a_highlighted_run_has_its_band_and_the_others_are_dimmed():
    spec = curve_panels(dict.fromkeys(TEN, scores()), highlighted=["run-3"])["simple_mapping"].to_dict()
    band, line, _ = spec["layer"]
    assert band["transform"] == [{"filter": {"field": "run", "oneOf": ["run-3"]}}]
    assert line["encoding"]["opacity"]["condition"] == {"test": {"field": "run", "oneOf": ["run-3"]}, "value": 1}
    assert line["encoding"]["opacity"]["value"] < 0.2


def test_only_the_wheel_with_ctrl_zooms():
    one, several = ({run: LossLog(step=(1,), loss=(1.0,)) for run in runs} for runs in (["one"], TEN))
    for spec in (
        loss_chart(one, zoomable=True).to_dict(),
        loss_chart(several, zoomable=True).to_dict(),
        curve_panels({"one": scores()}, zoomable=True)["simple_mapping"].to_dict(),
    ):
        zoom = next(param for param in spec["params"] if param["name"] == "zoom")
        assert zoom["bind"] == "scales"
        assert "ctrlKey" in zoom["select"]["zoom"]  # the wheel alone scrolls the page
        assert zoom["select"]["clear"] == "dblclick"
    assert "params" not in loss_chart(one).to_dict()


def test_a_run_keeps_its_color_whatever_else_is_chosen():
    known = [*TEN, "later"]
    colors = run_colors(TEN, known)
    assert run_colors(["run-7", "later", "run-2"], known) == {
        "run-7": colors["run-7"], "later": palette.RUNS[10], "run-2": colors["run-2"],
    }  # fmt: skip
    many = run_colors([f"run-{place}" for place in range(0, 48, 4)], [f"run-{place}" for place in range(48)])
    assert len(set(many.values())) == 12  # one that is taken moves on to the next that is free


@pytest.mark.parametrize("color", palette.RUNS)
@pytest.mark.parametrize("background", ["#ffffff", "#12161c"])
def test_runs_are_seen_on_both_backgrounds(color: str, background: str):
    def luminance(code: str) -> float:  # WCAG 2.1, relative luminance
        parts = [int(code[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(color), luminance(background)), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 3


def test_the_loss_of_ten_runs_has_a_legend_beside_it_and_an_axis_of_choice():
    losses = {run: LossLog(step=(1, 2, 3), loss=(4.0, 0.0, 2.0)) for run in TEN}
    spec = loss_chart(losses, smoothing=0, log=True).to_dict()
    assert spec["layer"][0]["encoding"]["y"]["scale"]["type"] == "log"
    assert {row["loss"] for row in rows_of(spec)} == {4.0, 2.0}  # zero has no logarithm
    assert all(row["smoothed"] == row["loss"] for row in rows_of(spec))
    color = spec["layer"][0]["encoding"]["color"]
    assert (color["legend"]["orient"], color["scale"]["domain"]) == ("right", TEN)
    legend = next(param for param in spec["params"] if param["name"] == "highlighted")
    assert (legend["bind"], legend["select"]["fields"]) == ("legend", ["run"])


def test_an_exported_figure_has_the_colors_of_the_page_and_no_more_than_all():
    spec = curve_chart(dict.fromkeys(TEN[:2], scores()), colors={TEN[0]: "#287810", TEN[1]: "#c80080"}).to_dict()
    line = spec["spec"]["layer"][1]["encoding"]
    assert line["color"]["scale"]["range"] == ["#287810", "#c80080"]
    assert line["y"]["scale"] == {"domain": [-0.03, 1.03], "nice": False}  # else the axis goes to 110%


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
    assert spec["layer"][0]["encoding"]["x"]["scale"]["domain"] == pytest.approx([-1.5, 101.5])


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


def test_few_logged_losses_have_a_mark_each():
    logged = LossLog(step=(5, 10, 15), loss=(4.0, 2.0, 1.0))
    spec = loss_chart({"theirs": logged, "here": LossLog(step=(1, 2), loss=(4.0, 2.0))}, smoothing=0).to_dict()
    rows = rows_of(spec)
    assert {row["run"]: row["few"] for row in rows} == {"theirs": True, "here": False}
    marks = next(layer for layer in spec["layer"] if layer.get("transform") == [{"filter": "datum.few"}])
    assert marks["encoding"]["y"]["field"] == "loss"
    long = LossLog(step=tuple(range(5, 505, 5)), loss=(1.0,) * 100)
    assert not any(row["few"] for row in rows_of(loss_chart({"theirs": long}).to_dict()))
