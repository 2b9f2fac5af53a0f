"""How far a measure is, from within its passes: layer by layer, up and down, never back; and an end between layers."""

from itertools import pairwise

import pytest
import torch

from engine.attribution.acted import STRETCH, logit_of, stretch
from engine.attribution.effort import BACKWARD, FORWARD, Effort
from engine.attribution.places import PLACES, place_effects
from engine.domain.errors import Canceled
from engine.domain.jobs import Report
from engine.models.sharing import sharing_copy
from tests.attribution.test_acted import EXACT, OF, PROMPT, moved
from tests.families import CONFIGS, loaded_family


def told_to(fractions: list[float]) -> Report:
    return lambda fraction, message: fractions.append(fraction)


@pytest.mark.parametrize("family", list(CONFIGS))
def test_every_layer_is_told_on_the_way_up_and_down(family: str) -> None:
    model = sharing_copy(loaded_family(family).model)
    n_layers = model.config.num_hidden_layers
    told: list[float] = []
    effort = Effort(told_to(told), expected=2 * (FORWARD + BACKWARD))
    with effort.passing(model, n=2, back=True), torch.enable_grad():
        embedded = model.get_input_embeddings()(PROMPT[None]).detach().requires_grad_()
        model(inputs_embeds=embedded).logits.sum().backward()
    ticks = [tick / (2 * n_layers) for tick in range(1, 2 * n_layers + 1)]
    assert told == pytest.approx([*ticks, 1.0])
    model(input_ids=PROMPT[None])
    assert len(told) == 2 * n_layers + 1  # the hooks are gone


def test_more_to_be_done_takes_nothing_back() -> None:
    told: list[float] = []
    effort = Effort(told_to(told), expected=4)
    effort.did(2)
    effort.expect(4)
    effort.did(1)
    effort.did(4)
    effort.did(1)
    assert told == [0.5, 0.5, 0.875, 1.0]


def test_what_was_not_expected_ends_at_one() -> None:
    told: list[float] = []
    Effort(told_to(told), expected=0.5).did(3)
    assert told == [1.0]


@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_a_stretch_and_its_places_are_told_whole(family: str) -> None:
    model = loaded_family(family).model
    b, told = moved(model), list[float]()
    effort = Effort(told_to(told), PLACES + STRETCH)
    with_places = place_effects(model, b, PROMPT, OF, effort=effort)
    assert told[-1] == pytest.approx(PLACES / (PLACES + STRETCH))
    found = stretch(model, b, PROMPT, OF, allowed=EXACT, effort=effort)
    assert told == sorted(told)
    assert told[-1] == pytest.approx(1.0)
    assert max(after - before for before, after in pairwise(told)) < 0.25
    assert (found.by_matrix == stretch(model, b, PROMPT, OF, allowed=EXACT).by_matrix).all()
    assert (with_places.mlp == place_effects(model, b, PROMPT, OF).mlp).all()


@pytest.mark.parametrize("at", [1, 3, 6])
def test_an_end_within_a_pass_comes_before_the_next_layer(at: int) -> None:
    model = loaded_family("llama").model
    told: list[float] = []

    def report(fraction: float, message: str) -> None:
        told.append(fraction)
        if len(told) == at:
            raise Canceled

    with pytest.raises(Canceled):
        stretch(model, moved(model), PROMPT, OF, effort=Effort(report, STRETCH))
    assert len(told) == at
    assert logit_of(model, PROMPT, OF)  # no hook is left
    assert len(told) == at
