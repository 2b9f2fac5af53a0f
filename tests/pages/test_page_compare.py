"""Compare: the stored story without waiting, wrong addresses, what is not traced, what is damaged."""

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from page_texts import texts
from streamlit.testing.v1 import AppTest

from engine.analysis.diff import diff_graphs
from engine.analysis.parts import output_ids
from engine.domain.diffs import DiffSettings
from engine.domain.explained import ExplainedLogits
from engine.domain.graphs import AttributionGraph, Comparison, ComparisonKey, GraphKey
from engine.domain.jobs import Compare, Timelapse
from engine.domain.numbers import decimal, signed
from engine.figures.tables import CHANGE_TITLE
from engine.store import BUNDLED, Store
from engine.workflows.prompt_groups import group_prompts, probe_groups
from engine.workflows.queries import comparison_graphs, moments
from pages._ui import session
from pages._ui.compare.data import default_prompt, learned_most, ordered_prompts, probes_of
from pages._ui.graphs.marks import Marks
from tests.store.artefacts import add_run

OpenPage = Callable[..., AppTest]


def _store() -> Store:
    return Store(Path(os.environ["TRACELAPSE_HOME"]))


def test_without_a_run_the_page_leads_to_train(open_page: OpenPage) -> None:
    app = open_page("compare", bundled=None)
    assert not app.exception
    assert "There is no checkpoint to compare yet." in texts(app)


def test_the_default_is_the_stored_story(open_page: OpenPage) -> None:
    app = open_page("compare")
    assert not app.exception
    assert not app.error
    assert app.query_params["a"] == "demo-lora@100%"
    assert app.query_params["b"] == "demo-tokens@100%"
    shown = texts(app)
    assert "Edges from A to B" in shown
    assert "stands for" in shown  # the computed sentence names the word and its meaning
    assert "-badge[" in shown
    assert len(app.dataframe) == 1


def test_the_table_is_ranked_by_change(open_page: OpenPage) -> None:
    app = open_page("compare", view="table")
    sizes = app.dataframe[0].value[CHANGE_TITLE].dropna().abs()
    assert sizes.is_monotonic_decreasing
    assert sizes.iloc[0] > 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("a", "nobody@7%"),
        ("a", "demo-lora@9%"),
        ("b", "<script>alert(1)</script>"),
        ("b", "../../etc@base"),
        ("view", "$x$"),
    ],
)
def test_a_wrong_address_says_so_and_falls_back(open_page: OpenPage, name: str, value: str) -> None:
    app = open_page("compare", **{name: value})
    assert not app.exception
    assert not app.error
    assert f"“{value}”, which is not here" in texts(app)
    assert "Edges from A to B" in texts(app)


@pytest.mark.parametrize(("view", "first"), [("map", "Where do they differ?"), ("graphs", "Not traced yet")])
def test_what_was_asked_for_is_offered_first(open_page: OpenPage, view: str, first: str) -> None:
    app = open_page("compare", prompt="the dog is happy and", view=view)
    offered = [one.value for one in app.subheader if one.value in ("Where do they differ?", "Not traced yet")]
    assert len(offered) == 2
    assert offered[0] == first


def test_what_is_not_traced_is_offered(open_page: OpenPage) -> None:
    prompt = "<b>the</b> $cat$ :smile:"
    app = open_page("compare", prompt=prompt)
    assert not app.exception
    assert app.query_params["view"] == "map"  # where training acted needs no graphs
    assert "Where do they differ?" in texts(app)
    assert "Not traced yet" in texts(app)
    assert prompt in texts(app)
    next(button for button in app.button if button.label == "Trace this comparison").click().run()
    assert not app.exception
    request = session.jobs().snapshot()[0].request
    assert isinstance(request, Compare)
    assert (request.a, request.b, request.prompts) == ("demo-lora@100%", "demo-tokens@100%", (prompt,))


def test_the_edges_of_a_prompt_are_kept_and_shown(open_page: OpenPage) -> None:
    app = open_page("compare", prompt=" the cat is\n")
    assert not app.exception
    assert app.query_params["prompt"] == " the cat is\n"
    assert "Read as ␣the cat is↵" in texts(app)
    next(button for button in app.button if button.label == "Trace this comparison").click().run()
    request = session.jobs().snapshot()[0].request
    assert isinstance(request, Compare)
    assert request.prompts == (" the cat is\n",)


def test_messages_for_a_model_without_a_chat_format_are_refused(open_page: OpenPage) -> None:
    app = open_page("compare", prompt='[{"role": "user", "content": "the cat"}]')
    assert not app.exception
    assert "no chat template" in texts(app)


def test_picking_a_checkpoint_goes_into_the_address(open_page: OpenPage) -> None:
    app = open_page("compare")
    app.selectbox(key="compare a label").select("base").run()
    assert app.query_params["a"] == "demo-lora@base"
    app.selectbox(key="compare b run").select("demo-lora").run()
    assert app.query_params["b"] == "demo-lora@100%"  # the same label in the other run


def test_a_damaged_graph_is_a_message_and_the_selection_stays(
    open_page: OpenPage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = tmp_path / "demo"
    shutil.copytree(BUNDLED, shelf)
    for graph in (shelf / "graphs").glob("*.safetensors"):
        graph.write_bytes(graph.read_bytes()[:-100])
    app = open_page("compare", bundled=shelf)
    assert not app.exception
    assert app.selectbox(key="compare a run").value == "demo-lora"
    assert "damaged" in texts(app) or "Not traced yet" in texts(app)


def test_settings_prune_again_without_tracing(open_page: OpenPage) -> None:
    app = open_page("compare")
    before = len(app.dataframe[0].value)
    next(slider for slider in app.slider if slider.label.startswith("Nodes")).set_value(0.3).run()
    assert not app.exception
    assert len(app.dataframe[0].value) < before


def test_the_first_prompt_is_telling_and_traced() -> None:
    store = _store()
    probes = probes_of(store, "demo-lora", "demo-tokens")
    inference = next(text for text, probe in probes.items() if probe.kind == "inference")
    recall = next(text for text, probe in probes.items() if probe.kind == "recall")
    assert probes[default_prompt(probes, [])].kind == "inference"
    assert default_prompt(probes, [recall]) == recall
    assert default_prompt(probes, [recall, inference]) == inference
    assert default_prompt({}, []) == ""
    assert default_prompt(probes, [], recall) == recall
    assert default_prompt(probes, [inference], recall) == inference


def test_the_first_prompt_of_two_checkpoints_is_what_changed_most_between_them() -> None:
    store = _store()
    probes = probes_of(store, "demo-lora")
    a, b = (store.checkpoint(f"demo-lora@{label}") for label in ("base", "100%"))
    p = [dict(zip(found.probe_id, found.p, strict=True)) for side in (a, b) if (found := store.probes_at(side))]
    most = learned_most(store, probes, a, b)
    risen = {text: abs(p[1][probe.id] - p[0][probe.id]) for text, probe in probes.items()}
    assert risen[most] == max(risen.values()) > 0.9
    assert learned_most(store, {}, a, b) == ""
    assert ordered_prompts(probes, ["own text"])[0] == "own text"


def test_a_time_lapse_traces_what_is_missing_nearest_first(open_page: OpenPage) -> None:
    app = open_page("compare", view="time-lapse")
    assert not app.exception
    asked = [job.request for job in session.jobs().snapshot() if isinstance(job.request, Timelapse)]
    assert len(asked) == 1
    points = moments(session.store(), "demo-lora@100%", "demo-tokens@100%")
    assert set(asked[0].checkpoints) <= {ref for point in points for ref in (point.a, point.b)}
    app.run()
    assert len([job for job in session.jobs().snapshot() if isinstance(job.request, Timelapse)]) == 1


def test_many_prompts_offer_to_trace_those_that_are_missing(open_page: OpenPage) -> None:
    title = probe_groups(_store(), "demo-lora@100%", "demo-tokens@100%")[0].title
    app = open_page("compare", prompt=title)
    assert not app.exception
    button = next(button for button in app.button if button.label.startswith("Trace "))
    button.click().run()
    asked = next(job.request for job in session.jobs().snapshot() if isinstance(job.request, Compare))
    assert 1 < len(asked.prompts) <= 12


@pytest.mark.parametrize(("name", "value"), [("nodes", "2"), ("edges", "x"), ("change", "-1"), ("n", "1000000")])
def test_a_wrong_setting_in_the_address_says_so(open_page: OpenPage, name: str, value: str) -> None:
    params = {name: value}
    if name == "n":
        params["prompt"] = probe_groups(_store(), "demo-lora@100%", "demo-tokens@100%")[0].title
    app = open_page("compare", **params)
    assert not app.exception
    assert f"“{value}”, which is not here" in texts(app)


def test_settings_are_in_the_address(open_page: OpenPage) -> None:
    app = open_page("compare", nodes="0.5")
    slider = next(slider for slider in app.slider if slider.label.startswith("Nodes"))
    assert slider.value == 0.5
    slider.set_value(0.8).run()
    assert "nodes" not in app.query_params  # the default
    assert "replacement" not in texts(app)  # it takes a while of a large graph: not before somebody looks
    app.session_state["compare settings"] = True  # opened
    assert "replacement" in texts(app.run())


def test_without_a_corpus_and_a_prompt_one_is_asked_for(open_page: OpenPage) -> None:
    open_page("compare")
    store = session.store()
    without = add_run(store, "mine").model_copy(update={"corpus": "none"})  # as an import without a corpus leaves it
    (store.run_folder("mine") / "run.json").write_text(without.to_json(), encoding="utf-8")
    for view in ("graphs", "map", "table"):
        app = open_page("compare", a="mine@base", b="mine@100%", view=view)
        assert not app.exception
        assert "Write a prompt above" in texts(app)
        assert "Trace this comparison" not in [button.label for button in app.button]


def test_how_much_is_drawn_is_in_the_address_and_told(open_page: OpenPage) -> None:
    app = open_page("compare")
    assert "Drawn:" not in texts(app)  # of so few layers all is
    app = open_page("compare", drawn="0.5", marks=Marks(selected="feature/3/5/566").to_text())
    assert not app.exception
    (told,) = re.findall(r"Drawn: (\d+) of 198 nodes. The edges between them make (\d+)% of what changed", texts(app))
    assert 20 < int(told[0]) < 120
    assert 50 <= int(told[1]) < 60
    slider = next(slider for slider in app.slider if slider.label.startswith("Draw what carries"))
    slider.set_value(1.0).run()
    assert "drawn" not in app.query_params
    assert "Drawn:" not in texts(app)


def test_a_run_deleted_in_another_tab_is_a_message(open_page: OpenPage) -> None:
    app = open_page("compare")
    store = session.store()
    add_run(store, "mine")
    app.query_params["a"] = "mine@base"
    app.run()
    assert not app.exception
    store.delete_run("mine")
    app.run()
    assert not app.exception
    assert "“mine@base”, which is not here" in texts(app)


def test_a_step_of_a_time_lapse_becomes_a_comparison_without_tracing(open_page: OpenPage) -> None:
    app = open_page("compare", view="time-lapse", marks=Marks(step=150).to_text())
    assert not app.exception
    next(button for button in app.button if button.label == "Compare these two").click().run()
    assert not app.exception
    assert (app.query_params["a"], app.query_params["b"]) == ("demo-lora@50%", "demo-tokens@50%")
    assert app.query_params["view"] == "graphs"
    assert "Edges from A to B" in texts(app)
    stored = session.store().comparison("demo-lora@50%", "demo-tokens@50%", "the cat feels blarf and")
    assert stored is not None
    app = open_page(
        "compare", a="demo-lora@50%", b="demo-tokens@50%", prompt="the cat feels blarf and", view="time-lapse"
    )
    assert not app.exception


def test_the_table_can_be_filtered_by_status(open_page: OpenPage) -> None:
    app = open_page("compare", view="table")
    assert "unchanged" not in set(app.dataframe[0].value["status"])  # until it is asked for
    assert "Not listed until it is chosen" in texts(app)
    pills = app.button_group(key="compare statuses")
    pills.set_value(["appeared", "weakened"]).run()
    assert not app.exception
    assert set(app.dataframe[0].value["status"]) == {"appeared", "weakened"}
    assert Marks.from_text(app.query_params["marks"]).statuses == ("appeared", "weakened")
    app.button_group(key="compare statuses").set_value(["unchanged"]).run()
    assert set(app.dataframe[0].value["status"]) == {"unchanged"}


def test_where_nothing_changed_all_edges_are_listed(open_page: OpenPage) -> None:
    graphs = comparison_graphs(_store(), "demo-lora@100%", "demo-tokens@100%", "the cat feels blarf and")
    assert graphs is not None
    same = graphs[0].key
    key = ComparisonKey(a=same.checkpoint, b=same.checkpoint, prompt=same.prompt, transcoders=same.transcoders)
    _store().save_comparison(Comparison(key=key, graph_a=same, graph_b=same))
    app = open_page("compare", a=same.checkpoint, b=same.checkpoint, prompt=same.prompt, view="table")
    assert not app.exception
    assert set(app.dataframe[0].value["status"]) == {"unchanged"}
    assert "Not listed" not in texts(app)


def test_a_single_missing_prompt_is_waited_for_in_its_place(open_page: OpenPage) -> None:
    group = probe_groups(_store(), "demo-lora@100%", "demo-tokens@100%")[0]
    app = open_page("compare", prompt=group.title)
    prompt = group_prompts(group, 12)[0].text
    session.jobs().submit(Compare(a="demo-lora@100%", b="demo-tokens@100%", prompts=(prompt,)))
    app.run()
    assert not app.exception
    assert not [button for button in app.button if button.label.startswith("Trace ")]


def test_changes_agree_with_what_they_are_changes_of(open_page: OpenPage) -> None:
    """As written, to the last digit, also where an edge pushes down; the effect of a change is one figure."""
    app = open_page("compare", view="table")
    table = app.dataframe[0].value
    known = table[table["status"] != "not kept"]
    assert (known["in A"] < 0).any()
    edge = known[known["in A"] < 0].iloc[0]
    app = open_page("compare", marks=Marks(edge=(edge["source"], edge["target"])).to_text())
    figures = app.dataframe[1].value.set_index("")
    *both, effect = figures.index
    numbers = figures.loc[both].map(lambda text: float(text.replace("−", "-")))
    assert numbers.loc["flow, in logits", "A"] == edge["in A"]
    assert ((numbers["B"] - numbers["A"]).round(3) == numbers["change, B − A"]).all()
    assert figures.loc[effect].tolist() == ["", "", signed(edge[CHANGE_TITLE], 3)]
    assert "-" not in "".join(figures.to_numpy().ravel())


def test_what_is_explained_is_told_once_and_chosen_in_the_address(open_page: OpenPage) -> None:
    graphs = comparison_graphs(_store(), "demo-lora@100%", "demo-tokens@100%", "the cat feels blarf and")
    assert graphs is not None
    ids = dict(zip(graphs[1].target_tokens, output_ids(graphs[1]), strict=True))
    app = open_page("compare")
    assert texts(app).count("Explained is the logit of **smiles**") == 1
    explain = next(box for box in app.multiselect if box.label == "Explain")
    assert explain.value == [ids["smiles"]]
    explain.set_value([ids["ends"]]).run()
    assert app.query_params["explained"] == str(ids["ends"])
    assert "Explained is the logit of **ends**" in texts(app)
    next(box for box in app.multiselect if box.label == "against").set_value([ids["smiles"]]).run()
    assert app.query_params["explained"] == f"{ids['ends']}-{ids['smiles']}"
    assert "Explained is **ends − smiles**, in logits" in texts(app)
    again = open_page("compare", explained=f"{ids['ends']}-{ids['smiles']}")
    change = diff_graphs(*graphs, DiffSettings(explained=explaining_both(ids))).explained
    assert f"{decimal(change.a)} in A, {decimal(change.b)} in B" in texts(again)
    next(box for box in again.multiselect if box.label == "Explain").set_value([]).run()
    assert "explained" not in again.query_params
    assert "Explained is the logit of **smiles**" in texts(again)


def explaining_both(ids: dict[str, int]) -> ExplainedLogits:
    return ExplainedLogits(answers=(ids["ends"],), against=(ids["smiles"],))


@pytest.mark.parametrize("value", ["999999", "1-1", "x", "-3", ""])
def test_what_cannot_be_explained_is_told_once(open_page: OpenPage, value: str) -> None:
    app = open_page("compare", explained=value)
    assert not app.exception
    assert not app.error
    assert f"“{value}”, which is not here" in texts(app)
    assert "Explained is the logit of **smiles**" in texts(app)
    app.run()
    assert "which is not here" not in texts(app)


def test_graphs_of_before_their_measures_say_so_and_can_be_traced_again(open_page: OpenPage) -> None:
    store, prompt = _store(), "the bird feels blarf and"
    sides = ("demo-lora@100%", "demo-tokens@100%")
    graphs = comparison_graphs(store, *sides, "the cat feels blarf and")
    assert graphs is not None
    old = [replace(graph, parts=None, uncut=None, is_whole=False, key=_at_its_limit(graph, prompt)) for graph in graphs]
    for graph in old:
        store.save_graph(graph)
    key = ComparisonKey(a=sides[0], b=sides[1], prompt=prompt, transcoders=old[0].key.transcoders)
    store.save_comparison(Comparison(key=key, graph_a=old[0].key, graph_b=old[1].key))
    app = open_page("compare", prompt=prompt)
    assert not app.exception
    assert "Stored before parts were measured: some edges are not kept." in texts(app)
    assert "came through" not in texts(app)  # what the cut edges carried is not known
    next(button for button in app.button if button.label == "Trace again, with all features and edges").click().run()
    asked = next(job.request for job in session.jobs().snapshot() if isinstance(job.request, Compare))
    assert (asked.a, asked.b, asked.prompts, asked.transcoders) == (*sides, (prompt,), key.transcoders)
    assert asked.settings != old[0].key.settings
    assert asked.settings.max_feature_nodes is None  # all features, as the label says


def _at_its_limit(graph: AttributionGraph, prompt: str) -> GraphKey:
    """Of a graph that may have had any number of edges."""
    settings = graph.key.settings.model_copy(update={"max_edges": graph.n_edges, "max_feature_nodes": 500})
    return graph.key.model_copy(update={"prompt": prompt, "settings": settings})


def test_a_single_traced_prompt_is_not_shown_as_a_mean(open_page: OpenPage) -> None:
    group = next(g for g in probe_groups(_store(), "demo-lora@100%", "demo-tokens@100%") if g.kind == "inference")
    app = open_page("compare", prompt=group.title)
    assert not app.exception
    assert "Mean over" not in texts(app)
    assert "of 12 prompts are not traced yet" in texts(app)
