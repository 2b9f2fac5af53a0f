"""Two checkpoints with their circuits, as the page's choices have them."""

from collections.abc import Mapping

import streamlit as st

from engine.domain.components import ComponentKey, ComponentScores
from engine.domain.numbers import step_name
from engine.figures.component_view import ComponentSide, unlearned
from engine.figures.component_words import few_pairs, found_by, n_pairs_of
from engine.workflows.component_queries import curve_of
from pages._ui.circuits.choice import CircuitChoice
from pages._ui.circuits.data import circuit_of, scores_of
from pages._ui.session import store
from pages._ui.text import plain


def side_name(run: str, step: int) -> str:
    """`demo-lora · step 300`"""
    return f"{run} · {step_name(step)}"


PARTS = (
    "A **head** moves information from earlier words to later ones; an **MLP** adds what the model knows about a word."
)


def found_with(scores: ComponentScores, reading: str, explain: str) -> None:
    """On which prompt pairs a picture rests, by which method, and how to read it; where they are few, what that means
    comes first.

    `reading`, `explain`: Markdown.
    """
    told = f"Found with {plain(found_by(scores))}."
    if caveat := few_pairs(n_pairs_of(scores)):
        st.caption(f":orange[:material/warning: {told} {caveat}]", help=f"{reading} {explain}")
    else:
        st.caption(f"{told} {reading}", help=explain)


def sides_of(chosen: CircuitChoice, keys: Mapping[int, ComponentKey]) -> tuple[ComponentSide, ComponentSide]:
    """`keys`: by step. Raises InputError (an empty circuit), NotFound, Damaged."""
    a, b = (
        ComponentSide(
            scores_of(store(), keys[checkpoint.step]),
            circuit_of(store(), keys[checkpoint.step], chosen.share, chosen.how),
            side_name(chosen.run, checkpoint.step),
            store().loss_words(checkpoint),
        )
        for checkpoint in (chosen.a, chosen.b)
    )
    return a, b


def idle(a: ComponentSide, b: ComponentSide) -> list[str]:
    """The sides that may have no behavior on their pairs, as far as their faithfulness was measured."""
    found = []
    for name, side in (("A", a), ("B", b)):
        curve = None if unlearned(side.scores) else curve_of(store(), side.scores.key)
        if curve is not None and all(point.faithfulness is None for point in curve.points):
            found.append(name)
    return found
