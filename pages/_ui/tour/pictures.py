"""Small circuits and Maps of the tour and of Home, as pictures that are made once."""

from collections.abc import Collection

import streamlit as st

from engine.domain.feature_names import FeatureNames
from engine.export.map_svg import panel_svg
from engine.export.shapes import Theme
from engine.figures import palette
from engine.figures.map_view import carried_view
from engine.figures.sketch import sketch, sketch_svg
from engine.figures.tour_charts import SIDE, picture
from pages._ui.kept import kept
from pages._ui.session import store
from pages._ui.tour.facts import Compared, most_likely


def theme() -> Theme:
    """The visitor's: a picture cannot take its colors from the page."""
    return "dark" if st.context.theme.type == "dark" else "light"


def ink() -> str:
    """Of text, in the visitor's theme."""
    return palette.GRAPH[theme()]["text"]


def circuit(compared: Compared, side: str, features: Collection[str], *, width: int, height: int) -> str:
    """What one of two compared checkpoints does with the `features`."""
    graph = compared.diff.a if side == "A" else compared.diff.b
    probe = compared.probe
    alt = f"Features of {side} after “{probe.text}” and their connections; it expects “{most_likely(graph)}”."
    names = store().feature_names(compared.diff.a.key.transcoders_hash)
    called = str(names.record(_features(compared, features)))
    return _svg(compared, side, tuple(features), ink(), alt, width, height, _made_from(compared), called, names)


def _features(compared: Compared, features: Collection[str]) -> list[tuple[int, int]]:
    nodes = compared.diff.nodes
    nodes = nodes[nodes["id"].isin(list(features))]
    return list(zip(nodes["layer"].tolist(), nodes["index"].tolist(), strict=True))


def answer_map(compared: Compared, side: str, *, alt: str, width: int, height: int) -> str:
    """What carries the answer on one side, as a Map; both sides on one scale. `width`, `height`: its proportions."""
    return _map(compared, side, theme(), alt, width, height, _made_from(compared))


@kept()
def _map(
    _compared: Compared, side: str, theme: Theme, alt: str, width: int, height: int, made_from: str
) -> str:  # fmt: skip
    view = carried_view([(None, _compared.diff)], {}, taught=_compared.probe.constraint)
    return picture(panel_svg(view, "AB".index(side), alt=alt, theme=theme, width=width, height=height), alt=alt)


def _made_from(compared: Compared) -> str:
    diff = compared.diff
    return f"{diff.a.key.hash} {diff.b.key.hash} {diff.settings.to_json()} {compared.probe.id}"


@kept()
def _svg(
    _compared: Compared, side: str, features: tuple[str, ...], ink: str, alt: str, width: int, height: int,
    made_from: str, called: str, _names: FeatureNames,
) -> str:  # fmt: skip
    """`called`: what the features are called."""
    probe, answer = _compared.probe, _compared.probe.answer.strip()
    drawn = sketch(
        _compared.diff, "a" if side == "A" else "b", features, word=probe.constraint, answer=answer, names=_names
    )
    return picture(sketch_svg(drawn, color=SIDE[side], ink=ink, alt=alt, width=width, height=height), alt=alt)
