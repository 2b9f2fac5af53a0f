"""Two checkpoints with their circuits, as the page's choices have them."""

from collections.abc import Mapping

from engine.domain.components import ComponentKey
from engine.domain.numbers import step_name
from engine.figures.component_view import ComponentSide
from pages._ui.circuits.choice import CircuitChoice
from pages._ui.circuits.data import circuit_of, scores_of
from pages._ui.session import store


def side_name(run: str, step: int) -> str:
    """`demo-lora · step 300`"""
    return f"{run} · {step_name(step)}"


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
