"""Charts and tables of circuit change: what they show is read from their rows and specs."""

from itertools import pairwise

import pandas as pd
import pytest

from engine.decisions import Replay
from engine.domain.decisions import Capture, CircuitReading, Decision, RunDecisions, TypeReading, TypeScore, Verdict
from engine.domain.measures import Change, Estimate
from engine.domain.series import CausalCheck, Overlap
from engine.figures import palette
from engine.figures.change_charts import (
    CHANGE_COLUMNS,
    CIRCUIT,
    NOISE_TITLE,
    OTHER,
    OWN,
    RANDOM,
    StepMark,
    causal_chart,
    causal_panels,
    causal_rows,
    change_chart,
    change_panels,
    change_rows,
    layer_changes,
    layer_chart,
    layer_panels,
    overlap_chart,
    overlap_panels,
    overlap_rows,
    weights_chart,
)
from engine.figures.change_tables import (
    accuracy_of,
    capture_rows,
    readings_as_changes,
    seconds_a_step,
    stopping_rows,
    weight_rows,
)

SIMPLE, SPATIAL = "simple_mapping", "spatial_relationship"


def change(value: float, edge: float | None) -> Change:
    return Change(value=value, low=value - 0.1, high=value + 0.1, edge=edge)


def changes(steps: tuple[int, ...] = (0, 50, 100), edge: float | None = 0.3) -> pd.DataFrame:
    """Spatial first, as a corpus may have it. Change at step s: 0.8 at 50, then 0.2."""
    rows = []
    for to, other in (("previous", None), ("base", steps[0])):
        for name in (SPATIAL, SIMPLE):
            for before, step in pairwise(steps):
                for measure in ("influence", "node_jaccard"):
                    one = change(0.8 if step == 50 else 0.2, edge)
                    to_step = before if other is None else other
                    fit = 0.7 if (name, step) == (SIMPLE, 50) else 0.9
                    rows.append(
                        (step, name, to, to_step, measure, one.value, one.low, one.high, edge, one.said, 4, fit)
                    )
    return pd.DataFrame(rows, columns=list(CHANGE_COLUMNS)).astype({"edge": float})


def rows_of(chart: object) -> list[dict]:
    spec = chart.to_dict()
    return [row for rows in spec["datasets"].values() for row in rows]


def layers_of(chart: object) -> list[dict]:
    return chart.to_dict()["spec"]["layer"]


def test_one_curve_has_one_comparison_and_measure_and_keeps_the_order_of_the_types():
    rows = change_rows(changes(), to="previous", measure="influence", run="mine")
    assert rows[["constraint_type", "step", "to_step"]].to_numpy().tolist() == [
        [SPATIAL, 50, 0], [SPATIAL, 100, 50], [SIMPLE, 50, 0], [SIMPLE, 100, 50],
    ]  # fmt: skip
    assert set(rows["run"]) == {"mine"}
    assert rows["type"].tolist()[0] == "spatial relationship"
    # 0.8 with a low end of 0.7 is over 0.3; 0.2 is not
    assert rows["said"].tolist() == ["change", "within"] * 2
    assert rows["interval"].tolist()[0] == "0.70 to 0.90"
    assert rows["low_fit"].tolist() == [False, False, True, False]  # 0.7 is below 0.8


def test_a_mark_stands_once_in_the_panel_of_its_type():
    marks = {
        SIMPLE: [StepMark(50, "for a while", lasting=False), StepMark(100, "settled")],
        SPATIAL: [],
        "unheard_of": [StepMark(7, "")],
    }
    rows = change_rows(changes(), to="previous", measure="influence", marks=marks)
    marked = rows[rows["mark"].notna()]
    assert marked[["constraint_type", "mark", "mark_label", "lasting"]].to_numpy().tolist() == [
        [SIMPLE, 50, "for a while", False], [SIMPLE, 100, "settled", True],
    ]  # fmt: skip


def test_the_chart_draws_noise_band_curve_and_what_is_said():
    rows = change_rows(
        changes(), to="previous", measure="influence", marks={SIMPLE: [StepMark(100, "settled at step 100")]}
    )
    chart = change_chart(rows, last_step=300)
    spec = chart.to_dict()
    assert spec["facet"]["column"] == {
        "field": "type", "sort": None, "title": None, "type": "nominal",
    }  # fmt: skip
    noise, band, line, points = layers_of(chart)[:4]
    assert noise["mark"]["type"] == "area"
    assert noise["encoding"]["y"]["field"] == "edge"
    assert noise["encoding"]["fill"]["scale"] == {"domain": [NOISE_TITLE], "range": [palette.NOISE]}
    assert (band["encoding"]["y"]["field"], band["encoding"]["y2"]["field"]) == ("low", "high")
    assert line["encoding"]["x"]["scale"]["domain"] == pytest.approx([-4.5, 304.5])  # 1.5% beyond both ends
    assert line["encoding"]["y"]["scale"]["domain"] == [-0.03, 1.03]
    assert line["encoding"]["y"]["title"] == "circuit change"
    assert points["encoding"]["color"]["scale"]["domain"] == ["above it", "not above it", "unclear"]
    assert points["encoding"]["shape"]["scale"]["domain"] == points["encoding"]["color"]["scale"]["domain"]
    assert len(set(points["encoding"]["shape"]["scale"]["range"])) == 3  # told apart without colour
    assert [row["mark"] for row in rows_of(chart)] == [None, None, 100, None]


def test_a_click_tells_both_checkpoints():
    spec = change_chart(change_rows(changes(), to="base", measure="influence", run="r"), last_step=100).to_dict()
    assert [(param["name"], param["select"]["fields"]) for param in spec["params"]] == [
        ("change", ["run", "step", "to_step"])
    ]


def test_without_a_measured_noise_no_band_is_drawn():
    chart = change_chart(change_rows(changes(edge=None), to="previous", measure="influence"), last_step=100)
    assert all("fill" not in layer["encoding"] for layer in layers_of(chart))
    assert {row["said_title"] for row in rows_of(chart)} == {"unclear"}


def test_of_a_single_change_noise_and_interval_are_still_seen():
    # an area over one step has no width
    chart = change_chart(change_rows(changes(steps=(0, 50)), to="previous", measure="influence"), last_step=50)
    assert [layer["mark"]["type"] for layer in layers_of(chart)[:2]] == ["bar", "rule"]


def test_change_by_layer_is_later_minus_earlier_whatever_it_is_laid_beside():
    shares = {0: 0.5, 10: 0.7, 30: 0.4}  # of layer 0; layer 1 has the rest
    layers = pd.DataFrame(
        [
            (step, SIMPLE, layer, share if layer == 0 else 1 - share)
            for step, share in shares.items()
            for layer in (0, 1)
        ],
        columns=["step", "constraint_type", "layer", "share"],
    )

    def cells(to: str) -> list[tuple]:
        found = layer_changes(layers, to=to)
        found = found[found["layer"] == 0]
        return [
            (row.step, row.to_step, round(row.change, 6), row.left, row.right) for row in found.itertuples(index=False)
        ]

    assert cells("previous") == [(10, 0, 0.2, 0, 10), (30, 10, -0.3, 10, 30)]
    assert cells("base") == [(10, 0, 0.2, 0, 10), (30, 0, -0.1, 10, 30)]
    assert cells("last") == [(0, 30, -0.1, 0, 10), (10, 30, -0.3, 10, 30)]
    sums = layer_changes(layers, to="previous").groupby("step")["change"].sum()
    assert sums.tolist() == pytest.approx([0, 0])  # shares sum to 1: what one layer gains another loses
    spec = layer_chart(layer_changes(layers, to="previous"), last_step=30).to_dict()["spec"]
    assert spec["encoding"]["color"]["scale"]["domain"] == [pytest.approx(-0.3), 0, pytest.approx(0.3)]
    assert spec["encoding"]["y"]["sort"] == [1, 0]  # the first layer at the bottom


def test_the_band_of_meaning_overlap_is_the_gap_set_upon_the_other_meanings():
    one = Overlap(
        step=50, constraint_type=SIMPLE, layer=-1, own=0.4, other=0.1, n=6,
        gap=Estimate(value=0.3, low=0.2, high=0.35),
    )  # fmt: skip
    rows = overlap_rows([one, one.model_copy(update={"layer": 2, "own": 0.9}), one.model_copy(update={"step": 0})])
    assert rows[["step", "which", "overlap"]].to_numpy().tolist() == [
        [0, OWN, 0.4], [0, OTHER, 0.1], [50, OWN, 0.4], [50, OTHER, 0.1],
    ]  # fmt: skip
    own = rows[rows["which"] == OWN]
    assert own["low"].tolist() == pytest.approx([0.3, 0.3])  # 0.1 + 0.2
    assert own["high"].tolist() == pytest.approx([0.45, 0.45])
    assert overlap_rows([one, one.model_copy(update={"layer": 2, "own": 0.9})], layer=2)["overlap"].tolist()[0] == 0.9
    overlap_chart(rows, last_step=50).to_dict()
    assert len(overlap_panels(rows, last_step=50)[SIMPLE].to_dict()["layer"]) == 3


def test_the_causal_check_stands_beside_random_features():
    check = CausalCheck(
        step=50, constraint_type=SIMPLE, n_prompts=4, n_features=30, p_before=0.8, n_draws=3,
        drop=Estimate(value=0.6, low=0.5, high=0.7), random_drop=Estimate(value=-0.1, low=-0.2, high=0.1),
    )  # fmt: skip
    rows = causal_rows([check])
    assert rows[["what", "drop"]].to_numpy().tolist() == [[CIRCUIT, 0.6], [RANDOM, -0.1]]
    domain = layers_of(causal_chart(rows, last_step=50))[1]["encoding"]["y"]["scale"]["domain"]
    assert domain == [-0.2, 1.0]  # what random features add is not cut off
    assert len(causal_panels(rows, last_step=50)[SIMPLE].to_dict()["layer"]) == 3


def test_there_is_a_fluid_panel_a_type_with_its_own_rows_and_one_scale():
    rows = change_rows(changes(), to="previous", measure="influence", run="r")
    panels = change_panels(rows, last_step=100, height=230)
    assert list(panels) == [SPATIAL, SIMPLE]
    for name, panel in panels.items():
        spec = panel.to_dict()
        assert "width" not in spec  # as wide as its column
        assert spec["height"] == 230
        assert spec["title"] == name.replace("_", " ")
        assert {row["constraint_type"] for row in rows_of(panel)} == {name}
    layers = pd.DataFrame(
        [(0, SIMPLE, 0, 0.5), (10, SIMPLE, 0, 0.7), (0, SPATIAL, 0, 0.5), (10, SPATIAL, 0, 0.4)],
        columns=["step", "constraint_type", "layer", "share"],
    )
    specs = [panel.to_dict() for panel in layer_panels(layer_changes(layers, to="previous"), last_step=10).values()]
    assert [spec["encoding"]["color"]["scale"]["domain"] for spec in specs] == [pytest.approx([-0.2, 0, 0.2])] * 2


def test_every_text_of_a_chart_is_at_least_12_pixels_high():
    config = change_chart(change_rows(changes(), to="base", measure="influence"), last_step=9).to_dict()["config"]
    sizes = [
        size for part in config.values() if isinstance(part, dict) for key, size in part.items() if "ontSize" in key
    ]
    assert len(sizes) >= 5
    assert min(sizes) >= 12


def reading(step: int, value: float | None, *, edge: float | None = 0.3, fit: float = 0.9) -> CircuitReading:
    made = {} if value is None else {"influence": change(value, edge)}
    one = TypeReading(constraint_type=SIMPLE, n_prompts=4, fit=fit, lowest_fit=fit, change=made)
    return CircuitReading(step=step, transcoders="t", transcoders_hash="h", refreshed=False, types=(one,), trace_s=1.0)


def test_looks_while_training_make_the_same_rows_as_a_series():
    rows = readings_as_changes([reading(0, None), reading(25, 0.7), reading(50, 0.2, edge=None)])
    assert tuple(rows.columns) == CHANGE_COLUMNS
    assert rows[["step", "to_step", "change", "said"]].to_numpy().tolist() == [
        [25, 0, 0.7, "change"], [50, 25, 0.2, "unclear"],
    ]  # fmt: skip
    change_chart(change_rows(rows, to="previous", measure="influence"), last_step=50).to_dict()
    assert readings_as_changes([]).empty
    assert change_rows(readings_as_changes([]), to="previous", measure="influence").empty


def capture(step: int, right: int) -> Capture:
    def score(name: str, kind: str, n_correct: int) -> TypeScore:
        return TypeScore(constraint_type=name, probe_kind=kind, n=10, n_correct=n_correct, mean_p=0.5)

    return Capture(
        step=step, smoothed_loss=None,
        scores=(score(SIMPLE, "paraphrase", right), score(SPATIAL, "paraphrase", 10), score(SIMPLE, "recall", 0)),
    )  # fmt: skip


def test_stopping_rules_have_the_accuracy_then_and_at_the_end():
    captures = [capture(0, 0), capture(50, 4), capture(100, 8)]
    replays = {
        "none": Replay("none", None, Verdict(stop=False, reason="All.")),
        "probe_plateau": Replay("probe_plateau", 50, Verdict(stop=True, reason="Flat.")),
    }
    rows = stopping_rows(replays, captures, kind="paraphrase")
    # (4 + 10) of 20 at step 50, (8 + 10) of 20 at the end
    assert rows["accuracy then"].tolist() == [0.9, 0.7]
    assert rows["accuracy at the end"].tolist() == [0.9, 0.9]
    assert rows["probes"].tolist() == [20, 20]
    assert rows["steps saved"].tolist() == [0, 50]
    assert rows["rule"].tolist() == ["At the last step", "When the probes are flat"]
    assert rows["stops at"].isna().tolist() == [True, False]
    assert accuracy_of(captures[0], "inference") is None
    assert stopping_rows(replays, [], kind="paraphrase").empty


def test_each_capture_says_what_was_seen_and_decided_newest_first():
    decisions = RunDecisions(
        readings=(reading(0, None), reading(25, 0.7)),
        decisions=(
            Decision(step=25, verdict=Verdict(stop=False, reason="Goes on.", saturated=(SIMPLE,))),
            Decision(step=50, verdict=Verdict(stop=True, reason="Enough.")),
        ),
    )
    rows = capture_rows(decisions, measure="influence")
    assert rows.to_numpy().tolist() == [
        [50, "not traced yet", "Enough."],
        [25, "0.70 (floor 0.30) · replacement score 0.90 · settled", "Goes on."],
        [0, "first checkpoint traced · replacement score 0.90", ""],
    ]
    assert capture_rows(RunDecisions(), measure="influence").empty


def test_sampling_is_even_until_it_is_decided_and_what_is_decided_last_holds():
    first = Decision(step=25, verdict=Verdict(stop=False, reason=""), weights={SIMPLE: 0.8, SPATIAL: 0.2})
    even = Decision(step=50, verdict=Verdict(stop=False, reason=""))
    rows = weight_rows([first, even], last_step=100)
    simple = rows[rows["type"] == "simple mapping"]
    assert simple[["step", "share"]].to_numpy().tolist() == [[0, 0.5], [25, 0.8], [50, 0.5], [100, 0.5]]
    assert rows.groupby("step")["share"].sum().tolist() == pytest.approx([1.0] * 4)
    assert weights_chart(rows, last_step=100).to_dict()["encoding"]["y"]["stack"] == "zero"
    assert weight_rows([even], last_step=100).empty


def test_the_pace_is_that_between_the_first_and_the_last_checkpoint():
    assert seconds_a_step({0: 1.0, 50: 4.0, 100: 6.0}) == pytest.approx(0.05)  # 5 s in 100 steps
    assert seconds_a_step({0: 1.0}) is None
    assert seconds_a_step({}) is None
    assert seconds_a_step({0: 0.0, 60: 0.0}) is None  # imported


@pytest.mark.parametrize("colour", [palette.CIRCUIT, palette.LOW_FIT, palette.SATURATED, palette.SAME])
@pytest.mark.parametrize("background", ["#ffffff", "#12161c"])
def test_marks_of_change_are_seen_on_both_backgrounds(colour: str, background: str):
    def luminance(code: str) -> float:  # WCAG 2.1, relative luminance
        parts = [int(code[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(colour), luminance(background)), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 3


def test_nothing_measured_gives_charts_without_marks():
    empty = changes().iloc[:0]
    change_chart(change_rows(empty, to="last", measure="influence"), last_step=0).to_dict()
    assert change_panels(change_rows(empty, to="last", measure="influence"), last_step=0) == {}
    assert overlap_panels(overlap_rows([]), last_step=0) == causal_panels(causal_rows([]), last_step=0) == {}
    none = pd.DataFrame({"step": [], "constraint_type": [], "layer": [], "share": []})
    layer_chart(layer_changes(none, to="previous"), last_step=0).to_dict()
    overlap_chart(overlap_rows([]), last_step=0).to_dict()
    causal_chart(causal_rows([]), last_step=0).to_dict()
