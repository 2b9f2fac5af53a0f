"""Compare's inspector: a node or an edge that was picked, what it stands for, labels and groups, trying it."""

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
from engine.analysis.supernodes import merge_supernodes
from engine.domain.diffs import DiffSettings
from engine.domain.explained import ExplainedLogits
from engine.domain.graphs import AttributionGraph
from engine.domain.interventions import Intervention, InterventionKey
from engine.domain.jobs import DescribeFeatures, Intervene, LabelFeatures
from engine.figures.names import feature_name
from engine.store import BUNDLED, Store
from engine.workflows.queries import comparison_graphs
from pages._ui import session
from pages._ui.compare.inspector import edge_figures
from pages._ui.graphs.marks import Marks
from tests.analysis.micro_graphs import micro_a, micro_b

OpenPage = Callable[..., AppTest]


def _store() -> Store:
    return Store(Path(os.environ["TRACELAPSE_HOME"]))


def _feature(store: Store, prompt: str = "the cat feels blarf and") -> str:
    """A feature that the default comparison's graph of B keeps."""
    graphs = comparison_graphs(store, "demo-lora@100%", "demo-tokens@100%", prompt)
    assert graphs is not None
    nodes = diff_graphs(*graphs).nodes
    return str(nodes[(nodes["kind"] == "feature") & nodes["kept_b"]].sort_values("b").iloc[-1]["id"])


def _tab(app: AppTest, name: str) -> None:
    app.session_state["inspector tab"] = name
    app.run()


def test_a_marked_node_is_inspected_with_its_inputs_and_outputs(open_page: OpenPage) -> None:
    node = _feature(_store())
    app = open_page("compare", marks=Marks(selected=node).to_text())
    assert not app.exception
    assert not app.error
    assert re.search(r"activation A \d+\.\d\d, B \d+\.\d\d", texts(app))
    assert {tab.label.partition(" ")[0] for tab in app.tabs} >= {"Inputs", "Outputs", "Try", "Label"}
    inputs = app.dataframe[0].value
    assert inputs["id"].str.startswith(("feature/", "error/", "token/")).all()


@pytest.mark.parametrize("node", ["feature/3/5/99999", "supernode/1/2/<b>x</b>", "logit/4/5/7"])
def test_a_marked_node_of_no_graph_is_a_message(open_page: OpenPage, node: str) -> None:
    app = open_page("compare", marks=Marks(selected=node).to_text())
    assert not app.exception
    assert not app.error
    assert "is not in these graphs" in texts(app)


def test_a_marked_edge_of_no_graph_is_a_message(open_page: OpenPage) -> None:
    app = open_page("compare", marks=Marks(edge=("feature/3/5/99999", "logit/4/5/7")).to_text())
    assert not app.exception
    assert "selected edge is not in these graphs" in texts(app)


def test_a_label_is_text_kept_in_the_workspace_and_can_be_taken_away(open_page: OpenPage) -> None:
    node = _feature(_store())
    hostile = "<script>alert(1)</script> :smile: $x$ **b**"
    app = open_page("compare", marks=Marks(selected=node).to_text())
    _tab(app, "Label and group")
    app.text_input[0].set_value(hostile).run()
    assert not app.exception
    assert hostile in texts(app)
    again = open_page("compare", marks=Marks(selected=node).to_text())
    _tab(again, "Label and group")
    assert again.text_input[0].value == hostile
    again.text_input[0].set_value("").run()
    assert hostile not in texts(again)


def test_a_feature_has_an_automatic_label_until_a_person_writes_one(open_page: OpenPage) -> None:
    graphs = comparison_graphs(_store(), "demo-lora@100%", "demo-tokens@100%", "the cat feels blarf and")
    assert graphs is not None
    names = _store().feature_names(graphs[0].key.transcoders_hash)
    nodes = diff_graphs(*graphs).nodes
    kept = nodes[(nodes["kind"] == "feature") & nodes["kept_b"]]
    node, layer, index = next(
        (row.id, row.layer, row.index) for row in kept.itertuples(index=False) if names.label(row.layer, row.index)
    )
    label = names.label(layer, index)
    assert label is not None
    app = open_page("compare", marks=Marks(selected=node).to_text())
    assert feature_name(names, layer, index) in texts(app)
    _tab(app, "Label and group")
    assert app.text_input[0].placeholder == label.more
    assert f"Automatic: {label.more}" in texts(app)
    assert "in demo-lora@100% and demo-tokens@100%" in texts(app)
    app.text_input[0].set_value("my own").run()
    assert f"“my own” ({index})" in texts(app)
    assert feature_name(names, layer, index) not in texts(app)
    assert f"Automatic: {label.more}" in texts(app)  # is still told where one can go back to it


def test_features_that_were_never_labelled_are_called_by_their_numbers(open_page: OpenPage, tmp_path: Path) -> None:
    """A workspace of before: everything works, and labels are a click away."""
    shelf = shutil.copytree(BUNDLED, tmp_path / "demo", ignore=shutil.ignore_patterns("labels"))
    node = _feature(_store())
    app = open_page("compare", bundled=shelf, marks=Marks(selected=node).to_text())
    assert not app.exception
    assert f"feature {node.split('/')[3]}" in texts(app)
    _tab(app, "Label and group")
    assert "It has no automatic label yet" in texts(app)
    next(button for button in app.button if button.label == "Label all features").click().run()
    (asked,) = [job.request for job in session.jobs().snapshot() if isinstance(job.request, LabelFeatures)]
    assert asked.checkpoints == ("demo-lora@100%", "demo-tokens@100%")


def test_a_group_is_made_in_the_inspector_and_drawn_as_one_node(open_page: OpenPage) -> None:
    node = _feature(_store())
    app = open_page("compare", marks=Marks(selected=node).to_text())
    _tab(app, "Label and group")
    groups = next(box for box in app.multiselect if box.label == "Groups")
    key = str(groups.key).removeprefix("groups ").split(" ")
    session.store().set_supernode(key[0], "happy things", [key[1]])
    app = open_page("compare", marks=Marks(selected=node).to_text(), grouped="1")
    assert not app.exception
    assert "is not in these graphs" in texts(app)  # its place is taken by the group


def test_what_a_feature_stands_for_is_looked_up_once_for_all_in_sight(open_page: OpenPage, tmp_path: Path) -> None:
    shelf = shutil.copytree(BUNDLED, tmp_path / "demo", ignore=shutil.ignore_patterns("features"))
    node = _feature(_store())
    app = open_page("compare", bundled=shelf, marks=Marks(selected=node).to_text())
    assert not app.exception
    graphs = comparison_graphs(session.store(), "demo-lora@100%", "demo-tokens@100%", "the cat feels blarf and")
    assert graphs is not None
    nodes = diff_graphs(*graphs).nodes
    features = nodes[nodes["kind"] == "feature"]
    (asked,) = [job.request for job in session.jobs().snapshot() if isinstance(job.request, DescribeFeatures)]
    assert set(asked.features) == {(int(row.layer), int(row.index)) for row in features.itertuples(index=False)}
    assert asked.checkpoints == ("demo-lora@100%", "demo-tokens@100%")
    app.run()
    assert len([job for job in session.jobs().snapshot() if isinstance(job.request, DescribeFeatures)]) == 1


def test_bundled_facts_need_no_job(open_page: OpenPage) -> None:
    app = open_page("compare", marks=Marks(selected=_feature(_store())).to_text())
    assert "active on" in texts(app)
    assert session.jobs().snapshot() == []


def test_try_it_asks_for_exactly_what_was_chosen(open_page: OpenPage) -> None:
    node = _feature(_store())
    app = open_page("compare", marks=Marks(selected=node).to_text())
    _tab(app, "Try it")
    next(slider for slider in app.slider if slider.label.startswith("Multiply")).set_value(2.0).run()
    next(button for button in app.button if button.label == "Scale in A and B").click().run()
    assert not app.exception
    asked = next(job.request for job in session.jobs().snapshot() if isinstance(job.request, Intervene))
    assert (asked.features, asked.factor) == ((node,), 2.0)
    assert (asked.a, asked.b) == ("demo-lora@100%", "demo-tokens@100%")


def test_try_it_judges_predictions_by_all_that_was_tried(open_page: OpenPage) -> None:
    prompt = "the bird that glide ends"  # nothing of it was tried in the demo
    node = _feature(_store(), prompt)
    app = open_page("compare", prompt=prompt, marks=Marks(selected=node).to_text())
    _tab(app, "Try it")
    graphs = comparison_graphs(session.store(), "demo-lora@100%", "demo-tokens@100%", prompt)
    assert graphs is not None
    for uncut in (False, True):
        for graph in graphs:
            session.store().save_intervention(_intervention(graph, node, uncut=uncut))
        app.run()
        said = texts(app)
        assert not app.exception
        assert ("All that was tried on this prompt" in said) == uncut  # what was cut says nothing of the graph
        assert "On the bundled runs" in said
        assert any(button.label == "Predict from all edges" for button in app.button) != uncut
        columns = next(frame for frame in app.dataframe if "predicted" in frame.value.columns).proto.columns
        assert ("predicted, cut" in columns) != uncut
    n = 2 * len(graphs[0].target_tokens)
    assert f"over all {n} outputs of 2 changes the rank correlation is 1.00, 100% go" in said
    assert "predictions are 3.0 times as large" in said
    assert "These are too few" in said


def _intervention(graph: AttributionGraph, node: str, *, uncut: bool) -> Intervention:
    """Every prediction is three times the measured change."""
    n = len(graph.target_tokens)
    change = tuple(float(row + 1) for row in range(n))
    return Intervention(
        key=InterventionKey(graph=graph.key, features=(node,)), changed=(node,), tokens=graph.target_tokens,
        p_before=(0.5,) * n, p_after=(0.1,) * n, logit_before=(0.0,) * n, logit_after=change,
        predicted=tuple(3 * one for one in change), uncut=uncut,
    )  # fmt: skip


def test_pinned_features_are_grouped_with_the_selected_one_and_the_group_is_named(open_page: OpenPage) -> None:
    graphs = comparison_graphs(_store(), "demo-lora@100%", "demo-tokens@100%", "the cat feels blarf and")
    assert graphs is not None
    nodes = diff_graphs(*graphs).nodes
    here = nodes[(nodes["kind"] == "feature") & nodes["kept_b"]].sort_values("b")["id"].tolist()
    app = open_page("compare", marks=Marks(selected=here[-1], pins=tuple(here[-3:-1])).to_text())
    _tab(app, "Label and group")
    app.text_input(key="group name").set_value("happy things").run()
    next(button for button in app.button if button.label == "Group 3 features").click().run()
    assert not app.exception
    (group,) = session.store().annotations(graphs[0].key.transcoders_hash).supernodes
    assert len(group.features) == 3
    merged = merge_supernodes(diff_graphs(*graphs), session.store().annotations(graphs[0].key.transcoders_hash))
    node = next(name for name in merged.nodes["id"] if name.startswith("supernode/"))
    app = open_page("compare", marks=Marks(selected=node).to_text(), grouped="1")
    assert not app.exception
    assert "happy things" in texts(app)
    assert any("happy things" in str(option) for box in app.selectbox for option in box.options)  # it can be ablated


def test_the_figures_of_an_edge_tell_weight_share_and_flow_apart() -> None:
    yes = DiffSettings(explained=ExplainedLogits(answers=(20,)))
    whole = micro_b()
    left = (whole.source != 0) | (whole.target != 2)
    cut = replace(
        whole, is_whole=False, **{name: getattr(whole, name)[left] for name in ("source", "target", "weight")}
    )
    rows = []
    for b in (whole, cut):
        edges = diff_graphs(micro_a(), b, yes).edges
        turned = edges[(edges["source"] == "feature/0/1/7") & (edges["target"] == "feature/1/1/3")]
        rows.append(edge_figures(turned).set_index("").to_numpy().tolist())
    assert rows[0][:3] == [
        ["−1.000", "+1.000", "+2.000"], ["−0.250", "+0.250", "+0.500"], ["−2.000", "+0.667", "+2.667"],
    ]  # fmt: skip
    # Its weight changes by 2, and a unit at its target is 3 / 1.5 of “yes” in A, 1 / 1.5 in B.
    assert rows[0][3] == ["", "", "+2.667"]
    assert rows[1] == [["−1.000", "–", "–"], ["−0.250", "–", "–"], ["−2.000", "–", "–"], ["", "", "–"]]
