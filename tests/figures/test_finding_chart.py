"""A finding's chart: which figures it draws in which panel, where the line stands, what is said of it in words."""

from typing import Any

import pytest

from engine.domain.studies import Finding, FindingFigure
from engine.figures.finding_chart import describe, finding_chart, finding_table

HOSTILE = "<img src=x onerror=alert(1)>"


def finding(*figures: FindingFigure, reference: float | None = 0.0) -> Finding:
    return Finding(
        key="made", question="Is it?", verdict="yes", answer="It is.", figures=figures, reference=reference,
        axis="difference in steps", command="python -m engine study x.yaml",
    )  # fmt: skip


def figure(name: str, value: float | None, low: float | None, high: float | None, unit: str = "") -> FindingFigure:
    return FindingFigure(name=name, value=value, low=low, high=high, n=10, unit=unit)


def panels(found: Finding) -> list[dict[str, Any]]:
    chart = finding_chart(found)
    assert chart is not None
    return list(chart.to_dict()["hconcat"])


def drawn(found: Finding) -> dict[str, dict[str, Any]]:
    """The rows of all dots by name, in one panel."""
    chart = finding_chart(found)
    assert chart is not None
    rows = [row for data in chart.to_dict()["datasets"].values() for row in data if "name" in row]
    return {row["name"]: row for row in rows}


def test_dots_are_filled_where_the_interval_leaves_the_line_out() -> None:
    rows = drawn(finding(figure("beyond", 3, 1, 5), figure("across", 1, -1, 3), figure("below", -3, -4, -2)))
    filled = {name: row["fill"] != "transparent" for name, row in rows.items()}
    assert filled == {"beyond": True, "across": False, "below": True}
    assert (rows["across"]["low"], rows["across"]["high"], rows["across"]["interval"]) == (-1, 3, "-1.000 to 3.000")


def test_a_figure_without_an_interval_is_a_hollow_dot_and_one_without_a_value_is_in_the_table_only() -> None:
    found = finding(figure("one", 3, None, None), figure("none", None, None, None))
    rows = drawn(found)
    assert list(rows) == ["one"]
    assert (rows["one"]["low"], rows["one"]["high"], rows["one"]["fill"]) == (3, 3, "transparent")
    table = finding_table(found)
    assert table["of"].tolist() == ["one", "none"]
    assert table["value"].isna().tolist() == [False, True]


def test_no_figures_no_chart() -> None:
    assert finding_chart(finding()) is None
    assert finding_chart(finding(figure("none", None, None, None))) is None
    assert finding_table(finding()).empty


def _lines(panel: dict[str, Any]) -> int:
    return sum(layer["encoding"].get("x", {}).get("field") == "line" for layer in panel["layer"])


def test_a_panel_a_unit_and_the_line_where_the_same_is_measured() -> None:
    found = finding(
        figure("a", 0.9, 0.8, 1, "accuracy, simple"),
        figure("a", 0.4, 0.3, 0.5, "accuracy, spatial"),
        figure("a", 7, 6, 8, "steps"),
        reference=0.2,
    )
    made = panels(found)
    assert [panel["title"]["text"] for panel in made] == ["Simple", "Spatial", "Steps"]
    assert [_lines(panel) for panel in made] == [1, 1, 0]
    axes = [panel["layer"][-1]["encoding"]["x"]["title"] for panel in made]
    assert axes == ["difference in steps", "difference in steps", "steps"]
    assert finding_table(found)["measured"].tolist() == ["accuracy: simple", "accuracy: spatial", "steps"]


def test_rows_are_named_once_where_all_panels_have_the_same() -> None:
    def labels(*figures: FindingFigure) -> list[bool]:
        return [panel["layer"][-1]["encoding"]["y"]["axis"]["labels"] for panel in panels(finding(*figures))]

    same = [figure(name, 1, 0, 2, unit) for unit in ("steps", "seconds") for name in ("x", "y")]
    assert labels(*same) == [True, False]
    assert labels(*same, figure("z", 1, 0, 2, "seconds")) == [True, True]


def test_every_dot_bar_and_line_is_within_its_axis() -> None:
    (panel,) = panels(finding(figure("a", 5, 4, 6), figure("b", 9, 7, 10)))
    low, high = panel["layer"][-1]["encoding"]["x"]["scale"]["domain"]
    assert low < 0 < 10 < high  # the line at 0 as well
    (point,) = panels(finding(figure("a", 0, 0, 0)))
    low, high = point["layer"][-1]["encoding"]["x"]["scale"]["domain"]
    assert low < 0 < high


def test_the_panels_fit_the_width_that_is_given() -> None:
    figures = [figure("a rather long name of a figure", 1, 0, 2, unit) for unit in ("steps", "seconds", "accuracy")]
    chart = finding_chart(finding(*figures), width=900)
    assert chart is not None
    assert 600 < sum(panel["layer"][0].get("width", panel["width"]) for panel in chart.to_dict()["hconcat"]) < 900


def test_words_for_those_who_do_not_see_it() -> None:
    words = describe(finding(figure("LoRA", 3, 1, 5), figure("none", None, None, None)))
    assert "difference in steps" in words
    assert "LoRA: 3 (1 to 5)" in words
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
    layers = finding_chart(found).to_dict()["hconcat"][0]["layer"]  # type: ignore[union-attr]
    (diamond,) = [layer for layer in layers if layer["mark"].get("shape") == "diamond"]
    assert diamond["encoding"]["x"]["field"] == "published"
    low, high = diamond["encoding"]["x"]["scale"]["domain"]
    assert low < 0.2
    assert high > 0.8
    plain = finding_chart(finding(own)).to_dict()["hconcat"][0]["layer"]  # type: ignore[union-attr]
    assert not [layer for layer in plain if layer["mark"].get("shape") == "diamond"]
