"""Where it was learned: rows that are the tables of the means, one scale over all types, panels that can be clicked."""

from dataclasses import replace

import pytest

from engine.analysis.acted_mean import acted_mean
from engine.figures.learned_charts import learned_chart, learned_height, learned_panels, learned_rows
from tests.acted_means import measured, parts, probe, three_words


def test_rows_are_means_by_stretch_in_the_order_of_a_prompt() -> None:
    mean = acted_mean(
        [
            measured(probe("blarf"), parts(w=3, e=7), parts(n=2)),
            measured(probe("gleem"), parts(w=5), parts(n=4, e=-1)),
            measured(probe("zephyr"), parts(w=4), parts(n=6)),
        ]
    )
    rows = learned_rows({"simple_mapping": mean}, [0, 15, 60], by="role")
    found = {(row["by"], row["left"], row["right"]): row["part"] for row in rows.to_dict("records")}
    assert found == pytest.approx(
        {("new word", 0, 15): 4.0, ("last", 0, 15): 7 / 3, ("noun", 15, 60): 4.0, ("last", 15, 60): -1 / 3}
    )
    assert dict(zip(rows["by"], rows["place"], strict=True)) == {"noun": 0, "new word": 1, "last": 2}
    assert float(rows["part"].sum()) == pytest.approx(float(mean.change.mean()))


def test_the_last_layer_is_on_top() -> None:
    rows = learned_rows({"simple_mapping": three_words()}, [0, 300], by="layer")
    order = dict(zip(rows["by"], rows["place"], strict=True))
    assert sorted(order, key=lambda name: order[name]) == ["output", "L0", "embeddings"]


def test_fewer_than_three_words_have_no_interval() -> None:
    mean = acted_mean([measured(probe("blarf"), parts(w=1))])
    assert set(learned_rows({"x": mean}, [0, 5], by="role")["interval"]) == {"of fewer than 3 words"}


def test_all_panels_have_one_scale_and_a_click_names_the_stretch() -> None:
    small, large = three_words(), three_words()
    large = replace(large, parts=large.parts * 10, constraint_type="spatial_relationship")
    rows = learned_rows({"simple_mapping": small, "spatial_relationship": large}, [0, 300], by="role")
    panels = learned_panels(rows, last_step=300, title="by token")
    specs = [panel.to_dict() for panel in panels.values()]
    assert list(panels) == ["simple_mapping", "spatial_relationship"]
    scales = [spec["encoding"]["color"]["scale"]["domain"] for spec in specs]
    assert scales == [[-rows["part"].max(), 0, rows["part"].max()]] * 2
    (select,) = specs[0]["params"]
    assert (select["name"], select["select"]["fields"]) == ("stretch", ["constraint_type", "left", "right"])
    assert learned_chart(rows, last_step=300, title="by token").to_dict()["facet"]
    assert learned_height(rows) > specs[0]["height"]
