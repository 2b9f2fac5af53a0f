"""The seven steps of the tour: each is its words, one figure, and where to look further."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import pandas as pd
import streamlit as st

from engine.analysis.telling import appeared_path
from engine.figures import tour_charts
from engine.figures.graph_view import pair_view
from pages._ui.cached import draw, stamp
from pages._ui.graphs.linked_graphs import Marks, linked_graphs
from pages._ui.tour.ablation import ablation, effects_figure
from pages._ui.tour.facts import (
    Compared,
    Tour,
    ablations,
    accuracy,
    before_and_after,
    most_likely,
    probability,
    says,
    telling,
    told,
    told_apart,
)
from pages._ui.tour.words import (
    Words,
    answers_words,
    checkpoints_words,
    circuit_words,
    consequence_words,
    loss_words,
    paths_words,
    word_words,
)

T = TypeVar("T")
WIDTH, HEIGHT = 1220, 486  # of a figure, in pixels: with its words it fits 1280 × 720
_CHART_PX = HEIGHT - 16
_OVERLAY_PX, _PAIR_PX = 352, 185  # of the drawing itself
_PANELS_PX = _CHART_PX - 75  # with a title above and names below


@dataclass(frozen=True)
class Step:
    """`page` and `params`: the same selection where it can be explored."""

    words: Words
    figure: Callable[[], None]
    page: str = "curves"
    params: Mapping[str, str] = field(default_factory=dict)


def checkpoints_step(tour: Tour) -> Step:
    kept, losses = tour.store.checkpoints(tour.a.run), tour.store.losses(tour.a.run)
    words = checkpoints_words(losses, _loss(tour.a.state.smoothed_loss), len(kept))
    return Step(
        words,
        lambda: _chart(lambda: tour_charts.timeline_chart(losses, kept, height=_CHART_PX), tour, words),
        params={"runs": tour.a.run},
    )


def word_step(tour: Tour) -> Step:
    rows = told(tour)
    words = word_words(tour.probe.constraint, tour.probe.meaning, rows)
    table = pd.DataFrame(
        [
            {"prompt": f"{row.prompt} …", "when": when, "p": p, "text": f"{tour_charts.share(p)} · expects “{said}”"}
            for row in rows
            for when, p, said in (
                (tour_charts.BEFORE, row.p_before, row.said_before),
                (tour_charts.AFTER, row.p_after, row.said_after),
            )
        ]
    )
    return Step(
        words,
        lambda: _chart(lambda: tour_charts.before_after_chart(table, height=_CHART_PX), tour, words),
        params={"runs": tour.a.run},
    )


def paths_step(tour: Tour) -> Step:
    found = before_and_after(tour)
    if found is None:
        return Step(
            Words("Which paths appeared", ("The bundled comparison of base and trained model is not here.",)), _none
        )
    path = appeared_path(found.diff)
    middle = next((node for node in path if node.startswith("feature/")), path[-1] if path else None)
    marks = Marks(selected=middle, statuses=("appeared",))
    return Step(
        paths_words(found.diff, path, word=found.probe.constraint, meaning=found.probe.meaning),
        lambda: _graphs(found, marks, key="tour paths", overlay=True),
        page="compare",
        params=_compare(found, marks, view="overlay"),
    )


def answers_step(tour: Tour) -> Step:
    right = _shares(tour, "paraphrase")
    trained = {side: checkpoint.state.n_trainable for side, checkpoint in tour.sides.items()}
    words = answers_words(right, trained)
    texts = {side: f"{n:,}" for side, n in trained.items()}
    panels = [
        tour_charts.Panel("Numbers changed", _named(trained, tour), _named(texts, tour), max(trained.values())),
        _share_panel("Right, as it was trained", _shares(tour, "recall"), tour),
        _share_panel("Right, in new phrasings", right, tour),
    ]
    return Step(words, lambda: _sides(panels, tour, words), params=_both(tour))


def loss_step(tour: Tour) -> Step:
    loss = {side: _loss(checkpoint.state.smoothed_loss) for side, checkpoint in tour.sides.items()}
    meaning, kept = _shares(tour, "inference"), _shares(tour, "retention")
    words = loss_words(loss, meaning, kept)
    texts = {side: f"{value:.2f}" for side, value in loss.items()}
    panels = [
        tour_charts.Panel("Loss (lower looks better)", _named(loss, tour), _named(texts, tour), max(loss.values())),
        _share_panel("Follows the meaning", meaning, tour),
        _share_panel("Remembers what it knew", kept, tour),
    ]
    return Step(words, lambda: _sides(panels, tour, words), params=_both(tour))


def consequence_step(tour: Tour) -> Step:
    found = told_apart(tour)
    if found is None:
        return Step(Words("A consequence", ("The bundled comparison of the two runs is not here.",)), _none)
    probe, graphs = found.probe, {"A": found.diff.a, "B": found.diff.b}
    answer = probe.answer.strip()
    words = consequence_words(
        word=probe.constraint,
        answer=answer,
        premise=probe.known_text,
        taught=says((example.text for example in tour.corpus.examples), probe.constraint, answer),
        p={side: probability(graph, answer) for side, graph in graphs.items()},
        said={side: most_likely(graph) for side, graph in graphs.items()},
    )
    titled = {f"{side} after “{probe.text} …”": graph for side, graph in graphs.items()}
    return Step(
        words,
        lambda: _chart(lambda: tour_charts.answers_chart(titled, answer, width=WIDTH, height=_PANELS_PX), tour, words),
        page="compare",
        params=_compare(found, Marks(), view="graphs"),
    )


def circuit_step(tour: Tour) -> Step:
    found = told_apart(tour)
    if found is None:
        return Step(Words("The circuit", ("The bundled comparison of the two runs is not here.",)), _none)
    features, effects = telling(found), ablations(tour, found)
    marks = Marks(pins=features, show="output")

    def figure() -> None:
        _graphs(found, marks, key="tour circuit", overlay=False)
        if effects is not None:
            effects_figure(effects, found)
        elif features:
            ablation(found, features)

    return Step(
        circuit_words(len(features), found.probe.answer.strip(), effects),
        figure,
        page="compare",
        params=_compare(found, marks, view="graphs"),
    )


STEPS: tuple[Callable[[Tour], Step], ...] = (
    checkpoints_step, word_step, paths_step, answers_step, loss_step, consequence_step, circuit_step,
)  # fmt: skip


def _graphs(found: Compared, marks: Marks, *, key: str, overlay: bool) -> None:
    view = pair_view(
        found.diff,
        probe=found.probe,
        loss_a=found.selection.a.state.smoothed_loss,
        loss_b=found.selection.b.state.smoothed_loss,
    )
    height = _OVERLAY_PX if overlay else _PAIR_PX
    linked_graphs(view, key=key, mode="overlay" if overlay else "pair", marks=marks, height=height)


def _compare(found: Compared, marks: Marks, *, view: str) -> dict[str, str]:
    selection = found.selection
    params = {"a": selection.a.ref, "b": selection.b.ref, "prompt": selection.prompt, "view": view}
    return params | ({"marks": marks.to_text()} if marks.to_text() else {})


def _both(tour: Tour) -> dict[str, str]:
    return {"runs": f"{tour.a.run},{tour.b.run}"}


def _shares(tour: Tour, kind: str) -> dict[str, float]:
    return {side: accuracy(tour.store, checkpoint, kind) or 0.0 for side, checkpoint in tour.sides.items()}


def _share_panel(title: str, values: Mapping[str, float], tour: Tour) -> tour_charts.Panel:
    texts = {side: tour_charts.share(value) for side, value in values.items()}
    return tour_charts.Panel(title, _named(values, tour), _named(texts, tour), 1.0)


def _named(values: Mapping[str, T], tour: Tour) -> dict[str, T]:
    return {f"{side} · {tour.sides[side].run}": value for side, value in values.items()}


def _sides(panels: list[tour_charts.Panel], tour: Tour, words: Words) -> None:
    _chart(lambda: tour_charts.side_chart(panels, width=WIDTH, height=_PANELS_PX), tour, words)


def _chart(make: Callable[[], object], tour: Tour, words: Words) -> None:
    """Kept while its words are the same: they are computed from the same figures."""
    made_from = (
        "tour",
        str(tour.store.workspace),
        words.title,
        words.sentences,
        *(stamp(tour.store, c.run) for c in (tour.a, tour.b)),
    )
    draw(make, *made_from, key=f"tour {words.title}", alt=" ".join(words.sentences))


def _none() -> None:
    st.page_link("pages/compare.py", label="Trace a comparison", icon=":material/compare_arrows:")


def _loss(value: float | None) -> float:
    return 0.0 if value is None else value
