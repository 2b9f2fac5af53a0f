"""Circuits as a Map: heads and MLPs, the edges of one, the slider over the checkpoints that have circuits."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from page_texts import texts
from stored_circuits import found
from streamlit.testing.v1 import AppTest

from engine.figures.component_map import changed_most, head_effects, heads_map
from engine.figures.component_view import edge_changes
from pages._ui.graphs.marks import Marks
from tests.figures.component_makers import side

OpenPage = Callable[..., AppTest]


def test_heads_and_mlps_as_a_map_and_the_edges_of_one(open_page: OpenPage) -> None:
    scores = found()
    app = open_page("circuits", bundled=None, mode="map")
    assert not app.exception
    view = heads_map(head_effects(scores[0], "A", 0), [head_effects(scores[-1], "B", 4)])
    name, change = changed_most(view)[0]
    assert f"From base to step 4 the effect on the right answer changed most of **{name}** ({change})" in texts(app)
    table = app.dataframe[0].value
    assert table["head or MLP"].iloc[0] == name
    assert np.allclose(table["change"], table["B"] - table["A"])
    assert "Choose a head or an MLP" in texts(app)
    app = open_page("circuits", bundled=None, mode="map", share="0.2", marks=Marks(selected="a0.h1").to_text())
    assert not app.exception
    edges = app.dataframe[1].value
    assert len(edges)
    assert ((edges["source"] == "a0.h1") | (edges["target"] == "a0.h1")).all()
    next(button for button in app.button if button.label == "Clear").click().run()
    assert "marks" not in app.query_params
    assert "Choose a head or an MLP" in texts(app)


def test_the_map_goes_over_the_checkpoints_that_have_circuits(open_page: OpenPage) -> None:
    scores = found()
    between = Marks(step=2, selected="a0.h1").to_text()
    app = open_page("circuits", bundled=None, mode="map", share="0.2", marks=between)
    assert not app.exception
    view = heads_map(head_effects(scores[0], "A", 0), [head_effects(scores[1], "B", 2)])
    name, change = changed_most(view)[0]
    assert f"From base to step 2 the effect on the right answer changed most of **{name}** ({change})" in texts(app)
    table = app.dataframe[0].value
    assert abs(table["change"].iloc[0]) == pytest.approx(np.abs(view.frames[0].places[2]).max())
    edges = app.dataframe[1].value
    ours = edge_changes(side(scores[0], share=0.2), side(scores[1], share=0.2))
    own = ours[(ours["source"] == "a0.h1") | (ours["target"] == "a0.h1")]
    assert sorted(edges["effect_b"]) == pytest.approx(sorted(own["effect_b"]), abs=1e-3)
    assert app.query_params["marks"] == between
    app = open_page("circuits", bundled=None, mode="map", marks=Marks(step=0).to_text())
    assert "Base is both A and B" in texts(app)


def test_a_damaged_checkpoint_on_the_way_is_left_out_of_the_slider(open_page: OpenPage) -> None:
    _, middle, _ = found()
    (file,) = Path(os.environ["TRACELAPSE_HOME"]).glob(f"components/{middle.key.hash}*")
    file.write_bytes(file.read_bytes()[:-64])
    app = open_page("circuits", bundled=None, mode="map", marks=Marks(step=2).to_text())
    assert not app.exception
    assert "From base to step 4 the effect" in texts(app)


def test_marks_of_other_pages_select_nothing_in_the_map(open_page: OpenPage) -> None:
    found()
    for other in (Marks(selected="feature/1/2/3"), Marks(selected="input"), Marks(edge=("a0.h0", "logits"))):
        app = open_page("circuits", bundled=None, mode="map", marks=other.to_text())
        assert not app.exception
        assert "Choose a head or an MLP" in texts(app)
