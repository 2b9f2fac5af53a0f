"""Circuits: no run, no pairs, nothing found yet; the stored circuits in every view; what is asked for; exports."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from page_texts import texts
from stored_circuits import REFS, found, keep, ready, store
from streamlit.testing.v1 import AppTest

from engine.domain.components import (
    CIRCUIT_SHARE,
    CIRCUIT_STATUSES,
    SHARES,
    CurvePoint,
    CurveReport,
    Likeness,
    Perturbed,
    RobustnessReport,
    ScoreSettings,
    SubjectRobustness,
    UnionPoint,
    UnionReport,
)
from engine.domain.jobs import CheckRobustness, FindCircuits, SubtaskCircuit, UniteCircuits
from engine.domain.measures import Estimate
from engine.export.circuit_formats import CIRCUIT_FORMATS, CSV_COLUMNS, ComparedCircuits
from engine.figures.component_view import edge_changes, node_changes
from pages._ui import session
from pages._ui.circuits.words import moved, node_counts, sentence, status_counts
from pages._ui.graphs.edge_table import status_chips
from pages._ui.graphs.marks import Marks
from tests.figures.component_makers import SHAPE, scores_of, side
from tests.store.artefacts import add_run

OpenPage = Callable[..., AppTest]
ROOT = Path(__file__).parents[2]


def estimate(value: float) -> Estimate:
    return Estimate(value=value, low=value - 0.1, high=value + 0.1)


def point(share: float, faithfulness: float) -> CurvePoint:
    return CurvePoint(share=share, n_asked=9, n_edges=8, n_nodes=7, faithfulness=estimate(faithfulness))


def press(app: AppTest, label: str) -> None:
    next(button for button in app.button if button.label == label).click().run()


def requests() -> list[object]:
    return [job.request for job in session.jobs().snapshot()]


def stopped() -> None:
    """The newest job has come to its end."""
    for _ in range(200):
        if session.jobs().snapshot()[0].state == "cancelled":
            return
        time.sleep(0.05)
    raise AssertionError("the job did not stop")


def test_without_a_run_the_page_leads_to_train(open_page: OpenPage) -> None:
    app = open_page("circuits", bundled=None)
    assert not app.exception
    assert "There is no run yet." in texts(app)


def test_corpora_without_pairs_are_told(open_page: OpenPage) -> None:
    ready(pairs=False)
    app = open_page("circuits", bundled=None)
    assert not app.exception
    assert "There are no prompt pairs for one yet" in texts(app)
    assert [button.label for button in app.button] == ["Go to Corpus"]


def test_circuits_of_all_checkpoints_are_asked_for_and_can_be_canceled(open_page: OpenPage) -> None:
    ready()
    app = open_page("circuits", bundled=None, metric="kl")
    assert "The circuits of one have not been found yet" in texts(app)
    assert "3 checkpoints, up to 100 prompt pairs each" in texts(app)
    assert "With the prompt pairs of “sums”, as the run’s own corpus “words” has none." in texts(app)
    press(app, "Find the circuits of all checkpoints")
    assert requests() == [FindCircuits(checkpoints=REFS, pairs="sums", settings=ScoreSettings(metric="kl"))]
    assert "Find the circuits of all checkpoints" not in [button.label for button in app.button]
    next(button for button in app.button if button.label == "Cancel").click().run()
    stopped()
    app.run()
    assert "Find the circuits of all checkpoints" in [button.label for button in app.button]


def test_the_default_is_base_beside_the_last(open_page: OpenPage) -> None:
    first, _, last = found()
    app = open_page("circuits", bundled=None)
    assert not app.exception
    assert not app.error
    address = {"run": "one", "a": "base", "b": "100%", "share": "0.05", "how": "top", "mode": "graphs",
               "metric": "logit_diff"}  # fmt: skip
    assert {name: app.query_params[name] for name in address} == address
    edges, nodes = edge_changes(side(first), side(last)), node_changes(side(first), side(last))
    counts = status_counts(edges)
    told = sentence(counts, node_counts(nodes), step_a=0, step_b=4) + moved(edges)
    assert told in [line.value for line in app.markdown]
    assert status_chips(counts, CIRCUIT_STATUSES) in texts(app)
    table = app.dataframe[0].value
    assert status_counts(table) == counts
    assert table["change"].abs().is_monotonic_decreasing
    assert "times** the first circuit’s edges (Δ_S of edges)" in texts(app)
    assert "-badge[" in texts(app)


def test_share_and_way_of_choosing_choose_at_once(open_page: OpenPage) -> None:
    first, _, last = found()
    app = open_page("circuits", bundled=None)
    small = len(app.dataframe[0].value)
    app.slider(key="circuits share").set_value(20).run()
    assert app.query_params["share"] == "0.2"
    large = len(app.dataframe[0].value)
    assert large == len(edge_changes(side(first, share=0.2), side(last, share=0.2))) > small
    app = open_page("circuits", bundled=None, share="0.2", how="greedy", mode="difference")
    assert not app.exception
    assert not app.error
    assert len(app.dataframe[0].value) != large
    assert requests() == []  # nothing of it is a job


@pytest.mark.parametrize(
    ("name", "value"),
    [("run", "nobody"), ("a", "33%"), ("b", "<b>x</b>"), ("share", "0.9"), ("how", "best"), ("mode", "$x$"),
     ("metric", "loss"), ("pairs", "gone")],
)  # fmt: skip
def test_a_wrong_address_says_so_and_falls_back(open_page: OpenPage, name: str, value: str) -> None:
    found()
    app = open_page("circuits", bundled=None, **{name: value})
    assert not app.exception
    assert not app.error
    assert f"“{value}”, which is not here" in texts(app)
    assert "Edges from A to B" in texts(app)


def test_another_run_keeps_the_checkpoints_that_it_has(open_page: OpenPage) -> None:
    add_run(ready(), "two", steps=(0, 4))
    app = open_page("circuits", bundled=None, run="one", a="50%", b="100%")
    app.selectbox(key="circuits run").select("two").run()
    assert not app.warning
    assert (app.query_params["run"], app.query_params["a"], app.query_params["b"]) == ("two", "base", "100%")


def test_a_checkpoint_without_a_circuit_is_named_and_offered(open_page: OpenPage) -> None:
    for own in found(refs=REFS[:2]):
        store().save_circuit_report(CurveReport(key=own.key, points=()))
    app = open_page("circuits", bundled=None)
    assert "The circuit of step 4 has not been found yet. That of base is below." in texts(app)
    told = f"The circuit of base: **{len(app.dataframe[0].value)} edges**"
    assert told in texts(app)
    assert "Found with 10 prompt pairs of “sums” by EAP-IG (5 points)." in texts(app)
    assert app.dataframe[0].value["effect_b"].abs().is_monotonic_decreasing
    press(app, "Find it")
    assert requests() == [FindCircuits(checkpoints=("one@100%",), pairs="sums", settings=ScoreSettings())]
    app = open_page("circuits", bundled=None, a="base", b="50%")
    assert "Edges from A to B" in texts(app)


def test_circuits_found_in_two_ways_are_told_apart_and_chosen(open_page: OpenPage) -> None:
    first, *_ = found()
    key = first.key.model_copy(update={"settings": ScoreSettings(n_steps=1)})
    store().save_components(replace(first, key=key))
    app = open_page("circuits", bundled=None)
    assert "by EAP-IG (5 points)" in texts(app)  # at more checkpoints, though the other is newer
    box = app.selectbox(key="circuits steps")
    assert box.options == ["EAP-IG (5 points), at 3 checkpoints", "EAP (1 point), at 1 checkpoint"]
    box.select("1").run()
    assert not app.exception
    assert app.query_params["steps"] == "1"
    assert "by EAP (1 point)" in texts(app)
    assert "The circuit of step 4 has not been found yet" in texts(app)
    app.selectbox(key="circuits steps").select("5").run()
    assert "steps" not in app.query_params


def test_a_marked_edge_tells_of_q_k_and_v(open_page: OpenPage) -> None:
    first, _, last = found()
    edges = edge_changes(side(first), side(last))
    row = edges[edges["target"].str.contains(".h", regex=False)].iloc[0]
    app = open_page("circuits", bundled=None, marks=Marks(edge=(row["source"], row["target"])).to_text())
    assert not app.exception
    assert f"{row['from']} → {row['to']}" in texts(app)
    parts = app.dataframe[1].value
    assert len(parts) == 4
    assert list(parts.columns) == ["", "A", "B", "change"]


def test_a_marked_component_shows_its_own_edges(open_page: OpenPage) -> None:
    first, _, last = found()
    node = edge_changes(side(first), side(last)).iloc[0]["source"]
    app = open_page("circuits", bundled=None, marks=Marks(selected=node).to_text())
    table = app.dataframe[0].value
    assert ((table["source"] == node) | (table["target"] == node)).all()


@pytest.mark.parametrize("marks", [Marks(selected="a9.h9"), Marks(edge=("m7", "logits"))])
def test_marks_of_no_circuit_are_a_message(open_page: OpenPage, marks: Marks) -> None:
    found()
    app = open_page("circuits", bundled=None, marks=marks.to_text())
    assert not app.exception
    assert not app.error
    assert "Press Esc to clear the selection" in texts(app)


def test_an_empty_circuit_is_a_message_and_the_choices_stay(open_page: OpenPage) -> None:
    made = ready()
    for ref in REFS:
        own = keep(made, ref, REFS.index(ref))
        values = np.zeros((SHAPE.n_inputs, SHAPE.n_sources))
        values[SHAPE.mlp_input(3), 1:] = 1  # nothing leads there from the input
        made.save_components(scores_of(values * SHAPE.edge_mask(), SHAPE, own.key))
    app = open_page("circuits", bundled=None, share="0.01")
    assert not app.exception
    (error,) = app.error
    assert "one@base: The circuit is empty" in error.value.replace("\\", "").replace("\u2060", "")
    assert app.slider(key="circuits share").value == 1


def test_damaged_scores_are_a_message(open_page: OpenPage) -> None:
    found()
    for file in Path(os.environ["TRACELAPSE_HOME"]).glob("components/*"):
        file.write_bytes(file.read_bytes()[:-64])
    app = open_page("circuits", bundled=None)
    assert not app.exception
    assert "damaged" in texts(app) or "have not been found yet" in texts(app)
    assert app.selectbox(key="circuits run").value == "one"


def test_an_unlearned_side_is_told(open_page: OpenPage) -> None:
    made = ready()
    for place, ref in enumerate(REFS):
        keep(made, ref, place, clean=place - 0.5)
    assert "In A the right answer is not ahead." in texts(open_page("circuits", bundled=None))


def test_a_side_whose_behavior_may_be_none_is_told_where_its_edges_are_counted(open_page: OpenPage) -> None:
    first, _, last = found()
    unsure = point(0.05, 0.5).model_copy(update={"faithfulness": None})
    store().save_circuit_report(CurveReport(key=first.key, points=(unsure,)))
    store().save_circuit_report(CurveReport(key=last.key, points=(point(0.05, 0.5),)))
    told = texts(open_page("circuits", bundled=None))
    assert "**A may have no behavior on these pairs** (see below), so its circuit may be chance." in told
    assert "B may have no behavior" not in told


def test_faithfulness_is_told_or_asked_for(open_page: OpenPage) -> None:
    _, _, last = found()
    points = tuple(point(share, min(1.0, 10 * share)) for share in SHARES)
    store().save_circuit_report(CurveReport(key=last.key, points=points))
    app = open_page("circuits", bundled=None)
    assert not app.exception
    assert "With 5% of the edges, B’s circuit recovers **50%** (95% interval " in texts(app)
    assert "of the whole model’s behavior. In B the clean prompts’ answer leads" in texts(app)
    press(app, "Measure faithfulness")
    assert requests() == [FindCircuits(checkpoints=("one@base",), pairs="sums", settings=ScoreSettings())]


def test_a_circuit_whose_search_was_stopped_before_its_faithfulness_is_not_done(open_page: OpenPage) -> None:
    """It is one of those that are found when the search is started again."""
    base, _ = found(refs=REFS[:2])
    store().save_circuit_report(CurveReport(key=base.key, points=()))
    app = open_page("circuits", bundled=None)
    assert "1 checkpoint of one without a circuit yet, and 1 whose faithfulness was not measured" in texts(app)
    press(app, "Find what is missing")
    assert requests() == [FindCircuits(checkpoints=REFS[1:], pairs="sums", settings=ScoreSettings())]


def test_where_faithfulness_alone_is_missing_that_is_offered(open_page: OpenPage) -> None:
    base, middle, last = found()
    for one in (base, last):
        store().save_circuit_report(CurveReport(key=one.key, points=()))
    for is_missing in (True, False):
        app = open_page("circuits", bundled=None)
        assert ("The faithfulness of 1 circuit of one has not been measured yet" in texts(app)) == is_missing
        assert ("Measure it" in [button.label for button in app.button]) == is_missing
        store().save_circuit_report(CurveReport(key=middle.key, points=()))


def test_robustness_is_asked_for_then_shown(open_page: OpenPage) -> None:
    _, _, last = found()
    app = open_page("circuits", bundled=None)
    press(app, "Check B’s circuit")
    asked = CheckRobustness(checkpoint="one@100%", pairs="sums", share=CIRCUIT_SHARE)
    assert requests() == [asked]
    likeness = Likeness(nodes=estimate(0.8), edges=estimate(0.4), n=10)
    subjects = tuple(
        SubjectRobustness(subject=subject, fifths=likeness, perturbed=(Perturbed(level=0.5, likeness=likeness),))
        for subject in ("tuned", "base", "random")
    )
    report = RobustnessReport(key=last.key, share=CIRCUIT_SHARE, subjects=subjects)
    store().save_circuit_report(report.model_copy(update={"subjects": subjects[:2]}))
    session.jobs().cancel(session.jobs().snapshot()[0].id)
    stopped()
    app.run()
    assert "as the check was stopped before its end: random weights." in texts(app)
    assert "Check B’s circuit at 5% of the edges" in [button.label for button in app.button]
    store().save_circuit_report(report)
    app.run()
    assert not app.exception
    assert "B, step 4: circuits of 5% of the edges" in texts(app)
    assert "Check B’s circuit" not in [button.label for button in app.button]


def test_a_union_is_shown_and_another_asked_for(open_page: OpenPage) -> None:
    _, middle, last = found()
    for name in ("sum", "product"):
        add_run(store(), name, on=store().corpus("sums"))
    add_run(store(), "pairless")
    points = tuple(
        UnionPoint(share=share, union=point(share, 0.5), direct=point(share, 0.6), nodes=0.7, edges=0.3)
        for share in SHARES
    )
    store().save_circuit_report(UnionReport(key=last.key, parts=(middle.key, middle.key), points=points))
    app = open_page("circuits", bundled=None, run="one")
    assert not app.exception
    assert "one@100% on 10 prompt pairs of “sums” by EAP-IG (5 points), the union of one@50% and one@50%" in texts(
        app
    ).replace("**", "")
    subtasks = next(box for box in app.multiselect if box.label == "Runs of the subtasks")
    assert set(subtasks.options) == {"sum", "product"}
    subtasks.set_value(["sum", "product"]).run()
    press(app, "Unite and measure")
    parts = tuple(SubtaskCircuit(checkpoint=f"{name}@100%") for name in ("sum", "product"))
    (asked,) = requests()
    assert isinstance(asked, UniteCircuits)
    assert (asked.checkpoint, asked.pairs, set(asked.parts)) == ("one@100%", "sums", set(parts))


def test_edges_and_scores_come_out_as_files(open_page: OpenPage) -> None:
    first, _, last = found()
    edges = edge_changes(side(first), side(last))
    csv, scores = (str(each.make(ComparedCircuits(edges, first, last), "")) for each in CIRCUIT_FORMATS)
    table = csv.splitlines()
    assert len(table) == len(edges) + 1
    assert table[0] == ",".join([*CSV_COLUMNS, "checkpoint_a", "checkpoint_b", "pairs", "n_pairs", "method"])
    assert table[1].endswith(",sums,10,EAP-IG (5 points)")
    given = json.loads(scores)
    assert given["a"]["made_by"]["checkpoint"] == "one@base"
    values = np.array([[np.nan if one is None else one for one in row] for row in given["b"]["scores"]], float)
    there = SHAPE.edge_mask()
    np.testing.assert_array_equal(np.isnan(values), ~there)
    np.testing.assert_allclose(values[there], last.scores[there], rtol=1e-5)
    app = open_page("circuits", bundled=None)
    labels = [button.label for button in app.get("download_button")]
    assert labels[:2] == ["Edges (CSV)", "Scores (JSON)"]


SCRIPT = """
import sys
from streamlit.testing.v1 import AppTest
app = AppTest.from_file("app.py", default_timeout=60)
app.query_params["run"] = "one"
app.switch_page("pages/circuits.py")
app.run()
assert not app.exception and not app.error, (app.exception, app.error)
assert app.dataframe
heavy = {"torch", "transformers", "peft", "engine.components"} & set(sys.modules)
assert not heavy, heavy
"""


def test_the_page_needs_no_torch() -> None:
    found()
    ran = subprocess.run([sys.executable, "-c", SCRIPT], cwd=ROOT, env=os.environ, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[-3000:]
