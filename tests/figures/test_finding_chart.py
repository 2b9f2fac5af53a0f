"""A finding's chart: which figures it draws in which panel, where the line stands, what is said of it in words."""

from typing import Any

import numpy as np
import pytest

from engine.domain.studies import Finding, FindingFigure
from engine.figures import palette
from engine.figures.finding_chart import chart_rows, describe, finding_charts, finding_table

HOSTILE = "<img src=x onerror=alert(1)>"


def finding(*figures: FindingFigure) -> Finding:
    return Finding(
        key="made", question="Is it?", verdict="yes", answer="It is.", figures=figures, axis="difference in steps",
        line="no difference", command="python -m engine study x.yaml",
    )  # fmt: skip


def figure(
    name: str, value: float | None, low: float | None, high: float | None, unit: str = "", null: float | None = 0.0
) -> FindingFigure:
    return FindingFigure(name=name, value=value, low=low, high=high, n=10, unit=unit, null=null)


def panels(found: Finding) -> list[dict[str, Any]]:
    return [chart.to_dict() for chart in finding_charts(found)]


def drawn(found: Finding) -> dict[str, dict[str, Any]]:
    """The rows of all dots by name."""
    rows = [row for chart in panels(found) for data in chart["datasets"].values() for row in data if "name" in row]
    return {row["name"]: row for row in rows}


def test_dots_are_filled_where_the_interval_leaves_the_line_out() -> None:
    rows = drawn(finding(figure("beyond", 3, 1, 5), figure("across", 1, -1, 3), figure("below", -3, -4, -2)))
    filled = {name: row["fill"] != "transparent" for name, row in rows.items()}
    assert filled == {"beyond": True, "across": False, "below": True}
    assert (rows["across"]["low"], rows["across"]["high"], rows["across"]["interval"]) == (-1, 3, "−1.000 to 3.000")


def test_each_row_is_judged_against_its_own_null_which_is_drawn_in_it() -> None:
    found = finding(figure("high", 0.7, 0.6, 0.8, null=0.5), figure("low", 0.7, 0.6, 0.8, null=0.75))
    rows = drawn(found)
    assert [row["fill"] != "transparent" for row in rows.values()] == [True, False]
    assert [row["null"] for row in rows.values()] == [0.5, 0.75]
    (panel,) = panels(found)
    (line,) = [layer for layer in panel["layer"] if layer["encoding"].get("x", {}).get("field") == "null"]
    assert (line["encoding"]["y"]["bandPosition"], line["encoding"]["y2"]["bandPosition"]) == (0, 1)


def test_a_row_without_a_null_claims_nothing() -> None:
    row = drawn(finding(figure("base", 0.7, 0.6, 0.8, null=None)))["base"]
    assert row["fill"] == row["colour"] == palette.SAME


def test_a_figure_for_the_table_is_not_drawn() -> None:
    found = finding(figure("a", 1, 0, 2), figure("b", 1, 0, 2).model_copy(update={"drawn": False}))
    assert list(drawn(found)) == ["a"]
    assert finding_table(found)["of"].tolist() == ["a", "b"]
    assert "b:" not in describe(found)


def test_the_table_has_no_negative_zero() -> None:
    table = finding_table(finding(figure("a", -0.0004, -0.0001, 0.5)))
    assert not np.signbit(table[["value", "low"]].to_numpy()).any()


def test_a_figure_without_an_interval_is_a_hollow_dot_and_one_without_a_value_is_in_the_table_only() -> None:
    found = finding(figure("one", 3, None, None), figure("none", None, None, None))
    rows = drawn(found)
    assert list(rows) == ["one"]
    assert (rows["one"]["low"], rows["one"]["high"], rows["one"]["fill"]) == (3, 3, "transparent")
    table = finding_table(found)
    assert table["of"].tolist() == ["one", "none"]
    assert table["value"].isna().tolist() == [False, True]


def test_no_figures_no_chart() -> None:
    assert finding_charts(finding()) == ()
    assert finding_charts(finding(figure("none", None, None, None))) == ()
    assert finding_table(finding()).empty


def test_many_charts_stand_in_rows_that_share_names_and_heading() -> None:
    units = [f"{measure}, {kind}" for kind in ("MLPs", "edges") for measure in ("correlation", "share")]
    figures = [figure(name, 1, 0, 2, unit) for unit in units for name in "abc"[: 2 + ("edges" in unit)]]
    found = finding(*figures)
    assert chart_rows(found) == (2, 2)
    made = panels(found)
    assert [panel["title"]["text"].strip() for panel in made] == ["MLPs", "", "Edges", ""]
    names = [panel["layer"][-1]["encoding"]["y"]["axis"]["labels"] for panel in made]
    assert names == [True, False, True, False]
    heights = [panel["height"] for panel in made]
    assert heights[0] == heights[1] < heights[2] == heights[3]


def test_few_charts_stand_in_one_row() -> None:
    assert chart_rows(finding()) == ()
    assert chart_rows(finding(figure("a", 1, 0, 2, "x, one"), figure("a", 1, 0, 2, "x, two"))) == (2,)


def test_a_chart_a_unit_each_as_wide_as_its_container() -> None:
    found = finding(
        figure("a", 0.9, 0.8, 1, "accuracy, simple"),
        figure("a", 0.4, 0.3, 0.5, "accuracy, spatial"),
        figure("a", 7, 6, 8, "steps"),
    )
    made = panels(found)
    assert [panel["title"]["text"] for panel in made] == ["Simple", "Spatial", "Steps"]
    assert {panel["width"] for panel in made} == {"container"}
    assert len({panel["height"] for panel in made}) == 1
    axes = [panel["layer"][-1]["encoding"]["x"]["title"] for panel in made]
    assert axes == ["difference in steps", "difference in steps", "steps"]
    assert finding_table(found)["measured"].tolist() == ["accuracy: simple", "accuracy: spatial", "steps"]


def test_every_dot_bar_and_line_is_within_its_axis() -> None:
    (panel,) = panels(finding(figure("a", 5, 4, 6), figure("b", 9, 7, 10)))
    low, high = panel["layer"][-1]["encoding"]["x"]["scale"]["domain"]
    assert low < 0 < 10 < high  # the line at 0 as well
    (point,) = panels(finding(figure("a", 0, 0, 0)))
    low, high = point["layer"][-1]["encoding"]["x"]["scale"]["domain"]
    assert low < 0 < high


def test_words_for_those_who_do_not_see_it() -> None:
    words = describe(finding(figure("LoRA", 3, 1, 5), figure("none", None, None, None)))
    assert "difference in steps" in words
    assert "LoRA: 3.00 (1.00 to 5.00)" in words
    assert "none" not in words


@pytest.mark.parametrize("name", [HOSTILE, "a.b[c]:Q", "", "\\"])
def test_names_are_data_and_nothing_else(name: str) -> None:
    assert list(drawn(finding(figure(name, 1, 0, 2)))) == [name]


def test_the_published_figure_stands_beside_the_measured_one() -> None:
    measured = FindingFigure(name="nodes", value=0.6, low=0.5, high=0.7, n=5, unit="Jaccard", published=0.8)
    own = FindingFigure(name="edges", value=0.3, low=0.2, high=0.4, n=5, unit="Jaccard")
    found = finding(measured, own)
    table = finding_table(found)
    assert table["published"].dropna().tolist() == [0.8]
    assert "published" not in finding_table(finding(own)).columns
    layers = panels(found)[0]["layer"]
    (diamond,) = [layer for layer in layers if layer["mark"].get("shape") == "diamond"]
    assert diamond["encoding"]["x"]["field"] == "published"
    low, high = diamond["encoding"]["x"]["scale"]["domain"]
    assert low < 0.2
    assert high > 0.8
    plain = panels(finding(own))[0]["layer"]
    assert not [layer for layer in plain if layer["mark"].get("shape") == "diamond"]
