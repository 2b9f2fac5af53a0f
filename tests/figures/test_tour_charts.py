"""Charts of the tour: the figures that they are given are the figures that they draw."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from engine.domain.graphs import AttributionGraph
from engine.domain.interventions import Intervention, InterventionKey
from engine.domain.runs import Checkpoint, CheckpointState, LossLog
from engine.figures.tour_charts import (
    Panel,
    answers_chart,
    before_after_chart,
    effect_chart,
    share,
    side_chart,
    signed,
    timeline_chart,
)
from tests.analysis.micro_graphs import F, T, Y, graph_of

NODES = [(F, 0, 0, 7), (T, -1, 0, 3), (Y, 1, 0, 5), (Y, 1, 0, 6), (Y, 1, 0, 8)]


def _graph() -> AttributionGraph:
    return graph_of(
        NODES, [(1, 0, 1.0), (0, 2, 1.0)], tokens=("x",), outputs=("runs", " sleeps", "eats"),
        probability=(0.7, 0.2, 0.004), n_layers=1,
    )  # fmt: skip


def _rows(chart: Any, marked: str) -> list[list[dict[str, Any]]]:
    """The rows of each data set that has the column `marked`."""
    return [rows for rows in chart.to_dict()["datasets"].values() if marked in rows[0]]


@pytest.mark.parametrize(
    ("p", "text"),
    [(0, "0 %"), (0.004, "under 1 %"), (0.01, "1 %"), (0.5, "50 %"), (0.994, "over 99 %"), (1, "100 %")],
)
def test_shares_never_claim_nothing_or_all_by_rounding(p: float, text: str) -> None:
    assert share(p) == text


def test_a_change_has_its_sign() -> None:
    assert (signed(-5.23), signed(0.5)) == ("−5.2", "+0.5")


def test_the_right_answer_is_always_among_the_words() -> None:
    (shown,) = _rows(answers_chart({"A": _graph()}, "eats", width=800, height=200, n=2), "right")
    assert [(row["word"], row["right"]) for row in shown] == [("runs", False), ("eats", True)]
    (shown,) = _rows(answers_chart({"A": _graph()}, "runs", width=800, height=200, n=2), "right")
    assert [(row["word"], row["right"]) for row in shown] == [("runs", True), ("sleeps", False)]


def test_each_checkpoint_has_a_dot_at_its_loss_and_the_base_at_the_first() -> None:
    losses = LossLog(step=(1, 2, 3, 4), loss=(4.0, 2.0, 2.0, 2.0))
    kept = [_checkpoint(step) for step in (0, 2, 4)]
    dots = next(rows for rows in _rows(timeline_chart(losses, kept, height=200), "label"))
    assert [(dot["step"], dot["named"], round(dot["smoothed"], 3)) for dot in dots] == [
        (0, "base", 4.0), (2, "50 %", 3.8), (4, "100 %", 3.458),
    ]  # fmt: skip


def test_panels_and_prompts_carry_their_values() -> None:
    panel = Panel("Loss", {"A · one": 1.5, "B · two": 3.0}, {"A · one": "1.50", "B · two": "3.00"}, 3.0)
    (rows,) = _rows(side_chart([panel], width=600, height=200), "side")
    assert [(row["side"], row["value"], row["text"]) for row in rows] == [
        ("A · one", 1.5, "1.50"),
        ("B · two", 3.0, "3.00"),
    ]
    table = pd.DataFrame([{"prompt": "a b …", "when": "before", "p": 0.1, "text": "10 %"}])
    (rows,) = _rows(before_after_chart(table, height=100), "prompt")
    assert rows == table.to_dict("records")


def test_an_intervention_is_drawn_before_and_after_with_the_prediction_beside_the_measure() -> None:
    key = InterventionKey(graph=_graph().key, features=("feature/0/0/7",))
    found = Intervention(
        key=key, changed=key.features, tokens=("runs", "sleeps", "eats"),
        p_before=(0.7, 0.2, 0.0), p_after=(0.1, 0.2, 0.6),
        logit_before=(3.0, 1.0, 0.0), logit_after=(1.0, 1.0, 2.0), predicted=(-2.5, 0.0, 0.5),
    )  # fmt: skip
    chart = effect_chart({"A": found, "B": found}, "runs", width=900, height=120, n=2)
    bars = _rows(chart, "when")[0]
    assert [(row["word"], row["when"], row["p"]) for row in bars] == [
        ("runs", "before", 0.7), ("runs", "after", 0.1), ("eats", "before", 0.0), ("eats", "after", 0.6),
    ]  # fmt: skip
    (change,) = _rows(chart, "how")
    assert {row["how"]: row["change"] for row in change} == {"predicted": -2.5, "measured": -2.0}


def _checkpoint(step: int) -> Checkpoint:
    state = CheckpointState(
        step=step, max_steps=4, epoch=0, loss=None, smoothed_loss=None, learning_rate=None, seed=0, examples_seen=0,
        wall_time_s=0, corpus_hash="",
    )  # fmt: skip
    return Checkpoint(run="r", state=state, folder=Path("r"))
