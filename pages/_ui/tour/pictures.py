"""Small circuits of the tour and of Home, as pictures that are made once."""

from collections.abc import Collection, Sequence

import streamlit as st

from engine.domain.feature_names import FeatureNames
from engine.figures import palette
from engine.figures.sketch import sketch, sketch_svg
from engine.figures.tour_charts import SIDE, picture
from pages._ui.tour.facts import Compared, most_likely


def ink() -> str:
    """The text color of the visitor's theme: a picture cannot take it from the page."""
    return palette.GRAPH["dark" if st.context.theme.type == "dark" else "light"]["text"]


def circuit(compared: Compared, side: str, features: Collection[str], *, width: int, height: int) -> str:
    """What one of two compared checkpoints does with the `features`."""
    graph = compared.diff.a if side == "A" else compared.diff.b
    probe = compared.probe
    alt = f"Features of {side} after “{probe.text}” and their connections; it expects “{most_likely(graph)}”."
    return _svg(
        compared, side.lower(), tuple(features), (), None, SIDE[side], ink(), alt, width, height, _made_from(compared)
    )


def path(
    compared: Compared, features: Collection[str], strong: Sequence[str], only: Collection[tuple[str, str]],
    *, names: FeatureNames, alt: str, width: int, height: int,
) -> str:  # fmt: skip
    """What appeared in A during training, with its strongest path. `compared`: the base with A."""
    return _svg(
        compared,
        "b",
        tuple(features),
        tuple(strong),
        tuple(only),
        SIDE["A"],
        ink(),
        alt,
        width,
        height,
        _made_from(compared),
        names=tuple(_called(names, node) for node in strong),
    )


def _called(names: FeatureNames, node: str) -> str:
    kind, layer, _, index = node.split("/")
    label = names.label(int(layer), int(index)) if kind == "feature" else None
    return label.text if label else ""


def _made_from(compared: Compared) -> str:
    diff = compared.diff
    return f"{diff.a.key.hash} {diff.b.key.hash} {diff.settings.to_json()} {compared.probe.id}"


@st.cache_data(max_entries=16, show_spinner=False)
def _svg(
    _compared: Compared, side: str, features: tuple[str, ...], strong: tuple[str, ...],
    only: tuple[tuple[str, str], ...] | None, color: str, text: str, alt: str, width: int, height: int, made_from: str,
    names: tuple[str, ...] = (),
) -> str:  # fmt: skip
    probe = _compared.probe
    drawn = sketch(
        _compared.diff, "a" if side == "a" else "b", features,
        word=probe.constraint, answer=probe.answer.strip(), strong=strong, names=names,
        only=None if only is None else set(only),
    )  # fmt: skip
    return picture(sketch_svg(drawn, color=color, ink=text, alt=alt, width=width, height=height), alt=alt)
