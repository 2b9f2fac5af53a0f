"""Methods beside each other: what is shown is read from rows and specs."""

import math

import numpy as np
import pandas as pd
import pytest

from engine.domain.methods import METHOD_INFOS
from engine.figures import palette
from engine.figures.method_charts import (
    MEAN_COLUMNS,
    RUN_COLUMNS,
    method_chart,
    method_chart_rows,
    method_legend,
    method_means,
    method_name,
    method_panels,
    method_table,
)

NAN = math.nan


def runs(*given: dict) -> pd.DataFrame:
    """Of what is given about each run and the rest as it is here."""
    usual = {
        "task": "addition", "method": "lora", "variant": "", "seed": 0, "learning_rate": 0.002, "accuracy": 0.5,
        "retained": 0.9, "n_trainable": 1000, "n_moved": 900, "n_steps": 300, "train_s": 10.0, "peak_mb": 500.0,
    }  # fmt: skip
    rows = [{"run": f"run-{place}"} | usual | one for place, one in enumerate(given)]
    return pd.DataFrame(rows, columns=list(RUN_COLUMNS))


def seeds(*accuracies: float, **shared: object) -> list[dict]:
    return [{"accuracy": accuracy, "seed": seed, **shared} for seed, accuracy in enumerate(accuracies)]


TWO = runs(*seeds(0.6, 0.7, 0.8, method="circuit_lora"), *seeds(0.5, 0.5, 0.5), *seeds(0.9, task="mixed_up"))


def encoded(spec: dict, layer: int, channel: str) -> dict:
    return spec["spec"]["layer"][layer]["encoding"][channel]


def test_means_have_students_interval_over_the_seeds():
    means = method_means(TWO)
    assert tuple(means.columns) == MEAN_COLUMNS
    assert means[["task", "name", "n"]].to_numpy().tolist() == [
        ["addition", "LoRA", 3], ["addition", "CircuitLoRA", 3], ["mixed_up", "LoRA", 1],
    ]  # fmt: skip
    circuit = means.iloc[1]
    half = 4.302653 * 0.1 / math.sqrt(3)
    assert circuit["accuracy"] == pytest.approx(0.7)
    assert (circuit["accuracy_low"], circuit["accuracy_high"]) == pytest.approx((0.7 - half, 0.7 + half), abs=1e-6)
    assert means["accuracy_low"].iloc[0] == means["accuracy_high"].iloc[0] == 0.5
    assert math.isnan(means["accuracy_low"].iloc[2])  # a single run has no interval


def test_runs_are_told_by_seed_so_that_each_can_be_opened():
    mixed = runs({"seed": 2, "run": "c"}, {"seed": 0, "run": "a", "learning_rate": 0.01}, {"seed": 1, "run": "b"})
    row = method_means(mixed).iloc[0]
    assert row["runs"] == ("a", "b", "c")
    assert row["learning_rates"] == (0.002, 0.01)  # both went into one mean: the reader is told


def test_what_was_not_measured_does_not_count():
    some = runs(*seeds(0.5, NAN, 0.7, 0.6), *seeds(NAN, task="other", peak_mb=NAN))
    means = method_means(some)
    assert means["accuracy"].iloc[0] == pytest.approx(0.6)
    assert (means["n"].iloc[0], means["n"].iloc[1]) == (4, 1)
    assert math.isnan(means["peak_mb"].iloc[1])
    assert method_table(means)["LoRA"].tolist()[1] == ""
    rows = method_chart_rows(some, x="n_trainable", y="accuracy")
    assert rows["kind"].tolist() == ["mean", "run", "run", "run"]


def test_the_table_has_a_row_a_task_and_a_column_a_method():
    table = method_table(method_means(TWO))
    assert table.columns.tolist() == ["task", "LoRA", "CircuitLoRA"]
    assert table.to_numpy().tolist() == [
        ["addition", "50% (50% to 50%)", "70% (45% to 95%)"],
        ["mixed_up", "90%", ""],
    ]
    assert method_table(method_means(TWO), judged="retained")["LoRA"].tolist() == ["90% (90% to 90%)", "90%"]


def test_variants_of_a_method_are_apart_and_an_empty_one_from_a_file_is_empty():
    both = runs(
        *seeds(0.5, 0.6, method="circuit_lora", variant=NAN), *seeds(0.7, method="circuit_lora", variant="union")
    )
    assert method_means(both)[["name", "variant", "n"]].to_numpy().tolist() == [
        ["CircuitLoRA", "", 2], ["CircuitLoRA · union", "union", 1],
    ]  # fmt: skip
    assert method_name("of_my_own") == "of_my_own"


def test_a_panel_a_task_with_runs_and_their_mean():
    spec = method_chart(TWO, x="n_trainable").to_dict()
    assert spec["facet"]["sort"] == ["addition", "mixed up"]
    dots, interval, means = spec["spec"]["layer"]
    assert [one["transform"][0]["filter"] for one in (dots, interval, means)] == [
        "datum.kind == 'run'", "datum.kind == 'mean'", "datum.kind == 'mean'",
    ]  # fmt: skip
    assert (interval["encoding"]["y"]["field"], interval["encoding"]["y2"]["field"]) == ("low", "high")
    assert encoded(spec, 2, "x")["scale"]["type"] == "log"
    low, high = encoded(spec, 2, "y")["scale"]["domain"]
    assert 0 <= low < 0.46
    assert 0.94 < high <= 1


def test_panels_are_as_wide_as_their_container_and_share_their_scales():
    panels = method_panels(TWO, x="n_trainable")
    assert list(panels) == ["addition", "mixed_up"]
    specs = [panel.to_dict() for panel in panels.values()]
    assert [spec["title"]["text"] for spec in specs] == ["addition", "mixed up"]
    assert {spec["width"] for spec in specs} == {"container"}
    for channel in ("x", "y", "color"):
        first, second = (spec["layer"][2]["encoding"][channel]["scale"] for spec in specs)
        assert first == second
    for spec in specs:
        assert [(one["name"], one["select"]["fields"]) for one in spec["params"]] == [("run", ["run"])]
        assert [len(rows) for name, rows in spec["datasets"].items() if name == spec["data"]["name"]] in ([8], [2])
        assert spec["layer"][0]["encoding"]["color"]["legend"] is None


def test_the_legend_has_the_colors_and_marks_of_the_panels():
    legend = method_legend(TWO, x="n_trainable").to_dict()
    panel = method_panels(TWO, x="n_trainable")["addition"].to_dict()
    for channel in ("color", "shape"):
        assert legend["encoding"][channel]["scale"] == panel["layer"][0]["encoding"][channel]["scale"]
    assert legend["encoding"]["x"]["sort"] == ["LoRA", "CircuitLoRA"]


def test_time_starts_at_0_and_is_not_stretched():
    spec = method_chart(TWO, x="train_s").to_dict()
    assert encoded(spec, 2, "x")["scale"] == {"nice": True, "zero": True}
    rows = method_chart_rows(TWO, x="train_s", y="accuracy")
    assert rows["at"].tolist() == rows["x"].tolist()


def test_retained_against_learned():
    rows = method_chart_rows(TWO, x="accuracy", y="retained")
    assert rows.loc[rows["kind"] == "mean", ["x", "value"]].to_numpy().tolist() == pytest.approx(
        np.array([[0.5, 0.9], [0.7, 0.9], [0.9, 0.9]])
    )
    method_chart(TWO, x="accuracy", y="retained").to_dict()


def test_methods_of_equal_size_stand_side_by_side_around_it():
    several = runs(
        *(one for method in ("lora", "circuit_lora", "random_lora") for one in seeds(0.5, 0.6, method=method)),
        *seeds(0.5, method="full", n_trainable=1_000_000),
    )
    rows = method_chart_rows(several, x="n_trainable", y="accuracy")
    means = rows[rows["kind"] == "mean"].set_index("name")
    assert means["x"].tolist()[:1] == [1000]
    small = means.drop(index="All weights")["at"]
    assert small.is_unique
    assert float(np.exp(np.log(small).mean())) == pytest.approx(1000)
    assert 800 < small.min() < small.max() < 1300
    assert means.loc["All weights", "at"] == pytest.approx(1_000_000)
    for name, at in rows[rows["kind"] == "run"].groupby("name")["at"]:
        assert at.tolist() == pytest.approx([means.loc[name, "at"]] * len(at))  # runs go with their mean


def test_a_method_keeps_its_colour_and_shape_and_a_variant_gets_a_shape_of_its_own():
    place = list(METHOD_INFOS).index("circuit_lora")
    alone = method_chart(runs(*seeds(0.5, method="circuit_lora")), x="train_s").to_dict()
    assert encoded(alone, 2, "color")["scale"] == {"domain": ["CircuitLoRA"], "range": [palette.SERIES[place]]}
    assert encoded(alone, 2, "shape")["scale"]["range"] == [palette.SHAPES[place]]
    both = runs(
        *seeds(0.5), *seeds(0.5, method="circuit_lora"), *seeds(0.5, method="circuit_lora", variant="union"),
    )  # fmt: skip
    spec = method_chart(both, x="train_s").to_dict()
    assert encoded(spec, 2, "color")["scale"]["domain"] == ["LoRA", "CircuitLoRA", "CircuitLoRA · union"]
    assert encoded(spec, 2, "color")["scale"]["range"][1:] == [palette.SERIES[place]] * 2
    assert len(set(encoded(spec, 2, "shape")["scale"]["range"])) == 3


def test_no_two_methods_look_alike():
    spec = method_chart(runs(*(one for method in METHOD_INFOS for one in seeds(0.5, method=method))), x="train_s")
    for channel in ("color", "shape"):
        assert len(set(encoded(spec.to_dict(), 2, channel)["scale"]["range"])) == len(METHOD_INFOS)


@pytest.mark.parametrize("x", ["n_trainable", "n_moved", "train_s", "peak_mb", "accuracy"])
def test_without_runs_there_is_a_chart_without_marks(x):
    assert method_means(runs()).empty
    assert method_table(method_means(runs())).columns.tolist() == ["task"]
    method_chart(runs(), x=x).to_dict()
    method_chart(runs({x: NAN}), x=x).to_dict()  # what has no size is left out
