"""Charts that pages keep: made once, made again as soon as anything that they show differs."""

import inspect
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import pytest
from altair.utils import schemapi
from streamlit.dataframe_util import convert_arrow_bytes_to_pandas_df
from streamlit.testing.v1 import AppTest

from engine.domain.features import FeatureFacts
from engine.domain.runs import LossLog
from engine.figures.change_charts import CHANGE_COLUMNS, StepMark, change_panels, change_rows
from engine.figures.charts import curve_panels, loss_chart, mini_curves
from engine.figures.feature_charts import activation_chart
from engine.figures.method_charts import method_panels
from engine.store.kept import kept_values
from pages._ui.charts import kept_chart, kept_charts

MADE: list[int] = []


@pytest.fixture(autouse=True)
def _nothing_kept() -> Iterator[None]:
    kept_values().clear()
    MADE.clear()
    yield
    kept_values().clear()


def a_chart(rows: pd.DataFrame, *, height: int = 100, color: str = "red") -> alt.Chart:
    MADE.append(1)
    encoded = alt.Chart(rows).mark_point(color=color).encode(x="x:Q", y="y:Q")
    return encoded.properties(height=height)


def some_rows(n: int = 3) -> pd.DataFrame:
    return pd.DataFrame({"x": np.arange(n), "y": np.arange(n) / 2, "name": "a"})


def rows_of(make: "partial[Any]") -> pd.DataFrame:
    (table,) = kept_chart(make)["datasets"].values()
    return convert_arrow_bytes_to_pandas_df(table)


def scores() -> pd.DataFrame:
    rows = [
        (step, name, kind, 10, 0.5, 0.3, 0.7, 0.4, 2.0, 0.1)
        for step in (0, 50)
        for name in ("simple_mapping", "spatial_relationship")
        for kind in ("paraphrase", "inference")
    ]
    columns = "step constraint_type probe_kind n accuracy low high mean_p mean_rank logit_diff"
    return pd.DataFrame(rows, columns=columns.split())


def with_one_changed(frame: pd.DataFrame, column: str, value: object) -> pd.DataFrame:
    changed = frame.copy()
    changed.loc[changed.index[0], column] = value
    return changed


def test_the_same_call_is_made_once() -> None:
    first = kept_chart(partial(a_chart, some_rows(), height=50))
    assert kept_chart(partial(a_chart, some_rows(), height=50)) == first
    assert len(MADE) == 1


@pytest.mark.parametrize(
    "other",
    [
        partial(a_chart, some_rows(4)),
        partial(a_chart, some_rows(), height=101),
        partial(a_chart, some_rows(), color="blue"),
        partial(a_chart, with_one_changed(some_rows(), "y", 0.1 + 0.2)),
        partial(a_chart, with_one_changed(some_rows(), "y", float("nan"))),
        partial(a_chart, with_one_changed(some_rows(), "name", "nan")),
        partial(a_chart, with_one_changed(some_rows(), "name", None)),
        partial(a_chart, some_rows().iloc[::-1]),
        partial(a_chart, some_rows().rename(columns={"name": "run"})),
        partial(a_chart, some_rows().astype({"x": float})),
    ],
)
def test_any_difference_makes_it_again(other: "partial[Any]") -> None:
    first = kept_chart(partial(a_chart, some_rows()))
    assert kept_chart(other) != first
    assert len(MADE) == 2


def change_table(**of_the_first: object) -> pd.DataFrame:
    columns = list(CHANGE_COLUMNS)
    rows = [(step, "simple_mapping", "previous", step - 50, "influence", 0.4, 0.3, 0.5, 0.2, "change", 4, 0.9)
            for step in (50, 100)]  # fmt: skip
    rows += [(*row[:2], "base", 0, *row[4:]) for row in rows]
    frame = pd.DataFrame(rows, columns=columns)
    frame = pd.concat([frame, frame.assign(measure="edges", change=0.9)], ignore_index=True)
    for column, value in of_the_first.items():
        frame = with_one_changed(frame, column, value)
    return frame


def changed(to: str = "previous", measure: str = "influence", label: str = "settled", run: str = "r", **first: object):
    marks = {"simple_mapping": [StepMark(100, label)]}
    return change_rows(change_table(**first), to=to, measure=measure, run=run, marks=marks)


def method_runs(accuracy: float = 0.5) -> pd.DataFrame:
    row = {"task": "add-sub", "method": "lora", "variant": "", "learning_rate": 1e-3, "retained": 0.9, "n_moved": 2.0}
    row |= {"n_trainable": 100.0, "n_steps": 9, "train_s": 3.0, "peak_mb": 5.0, "accuracy": accuracy}
    return pd.DataFrame([row | {"run": f"r{seed}", "seed": seed} for seed in range(3)])


LOSSES = LossLog(step=(1, 2, 3), loss=(3.0, 2.0, 1.0))
TWO = {"a": LOSSES, "b": LOSSES}
SCORES = {"a": scores(), "b": scores()}
# By maker: what a page gives it, and for each of its parameters something else that it may be given.
INPUTS: dict[Callable[..., Any], tuple[dict[str, Any], dict[str, list[Any]]]] = {
    loss_chart: (
        {"losses_by_run": TWO, "colors": {"a": "red", "b": "blue", "c": "red"}, "smoothing": 0.9, "height": 200},
        {
            "losses_by_run": [
                {"a": LOSSES}, {"b": LOSSES, "a": LOSSES}, {"a": LOSSES, "c": LOSSES},
                TWO | {"b": LOSSES.model_copy(update={"loss": (3.0, 2.0, 1.5)})},
            ],
            "colors": [{"a": "blue", "b": "red", "c": "red"}], "smoothing": [0.5], "log": [True], "last_step": [300],
            "zoomable": [True], "height": [201],
        },
    ),
    curve_panels: (
        {"scores_by_run": SCORES, "colors": {"a": "red", "b": "blue"}},
        {
            "scores_by_run": [
                {"a": scores()}, {"b": scores(), "a": scores()}, SCORES | {"b": with_one_changed(scores(), "low", 0.1)},
            ],
            "kinds": [["inference"]], "types": [["simple_mapping"]], "colors": [{"a": "blue", "b": "red"}],
            "highlighted": [["a"]], "last_step": [300], "zoomable": [True], "height": [201],
        },
    ),
    mini_curves: (
        {"scores": scores(), "cursor": 0},
        {
            "scores": [with_one_changed(scores(), "accuracy", 0.9)], "cursor": [None, 50], "kinds": [["inference"]],
            "height": [70],
        },
    ),
    change_panels: (
        {"rows": changed(), "last_step": 100},
        {
            "rows": [
                changed(to="base"), changed(measure="edges"), changed(label="changed again"), changed(run="other"),
                changed(edge=0.21), changed(edge=None), changed(low=0.2), changed(said="within"), changed(fit=0.5),
            ],
            "last_step": [300], "height": [231],
        },
    ),
    method_panels: (
        {"runs": method_runs(), "x": "n_trainable"},
        {"runs": [method_runs(0.6)], "x": ["train_s"], "y": ["retained"], "height": [200]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("make", INPUTS, ids=lambda make: make.__name__)
def test_every_input_of_a_chart_changes_what_is_drawn(make: Callable[..., Any]) -> None:
    given, others = INPUTS[make]
    assert set(others) == set(inspect.signature(make).parameters)
    kept = kept_chart if isinstance(make(**given), alt.TopLevelMixin) else kept_charts
    first = kept(partial(make, **given))
    asked = [given | {name: value} for name, values in others.items() for value in values]
    drawn = [kept(partial(make, **arguments)) for arguments in asked]
    for arguments, chart in zip(asked, drawn, strict=True):
        assert chart != first, arguments
    kept_values().clear()  # what was kept is what is made anew
    assert [kept(partial(make, **arguments)) for arguments in (given, *asked)] == [first, *drawn]


def facts(**others: Any) -> FeatureFacts:
    known = {"layer": 1, "index": 2, "n_tokens": 100, "n_active": 7, "max_activation": 2.0, "texts": (),
             "counts": np.array([4, 3]), "promoted": (("cat", 0.5),), "suppressed": ()}  # fmt: skip
    return FeatureFacts(**known | others)


def test_a_histogram_is_made_of_all_its_facts_and_of_those_beside_it() -> None:
    first = kept_chart(partial(activation_chart, facts(), beside=facts()))
    for other in (
        partial(activation_chart, facts(counts=np.array([3, 4])), beside=facts()),
        partial(activation_chart, facts(n_tokens=200), beside=facts()),  # said to screen readers
        partial(activation_chart, facts(), beside=facts(max_activation=3.0)),
    ):
        assert kept_chart(other) != first


def test_what_may_take_more_than_its_arguments_is_refused() -> None:
    height = 30

    def inner() -> alt.Chart:
        return a_chart(some_rows(), height=height)

    for make in (partial(inner), partial(lambda: a_chart(some_rows()))):
        with pytest.raises(TypeError, match="no function of a module"):
            kept_chart(make)
    with pytest.raises(TypeError, match="cannot be kept by a object"):
        kept_chart(partial(a_chart, object()))
    assert not MADE


def test_more_rows_than_altair_allows_and_its_checks_stay_as_they_were() -> None:
    with schemapi.debug_mode(True):
        table = rows_of(partial(a_chart, some_rows(6_000)))
        assert schemapi.DEBUG_MODE
    assert len(table) == 6_000
    with pytest.raises(alt.MaxRowsError):
        a_chart(some_rows(6_000)).to_dict()


def test_threads_do_not_get_each_others_rows() -> None:
    def of(n: int) -> tuple[int, int]:
        table = rows_of(partial(a_chart, some_rows(n)))
        (inline,) = a_chart(some_rows(n)).to_dict()["datasets"].values()  # as a figure is taken away meanwhile
        return len(table), len(inline)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(of, range(1, 40))) == [(n, n) for n in range(1, 40)]


def test_a_chart_that_was_drawn_is_kept_as_it_was() -> None:
    make = partial(a_chart, some_rows())
    before = kept_chart(make)["encoding"].copy()
    kept_chart(make)["encoding"].clear()
    assert kept_chart(make)["encoding"] == before


def _page(kept: bool) -> None:
    from functools import partial

    import streamlit as st

    from engine.figures.charts import curve_panels, loss_chart, mini_curves
    from pages._ui.charts import draw, kept_chart, kept_charts
    from tests.pages.test_ui_charts import SCORES, TWO, scores

    loss, mini = partial(loss_chart, TWO), partial(mini_curves, scores(), cursor=50)
    panels = partial(curve_panels, SCORES, zoomable=True)
    clicked = {"loss": "highlighted", **dict.fromkeys(panels(), "checkpoint")}
    if kept:
        for name, spec in ({"loss": kept_chart(loss), "mini": kept_chart(mini)} | kept_charts(panels)).items():
            draw(spec, key=name, height=200, alt=name, selection=clicked.get(name, ""))
        return
    for name, chart in ({"loss": loss(), "mini": mini()} | panels()).items():
        chosen = {"on_select": "rerun", "selection_mode": clicked[name]} if name in clicked else {}
        st.altair_chart(chart, key=name, height=200, alt=name, **chosen)


def test_the_browser_gets_what_streamlit_would_send_it() -> None:
    kept, made = (AppTest.from_function(_page, kwargs={"kept": kept}).run() for kept in (True, False))
    assert not kept.exception
    assert not made.exception
    pairs = list(zip(kept.get("vega_lite_chart"), made.get("vega_lite_chart"), strict=True))
    assert len(pairs) == 4
    for one, other in ((one.proto, other.proto) for one, other in pairs):
        assert _without_names(one) == _without_names(other)
        assert [table.data.data for table in one.datasets] == [table.data.data for table in other.datasets]
        assert (one.id, one.theme, one.alt) == (other.id, other.theme, other.alt)
        assert [*one.selection_mode] == [*other.selection_mode]


def _without_names(proto: Any) -> object:
    """The spec with its tables' names, which are digests, numbered."""
    spec = str(proto.spec)
    for place, table in enumerate(proto.datasets):
        spec = spec.replace(table.name, f"table {place}")
    return json.loads(spec)
