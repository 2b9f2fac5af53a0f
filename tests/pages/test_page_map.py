"""Compare's Map: what is offered, what is shown of either picture, what is marked and what of it is inspected."""

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from page_texts import texts
from streamlit.testing.v1 import AppTest

from engine.analysis.acted import ABOVE_MEAN, ESTIMATED
from engine.analysis.acted_mean import acted_mean, mean_sentence
from engine.analysis.parts import output_ids
from engine.domain.graphs import Comparison, ComparisonKey
from engine.domain.jobs import AskedPrompt, FindExamples, NeverCanceled, Where, WhereProbes, quiet
from engine.domain.models import DEMO_MODEL, ModelSpec
from engine.store import Store
from engine.workflows.prompt_groups import group_acted, group_prompts, probe_groups
from engine.workflows.queries import comparison_graphs, stored_acted
from engine.workflows.taught import find_examples
from engine.workflows.where import where, where_probes
from pages._ui import session
from pages._ui.graphs.marks import Marks
from tests.acted_means import but_rounding

OpenPage = Callable[..., AppTest]
A, B, PROMPT = "demo-tokens@base", "demo-tokens@100%", "the cat feels blarf and"


def _measure(a: str = A, b: str = B) -> None:
    where(Store(Path(os.environ["TRACELAPSE_HOME"])), Where(a=a, b=b, prompt=PROMPT), quiet, NeverCanceled())


def test_it_is_offered_and_then_shown(open_page: OpenPage) -> None:
    app = open_page("compare", a=A, b=B, prompt=PROMPT, view="map")
    assert not app.exception
    assert "Where did training act?" in texts(app)
    assert "Find where training acted" in [button.label for button in app.button]
    _measure()
    app.run()
    assert not app.exception
    assert "the logit of “smiles”, minus the mean logit, changes by +7.86" in texts(app)
    assert "+7.86 at “blarf”" in texts(app)
    places = app.dataframe[0].value
    assert list(places.columns) == ["layer", "word", "part", "id"]
    words = app.dataframe[1].value
    assert list(words.columns) == ["word", "part", "to step 75", "to step 150", "to step 225", "to step 300"]
    assert abs(words["part"].sum() - 7.86) < 0.01
    assert abs(places["part"].sum() - 7.86) < 0.01
    assert [tab.label for tab in app.tabs] == ["Places", "Words", "Matrices", "Heads", "What matters most"]


def test_it_is_the_first_answer_where_nothing_was_traced(open_page: OpenPage) -> None:
    app = open_page("compare", a="demo-lora@base", b="demo-lora@50%", prompt="the dog feels gleem and")
    assert not app.exception
    labels = [button.label for button in app.button]
    assert labels.index("Find where training acted") < labels.index("Trace this comparison")


def test_where_training_acted_on_a_contrast_is_offered_and_shown(open_page: OpenPage) -> None:
    """What carries it explains “ends − smiles”: the other picture must not show “smiles” instead."""
    store = Store(Path(os.environ["TRACELAPSE_HOME"]))
    a, b = STORY["a"], STORY["b"]
    graphs = comparison_graphs(store, a, b, PROMPT)
    assert graphs is not None
    ids = dict(zip(graphs[1].target_tokens, output_ids(graphs[1]), strict=True))
    _measure(a, b)
    here = {**STORY, "view": "map", "picture": "acted", "explained": f"{ids['ends']}-{ids['smiles']}"}
    app = open_page("compare", **here)
    assert not app.exception
    assert "Explained is “ends − smiles”" in texts(app)
    assert not app.dataframe
    button = next(one for one in app.button if one.label == "Find where they differ")
    button.click().run()
    (job,) = [one for one in session.jobs().snapshot() if isinstance(one.request, Where)]
    assert (job.request.answers, job.request.against) == (("ends",), ("smiles",))
    where(store, job.request, quiet, NeverCanceled())
    app = open_page("compare", **here)
    assert "“ends − smiles”" in texts(app)
    assert "differs by −" in texts(app)
    assert app.dataframe
    assert "Explained is “ends" not in texts(app)


def test_a_checkpoint_and_itself(open_page: OpenPage) -> None:
    _measure(A, A)
    app = open_page("compare", a=A, b=A, prompt=PROMPT, view="map")
    assert not app.exception
    assert "have the same weights" in texts(app)
    assert not app.dataframe


def test_checkpoints_that_answer_alike_have_no_map(open_page: OpenPage) -> None:
    _measure()
    store = Store(Path(os.environ["TRACELAPSE_HOME"]))
    found = stored_acted(store, A, B, PROMPT)
    assert found is not None
    store.save_acted(but_rounding(found))
    app = open_page("compare", a=A, b=B, prompt=PROMPT, view="map", picture="acted")
    assert not app.exception
    assert "give the same answer to this prompt" in texts(app)
    assert not app.dataframe
    assert ABOVE_MEAN in [one.help for one in app.markdown]


STORY = {"a": "demo-lora@100%", "b": "demo-tokens@100%", "prompt": PROMPT}


def test_what_carries_the_answer(open_page: OpenPage) -> None:
    app = open_page("compare", **STORY, view="where")  # as the view was called in addresses that were kept
    assert not app.exception
    assert app.query_params["view"] == "map"
    assert [tab.label for tab in app.tabs] == ["Places that changed most", "What moves between words"]
    places, moves = app.dataframe[0].value, app.dataframe[1].value
    assert places["change"].abs().is_monotonic_decreasing
    assert (places["change"] - (places["B"] - places["A"])).abs().max() < 1e-6
    first = places[(places["layer"] == "L0") & (places["word"] == "and")].iloc[0]
    assert round(first["change"], 2) == 8.83  # as the sentence above it says
    assert "among the layers most came through layer 0 at “and”: +8.83" in texts(app)
    assert first["features that carry it"].startswith("moves → hides, smiles (+1.45) · ")
    assert (moves.iloc[0]["from"], moves.iloc[0]["to"]) == ("blarf", "and")
    assert "between words most came from “blarf” to “and”: +15.00" in texts(app)


@pytest.mark.parametrize(("n_layers", "first"), [(4, "graphs"), (8, "graphs"), (9, "map"), (None, "map")])
def test_deep_models_open_on_it(
    open_page: OpenPage, monkeypatch: pytest.MonkeyPatch, n_layers: int | None, first: str
) -> None:
    monkeypatch.setattr(Store, "n_layers", lambda _self, _spec: n_layers)
    app = open_page("compare", **STORY)
    assert not app.exception
    assert app.query_params["view"] == first


def test_the_depth_of_a_base_is_read_from_its_configuration(tmp_path: Path) -> None:
    store = Store(Path(os.environ["TRACELAPSE_HOME"]))
    assert store.n_layers(DEMO_MODEL) == 4
    spec = ModelSpec(name="theirs", source="folder", location=str(tmp_path))
    assert store.n_layers(spec) is None
    (tmp_path / "config.json").write_text('{"n_layer": 12}', encoding="utf-8")
    assert store.n_layers(spec) == 12


def test_a_marked_place_has_its_features_and_a_feature_its_inspector(open_page: OpenPage) -> None:
    app = open_page("compare", **STORY, view="map", marks=Marks(selected="place/3/5/5").to_text())
    assert not app.exception
    assert "L3 · and" in texts(app)
    assert "Features" in [tab.label for tab in app.tabs]
    assert "Those that the graphs keep." in texts(app)
    features = app.dataframe[1].value
    assert features["id"].iloc[0] == "feature/3/5/566"
    app = open_page("compare", **STORY, view="map", marks=Marks(selected="feature/3/5/566").to_text())
    assert not app.exception
    assert "What it stands for" in [tab.label for tab in app.tabs]
    back = next(button for button in app.button if button.label == "L3 · and")
    back.click().run()
    assert Marks.from_text(app.query_params["marks"]).selected == "place/3/5/5"
    next(button for button in app.button if button.label == "Clear").click().run()
    assert "marks" not in app.query_params


def test_a_marked_move_has_the_layers_that_read_it(open_page: OpenPage) -> None:
    move = ("place/-1/4/4", "place/-1/5/5")
    app = open_page("compare", **STORY, view="map", marks=Marks(edge=move).to_text())
    assert not app.exception
    assert "blarf → and" in texts(app)
    layers = app.dataframe[1].value
    assert layers["read in"].iloc[0] == "L0"
    assert abs(layers["change"].sum() - 15.00) < 0.01  # all of the move


def test_a_place_of_where_training_acted_has_matrices_and_heads(open_page: OpenPage) -> None:
    _measure()
    marked = Marks(selected="place/-1/4/4").to_text()
    app = open_page("compare", a=A, b=B, prompt=PROMPT, view="map", picture="acted", marks=marked)
    assert not app.exception
    assert "+7.86 of the change" in texts(app)
    assert f"{ABOVE_MEAN} {ESTIMATED}" in [one.help for one in app.markdown]
    matrices = app.dataframe[1].value
    assert abs(matrices["part"].sum() - 7.86) < 0.01


def test_other_views_know_no_places(open_page: OpenPage) -> None:
    marked = Marks(selected="place/3/5/5", pins=("place/0/4/4", "feature/3/5/566")).to_text()
    app = open_page("compare", **STORY, view="table", marks=marked)
    assert not app.exception
    assert app.query_params["marks"] == Marks(pins=("feature/3/5/566",)).to_text()
    assert "Edges from A to B" in texts(app)


def test_a_place_that_is_on_no_map_says_so(open_page: OpenPage) -> None:
    app = open_page("compare", **STORY, view="map", marks=Marks(selected="place/40/5/5").to_text())
    assert not app.exception
    assert "is not on this map" in texts(app)


def test_over_training_where_several_checkpoints_are_traced(open_page: OpenPage) -> None:
    app = open_page("compare", **STORY, view="map", over="1", marks=Marks(step=300).to_text())
    assert not app.exception
    switch = next(toggle for toggle in app.toggle if toggle.label == "Over training")
    assert switch.value
    assert "among the layers most came through layer 0 at “and”: +8.83" in texts(app)  # of the last step
    switch.set_value(False).run()
    assert not app.exception
    assert "over" not in app.query_params


def test_an_earlier_step_has_its_own_sentence_and_tables(open_page: OpenPage) -> None:
    _measure()
    marked = Marks(step=75).to_text()
    app = open_page("compare", a=A, b=B, prompt=PROMPT, view="map", picture="acted", marks=marked)
    assert not app.exception
    assert "From demo-tokens@base to demo-tokens@25% the logit of “smiles”" in texts(app)
    assert "to step 75" not in app.dataframe[1].value.columns  # one stretch is no table of stretches
    assert "What matters most" not in [tab.label for tab in app.tabs]


EARLY = "demo-tokens@step10"  # one stretch to go over


def test_the_examples_are_offered_and_then_shown(open_page: OpenPage) -> None:
    app = open_page("compare", a=A, b=EARLY, prompt=PROMPT, view="map")
    assert "Which examples taught it?" in texts(app)
    assert "Find the examples" in [button.label for button in app.button]
    store = Store(Path(os.environ["TRACELAPSE_HOME"]))
    request = FindExamples(checkpoint=store.checkpoint(EARLY).ref, prompt=PROMPT)
    find_examples(store, request, quiet, NeverCanceled())
    app.run()
    assert not app.exception
    assert "Find the examples" not in [button.label for button in app.button]
    rows = app.dataframe[0].value
    assert list(rows.columns) == ["push", "sentence", "teaches"]
    assert len(rows) == 50
    assert set(rows["teaches"][abs(rows["push"]) > 0]) == {"blarf"}  # no other word's embedding is in the prompt
    assert abs(rows["push"]).max() == 1


def test_of_a_type_too(open_page: OpenPage) -> None:
    store = Store(Path(os.environ["TRACELAPSE_HOME"]))
    title = next(one.title for one in probe_groups(store, A, B) if one.constraint_type == "simple_mapping")
    app = open_page("compare", a=A, b=B, prompt=title, view="map")
    assert not app.exception
    assert "the probes of the type simple mapping" in texts(app)
    assert "Find the examples" in [button.label for button in app.button]


def test_many_prompts_have_a_map_too(open_page: OpenPage) -> None:
    store, sides = Store(Path(os.environ["TRACELAPSE_HOME"])), ("demo-lora@100%", "demo-tokens@100%")
    _as_another_prompt(store, *sides, "the cloud feels blarf and")
    title = next(one.title for one in probe_groups(store, *sides) if one.title.startswith("simple mapping · inference"))
    here = {"a": sides[0], "b": sides[1], "prompt": title, "view": "map", "n": "40"}
    app = open_page("compare", **here)
    assert not app.exception
    said = texts(app)
    assert "Mean over 2 of 40 prompts" in said
    assert "among the layers most came through layer 0 at “and”: +8.83" in said  # as of each of the two
    assert "between words most came from “new word” to “and”" in said
    places, prompts = (table.value for table in app.dataframe if {"word", "prompt"} & set(table.value))
    assert places["±"].max() < 1e-6  # they are alike
    assert set(prompts["prompt"]) == {PROMPT, "the cloud feels blarf and"}
    move = Marks(edge=("place/-1/4/4", "place/-1/5/5")).to_text()
    app = open_page("compare", marks=move, **here)
    assert not app.exception
    readers = next(table.value for table in app.dataframe if "read in" in table.value).set_index("read in")
    assert readers["change"].sum() == pytest.approx(15.0, abs=0.01)
    assert readers["change"].idxmax() == "L0"


def test_where_training_acted_on_many_prompts(open_page: OpenPage) -> None:
    store = Store(Path(os.environ["TRACELAPSE_HOME"]))
    group = next(one for one in probe_groups(store, A, B) if one.title.startswith("simple mapping · inference"))
    here = {"a": A, "b": B, "prompt": group.title, "view": "map", "n": "6"}
    app = open_page("compare", **here)
    assert not app.exception
    assert not app.error
    assert "Find where training acted" in [button.label for button in app.button]
    asked = group_prompts(group, 6)[:2]
    probes = tuple(AskedPrompt(prompt=one.text, answer=one.answer, blank=one.blank) for one in asked)
    where_probes(store, WhereProbes(a=A, b=B, asked=probes), quiet, NeverCanceled())
    app.run()
    assert not app.exception
    assert not app.error
    ready, _ = group_acted(store, A, B, asked)
    mean = acted_mean(ready)
    assert mean_sentence(mean) in texts(app)
    assert "4 of 6 probes" in texts(app)  # the others can be measured
    assert [tab.label for tab in app.tabs] == ["Places", "Roles", "Matrices", "Words"]
    places, prompts = (table.value for table in app.dataframe if {"part", "prompt"} & set(table.value))
    assert list(places.columns) == ["layer", "role", "part", "low", "high", "id"]
    assert places["part"].sum() == pytest.approx(mean.sum.mean())
    assert set(prompts["prompt"]) == {one.text for one in asked}
    app = open_page("compare", marks=Marks(selected=places["id"].iloc[0], step=150).to_text(), **here)
    assert not app.exception
    assert mean_sentence(mean.until(2)) in texts(app)  # as the slider stands
    matrices = next(table.value for table in app.dataframe if "matrix" in table.value)
    place = (
        next(table.value for table in app.dataframe if "id" in table.value).set_index("id").loc[places["id"].iloc[0]]
    )
    assert matrices["part"].sum() == pytest.approx(place["part"])


def _as_another_prompt(store: Store, a: str, b: str, prompt: str) -> None:
    """The bundled comparison of PROMPT, stored as if it were of a prompt of as many words."""
    graphs = comparison_graphs(store, a, b, PROMPT)
    assert graphs is not None
    made = [
        replace(one, tokens=(one.tokens[0], *prompt.split()), key=one.key.model_copy(update={"prompt": prompt}))
        for one in graphs
    ]
    for graph in made:
        store.save_graph(graph)
    key = ComparisonKey(a=a, b=b, prompt=prompt, transcoders=made[0].key.transcoders)
    store.save_comparison(Comparison(key=key, graph_a=made[0].key, graph_b=made[1].key))


def test_no_example_taught_the_base(open_page: OpenPage) -> None:
    app = open_page("compare", a=B, b=A, prompt=PROMPT, view="map")
    assert not app.exception
    assert "Which examples taught it?" not in texts(app)


def test_examples_of_an_imported_run_are_not_known(open_page: OpenPage) -> None:
    store = Store(Path(os.environ["TRACELAPSE_HOME"]))
    store.save_run(store.run("demo-tokens").model_copy(update={"name": "theirs", "imported": True}))
    folder = store.workspace / "runs" / "theirs" / "checkpoints"
    shutil.copytree(store.run_folder("demo-tokens") / "checkpoints", folder, dirs_exist_ok=True)
    store.sync()
    app = open_page("compare", a="theirs@base", b="theirs@100%", prompt=PROMPT, view="map")
    assert "trained elsewhere and imported" in texts(app)
    assert "Find the examples" not in [button.label for button in app.button]


def test_figures_of_a_table_have_a_true_minus_and_what_is_not_known_no_column() -> None:
    def page() -> None:
        import math

        import pandas as pd

        from pages._ui.compare.map_tables import show_rows

        rows = pd.DataFrame({"layer": ["L0", "L1"], "part": [-0.5, 2.0], "low": [math.nan] * 2, "±": [0.25, 0.0]})
        show_rows(rows, height=200, key="table")

    app = AppTest.from_function(page).run()
    assert not app.exception
    proto = app.dataframe[0].proto
    assert list(proto.column_order) == ["layer", "part", "±"]
    written = pa.ipc.open_stream(proto.arrow_data.styler.display_values).read_pandas()
    assert written["part"].tolist() == ["−0.500", "+2.000"]
    assert written["±"].tolist() == ["0.250", "0.000"]
