"""Two checkpoints with their circuits, as the page's choices have them."""

from collections.abc import Mapping

import streamlit as st

from engine.domain.components import ComponentKey, ComponentScores
from engine.domain.numbers import step_name
from engine.figures.component_view import ComponentSide
from engine.figures.component_words import few_pairs, n_pairs_of
from pages._ui.circuits.choice import CircuitChoice
from pages._ui.circuits.data import circuit_of, scores_of
from pages._ui.session import store


def side_name(run: str, step: int) -> str:
    """`demo-lora · step 300`"""
    return f"{run} · {step_name(step)}"


def warn_of_few(scores: ComponentScores) -> None:
    """Where circuits rest on so few prompt pairs that they may be those of these pairs."""
    if caveat := few_pairs(n_pairs_of(scores)):
        st.warning(caveat, icon=":material/warning:")


def sides_of(chosen: CircuitChoice, keys: Mapping[int, ComponentKey]) -> tuple[ComponentSide, ComponentSide]:
    """`keys`: by step. Raises InputError (an empty circuit), NotFound, Damaged."""
    a, b = (
        ComponentSide(
            scores_of(store(), keys[checkpoint.step]),
            circuit_of(store(), keys[checkpoint.step], chosen.share, chosen.how),
            side_name(chosen.run, checkpoint.step),
            checkpoint.state.smoothed_loss,
        )
        for checkpoint in (chosen.a, chosen.b)
    )
    return a, b
