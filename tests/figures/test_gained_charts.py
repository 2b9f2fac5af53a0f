"""When it was learned, drawn: a row a checkpoint, rules where it was gained and at rest, one scale over all types."""

from engine.analysis.acted_mean import acted_mean
from engine.figures.gained_charts import gained_chart, gained_panels, gained_rows
from tests.acted_means import measured, parts, probe

STEPS = (0, 10, 20, 30)


def rows_of(*changes: float, words: int = 3) -> dict[str, object]:
    return {"simple_mapping": acted_mean(
        [measured(probe(f"w{n}"), *(parts(e=change) for change in changes)) for n in range(words)]
    )}  # fmt: skip


def test_a_row_a_checkpoint_from_the_base_and_the_moments_in_the_first() -> None:
    rows = gained_rows(rows_of(6.0, 3.5, 0.5), STEPS)
    assert rows["step"].tolist() == [0, 10, 20, 30]
    assert rows["gained"].tolist() == [0.0, 6.0, 9.5, 10.0]
    assert rows[["mark", "label"]].values.tolist()[:3] == [[10, "half"], [20, "90%"], [20, "at rest"]]
    assert rows["mark"].isna().tolist() == [False, False, False, True]
    assert rows["interval"].tolist()[1] == "+6.00 to +6.00"


def test_fewer_than_three_words_have_no_band() -> None:
    rows = gained_rows(rows_of(6.0, 4.0, 0.0, words=2), STEPS)
    assert rows["low"].tolist() == rows["high"].tolist() == rows["gained"].tolist()
    assert set(rows["interval"]) == {"of fewer than 3 words"}
    assert rows["label"].tolist() == ["half", "90%", "", ""]


def test_all_panels_have_one_scale() -> None:
    means = rows_of(6.0, 3.0, 1.0) | {"spatial_relationship": rows_of(-2.0, 0.0, 0.0)["simple_mapping"]}
    rows = gained_rows(means, STEPS)
    panels = gained_panels(rows, last_step=30)
    assert list(panels) == ["simple_mapping", "spatial_relationship"]
    for panel in panels.values():
        lines = [layer for layer in panel.to_dict()["layer"] if layer["mark"]["type"] == "line"]
        assert lines[0]["encoding"]["y"]["scale"]["domain"] == [-2.0, 10.0]
    assert gained_chart(rows, last_step=30).to_dict()["facet"]
